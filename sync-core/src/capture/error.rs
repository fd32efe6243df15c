//! What can go wrong while capturing.

use crate::{
    ledger::LedgerError,
    store::{BindError, StoreError},
};

/// A failure while capturing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// The ledger or the database refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A model does not fit its table.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl From<StoreError> for CaptureError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.into())
    }
}
