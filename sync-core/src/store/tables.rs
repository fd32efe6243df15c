//! The `sync_*` tables: how they are made, and how they go.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::{catalog::GUARD_PREFIX, sql, view::CREATE_VIEW};

/// The format of the tables. A program opens this one and older ones.
pub(crate) const FORMAT: u64 = 1;

/// How many columns a primary key may have: a guard notes each in a column of its own.
pub(crate) const MAX_KEY_COLUMNS: usize = 4;

/// The columns of `sync_dirty` that hold the parts of a key, in order.
pub(crate) const KEY_COLUMNS: [&str; MAX_KEY_COLUMNS] = ["record", "record_2", "record_3", "record_4"];

/// Makes the `sync_*` tables and the view; does nothing where they stand.
///
/// The engine does so when it starts, `sync-migration` for a host's own migrator. Either may come first.
///
/// # Errors
/// What the database says.
pub async fn install_tables<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    check_backend(db)?;
    for statement in install_statements() {
        db.execute_unprepared(statement).await?;
    }
    for (table, column, declared) in LATER_COLUMNS {
        let found = format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name = '{column}'");
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), found)).await?;
        if row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))? == 0 {
            db.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN {column} {declared}")).await?;
        }
    }
    Ok(())
}

/// Columns that tables of an earlier version lack: table, column, and how it is declared. Each may hold `NULL`, so a program of that
/// version goes on with the table.
const LATER_COLUMNS: [(&str, &str, &str); 1] = [("sync_devices", "revoked_at", "INTEGER")];

/// Removes guards, view and `sync_*` tables. Guards go first: without their tables they would fail every write to the
/// application's. A running engine is to be stopped before; `SyncEngine::uninstall` does both.
///
/// # Errors
/// What the database says.
pub async fn remove_tables<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    check_backend(db)?;
    drop_guards(db).await?;
    for statement in uninstall_statements() {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}

/// The statements are SQLite's own; another database would refuse them in words that help nobody.
fn check_backend<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    match db.get_database_backend() {
        DatabaseBackend::Sqlite => Ok(()),
        other => Err(DbErr::BackendNotSupported {
            db: other.as_str(),
            ctx: "the sync tables: SeaSync works on SQLite databases",
        }),
    }
}

/// Removes every guard in the database.
async fn drop_guards<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    let found = format!(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, {}) = '{GUARD_PREFIX}'",
        GUARD_PREFIX.len()
    );
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), found)).await?;
    for row in &rows {
        let name: String = row.try_get_by_index(0)?;
        db.execute_unprepared(&format!("DROP TRIGGER {}", sql::quote(&name))).await?;
    }
    Ok(())
}

