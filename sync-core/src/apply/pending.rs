//! What waits, and why: records whose row is not, or not quite, what their object says.

use std::fmt;

use sea_orm::ConnectionTrait;

use super::ApplyError;
use crate::{
    ids::{Name, RecordId},
    ledger::{Head, LedgerError},
    store::{Names, StoreError, Write, sql},
    value::SyncValue,
};

/// Why a record's row is not what its object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PendingReason {
    /// An older record holds one of its unique keys; it is shown when that one lets go of the key.
    Hidden,
    /// A parent's row is not there; it is shown when the parent is.
    MissingParent,
    /// A unique key that the engine cannot compare by itself is taken in this database.
    UniqueClash,
    /// A column that may not be `NULL` has no value yet; the change that brings it is still to come.
    Incomplete,
    /// A value is none that this program knows (a variant of a newer version): update the program.
    UnknownValue,
    /// The database refuses the row: a `CHECK`, a trigger, a value that it cannot hold.
    Invalid,
    /// The local row holds what its type cannot: repair it and it is logged.
    Unreadable,
    /// The row was deleted here without sync; it is written again when another device changes it.
    Absorbed,
    /// A change of the library's schema that is not carried out here; the detail says what it waits for.
    Schema,
}

impl PendingReason {
    const ALL: [Self; 9] = [
        Self::Hidden,
        Self::MissingParent,
        Self::UniqueClash,
        Self::Incomplete,
        Self::UnknownValue,
        Self::Invalid,
        Self::Unreadable,
        Self::Absorbed,
        Self::Schema,
    ];

    /// The reason's name, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::MissingParent => "missing_parent",
            Self::UniqueClash => "unique_clash",
            Self::Incomplete => "incomplete",
            Self::UnknownValue => "unknown_value",
            Self::Invalid => "invalid",
            Self::Unreadable => "unreadable",
            Self::Absorbed => "absorbed",
            Self::Schema => "schema",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for PendingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a row waits: what, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) reason: PendingReason,
    pub(crate) detail: String,
}

impl Wait {
    pub(crate) fn new(reason: PendingReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// A record that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingRecord {
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    pub(crate) reason: PendingReason,
    pub(crate) detail: String,
    pub(crate) attempts: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) since: u64,
}

