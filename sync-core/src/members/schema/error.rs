//! Why a change of the schema is not made.

use crate::ids::DeviceId;

/// Why a change of the schema is not made: nothing was changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A name that no table or column can have here.
    #[error(
        "`{name}` cannot be a name: take up to 63 letters, digits and `_`, not a digit first; tables that begin with `sync_` or \
         `sqlite_` are taken"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The change contradicts itself.
    #[error("`{table}`: {what}")]
    Invalid {
        /// The table.
        table: String,
        /// What is wrong.
        what: String,
    },
    /// Another device makes the changes of this library's schema.
    #[error(
        "the schema of this library is changed by device {author} only; if that one is gone, take over with `engine.schema().take_over()`"
    )]
    NotTheAuthor {
        /// The one that does.
        author: DeviceId,
    },
    /// A model of this program has the column or the table.
    #[error(
        "`{table}` is used as it is by the model `{model}` of this program: a program without it makes the change"
    )]
    InUse {
        /// The table.
        table: String,
        /// The model.
        model: String,
    },
    /// The table is none that syncs, so no change from afar may touch it.
    #[error("the table `{table}` does not sync here")]
    NotSynced {
        /// The table.
        table: String,
    },
    /// The table has no such column.
    #[error("the table `{table}` has no column `{column}`")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A change before this one is not made here yet.
    #[error("change {number} of the schema comes first, and is not made here yet")]
    Earlier {
        /// Its number.
        number: u64,
    },
    /// Another change took its place before it was known here.
    #[error("another change has its number: two devices changed the schema at a time")]
    Outrun,
    /// A later version of the program made it.
    #[error("this version does not know the change: update the program ({0})")]
    Unknown(String),
    /// The database refuses.
    #[error("the database refuses: {0}")]
    Database(String),
}
