//! SeaSync: sync for SeaORM entities.

mod change;
mod ids;
mod ledger;
mod capture;
pub mod merge;
mod model;
mod peer;
pub mod runtime;
pub mod stamp;
mod store;
mod value;
mod vector;

pub use change::{Cell, Change, ChangeKind, EncodedChange, Header, Tag};
pub use ids::{DeviceId, LibraryId, LogId, Name, RecordId, Seq};
pub use ledger::LedgerError;
pub use model::{Adapter, ColumnSpec, MergeError, ModelSpec, Role, TriggerPolicy};
pub use peer::{
    Entry, Hello, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, Refused, StateHash,
};
pub use stamp::Stamp;
pub use store::{BindError, StoreError, install_statements, sqlite, uninstall_statements};
pub use value::{
    ColumnKind, DecodeError, SyncValue, Unreadable, ValueError, ValueHash, as_stored, decode_key, encode_key,
    from_database, read_sqlite, to_database, to_field,
};
pub use vector::{Clock, Vector};
