//! What can go wrong in a call to the engine: one enum per stage, wrapped here.

use super::PeerError;
use crate::{
    apply::ApplyError,
    capture::CaptureError,
    ids::{LibraryId, Name},
    ledger::{Head, LedgerError},
    members::schema::SchemaError,
    model::ModelError,
    store::{BindError, StoreError},
};

/// What can go wrong in a call to the engine. [`is_retryable`](SyncError::is_retryable) says whether the same call may succeed later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// An entity cannot sync as it is written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An entity does not fit its table.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sync tables hold something that this crate never writes: `verify` says more.
    #[error("the ledger is damaged: {0}")]
    Ledger(String),
    /// The database holds another library than the one asked for.
    #[error(
        "this database holds library {found}, not {asked}: open the right file, leave out `.library(..)`, or let it join with `engine.join`"
    )]
    WrongLibrary {
        /// The library asked for.
        asked: LibraryId,
        /// The library in the database.
        found: LibraryId,
    },
    /// The peer refused or could not be reached.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Too many changes are held already; the peer keeps the rest until there is room.
    #[error(
        "too many changes are held, from the future or of incomplete groups: check the clocks (`status` shows them)"
    )]
    HeldFull,
    /// No record has this key, or its model is not one of this program's.
    #[error("unknown record: {0}")]
    UnknownRecord(String),
    /// The engine does not serve this model.
    #[error("the engine does not serve the model {0}: name it in `.models(..)`, or `.register` it")]
    UnknownModel(Name),
    /// No conflict has this number, or it is settled already.
    #[error("no open conflict has the number {0}")]
    UnknownConflict(i64),
    /// The log does not tell all that is here, so nothing can be rebuilt from it: repair with a peer instead.
    #[error("the log does not tell all that is here: {0}; repair with a peer")]
    LogIncomplete(String),
    /// The scope cannot be kept as it was said; the one before stays.
    #[error("the scope cannot be kept: {0}")]
    Scope(String),
    /// A change of the schema cannot be made.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A device does not say of itself that it is gone, or revoked.
    #[error(
        "a device cannot remove or revoke itself: it leaves the library with `engine.leave`, and another device removes it"
    )]
    OwnDevice,
    /// The engine was shut down.
    #[error("the engine was shut down")]
    Shutdown,
}

impl SyncError {
    /// True if the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Peer(error) => error.is_retryable(),
            Self::HeldFull => true,
            _ => false,
        }
    }
}

impl From<LedgerError> for SyncError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => Self::Store(error),
            LedgerError::Corrupt(what) => Self::Ledger(what),
        }
    }
}

impl Head {
    /// Fails unless the database still is of `library`: it may have joined another one meanwhile.
    pub(super) fn is_of(&self, library: LibraryId) -> Result<(), SyncError> {
        match self.identity.library {
            found if found == library => Ok(()),
            _ => Err(PeerError::WrongLibrary { asked: library }.into()),
        }
    }
}

impl From<CaptureError> for SyncError {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Ledger(error) => error.into(),
            CaptureError::Bind(error) => Self::Bind(error),
        }
    }
}

impl From<ApplyError> for SyncError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Ledger(error) => error.into(),
            ApplyError::Bind(error) => Self::Bind(error),
        }
    }
}

impl From<sea_orm::DbErr> for SyncError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// What a peer is told of a fault in here: what it can do, and no more.
impl From<SyncError> for PeerError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Peer(error) => error,
            error if error.is_retryable() => Self::Busy(error.to_string()),
            error => {
                tracing::error!(%error, "a peer's request failed");
                Self::Failed("internal error; the peer's log says more".into())
            }
        }
    }
}
