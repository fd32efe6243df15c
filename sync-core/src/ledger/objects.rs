//! Stored objects, read by record.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, QueryResult};

use super::LedgerError;
use crate::{
    ids::RecordId,
    merge::StoredObject,
    store::{Names, sql},
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
    rows.iter().map(|row| decode(row, names)).collect()
}

/// Reads a row selected with [`COLUMNS`].
pub(crate) fn decode(row: &QueryResult, names: &Names) -> Result<(RecordId, Loaded), LedgerError> {
    let id = sql::column(row, 0)?;
    let record: Vec<u8> = sql::column(row, 1)?;
    let clock: Vec<u8> = sql::column(row, 3)?;
    let cells: Vec<u8> = sql::column(row, 4)?;
    let payload: Option<Vec<u8>> = sql::column(row, 5)?;
    let object = StoredObject::decode(&cells, &clock, payload.as_deref(), names)?;
    Ok((RecordId::from_bytes(record), Loaded { id, object }))
}
