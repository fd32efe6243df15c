//! The statements that bring the tables in line with the objects.
//!
//! Invariant: values are bound, names come from the registry. Writes come before deletes; a unique value that moves
//! between rows is first taken off its old holder. What a statement for many rows cannot do is done row by row, so
//! that only the row at fault is refused.

use std::{borrow::Cow, collections::HashMap};

use sea_orm::{ConnectionTrait, DatabaseBackend, Value};

use super::{
    ApplyError,
    pending::{PendingReason, Wait},
    vacate::vacate,
    working::{Key, Working, WorkingSet},
};
use crate::{
    ids::RecordId,
    merge::{Held, ObjectCell, StoredObject, keeps_value},
    model::Role,
    store::{Binding, Bindings, StoreError, Write, sql},
    value::{ColumnKind, SyncValue, ValueError, as_stored, to_database},
};

const BACKEND: DatabaseBackend = DatabaseBackend::Sqlite;

/// Finds out of every record that may be written and is not hidden what its table cannot take of it.
pub(crate) fn judge(set: &mut WorkingSet) {
    for working in set.records.values_mut() {
        let open = working.wait.as_ref().is_none_or(|wait| wait.reason == PendingReason::MissingParent);
        if !(working.changed || working.candidate) || !open {
            continue;
        }
        // Whether a parent is lacking is decided anew after this.
        working.wait = None;
        check_values(working);
        working.refused = working.denied.clone().or_else(|| working.refused.take());
        if let Some(wait) = working.refused.clone() {
            // A row that is there stays as it is; a new one stays away, and one of an earlier life goes.
            working.show = working.was_shown() && working.row_of_this_life().is_some();
            if working.show {
                working.withheld =
                    working.binding.as_ref().map(|b| b.travelling().collect()).unwrap_or_default();
            }
            working.wait = Some(wait);
        }
    }
}

/// Finds out which values of a record its table cannot take, before anything is written.
fn check_values(working: &mut Working) {
    let Some(binding) = working.binding.clone() else { return };
    working.withheld.clear();
    if !working.is_alive() {
        return;
    }
    let exists = working.row_of_this_life().is_some();
    for index in binding.travelling() {
        let column = &binding.spec().columns[index];
        let refused = match working.cell(index) {
            Some(cell) if cell.tag.strategy().is_none() => {
                Some((PendingReason::UnknownValue, "its rule is none that this program knows".to_owned()))
            }
            Some(cell) => check(&binding, index, &cell.shown()).err().map(refusal),
            None if exists || !required(&binding, index) => None,
            None => {
                let detail = format!("`{}` has no value yet", column.name);
                working.wait = Some(Wait::new(PendingReason::Incomplete, detail));
                continue;
            }
        };
        let Some((reason, detail)) = refused else { continue };
        working.wait = Some(Wait::new(reason, format!("`{}`: {detail}", column.name)));
        if exists || !required(&binding, index) {
            working.withheld.push(index);
        }
    }
    // With a row, or with defaults in the columns held back, the rest can be shown.
    let blocked = working.wait.as_ref().is_some_and(|wait| wait.reason == PendingReason::Incomplete)
        || (working.wait.is_some() && working.withheld.is_empty());
    working.refused = working.wait.clone().filter(|_| blocked);
}

fn refusal(error: ValueError) -> (PendingReason, String) {
    let reason = match error {
        ValueError::UnknownVariant(_) => PendingReason::UnknownValue,
        _ => PendingReason::Invalid,
    };
    (reason, error.to_string())
}

fn check(binding: &Binding, index: usize, value: &SyncValue) -> Result<(), ValueError> {
    binding.adapter.check(index, value)?;
    let column = &binding.spec().columns[index];
    let there = binding.table.column(&column.name);
    let not_null = there.is_some_and(|there| there.not_null);
    if not_null && (value.is_null() || is_lost(column.kind, value)) {
        return Err(ValueError::Null);
    }
    Ok(())
}

/// True if the database keeps `NULL` in place of the value.
fn is_lost(kind: ColumnKind, value: &SyncValue) -> bool {
    !is_exact(kind) && as_stored(BACKEND, kind, value).is_null()
}

