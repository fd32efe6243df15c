//! What happened to a record.

use sea_orm::{EntityTrait, sea_query::IntoValueTuple};

use super::{
    handle::SyncEngine,
    keys::{self, ActiveOf, KeyOf},
};
use crate::{
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
    /// True if the log no longer tells what it wrote: later changes wrote it again, and the log was
    /// [compacted](SyncEngine::compact).
    pub compacted: bool,
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
                let bytes: Vec<u8> = sql::column(row, 1)?;
                let change = Change::decode(&bytes).map_err(|error| SyncError::Ledger(error.to_string()))?;
                let value = |cell: &Cell| shown(cell.tag, cell.version, &cell.value).into_owned();
                Ok(HistoryEntry {
                    seq: Seq(u64::try_from(sql::column::<i64>(row, 0)?).unwrap_or(0)),
                    id: change.id,
                    device: change.device,
                    kind: change.kind,
                    values: change.cells.iter().map(|cell| (cell.column.clone(), value(cell))).collect(),
                    compacted: Change::is_compacted(&bytes),
                })
            })
            .collect()
    }
}
