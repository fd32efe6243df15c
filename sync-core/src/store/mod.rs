//! The database: the `sync_*` tables and the one gate for write transactions of ours.
//!
//! Invariant: every write of the engine runs from begin to commit in a task of its own, where a dropped future
//! cannot cut it, and one after the other within a process. Nothing here knows what a change is.

mod binding;
mod catalog;
mod error;
mod fingerprint;
mod names;
pub(crate) mod rows;
pub(crate) mod sql;
pub(crate) mod sqlite;
mod tables;
mod view;
mod writer;

pub use error::StoreError;
pub use sqlite::sqlite;
pub use tables::{install_tables, remove_tables};

pub use binding::BindError;
pub(crate) use binding::{Binding, Bindings};
pub(crate) use catalog::{Catalog, ForeignKey, GUARD_PREFIX, OnDelete, Table, Unique};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use names::{ColumnsInOrder, NameKind, Names};
pub(crate) use tables::{FORMAT, KEY_COLUMNS};
pub(crate) use writer::{OpenWrite, Store, Write};
