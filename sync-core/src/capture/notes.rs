//! Notes: which records were written since the last flush.

use sea_orm::{ConnectionTrait, Value};

use super::CaptureError;
use crate::{
    ids::RecordId,
    ledger::Head,
    store::{Binding, Bindings, KEY_COLUMNS, StoreError, Write, rows, sql},
    value::{Unreadable, encode_key, read_sqlite},
};

/// The notes that a batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The last note taken.
    pub(crate) until: i64,
    /// True if more notes of bound models remain behind it.
    pub(crate) left: bool,
}

/// A record that was written.
#[derive(Debug)]
pub(crate) struct Noted {
    /// Its last note: records are logged in this order.
    pub(crate) last: i64,
    /// When it was last written, in milliseconds since the Unix epoch; `None` for a row that is adopted.
    pub(crate) at: Option<u64>,
    pub(crate) record: RecordId,
    /// What its table holds now.
    pub(crate) row: Option<rows::RowState>,
}

/// True if anything is noted: a look that takes no lock.
pub(crate) async fn any_dirty<C: ConnectionTrait>(db: &C) -> Result<bool, StoreError> {
    let row = sql::one(db, "SELECT EXISTS (SELECT 1 FROM sync_dirty)", []).await?;
    Ok(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0)
}

/// The integers of the bound models, as a list in SQL.
fn model_list(bindings: &Bindings) -> String {
    let models: Vec<String> = bindings.iter().map(|binding| binding.model.to_string()).collect();
    models.join(", ")
}

/// The first `most` notes; `None` if there is none.
pub(crate) async fn span<C: ConnectionTrait>(
    db: &C,
    bindings: &Bindings,
    most: Option<u32>,
) -> Result<Option<Span>, StoreError> {
    let models = model_list(bindings);
    let row = sql::one(db, &format!("SELECT max(id) FROM sync_dirty WHERE model IN ({models})"), []).await?;
    let Some(last) = row.map_or(Ok(None), |row| sql::column::<Option<i64>>(&row, 0))? else {
        return Ok(None);
    };
    let Some(most) = most else { return Ok(Some(Span { until: last, left: false })) };
    let row = sql::one(
        db,
        &format!("SELECT id FROM sync_dirty WHERE model IN ({models}) ORDER BY id LIMIT 1 OFFSET ?"),
        [i64::from(most.max(1) - 1).into()],
    )
    .await?;
    let until = row.map_or(Ok(last), |row| sql::column::<i64>(&row, 0))?;
    Ok(Some(Span { until, left: until < last }))
}

/// The models noted in `span`.
pub(super) async fn models<C: ConnectionTrait>(db: &C, span: Span) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT DISTINCT model FROM sync_dirty WHERE id <= ?";
    let rows = sql::all(db, statement, [span.until.into()]).await?;
    rows.iter().map(|row| sql::column(row, 0)).collect()
}

/// The records of `binding` noted in `span`, each once, with their rows.
pub(crate) async fn read<C: ConnectionTrait + sea_orm::StreamTrait>(
    db: &C,
    binding: &Binding,
    span: Span,
) -> Result<Vec<Noted>, StoreError> {
    let width = binding.spec().keys.len();
    let keys = KEY_COLUMNS[..width].join(", ");
    let joined: Vec<String> = binding
        .key_columns()
        .zip(KEY_COLUMNS)
        .map(|(column, key)| format!("t.{} = d.{key}", sql::quote(&column.name)))
        .collect();
    let first_key = binding.key_columns().next().map_or_else(String::new, |column| sql::quote(&column.name));
    let spec = binding.spec();
    let columns = spec.columns.iter().enumerate().map(|(index, column)| {
        let name = sql::quote(&column.name);
        match spec.keys.iter().position(|key| *key == index) {
            // Where there is no row, the note still has the key.
            Some(part) => format!("coalesce(t.{name}, d.{})", KEY_COLUMNS[part]),
            None => format!("t.{name}"),
        }
    });
    let columns: Vec<String> = columns.collect();
    let statement = format!(
        "SELECT d.last * 2 + (t.{first_key} IS NOT NULL), d.at, {} FROM \
         (SELECT {keys}, max(id) AS last, max(at) AS at FROM sync_dirty WHERE model = ? AND id <= ? GROUP BY {keys}) AS d \
         LEFT JOIN {} AS t ON {}",
        columns.join(", "),
        binding.quoted_table(),
        joined.join(" AND "),
    );
    let found = sql::all_of_many(db, &statement, [binding.model.into(), span.until.into()]).await?;
    let mut list = Vec::with_capacity(found.len());
    for result in &found {
        let row = rows::sqlite_row(result)?;
        let last: i64 = sql::column(result, 0)?;
        let present = last & 1 != 0;
        let key: Result<Vec<_>, Unreadable> =
            spec.keys.iter().map(|index| read_sqlite(spec.columns[*index].kind, row, 2 + index)).collect();
        let record = match key {
            Ok(key) => encode_key(&key),
            Err(error) => {
                tracing::error!(model = %binding.name(), %error, "a row whose key is not of the key's type cannot sync");
                continue;
            }
        };
        let at: Option<i64> = sql::column(result, 1)?;
        list.push(Noted {
            last: last >> 1,
            at: at.map(|at| u64::try_from(at).unwrap_or(0)),
            record,
            row: present.then(|| binding.read(row, 2)),
        });
    }
    Ok(list)
}

