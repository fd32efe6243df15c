//! What others have of this log, as far as they said: whom history is kept for.
//!
//! Invariant: what is remembered of a member is what it said itself, last. It may be less than what the member has by
//! now; it is more only if the member was restored from a backup, and then its next round reads the state.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, PoisonError},
};

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    History, Retention, SyncError,
    positions::{self, CALLED, CALLS, Position},
    replica::Replica,
    retention::ms,
};
use crate::{
    ids::{DeviceId, LogId, Seq},
    ledger::{Cover, Head},
    store::Write,
    vector::Vector,
};

/// Another replica of the library, as far as this one was told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberHistory {
    /// Its device id.
    pub device: DeviceId,
    /// When it was last heard of, in milliseconds since the Unix epoch, as this machine believed.
    pub seen_ms: u64,
    /// True if it was not heard of for longer than [`Retention::warn_after`].
    pub silent: bool,
    /// True if it was not heard of for longer than [`Retention::expire_after`]: history is not kept for it any more.
    pub expired: bool,
}

/// What a caller said of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heard {
    vector: Vector,
    /// The incarnation of our log that its cursor is in.
    log_id: Option<LogId>,
    /// Everything of our log up to here is there.
    seq: Seq,
    /// How many authors both sides knew to be forked when it said so: until one is known, what is below its head was
    /// spared although it may never have come.
    marks: u64,
    seen_ms: u64,
    /// True if it keeps a part of the library: it needs no history.
    #[serde(default)]
    part: bool,
}

/// What each peer had merged when it last told, as far as that was saved.
pub(super) async fn told<C: ConnectionTrait>(db: &C, library: i64) -> Result<Vec<Vector>, SyncError> {
    let called = positions::all::<_, Position>(db, library, CALLED).await?;
    let callers = positions::all::<_, Heard>(db, library, CALLS).await?;
    let called = called.into_iter().map(|(_, position)| position.vector);
    Ok(called.chain(callers.into_iter().map(|(_, heard)| heard.vector)).collect())
}

/// The callers since the start, and until when somebody may go on reading from a position of our log.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    heard: HashMap<DeviceId, Heard>,
    leases: HashMap<DeviceId, (Seq, u64)>,
}

/// How long the log is kept for a reader of the state feed that asks for no further page.
const LEASE_MS: u64 = 600_000;

