//! SeaSync: sync for SeaORM entities.

mod change;
mod ids;
mod model;
mod peer;
pub mod runtime;
pub mod stamp;
mod store;
mod value;
mod vector;

pub use change::{Cell, Change, ChangeKind, Tag};
pub use ids::{DeviceId, LibraryId, LogId, Name, RecordId, Seq};
pub use model::{Adapter, ColumnSpec, MergeError, ModelSpec, Role, TriggerPolicy};
pub use peer::{
    Entry, Hello, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, Refused, StateHash,
};
pub use stamp::Stamp;
pub use store::{StoreError, install_statements, sqlite, uninstall_statements};
pub use value::{ColumnKind, SyncValue, ValueError};
pub use vector::{Clock, Vector};
