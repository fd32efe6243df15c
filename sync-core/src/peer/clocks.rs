//! Clocks that differ: how far the peers' are from this one, and a clock that was ahead and is right again.
//!
//! Invariant: no peer alone makes this device doubt its clock. What it numbered too far ahead is taken back only once its
//! own clock and a peer's agree that those stamps are in the future, and only if nobody is known to have accepted any of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Refused, SyncError,
    heard::told,
    positions,
    replica::{Replica, Report},
};
use crate::{
    apply::{self, Incoming},
    capture::Batch,
    ids::DeviceId,
    ledger::{self, Ahead, Head, RenewalReason, Retired},
    store::Names,
    vector::Vector,
};

/// How long it is until what could not be taken back is looked at again, and the held changes without a reason to.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What is known of clocks while the engine runs.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// How far each peer's clock was ahead when it last spoke, in milliseconds.
    offsets: Mutex<HashMap<DeviceId, i64>>,
    /// When something could last not be taken back.
    stuck: Mutex<Option<Instant>>,
    /// When the first of the held changes is due, and when that was looked up.
    release: Mutex<Option<(u64, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clocks {
    /// When the first held change is due, as far as that was looked up.
    pub(super) fn next_release_ms(&self) -> Option<u64> {
        let known = lock(&self.release);
        known.filter(|(_, looked)| looked.elapsed() < LOOK_AGAIN_AFTER).map(|(due_ms, _)| due_ms)
    }

    /// `None`: it is to be looked up.
    pub(super) fn set_next_release(&self, due_ms: Option<u64>) {
        *lock(&self.release) = due_ms.map(|due_ms| (due_ms, Instant::now()));
    }
}

impl Replica {
    /// How far the peer's clock was ahead when it last spoke, in milliseconds, if it did since the start.
    pub(crate) fn clock_offset(&self, peer: DeviceId) -> Option<i64> {
        lock(&self.clocks.offsets).get(&peer).copied()
    }

    /// Takes note of a peer's clock; tells of one that differs by more than stamps may, once until it does not.
    pub(super) fn note_clock(&self, peer: DeviceId, offset_ms: i64) {
        let differs = |offset_ms: i64| offset_ms.unsigned_abs() > self.limits.max_drift_ms;
        let before = lock(&self.clocks.offsets).insert(peer, offset_ms);
        if differs(offset_ms) && !before.is_some_and(differs) {
            tracing::warn!(%peer, offset_ms, "the peer's clock and this one differ: one of them is wrong");
            // Nobody listening is no fault.
            drop(self.reports.send(Report::ClockSkew { peer, offset_ms }));
        }
    }

    /// Takes back what this device numbered too far ahead, now that its clock and a peer's agree. True if it goes on under
    /// another device id.
    pub(super) async fn mend_clock(
        self: &Arc<Self>,
        peers_ms: u64,
        theirs: &Vector,
    ) -> Result<bool, SyncError> {
        let (now_ms, drift) = (self.now_ms(), self.limits.max_drift_ms);
        if now_ms.abs_diff(peers_ms) > drift {
            return Ok(false);
        }
        let latest_ms = now_ms.max(peers_ms).saturating_add(drift);
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let tried = lock(&self.clocks.stuck).is_some_and(|at| at.elapsed() < LOOK_AGAIN_AFTER);
        if head.clock.last().ms() <= latest_ms || tried {
            return Ok(false);
        }
        let theirs = theirs.clone();
        let can = to_take_back(&db, &names, &head, latest_ms, &theirs).await?.is_some();
        drop(db);
        let replica = self.clone();
        let work = async {
            let taken = self.store.write(move |write| {
                Box::pin(async move { replica.take_back(write, latest_ms, &theirs).await })
            });
            match taken.await {
                // Nothing was written then, and the round goes on as if nobody had tried.
                Err(SyncError::Ledger(why)) => {
                    tracing::error!(why, "what was numbered ahead of the clock stays");
                    Ok(false)
                }
                taken => taken,
            }
        };
        let done = can && work.await?;
        if !done {
            tracing::warn!("stamps of this device are ahead of its clock and cannot be taken back");
            *lock(&self.clocks.stuck) = Some(Instant::now());
        }
        Ok(done)
    }

    async fn take_back(
        &self,
        write: &mut crate::store::Write<'_>,
        latest_ms: u64,
        theirs: &Vector,
    ) -> Result<bool, SyncError> {
        // What is dirty belongs to what was written meanwhile.
        let (bindings, mut head, _) = self.begin(write, Batch::All).await?;
        let Some(ahead) = to_take_back(write.db, &write.names, &head, latest_ms, theirs).await? else {
            return Ok(false);
        };
        let former = head.identity.device;
        let runtime = self.runtime();
        let again = ledger::take_back(write, &bindings, &mut head, ahead, runtime).await?;
        let Some(again) = again else { return Ok(false) };
        tracing::warn!(changes = again.changes, "what was numbered ahead of the clock is written again");
        self.renewed(write, &head, former, RenewalReason::ClockAhead);
        let seen = apply::retry(write, &bindings, &mut head, again.reborn, self.now_ms()).await?;
        self.report_applied(write, seen);
        Ok(true)
    }

    /// Learns which devices took back what. What somebody accepted of it counts, and is read again.
    pub(super) async fn learn_retired(self: &Arc<Self>, marks: &[Retired]) -> Result<(), SyncError> {
        if marks.is_empty() {
            return Ok(());
        }
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        drop(db);
        let news = |mark: &Retired| {
            let known = head.retired.iter().find(|known| known.device == mark.device);
            known.is_none_or(|known| known.last < mark.last)
        };
        let news: Vec<Retired> = marks.iter().copied().filter(news).collect();
        if news.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    for mark in news {
                        let raised = head.retired.iter().any(|known| known.device == mark.device);
                        if ledger::learn_retired(write, &mut head, mark).await? && raised {
                            // It was refused before: positions passed over it.
                            positions::forget_all(write.db, head.library).await?;
                        }
                    }
                    Ok::<_, SyncError>(())
                })
            })
            .await
    }
}

/// What may be taken back: what is ahead, if no peer that was ever heard of has any of it.
async fn to_take_back<C: sea_orm::ConnectionTrait>(
    db: &C,
    names: &Names,
    head: &Head,
    latest_ms: u64,
    theirs: &Vector,
) -> Result<Option<Ahead>, SyncError> {
    let me = head.identity.device;
    let Some(ahead) = ledger::ahead_of(db, names, head, latest_ms).await? else { return Ok(None) };
    let told = told(db, head.library).await?;
    let accepted = told.iter().chain([theirs]).any(|had| had.is_forked(me) || had.head(me) > ahead.last);
    Ok((!accepted).then_some(ahead))
}

/// Takes out the changes that their authors took back.
pub(super) fn refuse_taken_back(head: &Head, groups: &mut Vec<Vec<Incoming>>) -> Vec<Refused> {
    let mut refused = Vec::new();
    if head.retired.is_empty() {
        return refused;
    }
    groups.retain(|group| {
        let back = |one: &Incoming| {
            head.retired.iter().any(|mark| mark.takes_back(one.change.device, one.change.id))
        };
        let goes = group.iter().any(back);
        if goes {
            let reason = "its author took it back, because its clock was ahead, and wrote it again";
            refused.extend(group.iter().map(|one| Refused { id: one.change.id, reason: reason.to_owned() }));
        }
        !goes
    });
    refused
}