/// True if a new row must be given a value for the column.
fn required(binding: &Binding, index: usize) -> bool {
    let name = &binding.spec().columns[index].name;
    binding
        .table
        .column(name)
        .is_some_and(|column| column.not_null && column.default.is_none() && !column.generated)
}

/// The object of a record as it is stored beside its row.
pub(crate) fn stored(working: &Working) -> StoredObject {
    let Some(binding) = working.binding.as_deref().filter(|_| working.show && working.is_alive()) else {
        return StoredObject::new(&working.object, false, |_| Held::Absent);
    };
    StoredObject::new(&working.object, true, |cell: &ObjectCell| match binding.column_of(&cell.column) {
        None => Held::Absent,
        Some(index) if working.nulled.contains(&index) => Held::Other(SyncValue::Null.hash64()),
        Some(index) if working.withheld.contains(&index) => {
            let row = working.row_of_this_life().map_or(&binding.defaults[index], |row| &row[index]);
            if keeps_value(cell.tag) { Held::Withheld(row.clone()) } else { Held::Other(row.hash64()) }
        }
        Some(index) => {
            let kind = binding.spec().columns[index].kind;
            if is_exact(kind) && !keeps_value(cell.tag) {
                Held::Same
            } else {
                Held::Other(as_stored(BACKEND, kind, &cell.shown()).hash64())
            }
        }
    })
}

/// True if SQLite gives back every value of this kind as it was written.
fn is_exact(kind: ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Bool
            | ColumnKind::I8
            | ColumnKind::I16
            | ColumnKind::I32
            | ColumnKind::I64
            | ColumnKind::U8
            | ColumnKind::U16
            | ColumnKind::U32
            | ColumnKind::Text
            | ColumnKind::Char
            | ColumnKind::Bytes
            | ColumnKind::Uuid
    )
}

/// The values of columns that do not travel, of a row that is taken out of its table.
pub(crate) fn kept_columns(working: &Working) -> Vec<(String, SyncValue)> {
    let (Some(binding), Some(row)) = (working.binding.as_ref(), working.row.as_ref()) else {
        return Vec::new();
    };
    let columns = binding.spec().columns.iter().zip(row);
    columns
        .filter(|(column, value)| column.role == Role::Skipped && !matches!(value, SyncValue::Null))
        .map(|(column, value)| (column.name.clone(), value.clone()))
        .collect()
}

/// What is to be done to the tables.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Rows to insert or bring up to date, by model.
    pub(crate) writes: HashMap<i64, Vec<RecordId>>,
    /// Rows to delete, by model.
    pub(crate) deletes: HashMap<i64, Vec<RecordId>>,
}

impl Work {
    /// Compares what is to be with what is.
    pub(crate) fn of(set: &WorkingSet) -> Self {
        let mut work = Self::default();
        for ((model, record), working) in &set.records {
            if working.binding.is_none() {
                continue;
            }
            if is_written(working) {
                work.writes.entry(*model).or_default().push(record.clone());
            } else if !(working.show && working.is_alive()) && (working.was_shown() || working.row.is_some())
            {
                work.deletes.entry(*model).or_default().push(record.clone());
            }
        }
        for records in work.writes.values_mut().chain(work.deletes.values_mut()) {
            records.sort_unstable();
        }
        work
    }
}

/// True if the row is inserted or brought up to date.
pub(crate) fn is_written(working: &Working) -> bool {
    let moved = working.changed || !working.was_shown() || !working.nulled.is_empty() || restored(working);
    working.show && working.is_alive() && working.binding.is_some() && moved
}

/// True if a column that a deleted parent had nulled may hold its value again.
fn restored(working: &Working) -> bool {
    let (Some(binding), Some(row)) = (working.binding.as_deref(), working.row.as_ref()) else { return false };
    binding.table.foreign_keys.iter().flat_map(|foreign| &foreign.columns).any(|name| {
        let index = binding.spec().columns.iter().position(|column| &column.name == name);
        index.is_some_and(|index| {
            let value = working.value(index).filter(|_| !working.withheld.contains(&index));
            matches!(row[index], SyncValue::Null) && value.is_some_and(|value| !value.is_null())
        })
    })
}

