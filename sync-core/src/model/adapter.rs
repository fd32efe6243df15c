//! The bridge between a record's values and the user's types and functions.

use std::fmt::Debug;

use crate::{
    model::ModelSpec,
    value::{SyncValue, ValueError},
};

/// What the engine asks of a model. The rows below have one value per column of [`ModelSpec::columns`].
pub trait Adapter: Debug + Send + Sync {
    /// The model as data.
    fn spec(&self) -> &ModelSpec;

    /// Checks that `value` can stand in the column with this index: its type, `NULL`, a known enum variant, no
    /// NUL in text.
    ///
    /// # Errors
    /// [`ValueError`] says what is wrong with the value.
    fn check(&self, column: usize, value: &SyncValue) -> Result<(), ValueError>;

    /// The user's `should_sync` for this row; true without one.
    fn should_sync(&self, row: &[SyncValue]) -> bool;

    /// Asks the user's merge function. `remote` is the merged row, `local` the same with the losing values. The
    /// answer is the row it gave back.
    ///
    /// # Errors
    /// [`MergeError`] when the function panicked, or a row could not be made into a model.
    fn merge(&self, local: &[SyncValue], remote: &[SyncValue]) -> Result<Vec<SyncValue>, MergeError>;
}

/// Why the user's merge function gave no answer; the merged row then stands.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The function panicked.
    #[error("the merge function of `{model}` panicked: {message}")]
    Panicked {
        /// The model.
        model: String,
        /// What the panic said.
        message: String,
    },
    /// A value cannot be held by the model's type.
    #[error("a row of `{model}` cannot be made into its model: {reason}")]
    Row {
        /// The model.
        model: String,
        /// What is wrong.
        reason: String,
    },
}
