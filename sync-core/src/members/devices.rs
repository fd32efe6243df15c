//! Who is a member: `sync_devices`, one record per device that took part in the library.
//!
//! Invariant: a device's own record changes at most once a day by itself, so membership costs next to nothing. A column may
//! hold `NULL` whatever it means: a later version may leave any of them out.

use sea_orm::{ConnectionTrait, QueryResult, Value, entity::prelude::*};

use super::record::{self, system_model};
use crate::{
    change::Strategy,
    ids::DeviceId,
    model::{ColumnRule, Rules},
    store::{StoreError, sql},
    vector::Vector,
};

/// The model's name on the wire.
pub(crate) const MODEL: &str = "sync_devices";

/// Times are told in whole days.
pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// One row of `sync_devices`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sync_devices")]
pub(crate) struct Model {
    /// The device.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What people call it.
    pub name: Option<String>,
    /// The day on which it first took part, in milliseconds since the Unix epoch.
    pub first_seen: Option<i64>,
    /// The day on which it last took part.
    pub last_seen: Option<i64>,
    /// The device id that its database had before.
    pub replaces: Option<Uuid>,
    /// When it was said that it is gone.
    pub left_at: Option<i64>,
    /// Its vector on that last day, as MessagePack.
    pub have: Option<Vec<u8>>,
    /// When it was revoked. The largest counts: nothing that the device says of itself takes it back.
    pub revoked_at: Option<i64>,
}

system_model!(MODEL, Rules::new().column(Column::RevokedAt, ColumnRule::new().strategy(Strategy::Max)));

/// The day of a time, both in milliseconds since the Unix epoch.
pub(crate) fn day_of(ms: u64) -> i64 {
    i64::try_from(ms / DAY_MS * DAY_MS).unwrap_or(i64::MAX)
}

/// A member, as its record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) device: DeviceId,
    pub(crate) name: Option<String>,
    pub(crate) first_seen: Option<i64>,
    pub(crate) last_seen: Option<i64>,
    pub(crate) replaces: Option<DeviceId>,
    pub(crate) left_at: Option<i64>,
    /// `None` also where a later version writes it in another way.
    pub(crate) have: Option<Vector>,
    pub(crate) revoked_at: Option<i64>,
}

impl Record {
    /// The record of a device that said nothing yet.
    pub(crate) const fn of(device: DeviceId) -> Self {
        Self {
            device,
            name: None,
            first_seen: None,
            last_seen: None,
            replaces: None,
            left_at: None,
            have: None,
            revoked_at: None,
        }
    }
}

impl record::Record for Record {
    const TABLE: &'static str = MODEL;
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "first_seen", "last_seen", "replaces", "left_at", "have", "revoked_at"];

    fn read(row: &QueryResult) -> Result<Self, StoreError> {
        let device = |bytes: &[u8]| Ok::<_, StoreError>(DeviceId::from_bytes(sql::bytes(bytes, "a device")?));
        let replaces: Option<Vec<u8>> = sql::column(row, 4)?;
        let have: Option<Vec<u8>> = sql::column(row, 6)?;
        Ok(Self {
            device: device(&sql::column::<Vec<u8>>(row, 0)?)?,
            name: sql::column(row, 1)?,
            first_seen: sql::column(row, 2)?,
            last_seen: sql::column(row, 3)?,
            replaces: replaces.map(|bytes| device(&bytes)).transpose()?,
            left_at: sql::column(row, 5)?,
            have: have.and_then(|bytes| rmp_serde::from_slice(&bytes).ok()),
            revoked_at: sql::column(row, 7)?,
        })
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        let have = self.have.as_ref().map(rmp_serde::to_vec_named).transpose();
        let have = have.map_err(|error| StoreError::Corrupt(format!("a vector: {error}")))?;
        Ok(vec![
            self.device.as_bytes().to_vec().into(),
            self.name.clone().into(),
            self.first_seen.into(),
            self.last_seen.into(),
            self.replaces.map(|device| device.as_bytes().to_vec()).into(),
            self.left_at.into(),
            have.into(),
            self.revoked_at.into(),
        ])
    }
}

/// All records, by device.
pub(crate) async fn all<C: ConnectionTrait>(db: &C) -> Result<Vec<Record>, StoreError> {
    record::select(db, "ORDER BY id", []).await
}

/// True if the device was revoked.
pub(crate) async fn is_revoked<C: ConnectionTrait>(db: &C, device: DeviceId) -> Result<bool, StoreError> {
    let statement = "SELECT revoked_at IS NOT NULL FROM sync_devices WHERE id = ?";
    let row = sql::one(db, statement, [device.as_bytes().to_vec().into()]).await?;
    Ok(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0)
}

/// The record of a device.
pub(crate) async fn find<C: ConnectionTrait>(db: &C, device: DeviceId) -> Result<Option<Record>, StoreError> {
    Ok(record::select(db, "WHERE id = ?", [device.as_bytes().to_vec().into()]).await?.pop())
}

/// Writes a device's record.
pub(crate) async fn put<C: ConnectionTrait>(db: &C, record: &Record) -> Result<(), StoreError> {
    record::put(db, record).await
}
