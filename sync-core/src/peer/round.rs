//! The asking side of the protocol: one round with a peer brings both up to date.
//!
//! Invariant: a page is applied in the transaction that moves the cursor behind it. A wrong hash inside a page is
//! corruption: nothing of it is taken. A chain that differs at the cursor is a restored peer: the round starts again
//! from the beginning of its log, sparing what is here already.

use std::sync::Arc;

use super::{
    Entry, Hello, History, Peer, PeerError, PullRequest, PullResponse, PushRequest, SyncError,
    greet::{Greeting, greet},
    outcomes::LastRound,
    page::Outgoing,
    positions::{self, Position},
    receive::Received,
    repair::repair_diverged,
    replica::Replica,
    serve::groups,
};
use crate::{
    apply::Origin,
    change::Change,
    ids::{Seq, StateHash},
    ledger::{self, Extent, Head, Selected},
    vector::Vector,
};

/// What a round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncReport {
    /// Changes sent that were new to the peer; the engine's own aside, as in all counts but [`system`](Self::system).
    pub sent: u64,
    /// Changes received that were new here.
    pub received: u64,
    /// Records received as they are, from the state feed.
    pub snapshot_records: u64,
    /// Records sent as they are, because the peer lacks what the log here no longer holds.
    pub snapshot_sent: u64,
    /// Changes and records of the engine's own that were new, there or here: who is a member, and what else travels beside the
    /// application's data.
    pub system: u64,
    /// Changes received that were here already.
    pub duplicates: u64,
    /// Changes kept and not merged yet, here or there: their stamps are too far ahead of the clock.
    pub held: u64,
    /// Conflicts found while merging.
    pub conflicts: u64,
    /// Records that wait now, with a reason ([`pending`](crate::SyncEngine::pending) lists them).
    pub pending: u64,
    /// Merge changes that the user's functions made.
    pub merges: u64,
    /// Changes that the peer did not take, or that were not taken here, with the reasons.
    pub refused: Vec<super::Refused>,
    /// Bytes of changes sent, as encoded, before any compression.
    pub bytes_sent: u64,
    /// Bytes of changes received, likewise.
    pub bytes_received: u64,
    /// How far the peer's clock is ahead of this one's, in milliseconds; negative if behind. Half a round trip is in it.
    pub clock_offset_ms: i64,
    /// The position in the peer's log up to which everything is here, and the chain's head there.
    pub confirmed: (Seq, StateHash),
    /// True if both sides ended with equal vectors and digests. With a replica that keeps a part of the library: if all of its own
    /// changes are accepted, and all that changed of its part is there.
    pub in_sync: bool,
    /// True if both sides ended with equal vectors, so with the same changes merged, and unequal digests: an object of one of
    /// them was altered, or a merge has a fault. [`verify`](crate::SyncEngine::verify) tells whether it is this one. A replica in the
    /// middle of its first sync is not meant.
    pub diverged: bool,
    /// What was mended because the two had diverged; `in_sync` and `diverged` say how it is after that. `None` if they had not,
    /// the peer cannot repair, or it was tried a moment ago ([`Limits::repair_every_ms`](super::Limits::repair_every_ms)).
    pub repair: Option<Box<super::RepairReport>>,
}

/// A round in progress.
pub(super) struct Round<'a> {
    pub(super) replica: &'a Arc<Replica>,
    pub(super) peer: &'a dyn Peer,
    pub(super) theirs: Hello,
    pub(super) position: Position,
    pub(super) report: SyncReport,
    /// What is kept here, if not everything.
    part: Option<Arc<Selected>>,
    /// How many records of the peer's state were read in this round, the engine's own among them.
    pub(super) read: u64,
    /// True once the peer's state was read in this round: it has what stands below the floor that this raised.
    pub(super) took_state: bool,
    /// The peer's digest, told with `position.vector`.
    digest: Option<[u8; 16]>,
    /// True once the peer's log was begun again in this round.
    restarted: bool,
    /// True once the position began anew in this round. Ours is then offered in the next one: only its `hello` tells
    /// the peer of a fork, and until then it takes changes below a forked author's head for duplicates.
    anew: bool,
}

/// One round with `peer`.
pub(crate) async fn sync_with(replica: &Arc<Replica>, peer: &dyn Peer) -> Result<SyncReport, SyncError> {
    let round = Round::begin(replica, peer).await?;
    let device = round.theirs.device;
    let mut result = round.run().await;
    if let Some(report) = result.as_mut().ok().filter(|report| report.diverged)
        && let Some(repair) = repair_diverged(replica, peer, device).await
    {
        (report.in_sync, report.diverged) = (repair.in_sync, !repair.in_sync);
        report.repair = Some(Box::new(repair));
    }
    if result.is_ok() && replica.retention.history == History::Own {
        // What the peer has confirmed is its history now.
        replica.prune().await?;
    }
    let error = result.as_ref().err().map(ToString::to_string);
    let diverged = result.as_ref().is_ok_and(|report| report.diverged);
    replica.note_round(device, LastRound { diverged, error });
    result
}

