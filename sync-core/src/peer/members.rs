//! Who takes part in the library: this device says that it does, and what is known of the others.
//!
//! Invariant: a device's record is written in a round and never before, so a database that meets nobody logs nothing but what its
//! application writes; and it is written again when the day, the name or the id is another, not with each round.

use std::{sync::Arc, time::Duration};

use sea_orm::ConnectionTrait;

use super::{
    SyncError,
    heard::Said,
    replica::{Replica, Report},
    retention::ms,
};
use crate::{
    capture::{self, Batch},
    ids::{DeviceId, Seq},
    ledger::{self, Head},
    members::devices::{self, DAY_MS, Record, day_of},
    store::{Bindings, Names, Write},
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

impl Replica {
    /// Writes this device's own record where it is missing, or of an earlier day.
    pub(super) async fn take_part(self: &Arc<Self>) -> Result<(), SyncError> {
        if self.wanted(self.store.db(), self.identity().device).await?.is_none() {
            return Ok(());
        }
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let wanted = replica.wanted(write.db, head.identity.device).await?;
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
        device: DeviceId,
    ) -> Result<Option<Record>, SyncError> {
        let today = day_of(self.now_ms());
        let Some(known) = devices::find(db, device).await? else {
            let renewals = ledger::renewals(db).await?;
            let replaces = renewals.last().filter(|last| last.reason.stays_in_the_library());
            return Ok(Some(Record {
                name: self.device_name.clone(),
                first_seen: Some(today),
                last_seen: Some(today),
                replaces: replaces.map(|last| last.former),
                ..Record::of(device)
            }));
        };
        let renamed = self.device_name.is_some() && self.device_name != known.name;
        // A clock that was set back does not make it younger.
        let later = known.last_seen.is_none_or(|day| day < today);
        let narrowed = known.have.is_some() && !ledger::Extent::load(db).await?.is_whole();
        if !renamed && !later && !narrowed && known.left_at.is_none() {
            return Ok(None);
        }
        let name = self.device_name.clone().or(known.name.clone());
        let last_seen = known.last_seen.max(Some(today));
        Ok(Some(Record { name, last_seen, left_at: None, ..known }))
    }

    /// Says that a device is gone. Gives false if it is none of the members, or was gone already.
    pub(crate) async fn remove_member(self: &Arc<Self>, device: DeviceId) -> Result<bool, SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    if device == head.identity.device {
                        return Err(SyncError::OwnDevice);
                    }
                    let was_heard = replica.forget_said(write, &head, device).await?;
                    let Some(known) = devices::find(write.db, device).await? else { return Ok(was_heard) };
                    if known.left_at.is_some() {
                        return Ok(false);
                    }
                    let record = Record { left_at: Some(day_of(replica.now_ms())), ..known };
                    replica.put(write, &bindings, &mut head, &record).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// Revokes a device. Gives false if it was revoked already.
    pub(crate) async fn revoke(self: &Arc<Self>, device: DeviceId) -> Result<bool, SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    if device == head.identity.device {
                        return Err(SyncError::OwnDevice);
                    }
                    let known = devices::find(write.db, device).await?;
                    if known.as_ref().is_some_and(|known| known.revoked_at.is_some()) {
                        return Ok(false);
                    }
                    replica.forget_said(write, &head, device).await?;
                    let revoked_at = i64::try_from(replica.now_ms()).ok();
                    let record = Record { revoked_at, ..known.unwrap_or(Record::of(device)) };
                    replica.put(write, &bindings, &mut head, &record).await?;
                    Ok(true)
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
