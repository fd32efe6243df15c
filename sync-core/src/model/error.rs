//! Why a model cannot sync: found at start, before anything is read or written.

use crate::value::ValueError;

/// What is wrong with a model, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The program has no entity with this id.
    #[error(
        "no entity syncs as `{id}`: derive `Syncable` on it; if it stands in a crate of which the program names nothing, \
         add `.register::<entity::ActiveModel>()`"
    )]
    Unknown {
        /// The id asked for.
        id: String,
    },
    /// Two entities have one `SYNC_ID`.
    #[error("`{first}` and `{second}` both sync as `{id}`: give one of them another `#[sync(id = \"..\")]`")]
    DuplicateId {
        /// The id.
        id: &'static str,
        /// The one `ActiveModel`.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Two entities stand for one table.
    #[error("`{first}` and `{second}` both sync the table `{table}`: derive `Syncable` on one of them only")]
    DuplicateTable {
        /// The table.
        table: String,
        /// The one model's id.
        first: String,
        /// The other's.
        second: String,
    },
    /// The `SYNC_ID` is empty or longer than [`MAX_NAME`](crate::MAX_NAME).
    #[error("`{entity}` syncs as `{id}`: an id has 1 to {max} bytes")]
    InvalidId {
        /// The `ActiveModel`.
        entity: &'static str,
        /// The id.
        id: &'static str,
        /// The most bytes.
        max: usize,
    },
    /// The `SYNC_ID` begins as those of the engine's own models do.
    #[error(
        "`{entity}` syncs as `{id}`, and ids that begin with `{reserved}` are the engine's own: give it another with \
         `#[sync(id = \"..\")]`; the table may keep its name"
    )]
    ReservedId {
        /// The `ActiveModel`.
        entity: &'static str,
        /// The id.
        id: &'static str,
        /// What is reserved.
        reserved: &'static str,
    },
    /// A column's name on the wire is empty or longer than [`MAX_NAME`](crate::MAX_NAME).
    #[error(
        "`{model}` has a column that is `{wire}` on the wire: give it a name of 1 to {max} bytes with `#[sync(name = \"..\")]`"
    )]
    InvalidName {
        /// The model.
        model: String,
        /// The name on the wire.
        wire: String,
        /// The most bytes.
        max: usize,
    },
    /// The entity has no primary key.
    #[error(
        "`{model}` has no primary key: mark a column with `#[sea_orm(primary_key, auto_increment = false)]`"
    )]
    NoKey {
        /// The model.
        model: String,
    },
    /// A part of the key may be `NULL`, which names no record.
    #[error("the key `{column}` of `{model}` may be NULL: take the `Option` off its type")]
    NullableKey {
        /// The model.
        model: String,
        /// The column.
        column: String,
    },
    /// The database numbers the records, so two devices give one number to two records.
    #[error(
        "the key `{column}` of `{model}` is numbered by the database, and two devices would give one number \
         to two records: make it a `Uuid` with `#[sea_orm(primary_key, auto_increment = false)]`"
    )]
    AutoIncrementKey {
        /// The model.
        model: String,
        /// The column.
        column: String,
    },
    /// A column's type cannot travel.
    #[error(
        "the column `{column}` of `{model}` has the type {found}, which no value here can hold: keep it as \
         JSON, text or bytes"
    )]
    UnsupportedColumn {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// `sync_fields` or `rules` name a column that the entity does not have.
    #[error("`{model}` has no column `{column}`: `sync_fields` and `rules` take names of the database")]
    UnknownColumn {
        /// The model.
        model: String,
        /// The name.
        column: String,
    },
    /// Two columns have one name on the wire.
    #[error("two columns of `{model}` are `{wire}` on the wire: give one another `#[sync(name = \"..\")]`")]
    DuplicateColumn {
        /// The model.
        model: String,
        /// The name.
        wire: String,
    },
    /// A column cannot have the strategy or the group that it is given.
    #[error("the column `{column}` of `{model}` cannot merge as it says: {reason}")]
    Rule {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// Why not.
        reason: &'static str,
    },
    /// The value for a skipped column cannot stand in it.
    #[error("the default of the skipped column `{column}` of `{model}` cannot stand in it: {source}")]
    Fill {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        source: ValueError,
    },
}
