//! What comes from others: groups are sorted into what is merged now and what is held, and merged.
//!
//! Invariant: what a call takes in, what it holds, and the position with its sender are one transaction.

use std::sync::Arc;

use super::{
    PeerError, Refused, SyncError,
    clocks::refuse_taken_back,
    identity::refuse_taken_tails,
    positions,
    reading::{Opened, Part, Reading},
    replica::{Replica, Report},
    stage::Stage,
};
use crate::{
    apply::{self, Applied, Asks, Hold, Incoming, Origin},
    capture::Batch,
    ids::{DeviceId, LibraryId, Seq},
    ledger::{self, Extent, Head},
    members::schema,
    stamp::Stamp,
    store::Write,
};

impl Replica {
    /// Takes in whole groups of `library`: what is dirty is flushed, what is due is merged, the rest is held. The position
    /// with the sender, if it is one to keep, is saved in the same transaction. Of a part of a state, `part` says which.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        library: LibraryId,
        mut groups: Vec<Vec<Incoming>>,
        mut origin: Origin,
        from: Option<(DeviceId, positions::Position)>,
        part: Option<Part>,
    ) -> Result<Received, SyncError> {
        let replica = self.clone();
        let stage = Stage::Apply;
        let received = self
            .store
            .write(move |write| {
                Box::pin(async move {
                    stage.begins();
                    replica.doubt_identity(write, &groups).await?;
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    head.is_of(library)?;
                    // Of changes and whole states a part of the library would keep less than it says.
                    if !groups.is_empty()
                        && !matches!((&origin, &head.extent), (Origin::Feed { .. }, Extent::Widening))
                    {
                        replica.is_whole(&head)?;
                    }
                    let mut reading = None;
                    if let Some(part) = &part {
                        match Reading::open(write, &head, part).await? {
                            Opened::Plain => {}
                            Opened::Tracked(known) => reading = Some((part, known)),
                            Opened::Outdated => {
                                return Ok(Received { outdated: true, ..Received::default() });
                            }
                        }
                    }
                    let mut covered = None;
                    if let (Origin::Feed { complete, asks }, Some(_)) = (&mut origin, &reading) {
                        *asks = Asks::Known;
                        covered = complete.as_ref().map(|snapshot| snapshot.vector.clone());
                    }
                    let mut refused = refuse_taken_tails(&write.names, &mut groups);
                    refused.extend(refuse_taken_back(&head, &mut groups));
                    let mut received = Received { refused, ..Received::default() };
                    let is_feed = matches!(origin, Origin::Feed { .. });
                    let is_last = matches!(origin, Origin::Feed { complete: Some(_), .. });
                    let due = if is_feed {
                        replica.records(groups)?
                    } else {
                        replica.sort(write, &head, groups, &mut received).await?
                    };
                    let now_ms = replica.now_ms();
                    let mut applied =
                        apply::apply_group(write, &bindings, &mut head, due, origin, now_ms).await?;
                    let untold = std::mem::take(&mut applied.untold);
                    replica.tell_again(write, &bindings, &mut head, untold).await?;
                    if let Some((part, mut reading)) = reading {
                        reading.note(&applied.known);
                        let ended =
                            replica.went_on(write, &bindings, &mut head, part, reading, covered).await?;
                        received.news += ended.news;
                        received.conflicts += ended.conflicts.len() as u64;
                        received.pending += ended.pending.len() as u64;
                        replica.report_applied(write, ended);
                    }
                    received.note(&applied);
                    replica.report_applied(write, applied);
                    if received.held > 0 {
                        let held = replica.clone();
                        write.after_commit(move || held.clocks.set_next_release(None));
                        let Received { held: changes, ahead_ms, .. } = received;
                        replica.report(write, Report::Held { changes, ahead_ms });
                    }
                    if is_last {
                        // What stands below the floor now came from the peer.
                        received.given = head.floor.seq;
                        let from = from.as_ref().map(|(device, _)| *device);
                        replica.pass_on(write, &bindings, &mut head, from).await?;
                        if head.extent == Extent::Widening {
                            head.set_extent(write, Extent::Everything).await?;
                        }
                    }
                    if let Some((device, mut position)) = from {
                        position.feed_news |= is_feed && received.news > 0;
                        position.given = position.given.max(received.given);
                        positions::save(write.db, head.library, device, &position).await?;
                    }
                    Ok::<_, SyncError>(received)
                })
            })
            .await
            .inspect(|_| stage.committed())
            .inspect_err(|_| stage.failed())?;
        if received.schema {
            self.follow_schema().await?;
        }
        Ok(received)
    }

    /// The records of a page of somebody's state. They are not held one by one: a page is taken as a whole, or later.
    pub(super) fn records(&self, groups: Vec<Vec<Incoming>>) -> Result<Vec<Incoming>, SyncError> {
        let now_ms = self.now_ms();
        let records: Vec<Incoming> = groups.into_iter().flatten().collect();
        let newest = records.iter().map(|one| one.change.newest_stamp().ms()).max().unwrap_or(0);
        if newest > now_ms.saturating_add(self.limits.max_drift_ms) {
            let ahead_s = (newest - now_ms) / 1000;
            let why = format!(
                "the state has a record from {ahead_s} s ahead of this clock: correct the clock, or wait"
            );
            return Err(PeerError::Busy(why).into());
        }
        Ok(records)
    }

    /// Keeps what is from too far in the future or not complete; gives the rest, with what has become due.
    async fn sort(
        &self,
        write: &mut Write<'_>,
        head: &Head,
        groups: Vec<Vec<Incoming>>,
        received: &mut Received,
    ) -> Result<Vec<Incoming>, SyncError> {
        let now_ms = self.now_ms();
        let latest = now_ms.saturating_add(self.limits.max_drift_ms);
        let mut due: Vec<Incoming> = apply::due(write, head, latest).await?.into_iter().flatten().collect();
        // Counted once: a page may have thousands of groups. What is taken out below only makes more room.
        let mut room = None;
        for mut group in groups {
            if let Some(first) = group.first().filter(|first| first.change.txn != first.change.id) {
                // The beginning of the group may have come earlier.
                let mut whole = apply::take_incomplete(write, head, first.change.txn).await?;
                whole.append(&mut group);
                group = whole;
            }
            let Some(last) = group.last() else { continue };
            let newest = group.iter().map(|one| one.change.newest_stamp().ms()).max().unwrap_or(0);
            let count = group.len() as u64;
            let hold = if newest > latest {
                received.ahead_ms = received.ahead_ms.max(newest - now_ms);
                Some(Hold::Until(newest))
            } else if last.change.more
                && group.len() < self.limits.max_group as usize
                && !ledger::vector(write.db, &write.names, head.library).await?.is_forked(last.change.device)
            {
                // Of a forked author the end may be here already: it came alone while one head stood for both databases.
                Some(Hold::Incomplete)
            } else {
                None
            };
            match hold {
                None => due.extend(group),
                Some(hold) => {
                    let room = match &mut room {
                        Some(room) => room,
                        None => room.insert(apply::room(write, head).await?),
                    };
                    if !apply::hold(write, head, &group, hold, now_ms, room).await? {
                        return Err(SyncError::HeldFull);
                    }
                    match hold {
                        Hold::Until(_) => received.held += count,
                        Hold::Incomplete => received.staged += count,
                    }
                }
            }
        }
        Ok(due)
    }

    /// Merges the held groups whose time has come.
    pub(crate) async fn release_held(self: &Arc<Self>) -> Result<u64, SyncError> {
        let latest = self.now_ms().saturating_add(self.limits.max_drift_ms);
        // Asked every second: the database is, only when there is something to expect.
        if self.clocks.next_release_ms().is_some_and(|due_ms| due_ms > latest) {
            return Ok(0);
        }
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let due_ms = apply::first_due(&db, &head).await?.unwrap_or(u64::MAX);
        drop(db);
        self.clocks.set_next_release(Some(due_ms));
        if due_ms > latest {
            return Ok(0);
        }
        self.clocks.set_next_release(None);
        Ok(self.receive(self.identity().library, Vec::new(), Origin::Log, None, None).await?.merged)
    }
}

