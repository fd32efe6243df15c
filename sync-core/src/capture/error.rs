//! What can go wrong while capturing.

use crate::{
    ledger::LedgerError,
    store::{BindError, StoreError},
};

/// See the [module](self).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
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