impl Replica {
    fn with_callers<T>(&self, look: impl FnOnce(&mut Callers) -> T) -> T {
        look(&mut self.callers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A caller said what it has merged, and whether it keeps a part of the library.
    pub(super) fn heard_of(&self, device: DeviceId, vector: &Vector, part: bool) {
        let seen_ms = self.now_ms();
        self.with_callers(|callers| {
            let heard = callers.heard.entry(device).or_default();
            (heard.vector, heard.seen_ms, heard.part) = (vector.clone(), seen_ms, part);
        });
    }

    /// A caller reads on in this log, `mine` being the vector here: what stands before is there.
    pub(super) fn reads_from(
        &self,
        device: DeviceId,
        log_id: LogId,
        from: Seq,
        have: &Vector,
        mine: &Vector,
    ) {
        let known = mine.forked().all(|forked| have.is_forked(forked));
        let (seq, marks) = (if known { from } else { Seq(0) }, mine.forked().count() as u64);
        let seen_ms = self.now_ms();
        self.with_callers(|callers| {
            // Who only reads, and never said who it is, is no member.
            if let Some(heard) = callers.heard.get_mut(&device) {
                let part = heard.part;
                *heard = Heard { vector: have.clone(), log_id: Some(log_id), seq, marks, seen_ms, part };
            }
        });
    }

    /// A caller reads the state feed and will go on in the log from `start`.
    pub(super) fn lease(&self, device: DeviceId, start: Seq) {
        let until = self.now_ms().saturating_add(LEASE_MS);
        self.with_callers(|callers| callers.leases.insert(device, (start, until)));
    }

    /// Nothing beyond this position may go: a reader of the state feed will go on from there.
    pub(super) fn leased(&self) -> Seq {
        let now_ms = self.now_ms();
        self.with_callers(|callers| {
            callers.leases.retain(|_, (_, until)| *until > now_ms);
            callers.leases.values().map(|(start, _)| *start).min().unwrap_or(Seq(u64::MAX))
        })
    }

    /// Saves what callers said since the last time.
    pub(super) async fn save_callers(&self, write: &Write<'_>, head: &Head) -> Result<(), SyncError> {
        let heard = self.with_callers(|callers| callers.heard.clone());
        for (device, heard) in &heard {
            positions::save_as(write.db, head.library, *device, CALLS, heard).await?;
        }
        let callers = Arc::clone(&self.callers);
        write.after_commit(move || {
            let mut callers = callers.lock().unwrap_or_else(PoisonError::into_inner);
            // What was said meanwhile is for the next time.
            callers.heard.retain(|device, now| heard.get(device) != Some(now));
        });
        Ok(())
    }

    /// All others, and what each has; those whom history is not kept for are marked as expired.
    pub(crate) async fn histories<C: ConnectionTrait>(
        &self,
        db: &C,
        head: &Head,
        retention: &Retention,
    ) -> Result<Vec<(MemberHistory, Cover)>, SyncError> {
        let marks = positions::marks(db, head.library).await?;
        let mut known: BTreeMap<DeviceId, (u64, Cover)> = BTreeMap::new();
        let mut parts = HashSet::new();
        for (device, position) in positions::all::<_, Position>(db, head.library, CALLED).await? {
            if position.part {
                parts.insert(device);
            }
            let seq = if position.marks == marks { position.sent } else { Seq(0) };
            known.insert(device, (position.seen_ms, Cover { device, vector: position.vector, seq }));
        }
        let mut calls = positions::all::<_, Heard>(db, head.library, CALLS).await?;
        calls.extend(self.with_callers(|callers| callers.heard.clone()));
        for (device, heard) in calls {
            let spoke_ms = known.get(&device).map_or(0, |(seen_ms, _)| *seen_ms);
            if heard.part && heard.seen_ms >= spoke_ms {
                parts.insert(device);
            } else if !heard.part && heard.seen_ms > spoke_ms {
                parts.remove(&device);
            }
            if retention.history == History::Own && !known.contains_key(&device) {
                continue;
            }
            let sure = heard.log_id == Some(head.identity.log_id) && heard.marks == marks;
            let seq = if sure { heard.seq } else { Seq(0) };
            let (seen_ms, cover) =
                known.entry(device).or_insert((0, Cover { device, vector: Vector::new(), seq: Seq(0) }));
            cover.seq = cover.seq.max(seq);
            if heard.seen_ms >= *seen_ms {
                (*seen_ms, cover.vector) = (heard.seen_ms, heard.vector);
            }
        }
        known.remove(&head.identity.device);
        known.retain(|device, _| !parts.contains(device));
        let now_ms = self.now_ms();
        let members = known.into_iter().map(|(device, (seen_ms, cover))| {
            let silence = now_ms.saturating_sub(seen_ms);
            let silent = silence > ms(retention.warn_after);
            let expired = retention.expire_after.is_some_and(|after| silence > ms(after));
            (MemberHistory { device, seen_ms, silent, expired }, cover)
        });
        Ok(members.collect())
    }

    /// All others; also those whom this replica keeps no history for because it only follows.
    pub(crate) async fn all_histories<C: ConnectionTrait>(
        &self,
        db: &C,
        head: &Head,
    ) -> Result<Vec<MemberHistory>, SyncError> {
        let retention = Retention { history: History::Shared, ..self.retention.clone() };
        Ok(self.histories(db, head, &retention).await?.into_iter().map(|(member, _)| member).collect())
    }

    /// Forgets a member: history is not kept for it any more. If it comes back it is one again.
    pub(crate) async fn forget_member(self: &Arc<Self>, device: DeviceId) -> Result<(), SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let head = Head::load(write.db, &write.names).await?;
                    positions::forget(write.db, head.library, device).await?;
                    replica.with_callers(|callers| callers.heard.remove(&device));
                    Ok(())
                })
            })
            .await
    }
}
