//! SeaSync: sync for SeaORM entities.

#[expect(unused_extern_crates, reason = "what the derive writes names the crate, in system models too")]
extern crate self as sync_core;

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
pub use model::{
    Adapter, ColumnOf, ColumnRule, ColumnSpec, KeyPolicy, MAX_ID, MergeError, ModelError, ModelOf, ModelSpec,
    Registration, Role, Rules, Syncable, TriggerPolicy, TypedAdapter, adapters, hooks, registered,
};
pub use peer::{
    Entry, Hello, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, Refused, StateHash,
};
pub use stamp::Stamp;
pub use store::{BindError, StoreError, install_statements, sqlite, uninstall_statements};
pub use sync_derive::{Syncable, behavior};
pub use value::{
    ColumnKind, DecodeError, SyncValue, Unreadable, ValueError, ValueHash, as_stored, decode_key, encode_key,
    from_database, read_sqlite, to_database, to_field,
};
pub use vector::{Clock, Vector};

/// What the derive and the macros name; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use async_trait;
    pub use inventory;
    pub use sea_orm;

    use crate::model::Syncable;

    /// Gives a record that is about to be inserted a key, where it is ours to make.
    pub fn fill_key<A: Syncable>(active: &mut A, insert: bool) {
        crate::model::fill_key(active, insert);
    }

    /// The columns that travel: all but `skipped`.
    pub fn fields_except<A: Syncable>(skipped: &[crate::ColumnOf<A>]) -> Vec<&'static str> {
        use sea_orm::{IdenStatic, Iterable};

        let skipped: Vec<_> = skipped.iter().map(IdenStatic::as_str).collect();
        let names = <crate::ColumnOf<A> as Iterable>::iter().map(|column| column.as_str());
        names.filter(|name| !skipped.contains(name)).collect()
    }
}
