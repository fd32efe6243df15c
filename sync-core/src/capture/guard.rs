//! Guards: triggers that note which record was written, in the writer's own transaction.
//!
//! Invariant: a note is in `sync_dirty` exactly if the write is committed, whoever wrote and by whatever path.
//! Guard bodies hold no conflict clause and touch no unique index: the clause of the user's statement would
//! override them. They name no column but those of keys: a guard that names a column keeps a migration from dropping
//! it. `BEFORE` guards note the rows that a `REPLACE` is about to remove through a unique key, for
//! which SQLite fires no `DELETE` trigger unless `recursive_triggers` is on.

use std::collections::HashMap;

use sea_orm::ConnectionTrait;

use crate::store::{Binding, GUARD_PREFIX, KEY_COLUMNS, StoreError, Unique, sql};

/// Milliseconds since the Unix epoch, in words that every SQLite since 3.0 knows.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)";

/// A guard: its name and the statement that makes it.
#[derive(Debug, PartialEq, Eq)]
struct Guard {
    name: String,
    create: String,
}

/// What was found and done about the guards of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// All guards stood as they should.
    Standing,
    /// No guard stood: the table was never guarded, or it was rebuilt.
    Installed,
    /// Some were missing or of another make, and were made anew.
    Mended,
}

/// Sees to it that the table of `binding` is guarded.
pub(crate) async fn install<C: ConnectionTrait>(db: &C, binding: &Binding) -> Result<Guarded, StoreError> {
    let wanted = guards(binding);
    let mut standing = standing(db, &binding.spec().table).await?;
    if standing.len() == wanted.len()
        && wanted.iter().all(|guard| standing.get(&guard.name).is_some_and(|create| *create == guard.create))
    {
        return Ok(Guarded::Standing);
    }
    let none = standing.is_empty();
    for (name, _) in standing.drain() {
        db.execute_unprepared(&format!("DROP TRIGGER {}", sql::quote(&name))).await?;
    }
    for guard in &wanted {
        db.execute_unprepared(&guard.create).await?;
    }
    Ok(if none { Guarded::Installed } else { Guarded::Mended })
}

/// The model whose guards stand on the table with this name: as they say themselves, whether or not this program has the model.
pub(crate) async fn guarded_model<C: ConnectionTrait>(
    db: &C,
    table: &str,
) -> Result<Option<i64>, StoreError> {
    let guards = sql::all(
        db,
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE AND substr(name, 1, ?) = ?",
        [table.into(), i64::try_from(GUARD_PREFIX.len()).unwrap_or(i64::MAX).into(), GUARD_PREFIX.into()],
    )
    .await?;
    for guard in &guards {
        let create: String = sql::column(guard, 0)?;
        // `.. INSERT INTO sync_dirty (..) SELECT 7, ..`, as `note` writes it.
        let number = create.split_once(" SELECT ").and_then(|(_, rest)| rest.split_once(','));
        if let Some(model) = number.and_then(|(number, _)| number.parse().ok()) {
            return Ok(Some(model));
        }
    }
    Ok(None)
}

async fn standing<C: ConnectionTrait>(db: &C, table: &str) -> Result<HashMap<String, String>, StoreError> {
    let rows = sql::all(
        db,
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND substr(name, 1, ?) = ?",
        [table.into(), i64::try_from(GUARD_PREFIX.len()).unwrap_or(i64::MAX).into(), GUARD_PREFIX.into()],
    )
    .await?;
    rows.iter().map(|row| Ok((sql::column(row, 0)?, sql::column(row, 1)?))).collect()
}

fn guards(binding: &Binding) -> Vec<Guard> {
    let mut guards = vec![
        guard(binding, "insert", "AFTER INSERT", &[note(binding, "NEW", None)]),
        guard(
            binding,
            "update",
            "AFTER UPDATE",
            &[note(binding, "NEW", None), note(binding, "OLD", Some(&key_moved(binding)))],
        ),
        guard(binding, "delete", "AFTER DELETE", &[note(binding, "OLD", None)]),
    ];
    let replaced: Vec<String> =
        binding.table.uniques.iter().filter_map(|unique| note_replaced(binding, unique)).collect();
    if !replaced.is_empty() {
        guards.push(guard(binding, "before_insert", "BEFORE INSERT", &replaced));
        guards.push(guard(binding, "before_update", "BEFORE UPDATE", &replaced));
    }
    guards
}

/// ```sql
/// CREATE TRIGGER "sync_guard_insert_items" AFTER INSERT ON "items"
/// BEGIN
///   INSERT INTO sync_dirty (model, at, record) SELECT 7, .., NEW."id" WHERE NEW."id" IS NOT NULL;
/// END
/// ```
fn guard(binding: &Binding, what: &str, event: &str, notes: &[String]) -> Guard {
    let name = format!("{GUARD_PREFIX}{what}_{}", binding.spec().table);
    let create = format!(
        "CREATE TRIGGER {} {event} ON {} BEGIN {}; END",
        sql::quote(&name),
        binding.quoted_table(),
        notes.join("; ")
    );
    Guard { name, create }
}

/// The statement that notes the key of `row` (`NEW` or `OLD`), if `condition` holds.
fn note(binding: &Binding, row: &str, condition: Option<&str>) -> String {
    let keys: Vec<String> =
        binding.key_columns().map(|column| format!("{row}.{}", sql::quote(&column.name))).collect();
    let not_null: Vec<String> = keys.iter().map(|key| format!("{key} IS NOT NULL")).collect();
    let condition = condition.map(|condition| format!(" AND ({condition})")).unwrap_or_default();
    format!(
        "INSERT INTO sync_dirty (model, at, {}) SELECT {}, {NOW}, {} WHERE {}{condition}",
        KEY_COLUMNS[..keys.len()].join(", "),
        binding.model,
        keys.join(", "),
        not_null.join(" AND "),
    )
}

/// True where the update changed the key.
fn key_moved(binding: &Binding) -> String {
    let moved: Vec<String> = binding
        .key_columns()
        .map(|column| sql::quote(&column.name))
        .map(|name| format!("OLD.{name} IS NOT NEW.{name}"))
        .collect();
    moved.join(" OR ")
}

/// The statement that notes the rows which hold the new row's unique key already.
fn note_replaced(binding: &Binding, unique: &Unique) -> Option<String> {
    if unique.columns.is_empty() {
        return None;
    }
    let table = binding.quoted_table();
    let keys: Vec<String> = binding.key_columns().map(|column| sql::quote(&column.name)).collect();
    let selected: Vec<String> = keys.iter().map(|key| format!("t.{key}")).collect();
    let equal: Vec<String> = unique
        .columns
        .iter()
        .map(|name| sql::quote(name))
        .map(|name| format!("t.{name} = NEW.{name}"))
        .collect();
    let other: Vec<String> = keys.iter().map(|key| format!("t.{key} IS NOT NEW.{key}")).collect();
    Some(format!(
        "INSERT INTO sync_dirty (model, at, {}) SELECT {}, {NOW}, {} FROM {table} AS t WHERE {} AND ({})",
        KEY_COLUMNS[..keys.len()].join(", "),
        binding.model,
        selected.join(", "),
        equal.join(" AND "),
        other.join(" OR "),
    ))
}