/// Lists a record as pending; `kept` are the columns of its removed row that do not travel.
pub(crate) async fn mark(
    write: &Write<'_>,
    head: &Head,
    model: i64,
    record: &RecordId,
    wait: &Wait,
    kept: Option<Vec<u8>>,
    now_ms: u64,
) -> Result<(), StoreError> {
    sql::execute(
        write.db,
        "INSERT INTO sync_pending (library, model, record, reason, detail, attempts, since, kept) \
         VALUES (?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (library, model, record) DO UPDATE SET reason = excluded.reason, \
         detail = excluded.detail, attempts = attempts + 1, kept = coalesce(excluded.kept, kept)",
        [
            head.library.into(),
            model.into(),
            record.as_bytes().to_vec().into(),
            wait.reason.as_str().into(),
            wait.detail.clone().into(),
            i64::try_from(now_ms).unwrap_or(i64::MAX).into(),
            kept.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Takes a record off the list; gives the kept columns of its row.
pub(crate) async fn clear(
    write: &Write<'_>,
    head: &Head,
    model: i64,
    record: &RecordId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = sql::one(
        write.db,
        "DELETE FROM sync_pending WHERE library = ? AND model = ? AND record = ? RETURNING kept",
        [head.library.into(), model.into(), record.as_bytes().to_vec().into()],
    )
    .await?;
    row.map_or(Ok(None), |row| sql::column(&row, 0))
}

/// Those of `records` that lack a parent.
pub(super) async fn lack_parents(
    write: &Write<'_>,
    head: &Head,
    model: i64,
    records: Vec<RecordId>,
) -> Result<Vec<RecordId>, StoreError> {
    let statement = format!(
        "SELECT record FROM sync_pending WHERE library = {} AND model = {model} AND reason = '{}' AND record IN",
        head.library,
        PendingReason::MissingParent,
    );
    let records = records.into_iter().map(|record| record.as_bytes().to_vec().into()).collect();
    let found = sql::select_in(write.db, &statement, "", records).await?;
    found.iter().map(|row| Ok(RecordId::from_bytes(sql::column::<Vec<u8>>(row, 0)?))).collect()
}

/// True if a record is pending.
pub(crate) async fn is_pending(
    write: &Write<'_>,
    head: &Head,
    model: i64,
    record: &RecordId,
) -> Result<bool, StoreError> {
    let row = sql::one(
        write.db,
        "SELECT 1 FROM sync_pending WHERE library = ? AND model = ? AND record = ?",
        [head.library.into(), model.into(), record.as_bytes().to_vec().into()],
    )
    .await?;
    Ok(row.is_some())
}

/// How many records are pending.
pub(crate) async fn count<C: ConnectionTrait>(db: &C) -> Result<u64, StoreError> {
    let row = sql::one(db, "SELECT count(*) FROM sync_pending", []).await?;
    row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0)).map(|count| u64::try_from(count).unwrap_or(0))
}

/// True if anything is pending.
pub(crate) async fn any<C: ConnectionTrait>(db: &C) -> Result<bool, StoreError> {
    let row = sql::one(db, "SELECT EXISTS (SELECT 1 FROM sync_pending)", []).await?;
    Ok(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0)
}

/// All that is pending in a library.
pub(crate) async fn list<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
) -> Result<Vec<PendingRecord>, ApplyError> {
    let rows = sql::all(
        db,
        "SELECT model, record, reason, detail, attempts, since FROM sync_pending WHERE library = ? ORDER BY since",
        [library.into()],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let reason: String = sql::column(row, 2)?;
            Ok(PendingRecord {
                model: names.text(sql::column(row, 0)?)?,
                record: RecordId::from_bytes(sql::column::<Vec<u8>>(row, 1)?),
                reason: PendingReason::from_name(&reason)
                    .ok_or_else(|| LedgerError::Corrupt(format!("pending reason {reason}")))?,
                detail: sql::column(row, 3)?,
                attempts: u64::try_from(sql::column::<i64>(row, 4)?).unwrap_or(0),
                since: u64::try_from(sql::column::<i64>(row, 5)?).unwrap_or(0),
            })
        })
        .collect()
}

/// The next `most` records that wait for something to be looked at again, in order, after `last`. Those that wait for
/// a local write are passed over: a row that cannot be read, one that was deleted without sync.
pub(super) async fn to_retry<C: ConnectionTrait>(
    db: &C,
    library: i64,
    last: &(i64, RecordId),
    most: u32,
) -> Result<Vec<(i64, RecordId)>, StoreError> {
    let rows = sql::all(
        db,
        "SELECT model, record FROM sync_pending WHERE library = ? AND (model, record) > (?, ?) \
         AND reason NOT IN ('unreadable', 'absorbed') ORDER BY model, record LIMIT ?",
        [library.into(), last.0.into(), last.1.as_bytes().to_vec().into(), i64::from(most).into()],
    )
    .await?;
    rows.iter()
        .map(|row| Ok((sql::column(row, 0)?, RecordId::from_bytes(sql::column::<Vec<u8>>(row, 1)?))))
        .collect()
}

/// The kept columns as bytes: pairs of column name and value, each length-prefixed.
pub(crate) fn encode_kept(columns: &[(String, SyncValue)]) -> Vec<u8> {
    let pairs: Vec<(&str, serde_bytes::ByteBuf)> = columns
        .iter()
        .map(|(name, value)| (name.as_str(), serde_bytes::ByteBuf::from(value.encode())))
        .collect();
    rmp_serde::to_vec(&pairs).unwrap_or_default()
}

/// The columns in `kept`.
pub(crate) fn decode_kept(kept: &[u8]) -> Result<Vec<(String, SyncValue)>, LedgerError> {
    let corrupt = |error: String| LedgerError::Corrupt(format!("kept columns: {error}"));
    let pairs: Vec<(String, serde_bytes::ByteBuf)> =
        rmp_serde::from_slice(kept).map_err(|error| corrupt(error.to_string()))?;
    pairs
        .into_iter()
        .map(|(name, bytes)| {
            Ok((name, SyncValue::decode(&bytes).map_err(|error| corrupt(error.to_string()))?))
        })
        .collect()
}
