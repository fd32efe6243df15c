//! SeaSync: sync for SeaORM entities.

#[expect(unused_extern_crates, reason = "what the derive writes names the crate, in system models too")]
extern crate self as sync_core;

mod apply;
mod capture;
mod change;
mod engine;
mod ids;
mod ledger;
pub mod merge;
mod model;
mod peer;
pub mod runtime;
pub mod stamp;
mod store;
mod value;
mod vector;

pub use apply::{ApplyError, PendingReason};
pub use capture::CaptureError;
pub use change::{Cell, Change, ChangeKind, EncodedChange, Header, Tag};
pub use engine::{
    ConflictRecord, EngineBuilder, Event, Events, Finding, Follow, FollowState, HistoryEntry, PeerStatus,
    Pending, RecordChange, Status, SyncEngine, Verification,
};
pub use ids::{DeviceId, LibraryId, LogId, Name, RecordId, Seq};
pub use ledger::LedgerError;
pub use model::{
    Adapter, ColumnOf, ColumnRule, ColumnSpec, KeyPolicy, MAX_ID, MergeError, ModelError, ModelOf, ModelSpec,
    Registration, Role, Rules, Syncable, TriggerPolicy, TypedAdapter, adapters, hooks, registered,
};
pub use peer::{
    Entry, Hello, Limits, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, Peer, PeerError,
    PullRequest, PullResponse, PushRequest, PushResponse, Refused, StateHash, SyncError, SyncReport,
};
pub use stamp::Stamp;
pub use store::{BindError, StoreError, install_tables, remove_tables, sqlite};
pub use sync_derive::{Syncable, behavior};
pub use value::{
    ColumnKind, DecodeError, SyncValue, Unreadable, ValueError, ValueHash, as_stored, decode_key, encode_key,
    from_database, read_sqlite, to_database, to_enum_field, to_field,
};
pub use vector::{Clock, Vector};

#[doc(hidden)]
pub use model::generated as __private;
