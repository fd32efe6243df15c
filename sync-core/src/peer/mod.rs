//! The protocol: one trait, its messages, and both of its sides.
//!
//! Neighbours: `apply` and `ledger` below do the work; transports (in crates of their own) carry the messages.

mod call;
mod clocks;
mod compact;
mod error;
mod forks;
mod give;
mod give_up;
mod greet;
mod heard;
mod identity;
mod join;
mod judge;
mod limits;
mod members;
mod message;
mod offer;
mod outcomes;
mod page;
mod pass_on;
mod positions;
mod prune;
mod reading;
mod receive;
mod repair;
mod replica;
mod resolve;
mod retention;
mod round;
mod schema;
mod scoped;
mod serve;
mod snapshot;
mod stage;
mod sync_error;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
pub use call::{Answer, Call, Request};
pub use error::PeerError;
use futures_util::stream::BoxStream;
pub use message::{
    Entry, Hello, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, PullRequest, PullResponse,
    PushRequest, PushResponse, Refused, StateOfPart, StatePart,
};

pub use compact::CompactReport;
pub use join::{Join, JoinReport, Leave};
pub use limits::Limits;
pub use members::{Member, Standing};
pub use prune::PruneReport;
pub use repair::{
    RangeDigests, RepairAnswer, RepairReport, RepairRequest, RepairedName, RepairedRecord, ReplayReport,
    Unmended,
};
pub use resolve::Resolution;
pub use retention::{History, Retention};
pub use round::SyncReport;
pub use snapshot::SnapshotProgress;
pub use sync_error::SyncError;

pub(crate) use join::{Founds, join};
pub(crate) use positions::{called as peers_called, load as position_with};
pub(crate) use repair::{repair_with, replay};
pub(crate) use replica::{Replica, Report};
pub(crate) use resolve::resolve;
pub(crate) use round::sync_with;
pub(crate) use serve::Served;

use crate::ids::LibraryId;
pub use crate::ids::StateHash;

/// Anything that can be pulled from and pushed to: an engine in this process, or the client of one elsewhere.
///
/// Every call may be repeated: a receiver knows what it has already. No call changes anything when it fails.
#[async_trait]
pub trait Peer: Debug + Send + Sync {
    /// Says who is calling and answers who is called. The first call of every round.
    ///
    /// # Errors
    /// [`PeerError`] when the two cannot sync: another library, another protocol, a revoked device.
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError>;

    /// A page of the peer's log from a position, without what the caller has.
    ///
    /// # Errors
    /// [`PeerError::SnapshotRequired`] when the position is below what the log still holds.
    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError>;

    /// Hands over changes that the peer lacks; with [`PushRequest::pull`], also pulls in the same round trip.
    ///
    /// # Errors
    /// [`PeerError`] when nothing of it was taken, [`PeerError::PartOnly`] from a peer that keeps a part of the library and is
    /// given changes. A change refused by itself stands in the answer.
    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError>;

    /// A page of the state feed: records as they are now, in order of their last change.
    ///
    /// # Errors
    /// [`PeerError`] when the cursor is not one of this feed; [`PeerError::PartOnly`] when everything is asked of a peer that keeps
    /// a part of the library.
    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError>;

    /// Answers which ranges of records have which digests, and exchanges objects: how two replicas with the same
    /// changes and unequal objects are mended.
    ///
    /// # Errors
    /// [`PeerError::Unsupported`] from a peer that cannot; it is what a peer says that does not write this method.
    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        let _ = request;
        Err(PeerError::Unsupported("repair".into()))
    }

    /// A stream of hints that the peer's log has grown. It may skip and repeat; the log is the truth.
    ///
    /// # Errors
    /// [`PeerError`] when the peer offers none; the caller then polls.
    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError>;
}

/// A shared peer is a peer: what serves an `impl Peer` can be given an `Arc<dyn Peer>`.
#[async_trait]
impl<P: Peer + ?Sized> Peer for Arc<P> {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        (**self).hello(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        (**self).pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        (**self).push(request).await
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        (**self).objects(request).await
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        (**self).repair(request).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        (**self).watch(library).await
    }
}
