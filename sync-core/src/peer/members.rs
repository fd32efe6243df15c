//! Who takes part in the library: this device says that it does, and what is known of the others.
//!
//! Invariant: a device's record is written in a round and never before, so a database that meets nobody logs nothing but what its
//! application writes; and it is written again when the day, the name or the id is another, not with each round.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sea_orm::ConnectionTrait;

use super::{
    SyncError,
    heard::Said,
    replica::{Replica, Report},
    retention::ms,
};
use crate::{
    capture::{self, Batch},
    ids::{DeviceId, Name, Seq},
    ledger::{self, Head},
    members::devices::{self, DAY_MS, Record, day_of},
    store::{Bindings, NameKind, Names, Write},
    value::{SyncValue, encode_key},
    vector::Vector,
};

/// A device that takes part in a library, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The device.
    pub device: DeviceId,
    /// True for this one.
    pub is_this_one: bool,
    /// What people call it, if it was told ([`EngineBuilder::device_name`](crate::EngineBuilder::device_name)).
    pub name: Option<String>,
    /// The day on which it first took part, in milliseconds since the Unix epoch. `None` for a peer that wrote no record of
    /// itself: its program is older.
    pub first_seen_ms: Option<u64>,
    /// The day on which it last took part, as its record tells.
    pub last_seen_ms: Option<u64>,
    /// When this device itself last heard of it in a round, in milliseconds since the Unix epoch. `None` if the two never met.
    pub heard_ms: Option<u64>,
    /// The device id that its database had before. That one may still be in use, by the database that this one was copied
    /// from.
    pub replaces: Option<DeviceId>,
    /// When it was said to be gone, if it was.
    pub left_at_ms: Option<u64>,
    /// When it was revoked, if it was ([`revoke`](crate::SyncEngine::revoke)).
    pub revoked_at_ms: Option<u64>,
    /// What it has: as it last told this device in a round or as its record tells, whichever is newer. `None` if it never told.
    pub vector: Option<Vector>,
    /// Whether it is waited for.
    pub standing: Standing,
}

/// Whether history is kept for a [`Member`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It takes part.
    Active,
    /// It was not heard of for longer than [`Retention::warn_after`](super::Retention::warn_after). History is kept for it still.
    Silent,
    /// It was not heard of for longer than [`Retention::expire_after`](super::Retention::expire_after): history is not kept for it
    /// any more. It comes back by reading the state.
    Expired,
    /// It keeps a part of the library ([`Scope`](crate::Scope)): it reads state, and needs no history.
    Part,
    /// It was revoked: it is refused, and history is not kept for it.
    Revoked,
    /// It was said to be gone ([`remove_member`](crate::SyncEngine::remove_member)). It comes back in the same way.
    Gone,
}

/// A member, and whether its word counts.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) member: Member,
    /// Everything of our log up to here is there.
    pub(super) seq: Seq,
    /// True if history is kept for it.
    pub(super) counts: bool,
    /// True if this replica calls it.
    pub(super) is_called: bool,
}

/// What is to be said of another device.
enum Spoken {
    /// This record of it.
    New(Record),
    /// Its record stays as it is; true if there was something to forget.
    Of(bool),
}

