//! A model as data: table, key, columns, rules.

use crate::{
    change::Tag,
    ids::Name,
    value::{ColumnKind, SyncValue},
};

/// What a column is to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Part of the primary key: identifies the record, never changes.
    Key,
    /// Travels.
    Synced,
    /// Stays on this device.
    Skipped,
    /// Holds the library of the row; set from the session, never from the wire.
    Library,
}

/// What becomes of what the database's own triggers do to a row while a remote change is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TriggerPolicy {
    /// Noted and reported, not sent: the author's replica ran the same trigger.
    #[default]
    Absorb,
    /// Logged like any local write.
    Log,
}

/// A column of a model.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// The name in the database.
    pub name: String,
    /// The name on the wire; the database's unless `#[sync(name = "..")]` says otherwise.
    pub wire: Name,
    /// The type.
    pub kind: ColumnKind,
    /// True if the column may be `NULL`.
    pub nullable: bool,
    /// What the column is to sync.
    pub role: Role,
    /// The merge rule of its cells.
    pub tag: Tag,
    /// Columns of one group are written together: touching one writes all under one stamp.
    pub group: Option<Name>,
    /// True if a scope may choose records by what the column holds.
    pub is_tag: bool,
    /// What a skipped column holds in a row that comes from another device; the database's default if none.
    pub fill: Option<SyncValue>,
}

/// A model.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// `SYNC_ID`: the name on the wire.
    pub id: Name,
    /// The table.
    pub table: String,
    /// The schema the table is in, if the entity names one.
    pub schema: Option<String>,
    /// Every column of the entity, in the entity's order.
    pub columns: Vec<ColumnSpec>,
    /// The indexes in `columns` of the primary key's parts, in key order.
    pub keys: Vec<usize>,
    /// What becomes of the effects of triggers.
    pub triggers: TriggerPolicy,
    /// True if the model has a merge function of the user's.
    pub has_merge: bool,
    /// True if the model has a `should_sync` of the user's.
    pub has_should_sync: bool,
}