/// Why changes with the ids of others are not taken.
fn forged(ids: &[Stamp]) -> impl Iterator<Item = Refused> {
    ids.iter().map(|id| {
        tracing::warn!(%id, "another change with this id is here: one of the two is damaged or forged");
        let reason = "another change with this id is here: one of the two is damaged or forged".into();
        Refused { id: *id, reason }
    })
}

impl Received {
    /// Takes note of what applying them did.
    pub(super) fn note(&mut self, applied: &Applied) {
        self.merged = applied.merged;
        self.system = applied.system;
        self.schema = applied.changes.iter().any(|one| one.model == schema::MODEL);
        self.refused.extend(forged(&applied.forged));
        self.duplicates = applied.duplicates;
        self.conflicts += applied.conflicts.len() as u64;
        self.pending += applied.pending.len() as u64;
        self.forked = applied.forked;
        self.news += applied.news;
    }
}

/// What became of received changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) merged: u64,
    /// How many of them are of the engine's own models.
    pub(crate) system: u64,
    /// True if changes of the library's schema are among them.
    pub(crate) schema: bool,
    pub(crate) duplicates: u64,
    pub(crate) held: u64,
    pub(crate) staged: u64,
    pub(crate) conflicts: u64,
    pub(crate) pending: u64,
    /// How far ahead the furthest held change is, in milliseconds.
    pub(crate) ahead_ms: u64,
    /// An author was found to be forked: all positions begin anew.
    pub(crate) forked: bool,
    /// What was not taken.
    pub(crate) refused: Vec<Refused>,
    /// How many records are others now.
    pub(crate) news: u64,
    /// Nothing was taken: the state is to be read again from its beginning.
    pub(crate) outdated: bool,
    /// The floor after a complete snapshot.
    pub(crate) given: Seq,
}
