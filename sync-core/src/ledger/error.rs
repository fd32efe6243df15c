//! What can go wrong in the ledger.

use crate::{merge, store::StoreError, value::DecodeError};

/// A failure in the ledger.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object in the ledger makes no sense: `verify` says more.
    #[error("the ledger is damaged: {0}")]
    Corrupt(String),
}

impl From<merge::Corrupt> for LedgerError {
    fn from(error: merge::Corrupt) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<merge::MissingValue> for LedgerError {
    fn from(error: merge::MissingValue) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<merge::NotInterned> for LedgerError {
    fn from(error: merge::NotInterned) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<DecodeError> for LedgerError {
    fn from(error: DecodeError) -> Self {
        Self::Corrupt(format!("a change in the log cannot be read: {error}"))
    }
}
