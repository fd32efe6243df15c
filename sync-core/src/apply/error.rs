//! What can go wrong while applying: the database, never a change.

use crate::{
    capture::CaptureError,
    ledger::LedgerError,
    store::{BindError, StoreError},
};

/// A failure while applying. A change that cannot be shown is no error: its record is pending.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The ledger or the database refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A model does not fit its table.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.into())
    }
}

impl From<CaptureError> for ApplyError {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Ledger(error) => Self::Ledger(error),
            CaptureError::Bind(error) => Self::Bind(error),
        }
    }
}
