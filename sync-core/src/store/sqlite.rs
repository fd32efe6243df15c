//! SQLite: connect options, the engine's own pool, which file a connection is on.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{StoreError, sql};

/// How long a writer waits for another one.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many rows cross from SQLite's thread at once.
const ROW_BUFFER: usize = 1000;

/// How many prepared statements a connection keeps. A round of the engine has some two hundred; with fewer each would be
/// prepared again.
const STATEMENTS: usize = 500;

/// How many connections the engine opens for itself to serve and to watch; one more writes.
const READERS: u32 = 3;

/// How many KiB of pages the engine's writer keeps: keys are random, so a batch touches pages everywhere.
const WRITER_CACHE_KIB: u32 = 32 << 10;

/// How many KiB of pages each of its readers keeps.
const READER_CACHE_KIB: u32 = 4 << 10;

/// How many pages the write-ahead log grows to before they are copied into the database. A synced write touches
/// several tables: at SQLite's 1,000 the same pages would be copied again and again.
const CHECKPOINT_PAGES: &str = "4000";

/// Connect options for an application's database file: write-ahead log, a busy timeout of five seconds, foreign
/// keys on, `synchronous=NORMAL`, up to four connections. The file is created if it is absent.
///
/// SeaORM's own default is one connection with a rollback journal: each commit then blocks every reader, and a
/// background writer makes the application's transactions fail with "database is locked".
///
/// ```no_run
/// # async fn f() -> Result<(), sea_orm::DbErr> {
/// let db = sea_orm::Database::connect(sync_core::sqlite("app.db")).await?;
/// # Ok(()) }
/// ```
pub fn sqlite(path: impl AsRef<Path>) -> ConnectOptions {
    options(path.as_ref(), 4, |sqlite| sqlite.synchronous(SqliteSynchronous::Normal))
}

fn options(
    path: &Path,
    connections: u32,
    more: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(connections)
        .min_connections(0)
        .sqlx_logging(false)
        .test_before_acquire(false)
        .map_sqlx_sqlite_opts(move |_| {
            let sqlite = SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .row_buffer_size(ROW_BUFFER)
                .statement_cache_capacity(STATEMENTS)
                .pragma("journal_size_limit", "67108864")
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
            more(sqlite)
        });
    options
}

/// The engine's own connection to the file for writes. It commits with `synchronous=FULL`: only what survives a power
/// cut is served or pushed.
pub(crate) async fn writer(path: &Path) -> Result<DatabaseConnection, StoreError> {
    own(path, 1, WRITER_CACHE_KIB).await
}

/// The engine's own pool on the file for reads.
pub(crate) async fn readers(path: &Path) -> Result<DatabaseConnection, StoreError> {
    own(path, READERS, READER_CACHE_KIB).await
}

async fn own(path: &Path, connections: u32, cache_kib: u32) -> Result<DatabaseConnection, StoreError> {
    let mut options = options(path, connections, move |sqlite| {
        sqlite
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", format!("-{cache_kib}"))
            // What a statement for many rows, or a savepoint, needs to undo itself stays in memory.
            .pragma("temp_store", "MEMORY")
    });
    options
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>);
    Ok(Database::connect(options).await?)
}

/// The file that `db` is on; `None` for a database in memory.
pub(crate) async fn file_of(db: &DatabaseConnection) -> Result<Option<PathBuf>, StoreError> {
    for row in sql::all(db, "PRAGMA database_list", []).await? {
        let name: String = sql::column(&row, 1)?;
        if name == "main" {
            let file: Option<String> = sql::column(&row, 2)?;
            return Ok(file.filter(|file| !file.is_empty()).map(PathBuf::from));
        }
    }
    Ok(None)
}

/// A number that rises whenever a table, index or trigger is made or removed.
pub(crate) async fn schema_version<C: ConnectionTrait>(db: &C) -> Result<i64, StoreError> {
    let row = sql::one(db, "PRAGMA schema_version", []).await?;
    row.map_or(Ok(0), |row| sql::column(&row, 0))
}