impl<'a> Round<'a> {
    async fn begin(replica: &'a Arc<Replica>, peer: &'a dyn Peer) -> Result<Self, SyncError> {
        let Greeting { mine, theirs, clock_offset_ms } = greet(replica, peer).await?;
        // Under the id with which the round goes on.
        replica.flush().await?;
        replica.release_held().await?;
        let (db, names) = replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut position = positions::load(&db, head.library, theirs.device).await?;
        if position.log_id != Some(theirs.log_id) {
            position = Position::beginning(Some(theirs.log_id), position.marks);
        }
        // All was offered and not all is there: the peer was restored, or kept a part that came out of order.
        if position.sent >= mine.latest_seq && !theirs.vector.includes(&mine.vector) {
            position.sent = Seq(0);
        }
        let mut part = replica.selected(&head)?;
        if head.extent == Extent::Widening && theirs.scope.is_none() {
            // Only a complete state has what an earlier scope left out.
            part = None;
            position.feed.get_or_insert_default();
        }
        // A replica that has little reads the state of a peer that has much, not its history.
        let little = mine.latest_seq.0.saturating_mul(10) < theirs.latest_seq.0;
        if part.is_none()
            && little
            && position.seq == Seq(0)
            && theirs.latest_seq.0 > replica.limits.snapshot_above
        {
            position.feed.get_or_insert_default();
        }
        position.seen_ms = replica.now_ms();
        position.vector = theirs.vector.clone();
        let report = SyncReport { clock_offset_ms, ..SyncReport::default() };
        Ok(Self {
            replica,
            peer,
            theirs,
            position,
            report,
            part,
            read: 0,
            took_state: false,
            digest: None,
            restarted: false,
            anew: false,
        })
    }

    async fn run(mut self) -> Result<SyncReport, SyncError> {
        let theirs = self.theirs.scope.take().map(Selected::new).transpose()?.map(Arc::new);
        if self.part.is_some() || theirs.is_some() {
            let part = self.part.clone();
            return self.run_part(part, theirs).await;
        }
        self.position.part = false;
        if self.position.feed.is_some() {
            self.snapshot().await?;
        }
        self.give_state().await?;
        // After the state, whose end is the beginning of this log: who lacks something below it must read it as a state too.
        self.replica.take_part().await?;
        self.push_and_pull().await?;
        self.pull_rest().await?;
        let merges = super::judge::judge(self.replica).await?;
        self.report.merges = merges;
        if merges > 0 {
            self.push_and_pull().await?;
        }
        self.finish().await
    }

