//! A state that comes in parts, from a replica that has forgotten deleted records: what of the records here it has.
//!
//! Invariant: a record goes because a state lacks it only if all of that state was read, from one that forgot nothing in between,
//! and the record was here when the first part came.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{
    PeerError, SyncError,
    judge::{author, write_changes},
    positions,
    replica::Replica,
};
use crate::{
    apply::{self, Applied, Asks, Incoming, Origin},
    change::{Change, ChangeKind},
    ids::{DeviceId, Name, RecordId},
    ledger::{self, Forgotten, Head, Loaded},
    store::{Bindings, NameKind, Write},
    vector::{Clock, Vector},
};

/// A part of a state, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Whose state it is.
    pub(super) device: DeviceId,
    /// [`READ`] or [`GIVEN`].
    pub(super) way: &'static [u8],
    /// True for the first part.
    pub(super) begins: bool,
    pub(super) forgotten: Forgotten,
}

/// The scope of a state that this replica reads.
pub(super) const READ: &[u8] = b"reading";

/// The scope of a state that this replica is given.
pub(super) const GIVEN: &[u8] = b"given";

/// How far a state is read. Saved with each part, and only where something was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reading {
    forgotten: Forgotten,
    /// The largest place of a record when it began.
    known: i64,
    /// A bit for each place up to there: whether the state has its record.
    met: ByteBuf,
}

/// What is known when a part comes.
#[derive(Debug)]
pub(super) enum Opened {
    /// Nothing was forgotten: what a state lacks says nothing.
    Plain,
    /// Records that do not come are gone.
    Tracked(Reading),
    /// Something was forgotten since the first part: the state is to be read again from its beginning.
    Outdated,
}

impl Reading {
    /// What is known of the state that `part` is of.
    pub(super) async fn open(write: &Write<'_>, head: &Head, part: &Part) -> Result<Opened, SyncError> {
        let library = head.library;
        part.forgotten.check().map_err(|why| PeerError::Invalid(why.into()))?;
        if part.begins {
            positions::drop_as(write.db, library, part.device, part.way).await?;
            if part.forgotten.is_nothing() {
                return Ok(Opened::Plain);
            }
            let known = head.last_object();
            let bytes = usize::try_from(known / 8 + 1).unwrap_or(0);
            let met = ByteBuf::from(vec![0; bytes]);
            return Ok(Opened::Tracked(Self { forgotten: part.forgotten, known, met }));
        }
        let saved: Option<Self> = positions::load_as(write.db, library, part.device, part.way).await?;
        let before = saved.as_ref().map_or_else(Forgotten::default, |saved| saved.forgotten);
        Ok(match saved {
            _ if before != part.forgotten => Opened::Outdated,
            Some(saved) => Opened::Tracked(saved),
            None => Opened::Plain,
        })
    }

    fn met(&self, place: i64) -> bool {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        self.met.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// The state has the records with these places.
    pub(super) fn note(&mut self, places: &[i64]) {
        for place in places.iter().filter_map(|place| usize::try_from(*place).ok()) {
            if let Some(byte) = self.met.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
    }
}

impl Replica {
    /// Goes on after a part was taken in and noted. After the last one, `covered` is what the state amounts to: records that it lacks
    /// and covers go here too.
    pub(super) async fn went_on(
        &self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &mut Head,
        part: &Part,
        reading: Reading,
        covered: Option<Vector>,
    ) -> Result<Applied, SyncError> {
        let Some(covered) = covered else {
            positions::save_as(write.db, head.library, part.device, part.way, &reading).await?;
            return Ok(Applied::default());
        };
        positions::drop_as(write.db, head.library, part.device, part.way).await?;
        let ended = ledger::missed(write, head, &covered, reading.known, |place| reading.met(place)).await?;
        if ended.is_empty() {
            return Ok(Applied::default());
        }
        let ended = ended.into_iter().map(|change| Incoming { change, bytes: Vec::new() }).collect();
        let origin = Origin::Feed { complete: None, asks: Asks::Nothing };
        Ok(apply::apply_group(write, bindings, head, ended, origin, self.now_ms()).await?)
    }

    /// Says again that records are deleted, as it was said before: who knows nothing of the delete any more took what came for a
    /// new life. With each goes what the delete knew.
    pub(super) async fn tell_again(
        &self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &mut Head,
        mut untold: Vec<(Name, RecordId, Clock)>,
    ) -> Result<(), SyncError> {
        untold.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        untold.dedup_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1));
        let mut changes: Vec<Change> = Vec::new();
        for (model, record, clock) in untold {
            let Some(id) = write.names.id(NameKind::Model, model.as_bytes()) else { continue };
            let found = ledger::by_records(write.db, &write.names, head.library, id, [&record]).await?;
            let found = found.into_values().next().filter(|found| !found.object.is_alive());
            let Some(Loaded { object, .. }) = found else { continue };
            let mut change = author(self, head, model, record, &object, |_| Vec::new());
            change.kind = ChangeKind::Delete;
            change.born = change.id;
            change.context = clock;
            changes.push(change);
        }
        if !changes.is_empty() {
            let applied = write_changes(write, self, bindings, head, changes).await?;
            self.report_applied(write, applied);
        }
        Ok(())
    }

    /// Removes the tombstones that nobody needs any more. Gives how many.
    pub(super) async fn sweep(self: &Arc<Self>, before_ms: u64) -> Result<u64, SyncError> {
        let (mut removed, mut after) = (0, Some(0));
        while let Some(from) = after {
            let replica = self.clone();
            let swept = self
                .store
                .write(move |write| {
                    Box::pin(async move {
                        // Whoever reads the state would not see what goes meanwhile.
                        if replica.is_read() {
                            return Ok(ledger::Swept::default());
                        }
                        let mut head = Head::load(write.db, &write.names).await?;
                        let members = replica.known_members(write.db, &write.names, &head).await?;
                        let members = members.into_iter().filter(|known| known.counts);
                        let members = members.filter_map(|known| known.member.vector).collect();
                        let sweep = ledger::Sweep { members, before_ms, after: from };
                        Ok::<_, SyncError>(ledger::sweep_slice(write, &mut head, &sweep).await?)
                    })
                })
                .await?;
            (removed, after) = (removed + swept.removed, swept.next);
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }
}
