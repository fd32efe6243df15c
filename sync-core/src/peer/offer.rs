//! What a follower sends: one change of each record, however often it was written since the last round.
//!
//! Invariant: nothing of the log is shown to anybody before it is marked as offered, so what is not marked may still be changed.

use std::sync::Arc;

use super::{History, SyncError, replica::Replica};
use crate::{
    ledger::{self, Head, Offer},
    stamp::Stamp,
    store::Write,
};

impl Replica {
    /// The engine starts: where history is kept for others, they may see all of it from now on.
    pub(crate) fn begins_to_offer(&self, head: &mut Head) {
        if self.retention.history != History::Own {
            head.offered = None;
        }
    }

    /// Marks the log as offered, before it is. `known` is the newest change of this device that the reader has. Where history is kept for
    /// others, which may read any part of it, nothing is done.
    pub(super) async fn offer(self: &Arc<Self>, known: Option<Stamp>) -> Result<(), SyncError> {
        if self.retention.history != History::Own {
            return Ok(());
        }
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let is_offered = head.offered >= Some(ledger::complete_end(&db, &head).await?);
        drop(db);
        if is_offered {
            return Ok(());
        }
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    replica.offer_here(write, &mut head, known).await
                })
            })
            .await
    }

    /// The same inside a transaction.
    pub(super) async fn offer_here(
        &self,
        write: &Write<'_>,
        head: &mut Head,
        known: Option<Stamp>,
    ) -> Result<(), SyncError> {
        if self.retention.history == History::Own {
            let offer = Offer { known, max_group: self.limits.max_group as usize };
            let gone = ledger::offer(write, head, offer, self.runtime().random.as_ref()).await?;
            if gone > 0 {
                tracing::debug!(gone, "changes that nobody had seen became one with later ones");
            }
        }
        Ok(())
    }
}
