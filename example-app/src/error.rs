//! What can go wrong, in words for the person at the terminal.

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The database refused.
    #[error("database: {0}")]
    Database(#[from] sea_orm::DbErr),
    /// Sync failed.
    #[error("sync: {0}")]
    Sync(#[from] sync_core::SyncError),
    /// HTTP failed.
    #[error("http: {0}")]
    Http(#[from] sync_transport::http::HttpError),
    /// A file or directory could not be read.
    #[error("{path}: {source}")]
    Io {
        /// What was read.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The path is in no indexed directory.
    #[error("{0} is not indexed: run `index` on a directory above it first")]
    NotIndexed(String),
    /// No conflict has this reason.
    #[error(
        "{0} is no reason of a conflict: try concurrent_write, delete_wins, higher_generation, higher_tag, baseline or same_stamp"
    )]
    NoReason(String),
    /// There is too little to show.
    #[error(
        "{path} has {found} entries; the demonstration wants at least {least}: name a larger directory, or lower --least"
    )]
    TooFew {
        /// The directory.
        path: String,
        /// How many entries it has.
        found: usize,
        /// How many are wanted.
        least: usize,
    },
    /// The demonstration did not end as it must.
    #[error("not as promised: {0}")]
    Broken(String),
}
