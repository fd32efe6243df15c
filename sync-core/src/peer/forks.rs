//! Authors under whose id two databases wrote: one of them was restored or cloned.
//!
//! Invariant: a mark is learned before what the other side sends with it is judged, and whoever learns one begins all
//! its positions anew. Until then an author's head stood for changes of both databases, and those below it were
//! spared in pages and pushes although they may never have come.

use std::sync::Arc;

use super::{SyncError, positions, replica::Replica};
use crate::{
    ledger::{self, Head},
    vector::Vector,
};

impl Replica {
    /// Takes over the marks in a peer's vector. True if one is new here.
    pub(crate) async fn learn_forks(self: &Arc<Self>, theirs: &Vector) -> Result<bool, SyncError> {
        if theirs.forked().next().is_none() {
            return Ok(false);
        }
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mine = ledger::vector(&db, &names, head.library).await?;
        drop(db);
        if theirs.forked().all(|device| mine.is_forked(device)) {
            return Ok(false);
        }
        let theirs = theirs.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let head = Head::load(write.db, &write.names).await?;
                    let learned = ledger::mark_forked(write, head.library, &theirs).await?;
                    if learned {
                        positions::forget(write.db, head.library).await?;
                    }
                    Ok::<_, SyncError>(learned)
                })
            })
            .await
    }
}
