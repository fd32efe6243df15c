//! Offline-first sync for SeaORM entities: every committed write is captured, logged, carried to the other replicas and
//! merged there.
//!
//! Derive [`Syncable`] on an entity, start a [`SyncEngine`] on the application's connection, and call
//! [`sync_with`](SyncEngine::sync_with) or [`follow`](SyncEngine::follow) with a [`Peer`]: another engine in this process, or
//! the client of a transport. The README has a quick start, [`testing`] has devices in memory.
//!
//! # Layout
//!
//! The modules are the steps that a change takes; imports run from a line only to lines above it.
//!
//! * [`runtime`], ids, values, [`stamp`]s, vectors, changes, scopes: words, plain data
//! * [`merge`] the join, conflicts, the digest: pure
//! * model: what an entity tells the engine; [`hooks`]
//! * store: the `sync_*` tables and the gate for write transactions
//! * ledger: the only writer of objects, log, chain, digest and vector
//! * capture: from a write to the ledger
//! * apply: from the ledger to a row
//! * members: the engine's own models, which travel like any other
//! * peer: the protocol, both sides
//! * engine: wires them, and is what an application holds
//!
//! # Features
//!
//! `conformance` (off by default) has the module of this name: a suite for transports of your own. `docs/transports.md` is
//! the guide to writing one.

#[expect(unused_extern_crates, reason = "what the derive writes names the crate, in system models too")]
extern crate self as sync_core;

mod apply;
mod capture;
mod change;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod ids;
mod ledger;
mod members;
pub mod merge;
mod model;
mod peer;
pub mod runtime;
mod scope;
pub mod stamp;
mod store;
pub mod testing;
mod value;
mod vector;

pub use apply::PendingReason;
pub use change::{Cell, Change, ChangeKind, EncodedChange, Strategy, Tag};
pub use engine::{
    ActiveOf, Bucket, Changed, Changes, ConflictCount, ConflictEvents, ConflictRecord, ConflictState,
    Conflicts, EngineBuilder, Event, Events, Finding, Follow, FollowState, HistoryEntry, KeyOf, KnownChange,
    PeerStatus, Pending, PendingRecords, RecordChange, Schema, Status, SyncEngine, Verification,
};
pub use ids::{DeviceId, LibraryId, LogId, MAX_NAME, Name, RecordId, Seq};
pub use ledger::{Forgotten, Renewal, RenewalReason, Retired};
pub use members::schema::{NewColumn, NewTable, SchemaChange, SchemaError, SchemaType, SchemaValue};
pub use merge::{ConflictReason, RecordRange};
pub use model::{
    Adapter, ColumnOf, ColumnRule, ColumnSpec, KeyPolicy, MergeError, MergePolicy, ModelError, ModelOf,
    ModelSpec, Registration, Role, Rules, Syncable, TriggerPolicy, TypedAdapter, adapters, hooks, registered,
};
pub use peer::{
    Answer, Call, CompactReport, Entry, Hello, History, Join, JoinReport, Leave, Limits, Member, Notice,
    ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, Peer, PeerError, PruneReport, PullRequest,
    PullResponse, PushRequest, PushResponse, RangeDigests, Refused, RepairAnswer, RepairReport,
    RepairRequest, RepairedName, RepairedRecord, ReplayReport, Request, Resolution, Retention,
    SnapshotProgress, Standing, StateHash, StateOfPart, StatePart, SyncError, SyncReport, Unmended,
};
pub use scope::{RecordName, Scope, SelectedTag, Selection};
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
