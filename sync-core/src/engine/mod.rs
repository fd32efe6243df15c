//! The engine: wires the stages together, runs them in the background, and is what an application holds.
//!
//! Invariant: only this module starts background work, and dropping the last handle ends it at a safe point: what is
//! committed stays noted or logged, so nothing is lost.
//!
//! * `builder` from a connection to a running engine
//! * `handle` what an application calls
//! * `transaction` data and log as one unit, and writes without sync
//! * `tasks` the flusher
//! * `follow` keeping up with a peer
//! * `events` what happened, as a stream
//! * `changed` what changed of one entity, for user interfaces
//! * `library` joining a library and leaving one
//! * `scope` which part of it is kept here
//! * `members` who takes part in the library
//! * `schema` changes of the schema that travel
//! * `keys` between a record and the key that its entity has
//! * `status` how things stand
//! * `records` history
//! * `pending` what waits: listed, tried again, given up
//! * `conflicts`, `conflict_events` what was lost: listed, counted, settled; as a stream
//! * `which` which records a question is about
//! * `verify` whether ledger and rows are what they should be
//! * `repair` mending what is not, with a peer or from the log

mod builder;
mod changed;
mod conflict_events;
mod conflicts;
mod events;
mod follow;
mod handle;
mod history;
mod keys;
mod library;
mod members;
mod pending;
mod records;
mod repair;
mod schema;
mod scope;
mod status;
mod tasks;
mod transaction;
mod verify;
mod which;

pub use builder::EngineBuilder;
pub use changed::{Changed, Changes};
pub use conflict_events::ConflictEvents;
pub use conflicts::{Bucket, ConflictCount, ConflictRecord, ConflictState, Conflicts};
pub use events::{Event, Events, RecordChange};
pub use follow::{Follow, FollowState};
pub use handle::SyncEngine;
pub use keys::{ActiveOf, KeyOf};
pub use pending::{Pending, PendingRecords};
pub use records::HistoryEntry;
pub use schema::{KnownChange, Schema};
pub use status::{PeerStatus, Status};
pub use verify::{Finding, Verification};