    /// Sends what the peer lacks, page by page; the first request also pulls.
    pub(super) async fn push_and_pull(&mut self) -> Result<(), SyncError> {
        // Who keeps a part reads state, not history.
        let mut asked = self.part.is_some();
        while !self.anew {
            let Outgoing { changes, state, next, end } = self.outgoing().await?;
            let sends = !changes.is_empty();
            if !sends && asked {
                self.position.sent = next;
                return Ok(());
            }
            if !sends {
                // Nothing to send: a plain pull.
                let request = self.pull_request().await?;
                let answer = self.peer.pull(request).await;
                self.position.sent = next;
                return self.pulled(answer).await;
            }
            let pull = if asked { None } else { Some(self.pull_request().await?) };
            self.report.bytes_sent += changes.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            let identity = self.replica.identity();
            let request = PushRequest {
                library: identity.library,
                device: identity.device,
                log_id: identity.log_id,
                changes,
                pull,
                state,
            };
            let answer = match self.peer.push(request.clone()).await {
                Err(PeerError::SnapshotRequired) if request.pull.is_some() => {
                    // Nothing of it was taken: what is here is pushed when the state is read.
                    self.begin_snapshot().await?;
                    self.peer.push(PushRequest { pull: None, ..request }).await?
                }
                answer => answer?,
            };
            self.report.sent += answer.merged.saturating_sub(answer.system);
            self.report.system += answer.system;
            self.report.held += answer.held;
            self.report.refused.extend(answer.refused);
            self.position.sent = next;
            self.position.vector = answer.vector;
            self.digest = Some(answer.digest);
            if let Some(page) = answer.pull {
                self.pulled(Ok(page)).await?;
            }
            asked = true;
            if next >= end {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn pull_request(&self) -> Result<PullRequest, SyncError> {
        let (db, names) = self.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        Ok(PullRequest {
            library: head.identity.library,
            device: head.identity.device,
            log_id: self.position.log_id,
            from_seq: self.position.seq,
            have: ledger::vector(&db, &names, head.library).await?,
            max_entries: self.replica.limits.page_entries,
            max_bytes: self.replica.limits.page_bytes,
            takes_compacted: true,
        })
    }

    pub(super) async fn pull_rest(&mut self) -> Result<(), SyncError> {
        while self.position.seq < self.theirs.latest_seq {
            let request = self.pull_request().await?;
            let answer = self.peer.pull(request).await;
            self.pulled(answer).await?;
        }
        Ok(())
    }

    /// Takes in a page.
    async fn pulled(&mut self, answer: Result<PullResponse, PeerError>) -> Result<(), SyncError> {
        let page = match answer {
            Ok(page) => page,
            Err(PeerError::SnapshotRequired) => return self.begin_snapshot().await,
            Err(error) => return Err(error.into()),
        };
        if page.log_id != self.theirs.log_id {
            return Err(PeerError::Busy("the peer's log was begun anew during the round".into()).into());
        }
        let mut hash = page.base_hash;
        if self.replica.learn_forks(&page.vector).await? {
            return self.read_anew().await;
        }
        // A page begins later than asked only where the log no longer holds what stood between; one that begins
        // earlier is of a log that has become shorter.
        let shorter = page.base_seq < self.position.seq;
        let differs = page.base_seq == self.position.seq && page.base_hash != self.position.state_hash;
        if shorter || differs {
            return self.restart().await;
        }
        self.theirs.latest_seq = page.latest_seq;
        let mut changes = Vec::new();
        for entry in page.entries {
            match entry {
                Entry::Change(bytes) => {
                    hash = ledger::extend(hash, Change::digest(self.theirs.library, &bytes));
                    self.report.bytes_received += bytes.len() as u64;
                    changes.push(bytes);
                }
                Entry::Digest(digest) => hash = ledger::extend(hash, digest),
            }
        }
        if hash != page.state_hash {
            return Err(
                PeerError::Corrupt("a page does not give the hash that stands under it".into()).into()
            );
        }
        let mut refused = Vec::new();
        let groups = groups(changes, &mut refused);
        if let Some(refused) = refused.first() {
            return Err(PeerError::Corrupt(format!("a change of the peer's log: {}", refused.reason)).into());
        }
        self.take_told(page.objects).await?;
        self.position.seq = page.next_seq;
        self.position.state_hash = hash;
        self.position.vector = page.vector;
        self.digest = Some(page.digest);
        let from = Some((self.theirs.device, self.position.clone()));
        let received = self.replica.receive(self.theirs.library, groups, Origin::Log, from, None).await?;
        self.take_note(&received, true);
        if received.forked { self.read_anew().await } else { Ok(()) }
    }

    /// The peer's log is not the one that our cursor is in: it was restored. Reads it from the beginning.
    async fn restart(&mut self) -> Result<(), SyncError> {
        if self.restarted {
            return Err(
                PeerError::Corrupt("the chain of the peer's log differs at its beginning".into()).into()
            );
        }
        self.restarted = true;
        tracing::warn!(peer = %self.theirs.device, "the peer's log differs from what was read of it: reading it anew");
        self.read_anew().await
    }

    /// Reads the peer's log from its beginning, without what is here; ours is offered to it again in the next round.
    async fn read_anew(&mut self) -> Result<(), SyncError> {
        self.anew = true;
        let (db, names) = self.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let marks = positions::marks(&db, head.library).await?;
        drop(db);
        self.position = Position::beginning(Some(self.theirs.log_id), marks);
        let request = self.pull_request().await?;
        let answer = self.peer.pull(request).await;
        Box::pin(self.pulled(answer)).await
    }

    pub(super) fn take_note(&mut self, received: &Received, log: bool) {
        self.report.refused.extend(received.refused.iter().cloned());
        if log {
            self.report.received += received.merged.saturating_sub(received.system);
        }
        self.report.system += received.system;
        self.report.duplicates += received.duplicates;
        self.report.held += received.held;
        self.report.conflicts += received.conflicts;
        self.report.pending += received.pending;
    }

    async fn finish(mut self) -> Result<SyncReport, SyncError> {
        let (db, names) = self.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mine = ledger::vector(&db, &names, head.library).await?;
        drop(db);
        let theirs: &Vector = &self.position.vector;
        let same_changes = *theirs == mine;
        let same_objects = self.digest == Some(head.digest.to_bytes());
        self.report.in_sync = same_changes && same_objects;
        // A forked author has no entry in a vector, so equal vectors say nothing of its changes.
        let says_all = mine.forked().next().is_none() && self.report.snapshot_records == 0;
        self.report.diverged = same_changes && !same_objects && self.digest.is_some() && says_all;
        if self.report.diverged {
            tracing::error!(peer = %self.theirs.device, "the same changes gave other objects here than there");
        }
        self.report.confirmed = (self.position.seq, self.position.state_hash);
        self.position.clock_offset_ms = Some(self.report.clock_offset_ms);
        self.save_position().await?;
        Ok(self.report)
    }
}