/// Removes the notes of `span`.
pub(crate) async fn clear<C: ConnectionTrait>(
    db: &C,
    bindings: &Bindings,
    span: Span,
) -> Result<(), StoreError> {
    let models = model_list(bindings);
    let stays =
        format!("SELECT EXISTS (SELECT 1 FROM sync_dirty WHERE (id <= ? AND model IN ({models})) IS NOT 1)");
    let row = sql::one(db, &stays, [span.until.into()]).await?;
    if row.map_or(Ok(1), |row| sql::column::<i64>(&row, 0))? == 0 {
        // Without a condition SQLite drops whole pages.
        sql::execute(db, "DELETE FROM sync_dirty", []).await?;
    } else {
        let statement = format!("DELETE FROM sync_dirty WHERE id <= ? AND model IN ({models})");
        sql::execute(db, &statement, [span.until.into()]).await?;
    }
    Ok(())
}

/// The records noted now, of bound models, without their rows.
pub(crate) async fn dirty_records<C: ConnectionTrait>(
    db: &C,
    binding: &Binding,
) -> Result<Vec<RecordId>, StoreError> {
    let span = Span { until: i64::MAX, left: false };
    let width = binding.spec().keys.len();
    let keys = KEY_COLUMNS[..width].join(", ");
    let found = sql::all(
        db,
        &format!("SELECT DISTINCT {keys} FROM sync_dirty WHERE model = ? AND id <= ?"),
        [binding.model.into(), span.until.into()],
    )
    .await?;
    let mut records = Vec::with_capacity(found.len());
    for result in &found {
        let row = rows::sqlite_row(result)?;
        let key: Result<Vec<_>, Unreadable> = binding
            .key_columns()
            .enumerate()
            .map(|(index, column)| read_sqlite(column.kind, row, index))
            .collect();
        records.extend(key.ok().map(|key| encode_key(&key)));
    }
    Ok(records)
}

/// Notes every row of a table that stood there before its model synced.
pub(crate) async fn note_adopted<C: ConnectionTrait>(db: &C, binding: &Binding) -> Result<(), StoreError> {
    note_rows(db, binding, "NULL").await
}

/// Notes every row of a table and every alive record of its model: the flush compares them.
pub(crate) async fn note_all(write: &Write<'_>, binding: &Binding) -> Result<(), CaptureError> {
    note_rows(write.db, binding, "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)").await?;
    let head = Head::load(write.db, &write.names).await?;
    let found = sql::all(
        write.db,
        "SELECT record FROM sync_objects WHERE library = ? AND model = ? AND generation % 2 = 1",
        [head.library.into(), binding.model.into()],
    )
    .await?;
    let records: Result<Vec<_>, StoreError> =
        found.iter().map(|row| Ok(RecordId::from_bytes(sql::column::<Vec<u8>>(row, 0)?))).collect();
    Ok(note_records(write.db, binding, &records?).await?)
}

/// Notes these records. Those whose key this table cannot hold have no row and need no note.
pub(crate) async fn note_records<C: ConnectionTrait>(
    db: &C,
    binding: &Binding,
    records: &[RecordId],
) -> Result<(), StoreError> {
    let width = binding.spec().keys.len();
    let mut values: Vec<Value> = Vec::with_capacity(records.len() * (width + 2));
    for key in records.iter().filter_map(|record| binding.key_values(record).ok()) {
        values.push(binding.model.into());
        values.push(0_i64.into());
        values.extend(key);
    }
    let head = format!("INSERT INTO sync_dirty (model, at, {})", KEY_COLUMNS[..width].join(", "));
    sql::insert_rows(db, &head, width + 2, "", values).await
}

async fn note_rows<C: ConnectionTrait>(db: &C, binding: &Binding, at: &str) -> Result<(), StoreError> {
    let keys: Vec<String> = binding.key_columns().map(|column| sql::quote(&column.name)).collect();
    let not_null: Vec<String> = keys.iter().map(|key| format!("{key} IS NOT NULL")).collect();
    let statement = format!(
        "INSERT INTO sync_dirty (model, at, {}) SELECT {}, {at}, {} FROM {} WHERE {}",
        KEY_COLUMNS[..keys.len()].join(", "),
        binding.model,
        keys.join(", "),
        binding.quoted_table(),
        not_null.join(" AND "),
    );
    sql::execute(db, &statement, []).await?;
    Ok(())
}
