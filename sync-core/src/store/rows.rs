//! Rows of the application's tables, read by record.

use std::collections::HashMap;

use sea_orm::ConnectionTrait;

use super::{
    StoreError,
    binding::{Binding, UnreadableColumn},
    sql,
};
use crate::{ids::RecordId, value::SyncValue};

/// What a table holds under a key: all columns of the spec, or why they cannot be read.
pub(crate) type RowState = Result<Vec<SyncValue>, UnreadableColumn>;

/// The rows of `records` that exist. A record whose key cannot be one of this table has no row.
pub(crate) async fn by_record<C: ConnectionTrait>(
    db: &C,
    binding: &Binding,
    records: impl IntoIterator<Item = &RecordId>,
) -> Result<HashMap<RecordId, RowState>, StoreError> {
    let keys: Vec<sea_orm::Value> =
        records.into_iter().filter_map(|record| binding.key_values(record).ok()).flatten().collect();
    let width = binding.spec().keys.len();
    let head = format!(
        "SELECT {} FROM {} AS t WHERE {} IN",
        binding.select,
        binding.quoted_table(),
        key_tuple(binding)
    );
    let rows = if width == 1 {
        sql::select_in(db, &head, "", keys).await?
    } else {
        sql::select_values(db, &head, width, "", keys).await?
    };
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let row = sqlite_row(row)?;
        let state = binding.read(row, 0);
        // A key was just matched by its bytes, so it can be read even where the rest cannot.
        if let Some(record) = record_of(binding, row, 0) {
            found.insert(record, state);
        }
    }
    Ok(found)
}

/// The record of a row selected at `offset`, if its key can be read.
pub(crate) fn record_of(
    binding: &Binding,
    row: &sea_orm::sqlx::sqlite::SqliteRow,
    offset: usize,
) -> Option<RecordId> {
    let spec = binding.spec();
    let key: Option<Vec<SyncValue>> = spec
        .keys
        .iter()
        .map(|index| crate::value::read_sqlite(spec.columns[*index].kind, row, offset + index).ok())
        .collect();
    key.map(|key| crate::value::encode_key(&key))
}

/// The SQLite row inside a result.
pub(crate) fn sqlite_row(
    row: &sea_orm::QueryResult,
) -> Result<&sea_orm::sqlx::sqlite::SqliteRow, StoreError> {
    row.try_as_sqlite_row().ok_or_else(|| StoreError::Corrupt("a row that is not SQLite's".into()))
}

/// The key's columns on alias `t`: `t."id"` or `(t."a", t."b")`.
pub(crate) fn key_tuple(binding: &Binding) -> String {
    let columns: Vec<String> =
        binding.key_columns().map(|column| format!("t.{}", sql::quote(&column.name))).collect();
    if columns.len() == 1 { columns.concat() } else { format!("({})", columns.join(", ")) }
}
