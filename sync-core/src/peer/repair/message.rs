//! The call of a repair. Any of its parts may be left out: one request asks about ranges, another exchanges objects.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    ids::{DeviceId, LibraryId, Name, RecordId},
    merge::RecordRange,
    vector::Vector,
};

/// Asks in which ranges of records two replicas differ, and exchanges the objects that do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRequest {
    /// The library.
    pub library: LibraryId,
    /// Who asks.
    pub device: DeviceId,
    /// What the asker has merged: whether an object of its replaces a damaged one depends on it.
    pub vector: Vector,
    /// True if the asker's log has all there is to know of its objects, and its chain holds.
    #[serde(default)]
    pub whole: bool,
    /// Ranges whose digests are wanted, at most 1,024. The range of all records begins a repair: the peer looks at all it has.
    #[serde(default)]
    pub ranges: Vec<RecordRange>,
    /// Objects for the peer, each as a change of kind `Repair` with all its cells.
    #[serde(default)]
    pub objects: Vec<ByteBuf>,
    /// The places of records whose objects are wanted, at most 1,024.
    #[serde(default)]
    pub wanted: Vec<u64>,
    /// True in the last request: the peer counts its digest anew.
    #[serde(default)]
    pub last: bool,
}

/// What a range holds. Either list may be long enough to say all; the other is then empty. An empty range has no
/// entries and no parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeDigests {
    /// The digests of 2, 4, .. or 256 equal parts of the range, 16 bytes each.
    #[serde(default)]
    pub parts: ByteBuf,
    /// The alive records of the range in the order of their places, 16 bytes each: the place and, as a mark, the first
    /// eight bytes of what it adds to the digest, both big endian. A mark of zero says that the peer's object is damaged.
    #[serde(default)]
    pub entries: ByteBuf,
}

/// A record by its names on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairedName {
    /// The model.
    pub model: String,
    /// The record.
    pub record: ByteBuf,
    /// Why it could not be mended; `None` if it was.
    #[serde(default)]
    pub fault: Option<String>,
}

impl RepairedName {
    pub(super) fn new(model: &Name, record: &RecordId, fault: Option<String>) -> Self {
        Self { model: model.to_string(), record: ByteBuf::from(record.as_bytes().to_vec()), fault }
    }
}

/// Answers a [`RepairRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairAnswer {
    /// One for each range of the request, in its order.
    #[serde(default)]
    pub ranges: Vec<RangeDigests>,
    /// The wanted objects as far as they are sound and have room, and those that are not what the asker sent.
    #[serde(default)]
    pub objects: Vec<ByteBuf>,
    /// The records that the peer mended, or could not, because of this request.
    #[serde(default)]
    pub records: Vec<RepairedName>,
    /// True if the peer's log has all there is to know of its objects, and its chain holds.
    #[serde(default)]
    pub whole: bool,
    /// What the peer has merged now.
    pub vector: Vector,
    /// The peer's digest of all alive objects now.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 16],
}
