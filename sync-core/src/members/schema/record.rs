//! The changes of a library's schema as records: `sync_schema`, one record per change.
//!
//! Invariant: a record is written once and never changed. Its key is a stamp, so of two with one number the older is known.

use sea_orm::{ConnectionTrait, QueryResult, Value, entity::prelude::*};
use serde::{Deserialize, Serialize};

use super::{
    super::record::{self, system_model},
    SchemaError,
    change::SchemaChange,
};
use crate::{
    ids::{DeviceId, RecordId},
    store::{StoreError, sql},
    value::{SyncValue, encode_key},
};

/// The model's name on the wire.
pub(crate) const MODEL: &str = "sync_schema";

/// One row of `sync_schema`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sync_schema")]
pub(crate) struct Model {
    /// The stamp of the change.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its place among the changes of the library, from 1.
    pub number: Option<i64>,
    /// Who made it.
    pub author: Option<Uuid>,
    /// The change, as JSON.
    pub change: Option<String>,
}

system_model!(MODEL);

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Its author makes the changes from now on.
    TakeOver,
    /// A change.
    #[serde(untagged)]
    Change(SchemaChange),
}

/// A record, as it lies in the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    pub(crate) number: u64,
    pub(crate) author: DeviceId,
    /// The step, as JSON.
    pub(crate) text: String,
}

impl Record {
    /// The record's key.
    pub(crate) fn key(&self) -> RecordId {
        encode_key(&[SyncValue::Uuid(self.id)])
    }

    /// What it says, if this version can read it.
    pub(crate) fn step(&self) -> Result<Step, SchemaError> {
        let step =
            serde_json::from_str(&self.text).map_err(|error| SchemaError::Unknown(error.to_string()))?;
        if let Step::Change(change) = &step {
            change.check()?;
        }
        Ok(step)
    }
}

impl record::Record for Record {
    const TABLE: &'static str = MODEL;
    const COLUMNS: &'static [&'static str] = &["id", "number", "author", "change"];

    fn read(row: &QueryResult) -> Result<Self, StoreError> {
        Ok(Self {
            id: Uuid::from_bytes(sql::bytes(&sql::column::<Vec<u8>>(row, 0)?, "a schema change")?),
            number: u64::try_from(sql::column::<i64>(row, 1)?).unwrap_or(0),
            author: DeviceId::from_bytes(sql::bytes(&sql::column::<Vec<u8>>(row, 2)?, "a device")?),
            text: sql::column(row, 3)?,
        })
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        Ok(vec![
            self.id.as_bytes().to_vec().into(),
            i64::try_from(self.number).unwrap_or(i64::MAX).into(),
            self.author.as_bytes().to_vec().into(),
            self.text.clone().into(),
        ])
    }
}

/// All records that are complete, in order.
pub(crate) async fn all<C: ConnectionTrait>(db: &C) -> Result<Vec<Record>, StoreError> {
    let complete = "WHERE number > 0 AND author IS NOT NULL AND change IS NOT NULL ORDER BY number, id";
    record::select(db, complete, []).await
}

/// Writes a record.
pub(crate) async fn put<C: ConnectionTrait>(db: &C, record: &Record) -> Result<(), StoreError> {
    record::put(db, record).await
}
