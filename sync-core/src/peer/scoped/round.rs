//! A round with a replica of a part of the library on one side.
//!
//! Invariant: state is read before anything is sent, so an edit that was made here and one that the state has are seen to
//! conflict. Log entries go only to who has everything; to who has a part goes state, by his selection.

use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::{
    super::{
        ObjectsCursor, ObjectsPage, ObjectsRequest, PeerError, StateOfPart, StatePart, SyncError, SyncReport,
        judge::judge, replica::Report, round::Round, snapshot::SnapshotProgress,
    },
    position::{PartPosition, PlaceOf},
    receive::PartPage,
};
use crate::{
    apply::Incoming,
    change::Change,
    ledger::{self, FeedCursor, Head, Selected},
    scope::RecordName,
};

impl Round<'_> {
    /// The round, where `part` is what is kept here and `theirs` what is kept there; one of them is a part. Two parts have nothing to give each other.
    pub(in crate::peer) async fn run_part(
        mut self,
        part: Option<Arc<Selected>>,
        theirs: Option<Arc<Selected>>,
    ) -> Result<SyncReport, SyncError> {
        if part.is_some() && theirs.is_some() {
            // Neither knows what of the other's part has changed its tag elsewhere.
            return Err(PeerError::PartOnly.into());
        }
        let replica = self.replica;
        replica.take_part().await?;
        if let Some(theirs) = &theirs {
            self.give_part(theirs).await?;
        }
        if let Some(part) = &part {
            self.read_part(part).await?;
        }
        match &part {
            None => self.pull_rest().await?,
            Some(_) => self.push_and_pull().await?,
        }
        self.report.merges = judge(replica).await?;
        if let Some(part) = part {
            if self.report.merges > 0 {
                self.push_and_pull().await?;
            }
            self.trim(&part).await?;
        }
        self.finish_part(theirs.is_some()).await
    }

    /// Reads the peer's state feed from where it ended the last time.
    async fn read_part(&mut self, part: &Arc<Selected>) -> Result<(), SyncError> {
        let replica = self.replica;
        let place = PlaceOf::new(self.theirs.device, part);
        let (db, names) = replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut at = PartPosition::load(&db, head.library, &place, self.theirs.log_id).await?;
        drop(db);
        let says =
            (self.theirs.latest_seq, self.theirs.state_hash, ByteBuf::from(self.theirs.digest.to_vec()));
        if at.told.as_ref() == Some(&says) {
            return Ok(());
        }
        if at.cursor.is_none() {
            at.begin(&head);
        }
        loop {
            let identity = replica.identity();
            let request = ObjectsRequest {
                after: at.cursor.clone().map(ObjectsCursor),
                max_objects: replica.limits.page_entries,
                max_bytes: replica.limits.page_bytes / 2,
                scope: Some(part.selection.clone()),
                ..ObjectsRequest::new(identity.library, identity.device)
            };
            let page = self.peer.objects(request).await?;
            if page.log_id != self.theirs.log_id {
                let why = "the peer's log was begun anew while its state was read";
                return Err(PeerError::Busy(why.into()).into());
            }
            if page.anew {
                at = self.anew(&at).await?;
            }
            let ended = page.next.is_none();
            at.told = (ended && page.resume.is_none()).then(|| says.clone());
            self.position.vector = page.vector.clone();
            (self.position.seq, self.position.state_hash) = (page.seq, page.state_hash);
            let total = page.total;
            let records = self.take_part_page(part, &place, &mut at, page).await?;
            if records > 0 || !ended {
                replica.tell(Report::Snapshot(SnapshotProgress {
                    peer: self.theirs.device,
                    records: at.records,
                    this_round: self.read,
                    total: total.max(at.records),
                    complete: ended,
                }));
            }
            if ended {
                if at.began.is_some() {
                    // Before anything is sent: what the peer has then it would have listed.
                    let from = (self.theirs.device, self.theirs.log_id);
                    replica.trim(self.theirs.library, from, part, &self.position.vector).await?;
                }
                return Ok(());
            }
        }
    }

    /// The position at the beginning of the peer's feed: its part may have lost records without a trace.
    async fn anew(&self, at: &PartPosition) -> Result<PartPosition, SyncError> {
        let (db, names) = self.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut at = PartPosition { log_id: at.log_id, ..PartPosition::default() };
        at.begin(&head);
        Ok(at)
    }

    /// Takes in a page. Gives how many records it had.
    async fn take_part_page(
        &mut self,
        part: &Arc<Selected>,
        place: &PlaceOf,
        at: &mut PartPosition,
        page: ObjectsPage,
    ) -> Result<u64, SyncError> {
        let ended = page.next.is_none();
        let count = page.objects.len() as u64;
        self.report.bytes_received += page.objects.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.report.bytes_received += page.gone.iter().map(|one| one.record.len() as u64).sum::<u64>();
        self.read += count;
        at.records += count;
        let records = decoded(page.objects, PeerError::Corrupt)?;
        at.cursor = page.next.or(page.resume).map(|cursor| cursor.0);
        let mut saved = at.clone();
        if ended {
            saved.records = 0;
        }
        let taken = PartPage { records, gone: page.gone, known: page.vector, forgotten: page.forgotten };
        let position = (place.clone(), saved);
        let received = self.replica.receive_part(self.theirs.library, part.clone(), taken, position).await?;
        self.report.snapshot_records += received.merged.saturating_sub(received.system);
        self.take_note(&received, false);
        Ok(count)
    }

    /// Gives the peer what changed here of its part since it had it the last time. How far that is the peer itself says: what is
    /// kept in its database is no later than the database.
    async fn give_part(&mut self, theirs: &Arc<Selected>) -> Result<(), SyncError> {
        let replica = self.replica;
        let (db, names) = replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mine = ledger::vector(&db, &names, head.library).await?;
        drop(db);
        let had = self.theirs.given.as_ref();
        let had = had.and_then(|cursor| rmp_serde::from_slice::<FeedCursor>(&cursor.0).ok());
        let mut at = had.filter(|cursor| cursor.log_id == replica.identity().log_id);
        loop {
            let limits = &replica.limits;
            let (head, page) = replica
                .state_page(at.clone(), Some(theirs.clone()), limits.page_entries, limits.page_bytes / 2)
                .await?;
            let begins = at.is_none() || page.anew;
            let moved = at.as_ref().is_none_or(|at| !page.cursor.is_where(at));
            let resume = rmp_serde::to_vec_named(&page.cursor)
                .map_err(|error| SyncError::Ledger(error.to_string()))?;
            let objects: Vec<ByteBuf> = page.objects.into_iter().map(ByteBuf::from).collect();
            let gone = page.gone.into_iter().map(|(model, record)| RecordName {
                model: model.into(),
                record: ByteBuf::from(record.as_bytes().to_vec()),
            });
            let part = StateOfPart {
                gone: gone.collect(),
                vector: mine.clone(),
                begins,
                last: page.complete,
                resume: Some(ObjectsCursor(ByteBuf::from(resume))),
            };
            if begins || moved {
                let forgotten = head.forgotten;
                let state =
                    StatePart { objects, complete: None, news: false, begins, forgotten, part: Some(part) };
                self.push_state(&head, state).await?;
            }
            at = Some(page.cursor);
            if page.complete {
                // What stands in the log was given as state.
                self.position.sent = self.position.sent.max(head.seq);
                return Ok(());
            }
        }
    }

    /// Lets go of what is out of the scope and was sent.
    async fn trim(&mut self, part: &Arc<Selected>) -> Result<(), SyncError> {
        let from = (self.theirs.device, self.theirs.log_id);
        self.replica.trim(self.theirs.library, from, part, &self.position.vector).await
    }

    async fn finish_part(mut self, given: bool) -> Result<SyncReport, SyncError> {
        let (db, names) = self.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mine = ledger::vector(&db, &names, head.library).await?;
        drop(db);
        let has = |one: &crate::vector::Vector, other: &crate::vector::Vector| {
            other.heads().all(|(device, head)| one.covers(device, head) || one.is_forked(device))
        };
        let theirs = &self.position.vector;
        self.report.in_sync = self.report.refused.is_empty()
            && match given {
                true => self.position.seq >= self.theirs.latest_seq && has(&mine, theirs),
                false => has(theirs, &mine),
            };
        self.report.confirmed = (self.position.seq, self.position.state_hash);
        self.position.clock_offset_ms = Some(self.report.clock_offset_ms);
        self.position.part = given;
        self.save_position().await?;
        Ok(self.report)
    }
}

/// Records of a state; `fault` is what it is that one of them is none.
pub(in crate::peer) fn decoded(
    objects: Vec<ByteBuf>,
    fault: fn(String) -> PeerError,
) -> Result<Vec<Incoming>, SyncError> {
    let decode = |bytes: ByteBuf| {
        let change =
            Change::decode(&bytes).map_err(|error| fault(format!("a record of the state: {error}")))?;
        Ok(Incoming { change, bytes: bytes.into_vec() })
    };
    objects.into_iter().map(decode).collect()
}
