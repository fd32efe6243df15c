//! What happened to a record, and what waits.

use sea_orm::{EntityTrait, sea_query::IntoValueTuple};

use super::{
    handle::SyncEngine,
    keys::{self, ActiveOf, KeyOf},
};
use crate::{
    apply::{self, PendingReason},
    change::{Cell, Change, ChangeKind},
    ids::{DeviceId, Name, RecordId, Seq},
    ledger::Head,
    merge::shown,
    model::Syncable,
    peer::SyncError,
    stamp::Stamp,
    store::{NameKind, sql},
    value::SyncValue,
};

/// One change of a record's history.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its place in this replica's log.
    pub seq: Seq,
    /// The change.
    pub id: Stamp,
    /// Who made it.
    pub device: DeviceId,
    /// Why.
    pub kind: ChangeKind,
    /// What it wrote: column and value. Of a counter or a set, what the device itself had added by then.
    pub values: Vec<(Name, SyncValue)>,
}

/// A record whose row is not, or not quite, what its object says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The model's name on the wire.
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// Why.
    pub reason: PendingReason,
    /// Why, in words.
    pub detail: String,
    /// How often it was looked at.
    pub attempts: u64,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

impl SyncEngine {
    /// Every change of a record that the log still holds, oldest first.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses; [`SyncError::UnknownRecord`] if the key cannot be one.
    pub async fn history<E>(&self, key: KeyOf<E>) -> Result<Vec<HistoryEntry>, SyncError>
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable,
    {
        let model = <ActiveOf<E>>::SYNC_ID;
        let record = keys::record_of_key(model, key.into_value_tuple())?;
        self.history_of(model, &record).await
    }

    /// Every change of a record that the log still holds, oldest first; the record as events name it.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn history_of(&self, model: &str, record: &RecordId) -> Result<Vec<HistoryEntry>, SyncError> {
        let (db, names) = self.inner.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let Some(model) = names.id(NameKind::Model, model.as_bytes()) else { return Ok(Vec::new()) };
        let rows = sql::all(
            &db,
            "SELECT seq, data FROM sync_log WHERE library = ? AND model = ? AND record = ? AND data IS NOT NULL \
             ORDER BY seq",
            [head.library.into(), model.into(), record.as_bytes().to_vec().into()],
        )
        .await?;
        rows.iter()
            .map(|row| {
                let change = Change::decode(&sql::column::<Vec<u8>>(row, 1)?)
                    .map_err(|error| SyncError::Ledger(error.to_string()))?;
                let value = |cell: &Cell| shown(cell.tag, cell.version, &cell.value).into_owned();
                Ok(HistoryEntry {
                    seq: Seq(u64::try_from(sql::column::<i64>(row, 0)?).unwrap_or(0)),
                    id: change.id,
                    device: change.device,
                    kind: change.kind,
                    values: change.cells.iter().map(|cell| (cell.column.clone(), value(cell))).collect(),
                })
            })
            .collect()
    }

    /// Tries again to write every pending record, as each start of the engine does: after a migration lifted what kept a
    /// row out. Rows that cannot be read and rows deleted without sync stay as they are. Gives how many records are
    /// pending no more.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn retry_pending(&self) -> Result<u64, SyncError> {
        self.running()?;
        self.inner.replica.retry_pending().await
    }

    /// The records whose rows are not what their objects say, longest waiting first.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn pending(&self) -> Result<Vec<Pending>, SyncError> {
        let (db, names) = self.inner.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let records = apply::pending_records(&db, &names, head.library).await?;
        Ok(records
            .into_iter()
            .map(|one| Pending {
                model: one.model,
                record: one.record,
                reason: one.reason,
                detail: one.detail,
                attempts: one.attempts,
                since_ms: one.since,
            })
            .collect())
    }
}
