//! Authors under whose id two databases wrote: one of them was restored or cloned.
//!
//! Invariant: a mark is learned before what the other side sends with it is judged, and whoever learns one begins all
//! its positions anew. Until then an author's head stood for changes of both databases, and those below it were
//! spared in pages and pushes although they may never have come.

use std::sync::Arc;

use super::{SyncError, replica::Replica};
use crate::{
    ids::DeviceId,
    ledger::{self, Head, RenewalReason},
    stamp::Stamp,
    store::Names,
    vector::Vector,
};

/// What a peer's `hello` says of this replica and of what it has.
#[derive(Debug, Default)]
struct Findings {
    /// Authors found to be forked that were not marked here.
    forked: Vec<DeviceId>,
    /// This replica's id and why it must be left, if it must.
    renew: Option<(DeviceId, RenewalReason)>,
}

impl Replica {
    /// Takes over the marks in a peer's vector. True if one is new here.
    pub(super) async fn learn_forks(self: &Arc<Self>, theirs: &Vector) -> Result<bool, SyncError> {
        if theirs.forked().next().is_none() {
            return Ok(false);
        }
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mine = ledger::vector(&db, &names, head.library).await?;
        drop(db);
        let forked: Vec<DeviceId> = theirs.forked().filter(|device| !mine.is_forked(*device)).collect();
        let me = head.identity.device;
        let renew = forked.contains(&me).then_some((me, RenewalReason::Forked));
        self.act(Findings { forked, renew }).await
    }

    /// Compares what a peer has with what is here, before anything is exchanged: finds out whether this database was
    /// restored or copied, and which authors are forked. True if there is something that the peer is to be told.
    pub(super) async fn meet(
        self: &Arc<Self>,
        theirs: &Vector,
        newest_of_mine: Option<Stamp>,
    ) -> Result<bool, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let findings = self.compare(&db, &names, &head, theirs, newest_of_mine).await?;
        drop(db);
        let untold = findings.forked.iter().any(|device| !theirs.is_forked(*device));
        let untold = untold || findings.renew.is_some();
        self.act(findings).await?;
        Ok(untold)
    }

    async fn compare(
        &self,
        db: &sea_orm::DatabaseTransaction,
        names: &Names,
        head: &Head,
        theirs: &Vector,
        newest_of_mine: Option<Stamp>,
    ) -> Result<Findings, SyncError> {
        let me = head.identity.device;
        let mine = ledger::vector(db, names, head.library).await?;
        // All of an author up to its head is in my log, or was in the snapshot that the log begins with. Heads that I am
        // said to have passed must be there too.
        let passed = |device: DeviceId, id: Stamp| {
            mine.head(device).is_some_and(|head| id < head) && !head.floor.vector.covers(device, id)
        };
        let passed: Vec<(DeviceId, Stamp)> =
            theirs.heads().filter(|(device, id)| passed(*device, *id)).collect();
        let own: Vec<Stamp> = theirs.head(me).into_iter().chain(newest_of_mine).collect();
        let logged = ledger::logged(db, passed.iter().map(|(_, id)| *id)).await?;
        let beside =
            passed.iter().filter(|(_, id)| logged.get(id) != Some(&false)).map(|(device, _)| *device);
        let forked: Vec<DeviceId> =
            theirs.forked().filter(|device| !mine.is_forked(*device)).chain(beside).collect();
        let reason = if !ledger::had_own(db, head, &own).await? {
            Some(RenewalReason::Restored)
        } else if mine.is_forked(me) || forked.contains(&me) {
            Some(RenewalReason::Forked)
        } else {
            None
        };
        Ok(Findings { forked, renew: reason.map(|reason| (me, reason)) })
    }

    /// Does what the findings ask for. True if an author is marked now that was not before.
    async fn act(self: &Arc<Self>, findings: Findings) -> Result<bool, SyncError> {
        let Findings { forked, renew } = findings;
        if forked.is_empty() && renew.is_none() {
            return Ok(false);
        }
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    let marked = ledger::mark_forked(write, head.library, forked).await?;
                    if let Some((former, reason)) = renew {
                        replica.renew_here(write, &mut head, former, reason).await?;
                    }
                    Ok::<_, SyncError>(marked)
                })
            })
            .await
    }
}
