//! Stored objects, read by record.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, QueryResult};

use super::{Head, LedgerError};
use crate::{
    change::Change,
    ids::{Name, RecordId},
    merge::{ColumnIds, StoredObject},
    stamp::Stamp,
    store::{ColumnsInOrder, NameKind, Names, sql},
    value::SyncValue,
};

/// A stored object and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loaded {
    /// Its row in `sync_objects`.
    pub(crate) id: i64,
    pub(crate) object: StoredObject,
}

/// The columns that [`decode`] reads, in its order.
pub(crate) const COLUMNS: &str = "id, record, generation, clock, cells, payload";

/// The objects of `records` that exist.
pub(crate) async fn by_records<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    model: i64,
    records: impl IntoIterator<Item = &RecordId>,
) -> Result<HashMap<RecordId, Loaded>, LedgerError> {
    let keys = records.into_iter().map(|record| record.as_bytes().to_vec().into()).collect();
    // Both integers come from `sync_names`; in the text they save two variables in a list of varying length.
    let head = format!(
        "SELECT {COLUMNS} FROM sync_objects WHERE library = {library} AND model = {model} AND record IN"
    );
    let rows = sql::select_in(db, &head, "", keys).await?;
    let columns = ColumnsInOrder::new(names);
    rows.iter().map(|row| decode(row, &columns)).collect()
}

/// Reads a row selected with [`COLUMNS`].
pub(crate) fn decode(row: &QueryResult, columns: &impl ColumnIds) -> Result<(RecordId, Loaded), LedgerError> {
    let id = sql::column(row, 0)?;
    let record: Vec<u8> = sql::column(row, 1)?;
    let clock: Vec<u8> = sql::column(row, 3)?;
    let cells: Vec<u8> = sql::column(row, 4)?;
    let payload: Option<Vec<u8>> = sql::column(row, 5)?;
    let object = StoredObject::decode(&cells, &clock, payload.as_deref(), columns)?;
    Ok((RecordId::from_bytes(record), Loaded { id, object }))
}

/// The versions of all cells that the log tells of a record.
pub(crate) async fn logged_versions<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    model: &Name,
    record: &RecordId,
    names: &Names,
) -> Result<Vec<Stamp>, LedgerError> {
    let Some(model) = names.id(NameKind::Model, model.as_bytes()) else { return Ok(Vec::new()) };
    let statement =
        "SELECT data FROM sync_log WHERE library = ? AND model = ? AND record = ? AND data IS NOT NULL";
    let values = [head.library.into(), model.into(), record.as_bytes().to_vec().into()];
    let mut versions = Vec::new();
    for row in &sql::all(db, statement, values).await? {
        let change = Change::decode(&sql::column::<Vec<u8>>(row, 0)?)?;
        versions.extend(change.cells.iter().map(|cell| cell.version));
    }
    Ok(versions)
}

/// The value that `version` wrote into a column of a record, if the log still tells.
pub(crate) async fn logged_value<C: ConnectionTrait>(
    db: &C,
    model: i64,
    record: &RecordId,
    version: Stamp,
    column: &str,
) -> Result<Option<SyncValue>, LedgerError> {
    let rows = if version.is_nil() {
        // Adopted: which change brought the value, its version does not say.
        let statement = "SELECT data FROM sync_log WHERE model = ? AND record = ? AND data IS NOT NULL";
        sql::all(db, statement, [model.into(), record.as_bytes().to_vec().into()]).await?
    } else {
        let statement = "SELECT data FROM sync_log WHERE change_id = ? AND data IS NOT NULL";
        sql::all(db, statement, [version.as_bytes().to_vec().into()]).await?
    };
    for row in &rows {
        let change = Change::decode(&sql::column::<Vec<u8>>(row, 0)?)?;
        let cell = change.cells.into_iter().find(|cell| cell.column == column && cell.version == version);
        if let Some(cell) = cell {
            return Ok(Some(cell.value));
        }
    }
    Ok(None)
}
