//! The database: the `sync_*` tables and the one gate for write transactions of ours.
//!
//! Invariant: every write of the engine runs from begin to commit in a task of its own, where a dropped future
//! cannot cut it, and one after the other within a process. Nothing here knows what a change is.

mod catalog;
mod error;
mod names;
pub(crate) mod sql;
mod sqlite;
mod tables;
mod writer;

pub use error::StoreError;
pub use sqlite::sqlite;
pub use tables::{install_statements, uninstall_statements};

pub(crate) use catalog::{Catalog, ForeignKey, OnDelete, Table, Unique};
pub(crate) use names::{NameKind, Names};
pub(crate) use tables::FORMAT;
pub(crate) use writer::{OpenWrite, Store, Write};
