//! Why a peer did not do what it was asked: named by what the caller can do, and the same over every transport.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, LibraryId};

/// Why a peer did not do what it was asked, named by what the caller can do. It is itself a message: a server sends it, a client gives it to its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer keeps another library: configure the right peer, or join.
    #[error("the peer does not keep library {asked}")]
    WrongLibrary {
        /// The library that was asked for.
        asked: LibraryId,
    },
    /// Two versions of the protocol: update the older side.
    #[error("the peer speaks protocol {theirs}, this replica {ours}: update the older of the two")]
    Protocol {
        /// This side's version.
        ours: u32,
        /// The other side's version.
        theirs: u32,
    },
    /// Both sides have the same device id: one is a copy of the other. An engine that calls takes a new id and goes on.
    #[error("the peer has this replica's own device id {device}: one database is a copy of the other")]
    SameDevice {
        /// The shared id.
        device: DeviceId,
    },
    /// The peer works on the very database of the caller: configure another peer.
    #[error("the peer is this replica itself: give the engine the address of another one")]
    Itself,
    /// The stamps of the two devices could not be told apart: one of them must found its database anew.
    #[error("device {device} has the last seven bytes of device {other}: their stamps cannot be told apart")]
    TailTaken {
        /// The device that is refused.
        device: DeviceId,
        /// The one that was known before.
        other: DeviceId,
    },
    /// The device was revoked: what it has stays its own, and it takes part in this library no more.
    #[error("device {device} was revoked: it keeps what it has, and this library syncs with it no more")]
    Revoked {
        /// The device, of one side or the other.
        device: DeviceId,
    },
    /// No or wrong credentials: log in again.
    #[error("the peer did not accept the credentials: {0}")]
    Unauthorized(String),
    /// The credentials do not allow it: ask for the right.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The position is below what the peer's log still holds: read the state feed.
    #[error("the peer's log no longer reaches back that far: a snapshot is required")]
    SnapshotRequired,
    /// One of the two keeps a part of the library, and this needs all of it: turn to a replica that has everything.
    #[error(
        "one of the two replicas keeps only a part of the library, and this needs all of it: turn to a replica that has \
         everything, or widen the scope"
    )]
    PartOnly,
    /// The message exceeds a limit: send less at once.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The message is not of the protocol: a defect on one of the two sides.
    #[error("invalid message: {0}")]
    Invalid(String),
    /// What was received is not what was sent, or not what the chain says: nothing of it was taken.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// The peer has no time now: try again later.
    #[error("the peer is busy: {0}")]
    Busy(String),
    /// The peer could not be reached, or the connection broke: try again later.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// The peer does not offer this.
    #[error("the peer does not offer this: {0}")]
    Unsupported(String),
    /// The peer failed inside; its own log says more.
    #[error("the peer failed: {0}")]
    Failed(String),
}

impl PeerError {
    /// True if the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unreachable(_) | Self::Failed(_))
    }
}