/// Writes the rows. Gives the records whose rows the database refused; the caller rolls back and decides anew.
pub(crate) async fn write(
    write: &Write<'_>,
    bindings: &Bindings,
    set: &WorkingSet,
    work: &Work,
) -> Result<Vec<(Key, Wait)>, ApplyError> {
    vacate(write, bindings, set, work).await?;
    let mut refused = Vec::new();
    for (model, records) in &work.writes {
        let Some(binding) = bindings.by_model(*model) else { continue };
        upsert(write, binding, set, records, &mut refused).await?;
    }
    for (model, records) in &work.deletes {
        let Some(binding) = bindings.by_model(*model) else { continue };
        delete(write, binding, records).await?;
    }
    Ok(refused)
}

async fn upsert(
    write: &Write<'_>,
    binding: &Binding,
    set: &WorkingSet,
    records: &[RecordId],
    refused: &mut Vec<(Key, Wait)>,
) -> Result<(), ApplyError> {
    let statement = Upsert::new(binding);
    let mut keys = Vec::with_capacity(records.len());
    let mut all = Vec::with_capacity(records.len() * statement.width);
    for record in records {
        let key = (binding.model, record.clone());
        let Some(working) = set.get(&key) else { continue };
        match statement.row(binding, record, working, &mut all) {
            Ok(()) => keys.push(key),
            Err(detail) => refused.push((key, Wait::new(PendingReason::Invalid, detail))),
        }
    }
    let width = statement.width;
    write.db.execute_unprepared("SAVEPOINT sync_rows").await.map_err(StoreError::from)?;
    match sql::insert_rows(write.db, &statement.head, width, &statement.tail, all).await {
        Ok(()) => {
            write.db.execute_unprepared("RELEASE sync_rows").await.map_err(StoreError::from)?;
            return Ok(());
        }
        Err(error) if is_constraint(&error) => {
            write.db.execute_unprepared("ROLLBACK TO sync_rows").await.map_err(StoreError::from)?;
        }
        Err(error) => return Err(error.into()),
    }
    // One of them is at fault: which one, a statement for each tells.
    for key in keys {
        let Some(working) = set.get(&key) else { continue };
        let mut values = Vec::with_capacity(width);
        if statement.row(binding, &key.1, working, &mut values).is_err() {
            continue;
        }
        write.db.execute_unprepared("SAVEPOINT sync_row").await.map_err(StoreError::from)?;
        match sql::insert_rows(write.db, &statement.head, width, &statement.tail, values).await {
            Ok(()) => {}
            Err(error) if is_constraint(&error) => {
                write.db.execute_unprepared("ROLLBACK TO sync_row").await.map_err(StoreError::from)?;
                let text = error.to_string();
                let unique = text.contains("UNIQUE constraint");
                let reason = if unique { PendingReason::UniqueClash } else { PendingReason::Invalid };
                refused.push((key, Wait::new(reason, text)));
            }
            Err(error) => return Err(error.into()),
        }
        write.db.execute_unprepared("RELEASE sync_row").await.map_err(StoreError::from)?;
    }
    write.db.execute_unprepared("RELEASE sync_rows").await.map_err(StoreError::from)?;
    Ok(())
}

/// True if the database refused the row rather than the statement.
pub(super) fn is_constraint(error: &StoreError) -> bool {
    let text = match error {
        StoreError::Database(error) => error.to_string(),
        _ => return false,
    };
    text.contains("constraint failed") || text.contains("code: 1811") || text.contains("datatype mismatch")
}

/// `INSERT INTO "items" ("id", "title") VALUES .. ON CONFLICT ("id") DO UPDATE SET "title" = excluded."title"`
struct Upsert {
    head: String,
    tail: String,
    width: usize,
    /// The columns written besides the key: those that travel, and those that a new row is given.
    columns: Vec<usize>,
}

