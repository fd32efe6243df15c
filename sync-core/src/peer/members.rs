//! Who takes part in the library: this device says that it does, and what is known of the others.
//!
//! Invariant: a device's record is written in a round and never before, so a database that meets nobody logs nothing but what its
//! application writes; and it is written again when the day, the name or the id is another, not with each round.

use std::{collections::BTreeMap, sync::Arc};

use sea_orm::ConnectionTrait;

use super::{
    SyncError, positions,
    replica::{Replica, Report},
};
use crate::{
    capture::{self, Batch},
    ids::DeviceId,
    ledger::{self, Head},
    members::devices::{self, Record, day_of},
    store::{Bindings, Names, Write, sql},
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
    /// The day on which it last took part, as far as it is known here.
    pub last_seen_ms: Option<u64>,
    /// The device id that its database had before. That one may still be in use, by the database that this one was copied
    /// from.
    pub replaces: Option<DeviceId>,
    /// When it was said to be gone, if it was.
    pub left_at_ms: Option<u64>,
    /// What it surely has: as it last told this device in a round, and as its own record tells. `None` if it never told.
    pub vector: Option<Vector>,
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
                device,
                name: self.device_name.clone(),
                first_seen: Some(today),
                last_seen: Some(today),
                replaces: replaces.map(|last| last.former),
                left_at: None,
                have: None,
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
                    let known =
                        devices::find(write.db, device).await?.filter(|known| known.left_at.is_none());
                    let Some(known) = known else { return Ok(false) };
                    let record = Record { left_at: Some(day_of(replica.now_ms())), ..known };
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
        members(&db, &names, &head).await
    }
}

/// The members of the library of `head`, by device: those with a record, and those that a round was made with.
pub(crate) async fn members<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    head: &Head,
) -> Result<Vec<Member>, SyncError> {
    let me = head.identity.device;
    let mut members = BTreeMap::new();
    for record in devices::all(db).await? {
        members.insert(record.device, of_record(record, me));
    }
    members.entry(me).or_insert_with(|| unknown(me, me)).vector =
        Some(ledger::vector(db, names, head.library).await?);
    let rows = sql::all(
        db,
        "SELECT device FROM sync_positions WHERE library = ? AND scope = x''",
        [head.library.into()],
    )
    .await?;
    for row in &rows {
        let device = DeviceId::from_bytes(sql::bytes(&sql::column::<Vec<u8>>(row, 0)?, "a device")?);
        let told = positions::load(db, head.library, device).await?.vector;
        let member = members.entry(device).or_insert_with(|| unknown(device, me));
        member.vector = Some(match member.vector.take() {
            Some(known) => known.joined(&told),
            None => told,
        });
    }
    Ok(members.into_values().collect())
}

fn of_record(record: Record, me: DeviceId) -> Member {
    let time = |day: Option<i64>| day.map(|day| u64::try_from(day).unwrap_or(0));
    Member {
        device: record.device,
        is_this_one: record.device == me,
        name: record.name,
        first_seen_ms: time(record.first_seen),
        last_seen_ms: time(record.last_seen),
        replaces: record.replaces,
        left_at_ms: time(record.left_at),
        vector: record.have,
    }
}

fn unknown(device: DeviceId, me: DeviceId) -> Member {
    Member {
        device,
        is_this_one: device == me,
        name: None,
        first_seen_ms: None,
        last_seen_ms: None,
        replaces: None,
        left_at_ms: None,
        vector: None,
    }
}
