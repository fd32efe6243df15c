//! The changes of a library's schema as records: `sync_schema`, one record per change.
//!
//! Invariant: a record is written once and never changed. Its key is a stamp, so of two with one number the older is known.

use sea_orm::{ConnectionTrait, entity::prelude::*};
use serde::{Deserialize, Serialize};

use super::{SchemaError, change::SchemaChange};
use crate::{
    ids::{DeviceId, RecordId},
    model::{Rules, Syncable},
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

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Syncable for ActiveModel {
    const SYNC_ID: &'static str = MODEL;

    fn rules() -> Rules {
        Rules::new().without_merge().without_should_sync()
    }
}

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

/// All records that are complete, in order.
pub(crate) async fn all<C: ConnectionTrait>(db: &C) -> Result<Vec<Record>, StoreError> {
    let statement = "SELECT id, number, author, change FROM sync_schema WHERE number > 0 AND author IS NOT NULL \
                     AND change IS NOT NULL ORDER BY number, id";
    let rows = sql::all(db, statement, []).await?;
    rows.iter()
        .map(|row| {
            Ok(Record {
                id: Uuid::from_bytes(sql::bytes(&sql::column::<Vec<u8>>(row, 0)?, "a schema change")?),
                number: u64::try_from(sql::column::<i64>(row, 1)?).unwrap_or(0),
                author: DeviceId::from_bytes(sql::bytes(&sql::column::<Vec<u8>>(row, 2)?, "a device")?),
                text: sql::column(row, 3)?,
            })
        })
        .collect()
}

/// Writes a record; the guard notes it and a flush logs it.
pub(crate) async fn put<C: ConnectionTrait>(db: &C, record: &Record) -> Result<(), StoreError> {
    sql::execute(
        db,
        "INSERT INTO sync_schema (id, number, author, change) VALUES (?, ?, ?, ?)",
        [
            record.id.as_bytes().to_vec().into(),
            i64::try_from(record.number).unwrap_or(i64::MAX).into(),
            record.author.as_bytes().to_vec().into(),
            record.text.clone().into(),
        ],
    )
    .await?;
    Ok(())
}
