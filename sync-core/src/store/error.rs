//! What can go wrong with the database, named by what the caller can do.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// What can go wrong with the database, named by what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer held the database longer than `busy_timeout`: try again.
    #[error("the database is locked by another writer: {0}")]
    Busy(DbErr),
    /// No connection became free: the call stands inside a transaction that holds the only one, or the pool is
    /// used up.
    #[error(
        "no database connection became free within {waited_ms} ms: is this call made inside a transaction of a pool with \
         one connection? Finish the transaction first, use `engine.transaction`, or give the pool more connections"
    )]
    NoConnection {
        /// How long the call waited.
        waited_ms: u64,
    },
    /// The disk is full: make room; nothing was changed.
    #[error("the disk is full: {0}")]
    Full(DbErr),
    /// The tables were written by a newer version of this crate: update the program.
    #[error("the sync tables have format {found}, this program knows {known}: update the program")]
    NewerFormat {
        /// What the tables say.
        found: u64,
        /// The newest format that this program knows.
        known: u64,
    },
    /// The sync tables hold something that this crate never writes.
    #[error("the sync tables are damaged: {0}")]
    Corrupt(String),
    /// The database is of a kind that is not supported.
    #[error("{0:?} is not supported: open a SQLite database, and give the engine that connection")]
    Backend(sea_orm::DatabaseBackend),
    /// Any other refusal of the database.
    #[error("database: {0}")]
    Database(DbErr),
}

impl StoreError {
    /// True if the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::NoConnection { .. } | Self::Full(_))
    }
}

/// SQLite's primary result codes (<https://sqlite.org/rescode.html>); extended codes keep them in the low byte.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_FULL: u32 = 13;

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match sqlite_code(&error).map(|code| code & 0xff) {
            Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy(error),
            Some(SQLITE_FULL) => Self::Full(error),
            _ => Self::Database(error),
        }
    }
}

fn sqlite_code(error: &DbErr) -> Option<u32> {
    let (DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source))
    | DbErr::Conn(RuntimeErr::SqlxError(source))) = error
    else {
        return None;
    };
    let sqlx::Error::Database(source) = source.as_ref() else {
        return None;
    };
    source.code()?.parse().ok()
}
