//! What others have of this log, as far as they said it to this replica.
//!
//! Invariant: what is remembered of a member is what it said itself, last. It may be less than what the member has by
//! now; it is more only if the member was restored from a backup, and then its next round reads the state.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError},
};

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    SyncError,
    positions::{self, CALLED, CALLS, Position},
    replica::Replica,
};
use crate::{
    ids::{DeviceId, LibraryId, LogId, Seq},
    ledger::Head,
    store::Write,
    vector::Vector,
};

/// What another replica last said to this one, in a round of either side.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) seen_ms: u64,
    /// What it has merged.
    pub(super) vector: Vector,
    /// Everything of our log up to here is there.
    pub(super) seq: Seq,
    /// True if it keeps a part of the library.
    pub(super) part: bool,
    /// True if this replica calls it.
    pub(super) is_called: bool,
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
    /// What was said in another one is not said in this.
    library: Option<LibraryId>,
    heard: HashMap<DeviceId, Heard>,
    leases: HashMap<DeviceId, (Seq, u64)>,
}

/// How long the log is kept for a reader of the state feed that asks for no further page.
const LEASE_MS: u64 = 600_000;

impl Replica {
    fn with_callers<T>(&self, look: impl FnOnce(&mut Callers) -> T) -> T {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let library = Some(self.identity().library);
        if callers.library != library {
            *callers = Callers { library, ..Callers::default() };
        }
        look(&mut callers)
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

    /// True if somebody reads the state feed, or did a moment ago.
    pub(super) fn is_read(&self) -> bool {
        self.leased() != Seq(u64::MAX)
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

    /// What all others said last.
    pub(super) async fn said<C: ConnectionTrait>(
        &self,
        db: &C,
        head: &Head,
    ) -> Result<BTreeMap<DeviceId, Said>, SyncError> {
        let marks = positions::marks(db, head.library).await?;
        let mut known: BTreeMap<DeviceId, Said> = BTreeMap::new();
        for (device, position) in positions::all::<_, Position>(db, head.library, CALLED).await? {
            let seq = if position.marks == marks { position.sent } else { Seq(0) };
            let Position { seen_ms, vector, part, .. } = position;
            known.insert(device, Said { seen_ms, vector, seq, part, is_called: true });
        }
        let mut calls = positions::all::<_, Heard>(db, head.library, CALLS).await?;
        calls.extend(self.with_callers(|callers| callers.heard.clone()));
        for (device, heard) in calls {
            let sure = heard.log_id == Some(head.identity.log_id) && heard.marks == marks;
            let seq = if sure { heard.seq } else { Seq(0) };
            let silent =
                Said { seen_ms: 0, vector: Vector::new(), seq: Seq(0), part: false, is_called: false };
            let said = known.entry(device).or_insert(silent);
            said.seq = said.seq.max(seq);
            if heard.seen_ms >= said.seen_ms {
                said.part = heard.part || (said.part && heard.seen_ms == said.seen_ms);
                (said.seen_ms, said.vector) = (heard.seen_ms, heard.vector);
            }
        }
        known.remove(&head.identity.device);
        Ok(known)
    }

    /// Forgets what a device said. True if it had said something.
    pub(super) async fn forget_said(
        &self,
        write: &Write<'_>,
        head: &Head,
        device: DeviceId,
    ) -> Result<bool, SyncError> {
        let saved = positions::forget(write.db, head.library, device).await?;
        Ok(self.with_callers(|callers| callers.heard.remove(&device)).is_some() || saved)
    }
}