impl Upsert {
    fn new(binding: &Binding) -> Self {
        let spec = binding.spec();
        let filled =
            |index: &usize| spec.columns[*index].role == Role::Skipped && spec.columns[*index].fill.is_some();
        let travelling: Vec<usize> = binding.travelling().collect();
        let columns: Vec<usize> =
            travelling.iter().copied().chain((0..spec.columns.len()).filter(filled)).collect();
        let quoted = |index: &usize| sql::quote(&spec.columns[*index].name);
        let names: Vec<String> = spec.keys.iter().chain(&columns).map(quoted).collect();
        let keys: Vec<String> = spec.keys.iter().map(quoted).collect();
        let sets: Vec<String> =
            travelling.iter().map(quoted).map(|name| format!("{name} = excluded.{name}")).collect();
        let action =
            if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
        Self {
            head: format!("INSERT INTO {} ({})", binding.quoted_table(), names.join(", ")),
            tail: format!("ON CONFLICT ({}) DO {action}", keys.join(", ")),
            width: names.len(),
            columns,
        }
    }

    /// Adds a row's values to `values`, all of them or none.
    fn row(
        &self,
        binding: &Binding,
        record: &RecordId,
        working: &Working,
        values: &mut Vec<Value>,
    ) -> Result<(), String> {
        let begun = values.len();
        let done = self.push_row(binding, record, working, values);
        if done.is_err() {
            values.truncate(begun);
        }
        done
    }

    fn push_row(
        &self,
        binding: &Binding,
        record: &RecordId,
        working: &Working,
        values: &mut Vec<Value>,
    ) -> Result<(), String> {
        let spec = binding.spec();
        values.extend(binding.key_values(record)?);
        for index in &self.columns {
            let column = &spec.columns[*index];
            let in_row = || {
                let row = working.row_of_this_life();
                Cow::Borrowed(row.map_or(&binding.defaults[*index], |row| &row[*index]))
            };
            let value = if working.nulled.contains(index) {
                Cow::Owned(SyncValue::Null)
            } else if working.withheld.contains(index) {
                in_row()
            } else if let Some(fill) = column.fill.as_ref().filter(|_| column.role == Role::Skipped) {
                Cow::Borrowed(fill)
            } else {
                working.value(*index).unwrap_or_else(in_row)
            };
            let value = to_database(column.kind, &value);
            values.push(value.map_err(|error| format!("`{}`: {error}", column.name))?);
        }
        Ok(())
    }
}

async fn delete(write: &Write<'_>, binding: &Binding, records: &[RecordId]) -> Result<(), ApplyError> {
    let keys: Vec<Value> =
        records.iter().filter_map(|record| binding.key_values(record).ok()).flatten().collect();
    let columns: Vec<String> = binding.key_columns().map(|column| sql::quote(&column.name)).collect();
    let head = format!("DELETE FROM {} WHERE ({}) IN", binding.quoted_table(), columns.join(", "));
    sql::select_values(write.db, &head, columns.len(), "", keys).await?;
    Ok(())
}

/// Puts back the columns that do not travel of a row that was out of its table.
pub(crate) async fn put_back(
    write: &Write<'_>,
    binding: &Binding,
    record: &RecordId,
    columns: &[(String, SyncValue)],
) -> Result<(), ApplyError> {
    let spec = binding.spec();
    let mut names = Vec::new();
    let mut values = Vec::new();
    for (name, value) in columns {
        let Some(column) = spec.columns.iter().find(|column| &column.name == name) else { continue };
        if let Ok(value) = to_database(column.kind, value) {
            names.push(format!("{} = ?", sql::quote(name)));
            values.push(value);
        }
    }
    let Ok(key) = binding.key_values(record) else { return Ok(()) };
    if names.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> =
        binding.key_columns().map(|column| format!("{} = ?", sql::quote(&column.name))).collect();
    let statement =
        format!("UPDATE {} SET {} WHERE {}", binding.quoted_table(), names.join(", "), keys.join(" AND "));
    values.extend(key);
    sql::execute(write.db, &statement, values).await?;
    Ok(())
}