fn install_statements() -> &'static [&'static str] {
    &[
        // What there is one of: the format, this device, the log, the heads of the libraries.
        "CREATE TABLE IF NOT EXISTS sync_metadata (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
        // Small integers for what is long and repeated. kind: 1 library, 2 device, 3 model, 4 column.
        "CREATE TABLE IF NOT EXISTS sync_names (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name BLOB NOT NULL, \
         UNIQUE (kind, name))",
        // What guards note. The key's parts have no type: they are kept as the table keeps them. No constraint but
        // the row's own id: a conflict clause of the statement that fired the guard would reach it.
        "CREATE TABLE IF NOT EXISTS sync_dirty (id INTEGER PRIMARY KEY, model INTEGER, at INTEGER, record, record_2, \
         record_3, record_4)",
        // The log. `data` is the change as its author encoded it; the columns beside it are what is looked for.
        // kind = -1: taken back by this device, kept for its digest.
        // ahead = 1: merged beyond a gap in its author's chain, which ends at `previous`. `chain` stands on the last entry of a commit.
        "CREATE TABLE IF NOT EXISTS sync_log (seq INTEGER PRIMARY KEY, library INTEGER NOT NULL, device INTEGER NOT NULL, \
         model INTEGER NOT NULL, kind INTEGER NOT NULL, more INTEGER NOT NULL, ahead INTEGER NOT NULL, \
         change_id BLOB NOT NULL UNIQUE, previous BLOB, record BLOB NOT NULL, data BLOB, digest BLOB, \
         chain BLOB)",
        "CREATE INDEX IF NOT EXISTS sync_log_ahead ON sync_log (device, previous) WHERE ahead = 1",
        // The ids of pruned changes that somebody may ask for one by one.
        "CREATE TABLE IF NOT EXISTS sync_pruned (change_id BLOB PRIMARY KEY NOT NULL) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS sync_objects (id INTEGER PRIMARY KEY, library INTEGER NOT NULL, \
         model INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL, record BLOB NOT NULL, \
         clock BLOB NOT NULL, cells BLOB NOT NULL, payload BLOB, UNIQUE (library, model, record))",
        "CREATE INDEX IF NOT EXISTS sync_objects_feed ON sync_objects (library, seq)",
        "CREATE INDEX IF NOT EXISTS sync_objects_deleted ON sync_objects (library) WHERE generation % 2 = 0",
        // Records by what keeps them out of their table: unique keys they hold, parents they wait for.
        "CREATE TABLE IF NOT EXISTS sync_keys (library INTEGER NOT NULL, model INTEGER NOT NULL, \
         constraint_name TEXT NOT NULL, key BLOB NOT NULL, object INTEGER NOT NULL, \
         PRIMARY KEY (library, model, constraint_name, key, object)) WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS sync_keys_object ON sync_keys (object)",
        // judged: 0 not yet, 1 put before the user's merge function, 2 settled by a person.
        "CREATE TABLE IF NOT EXISTS sync_conflicts (id INTEGER PRIMARY KEY, library INTEGER NOT NULL, \
         model INTEGER NOT NULL, record BLOB NOT NULL, field TEXT NOT NULL, winner_id BLOB NOT NULL, \
         loser_id BLOB NOT NULL, reason TEXT NOT NULL, loser_value BLOB, detected_at INTEGER NOT NULL, \
         judged INTEGER NOT NULL, UNIQUE (library, model, record, field, winner_id, loser_id))",
        "CREATE INDEX IF NOT EXISTS sync_conflicts_unjudged ON sync_conflicts (id) WHERE judged = 0",
        "CREATE TABLE IF NOT EXISTS sync_positions (device BLOB NOT NULL, library INTEGER NOT NULL, scope BLOB NOT NULL, \
         state BLOB NOT NULL, PRIMARY KEY (device, library, scope)) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS sync_origins (library INTEGER NOT NULL, device INTEGER NOT NULL, head BLOB, \
         forked INTEGER NOT NULL, PRIMARY KEY (library, device)) WITHOUT ROWID",
        // Records whose row is not, or not quite, what their object says. kept: columns that do not travel, of a row
        // that was taken out of its table.
        "CREATE TABLE IF NOT EXISTS sync_pending (library INTEGER NOT NULL, model INTEGER NOT NULL, record BLOB NOT NULL, \
         reason TEXT NOT NULL, detail TEXT NOT NULL, attempts INTEGER NOT NULL, since INTEGER NOT NULL, \
         kept BLOB, PRIMARY KEY (library, model, record)) WITHOUT ROWID",
        // Changes kept but not merged: from too far in the future, or of a group that is not complete.
        "CREATE TABLE IF NOT EXISTS sync_held (id INTEGER PRIMARY KEY, library INTEGER NOT NULL, change_id BLOB NOT NULL, \
         txn BLOB NOT NULL, release_ms INTEGER, reason TEXT NOT NULL, data BLOB NOT NULL, attempts INTEGER NOT NULL, \
         since INTEGER NOT NULL, UNIQUE (library, change_id))",
        "CREATE INDEX IF NOT EXISTS sync_held_group ON sync_held (library, txn)",
        // The engine's own models: they sync like tables of the application.
        "CREATE TABLE IF NOT EXISTS sync_devices (id BLOB PRIMARY KEY NOT NULL, name TEXT, first_seen INTEGER, \
         last_seen INTEGER, replaces BLOB, left_at INTEGER, have BLOB)",
        "CREATE TABLE IF NOT EXISTS sync_schema (id BLOB PRIMARY KEY NOT NULL, number INTEGER, author BLOB, change TEXT)",
        CREATE_VIEW,
    ]
}

fn uninstall_statements() -> &'static [&'static str] {
    &[
        "DROP VIEW IF EXISTS sync_changes",
        "DROP TABLE IF EXISTS sync_devices",
        "DROP TABLE IF EXISTS sync_schema",
        "DROP TABLE IF EXISTS sync_held",
        "DROP TABLE IF EXISTS sync_pending",
        "DROP TABLE IF EXISTS sync_origins",
        "DROP TABLE IF EXISTS sync_positions",
        "DROP TABLE IF EXISTS sync_conflicts",
        "DROP TABLE IF EXISTS sync_keys",
        "DROP TABLE IF EXISTS sync_objects",
        "DROP TABLE IF EXISTS sync_log",
        "DROP TABLE IF EXISTS sync_pruned",
        "DROP TABLE IF EXISTS sync_dirty",
        "DROP TABLE IF EXISTS sync_names",
        "DROP TABLE IF EXISTS sync_metadata",
    ]
}