impl Replica {
    /// Writes this device's own record where it is missing, or of an earlier day.
    pub(super) async fn take_part(self: &Arc<Self>) -> Result<(), SyncError> {
        let (db, names) = self.store.read().await?;
        let wanted = self.wanted(&db, &names, self.identity().device).await?;
        drop(db);
        if wanted.is_none() {
            return Ok(());
        }
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let wanted = replica.wanted(write.db, &write.names, head.identity.device).await?;
                    let Some(mut record) = wanted else { return Ok(()) };
                    // Who keeps a part needs no history, and waits for none.
                    record.have = match head.extent.is_whole() {
                        true => Some(ledger::vector(write.db, &write.names, head.library).await?),
                        false => None,
                    };
                    replica.put(write, &bindings, &mut head, &record).await
                })
            })
            .await
    }

    /// The record that this device should have, if it has another; the vector in it is that of before.
    async fn wanted<C: ConnectionTrait>(
        &self,
        db: &C,
        names: &Names,
        device: DeviceId,
    ) -> Result<Option<Record>, SyncError> {
        let today = day_of(self.now_ms());
        let renewals = ledger::renewals(db).await?;
        let replaces = renewals.last().filter(|last| last.reason.stays_in_the_library());
        let new = Record {
            name: self.device_name.clone(),
            first_seen: Some(today),
            last_seen: Some(today),
            replaces: replaces.map(|last| last.former),
            ..Record::of(device)
        };
        let Some(known) = devices::find(db, device).await? else { return Ok(Some(new)) };
        let by_others = self.written_by_others(db, names, device).await?;
        let is_own = |column: &str| !by_others.contains(column);
        let mut record = Record { left_at: None, ..known.clone() };
        if new.name.is_some() || !is_own("name") {
            record.name = new.name;
        }
        if !is_own("first_seen") {
            record.first_seen = new.first_seen;
        }
        // A clock that was set back does not make it younger.
        if !is_own("last_seen") || known.last_seen < new.last_seen {
            record.last_seen = new.last_seen;
        }
        if !is_own("replaces") {
            record.replaces = new.replaces;
        }
        let is_whole = ledger::Extent::load(db).await?.is_whole();
        let says_what_it_has = match is_whole {
            true => is_own("have"),
            false => known.have.is_none(),
        };
        Ok((record != known || !says_what_it_has).then_some(record))
    }

    /// The columns of a device's record that another one wrote. What is said of the device there it says again.
    async fn written_by_others<C: ConnectionTrait>(
        &self,
        db: &C,
        names: &Names,
        device: DeviceId,
    ) -> Result<HashSet<Name>, SyncError> {
        let library = names.id(NameKind::Library, self.identity().library.as_bytes());
        let model = names.id(NameKind::Model, devices::MODEL.as_bytes());
        let (Some(library), Some(model)) = (library, model) else { return Ok(HashSet::new()) };
        let record = encode_key(&[SyncValue::Uuid(uuid::Uuid::from_bytes(*device.as_bytes()))]);
        let found = ledger::found_of(db, names, library, model, [&record]).await?;
        let cells = found.into_iter().filter_map(|one| one.object.ok()).flat_map(|stored| stored.cells);
        Ok(cells.filter(|cell| cell.version.node() != device.node()).map(|cell| cell.column).collect())
    }

    /// Says that a device is gone. Gives false if it is none of the members, or was gone already.
    pub(crate) async fn remove_member(self: &Arc<Self>, device: DeviceId) -> Result<bool, SyncError> {
        let today = day_of(self.now_ms());
        self.speak_of(device, move |known, was_heard| match known {
            None => Spoken::Of(was_heard),
            Some(Record { left_at: Some(_), .. }) => Spoken::Of(false),
            Some(known) => Spoken::New(Record { left_at: Some(today), ..known }),
        })
        .await
    }

    /// Revokes a device. Gives false if it was revoked already.
    pub(crate) async fn revoke(self: &Arc<Self>, device: DeviceId) -> Result<bool, SyncError> {
        let revoked_at = i64::try_from(self.now_ms()).ok();
        self.speak_of(device, move |known, _| match known {
            Some(Record { revoked_at: Some(_), .. }) => Spoken::Of(false),
            known => Spoken::New(Record { revoked_at, ..known.unwrap_or(Record::of(device)) }),
        })
        .await
    }

    /// Says something of another device: what it last told this one counts no more, and its record becomes what `say` makes of
    /// it. `say` is told whether the device was ever heard.
    async fn speak_of(
        self: &Arc<Self>,
        device: DeviceId,
        say: impl FnOnce(Option<Record>, bool) -> Spoken + Send + 'static,
    ) -> Result<bool, SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    if device == head.identity.device {
                        return Err(SyncError::OwnDevice);
                    }
                    let was_heard = replica.forget_said(write, &head, device).await?;
                    match say(devices::find(write.db, device).await?, was_heard) {
                        Spoken::New(record) => {
                            replica.put(write, &bindings, &mut head, &record).await?;
                            Ok(true)
                        }
                        Spoken::Of(news) => Ok(news),
                    }
                })
            })
            .await
    }

    async fn put(
        &self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &mut Head,
        record: &Record,
    ) -> Result<(), SyncError> {
        devices::put(write.db, record).await?;
        self.log_written(write, bindings, head).await
    }

    /// Logs what was just written into a table of the engine's own, and tells of it.
    pub(super) async fn log_written(
        &self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &mut Head,
    ) -> Result<(), SyncError> {
        let flushed = capture::flush_batch(write, bindings, head, self.runtime(), Batch::All).await?;
        self.report(write, Report::Local { changes: flushed.changes.into(), to: head.seq });
        Ok(())
    }

    /// The members of the library.
    pub(crate) async fn members(&self) -> Result<Vec<Member>, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        self.members_of(&db, &names, &head).await
    }

    /// The members of the library of `head`, by device.
    pub(crate) async fn members_of<C: ConnectionTrait>(
        &self,
        db: &C,
        names: &Names,
        head: &Head,
    ) -> Result<Vec<Member>, SyncError> {
        let known = self.known_members(db, names, head).await?;
        Ok(known.into_iter().map(|known| known.member).collect())
    }

    /// Those with a record, those that a round was made with, and this one.
    pub(super) async fn known_members<C: ConnectionTrait>(
        &self,
        db: &C,
        names: &Names,
        head: &Head,
    ) -> Result<Vec<Known>, SyncError> {
        let me = head.identity.device;
        let mut said = self.said(db, head).await?;
        let mut known = Vec::new();
        for record in devices::all(db).await? {
            let said = said.remove(&record.device);
            known.push(self.judge_member(of_record(record, me), said));
        }
        // Their programs are older.
        known.extend(
            said.into_iter().map(|(device, said)| self.judge_member(unknown(device, me), Some(said))),
        );
        let mine = match known.iter().position(|known| known.member.is_this_one) {
            Some(at) => &mut known[at],
            None => {
                known.push(self.judge_member(unknown(me, me), None));
                known.last_mut().expect("one was pushed")
            }
        };
        mine.counts = false;
        mine.member.standing = Standing::Active;
        mine.member.vector = Some(ledger::vector(db, names, head.library).await?);
        known.sort_by_key(|known| known.member.device);
        Ok(known)
    }

    fn judge_member(&self, mut member: Member, said: Option<Said>) -> Known {
        let has_record = member.first_seen_ms.is_some() || member.last_seen_ms.is_some();
        // A record without a vector is one of a device that keeps a part of the library, or all in a way that is not known here.
        let keeps_part =
            (has_record && member.vector.is_none()) || said.as_ref().is_some_and(|said| said.part);
        let (mut seq, mut is_called) = (Seq(0), false);
        if let Some(said) = said {
            (seq, is_called) = (said.seq, said.is_called);
            member.heard_ms = Some(said.seen_ms);
            // The older of the two may be more: of a device that was restored from a backup since.
            if member.vector.is_none() || member.last_seen_ms.is_none_or(|day| day <= said.seen_ms) {
                member.vector = Some(said.vector);
            }
        }
        // A record says the day, not when.
        let day_ends = member.last_seen_ms.map_or(0, |day| day.saturating_add(DAY_MS));
        let silence = self.now_ms().saturating_sub(day_ends.max(member.heard_ms.unwrap_or(0)));
        let longer = |than: Duration| silence > ms(than);
        member.standing = if member.revoked_at_ms.is_some() {
            Standing::Revoked
        } else if member.left_at_ms.is_some() {
            Standing::Gone
        } else if keeps_part {
            Standing::Part
        } else if self.retention.expire_after.is_some_and(longer) {
            Standing::Expired
        } else if longer(self.retention.warn_after) {
            Standing::Silent
        } else {
            Standing::Active
        };
        let counts = matches!(member.standing, Standing::Active | Standing::Silent);
        Known { member, seq, counts, is_called }
    }
}

fn of_record(record: Record, me: DeviceId) -> Member {
    let time = |day: Option<i64>| day.map(|day| u64::try_from(day).unwrap_or(0));
    Member {
        name: record.name,
        first_seen_ms: time(record.first_seen),
        last_seen_ms: time(record.last_seen),
        replaces: record.replaces,
        left_at_ms: time(record.left_at),
        revoked_at_ms: time(record.revoked_at),
        vector: record.have,
        ..unknown(record.device, me)
    }
}

fn unknown(device: DeviceId, me: DeviceId) -> Member {
    Member {
        device,
        is_this_one: device == me,
        name: None,
        first_seen_ms: None,
        last_seen_ms: None,
        heard_ms: None,
        replaces: None,
        left_at_ms: None,
        revoked_at_ms: None,
        vector: None,
        standing: Standing::Active,
    }
}
