//! History goes by the rules of [`Retention`], a bounded part at a time.
//!
//! Invariant: what only this replica has, or what a member may still need, stays, unless a bound that the application set
//! says otherwise; and whoever then lacks it is told to read the state.

use std::{sync::Arc, time::Duration};

use super::{
    History, Retention, Standing, SyncError,
    members::Known,
    replica::{Replica, Report},
    retention::ms,
};
use crate::{
    ids::{DeviceId, Seq},
    ledger::{self, Cover, Head, Prunable, Pruned},
};

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// Entries of the log that went.
    pub removed: u64,
    /// Those of them that a member lacks, or that nobody else is known to have: a bound said so.
    pub forced: u64,
    /// The log begins after this position now.
    pub floor: Seq,
    /// The members that the oldest entry stays for, though it is old enough.
    pub waits_for: Vec<DeviceId>,
    /// The author of whom a change is missing here before the oldest entry: nothing goes until it has come.
    pub gap: Option<DeviceId>,
    /// Deleted records of which nothing is kept any more: every member knows that they are gone.
    pub forgotten: u64,
    /// Settled conflicts that are as old as history may be, and were removed.
    pub settled: u64,
    /// Open conflicts that were dropped because there were too many ([`Limits::max_conflicts`](super::Limits::max_conflicts)).
    pub dropped: u64,
    /// Members that were silent for so long that history is not kept for them.
    /// [`members`](crate::SyncEngine::members) lists all.
    pub expired: Vec<DeviceId>,
}

/// A tombstone stays for so long, whatever [`Retention::min_age`] says: until then nobody else has removed his either, and what
/// comes late is judged by it everywhere alike.
const KEEP_TOMBSTONES: Duration = Duration::from_secs(7 * 24 * 3600);

/// Ids of own changes are kept one by one for so long where members never expire.
const KEEP_IDS: Duration = Duration::from_secs(3650 * 24 * 3600);

impl From<Known> for Cover {
    fn from(Known { member, seq, .. }: Known) -> Self {
        Self { device: member.device, vector: member.vector.unwrap_or_default(), seq }
    }
}

impl Replica {
    /// Takes out what may go.
    pub(crate) async fn prune(self: &Arc<Self>) -> Result<PruneReport, SyncError> {
        let mut report = PruneReport::default();
        loop {
            let (pruned, expired, floor) = self.prune_once().await?;
            report.removed += pruned.entries;
            report.forced += pruned.forced;
            (report.waits_for, report.gap) = (pruned.held_by, pruned.gap);
            (report.expired, report.floor) = (expired, floor);
            if !pruned.more {
                break;
            }
            tokio::task::yield_now().await;
        }
        (report.settled, report.dropped) = self.tidy_conflicts().await?;
        if self.retention.history != History::Forever {
            let age = self.retention.min_age.max(KEEP_TOMBSTONES);
            report.forgotten = self.sweep(self.now_ms().saturating_sub(ms(age))).await?;
        }
        if report.removed > 0 {
            tracing::debug!(removed = report.removed, floor = report.floor.0, "history was pruned");
        }
        Ok(report)
    }

    async fn prune_once(self: &Arc<Self>) -> Result<(Pruned, Vec<DeviceId>, Seq), SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    replica.identify(write, &head);
                    replica.save_callers(write, &head).await?;
                    let retention = &replica.retention;
                    let members = replica.known_members(write.db, &write.names, &head).await?;
                    let expired = members.iter().filter(|known| known.member.standing == Standing::Expired);
                    let expired: Vec<DeviceId> = expired.map(|known| known.member.device).collect();
                    let own = retention.history == History::Own;
                    let covers =
                        members.into_iter().filter(|known| known.counts && (known.is_called || !own));
                    let covers: Vec<Cover> = covers.map(Cover::from).collect();
                    let pruned = if retention.history == History::Forever {
                        Pruned::default()
                    } else {
                        let rules = replica.prunable(write.db, &head, retention, covers).await?;
                        ledger::prune_slice(write, &mut head, &rules).await?
                    };
                    Ok((pruned, expired, head.floor.seq))
                })
            })
            .await
    }

    /// Removes settled conflicts that are old, and open ones of which there are too many.
    async fn tidy_conflicts(self: &Arc<Self>) -> Result<(u64, u64), SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let library = Head::load(write.db, &write.names).await?.library;
                    let settled = match replica.retention.history {
                        History::Forever => 0,
                        _ => {
                            let before = replica.now_ms().saturating_sub(ms(replica.retention.min_age));
                            ledger::forget_settled(write, library, before).await?
                        }
                    };
                    let dropped = ledger::drop_surplus(write, library, replica.limits.max_conflicts).await?;
                    if dropped > 0 {
                        tracing::warn!(
                            dropped,
                            "there were too many open conflicts: the oldest were dropped"
                        );
                        replica.report(write, Report::ConflictsDropped(dropped));
                    }
                    Ok((settled, dropped))
                })
            })
            .await
    }

    async fn prunable<C: sea_orm::ConnectionTrait>(
        &self,
        db: &C,
        head: &Head,
        retention: &Retention,
        members: Vec<Cover>,
    ) -> Result<Prunable, SyncError> {
        let now_ms = self.now_ms();
        let forced_to = ledger::surplus(db, head, retention.max_entries, retention.max_bytes).await?;
        let keep_ids = retention.expire_after.unwrap_or(KEEP_IDS).max(retention.min_age);
        Ok(Prunable {
            members,
            before_ms: match retention.min_age {
                Duration::ZERO => u64::MAX,
                age => now_ms.saturating_sub(ms(age)),
            },
            forced_before_ms: retention.max_age.map_or(0, |age| now_ms.saturating_sub(ms(age))),
            forced_to,
            leased: self.leased(),
            forget_before_ms: now_ms.saturating_sub(ms(keep_ids)),
        })
    }
}
