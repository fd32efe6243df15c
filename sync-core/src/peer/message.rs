//! The messages. MessagePack with named fields: a later version may add fields, an older one skips them.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    ids::{DeviceId, LibraryId, LogId, Seq, StateHash},
    ledger::{Forgotten, Retired},
    scope::{RecordName, Selection},
    stamp::Stamp,
    vector::Vector,
};

/// The version of the protocol; two peers speak only if theirs are equal.
pub const PROTOCOL: u32 = 1;

/// Who is speaking, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The speaker.
    pub device: DeviceId,
    /// The library to sync.
    pub library: LibraryId,
    /// The incarnation of the speaker's log.
    pub log_id: LogId,
    /// A fingerprint of the speaker's models; differing ones still sync.
    pub schema: u64,
    /// The speaker's wall clock, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// What the speaker has merged.
    pub vector: Vector,
    /// The end of the speaker's log.
    pub latest_seq: Seq,
    /// The head of the speaker's chain at `latest_seq`.
    pub state_hash: StateHash,
    /// The speaker's digest of all alive objects.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 16],
    /// The newest change by the device spoken to that the speaker holds. In the first message of a round the
    /// speaker may not know whom it speaks to: then `None`.
    pub newest_of_yours: Option<Stamp>,
    /// A mark that the caller has just left in its database, sent after it was told that both sides are one device: who
    /// finds it in its own database is spoken to by itself.
    #[serde(default)]
    pub probe: Option<uuid::Uuid>,
    /// True if the speaker takes compacted changes, of which only the envelope and the digest are left. Who does not know the word reads
    /// the state, or is given it, where a log has such.
    #[serde(default, skip_serializing_if = "is_false")]
    pub takes_compacted: bool,
    /// Device ids whose owners left them and took back the last of what they had written under them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
    /// What the speaker keeps of the library, if not everything. Log entries are not for it: it reads state, or is given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Selection>,
    /// How far the speaker has the state of the one spoken to, by its `scope`: from there it is given more. Like
    /// [`newest_of_yours`](Self::newest_of_yours) it is known to who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<ObjectsCursor>,
}

impl Hello {
    /// What a device says that has nothing, is told nothing of the time, and speaks to somebody that it does not know.
    ///
    /// ```
    /// use sync_core::{DeviceId, Hello, LibraryId};
    ///
    /// let hello = Hello { wall_ms: 7, ..Hello::new(LibraryId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16])) };
    /// assert_eq!(hello.protocol, sync_core::PROTOCOL);
    /// ```
    pub fn new(library: LibraryId, device: DeviceId) -> Self {
        Self {
            protocol: PROTOCOL,
            device,
            library,
            log_id: LogId::from_bytes(*device.as_bytes()),
            schema: 0,
            wall_ms: 0,
            vector: Vector::new(),
            latest_seq: Seq(0),
            state_hash: StateHash::default(),
            digest: [0; 16],
            newest_of_yours: None,
            probe: None,
            retired: Vec::new(),
            scope: None,
            given: None,
            takes_compacted: true,
        }
    }
}

/// Asks for a page of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The library.
    pub library: LibraryId,
    /// Who asks.
    pub device: DeviceId,
    /// The log the position is in; `None` at the first pull.
    pub log_id: Option<LogId>,
    /// The position after which to read.
    pub from_seq: Seq,
    /// What need not be sent.
    pub have: Vector,
    /// At most this many entries.
    pub max_entries: u32,
    /// About this many bytes of changes at most; one change always fits.
    pub max_bytes: u64,
    /// As [`Hello::takes_compacted`]; such a caller takes [`PullResponse::objects`] in before the entries.
    #[serde(default, skip_serializing_if = "is_false")]
    pub takes_compacted: bool,
}

/// An entry of a log, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A change, in the bytes its author encoded, or what is left of them.
    Change(ByteBuf),
    /// The digest of a change that is not sent: the caller has it, or may not see it.
    Digest(StateHash),
}

/// A page of the log. All of it was read in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullResponse {
    /// The incarnation of the log.
    pub log_id: LogId,
    /// The position after which the entries begin: the request's `from_seq`, or later where the log no longer
    /// holds what stood between and the request's `have` covers it.
    pub base_seq: Seq,
    /// The entries, oldest first, without a gap.
    pub entries: Vec<Entry>,
    /// The position after the last entry: where to go on.
    pub next_seq: Seq,
    /// The end of the log.
    pub latest_seq: Seq,
    /// The head of the chain at `base_seq`.
    pub base_hash: StateHash,
    /// The head of the chain at `next_seq`.
    pub state_hash: StateHash,
    /// What the peer had merged when the page was read.
    pub vector: Vector,
    /// The peer's digest of all alive objects then.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 16],
    /// Records as they are now, each as a change of kind `Repair`: those of which the page has a compacted change, and neither the page
    /// nor the caller has what superseded it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ByteBuf>,
}

/// Hands over changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The library.
    pub library: LibraryId,
    /// Who pushes.
    pub device: DeviceId,
    /// The incarnation of the pusher's log.
    pub log_id: LogId,
    /// The changes in the order of the pusher's log; the last one ends its group, unless the group is larger
    /// than a request may be.
    pub changes: Vec<ByteBuf>,
    /// What to pull in the same round trip.
    pub pull: Option<PullRequest>,
    /// A part of the pusher's state, taken in before `changes`: the receiver lacks what the pusher's log no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StatePart>,
}

/// Hands over a page of the pusher's state, as [`ObjectsPage`] does for one who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePart {
    /// Records, each as a change of kind `Repair` with all its cells; tombstones included.
    pub objects: Vec<ByteBuf>,
    /// With the last page: what all of it amounts to. The receiver then has everything that this covers.
    pub complete: Option<Vector>,
    /// True if a page before was answered with a number of merged changes: something of it was new to the receiver.
    pub news: bool,
    /// True with the first page.
    #[serde(default, skip_serializing_if = "is_false")]
    pub begins: bool,
    /// What the pusher knows nothing of any more: the receiver has no such record when it has all of the state.
    #[serde(default, skip_serializing_if = "Forgotten::is_nothing")]
    pub forgotten: Forgotten,
    /// For a receiver that keeps a part of the library: what else there is to know of that part. `complete` is `None` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<StateOfPart>,
}

/// What a replica that keeps a part of the library is told with a page of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateOfPart {
    /// As [`ObjectsPage::gone`].
    #[serde(default)]
    pub gone: Vec<RecordName>,
    /// What the pusher had merged when it made the page.
    pub vector: Vector,
    /// True with the first page of all of the part: what no page lists is not in it.
    #[serde(default)]
    pub begins: bool,
    /// True with the last page: all that changed in the part since the pages of an earlier push is here now.
    #[serde(default)]
    pub last: bool,
    /// Where the pusher's feed goes on behind this page; the receiver keeps it with what the page brought, and says it
    /// ([`Hello::given`]) when the pusher comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ObjectsCursor>,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

/// A change that was not taken, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The change; nil if its bytes do not say.
    pub id: Stamp,
    /// Why, for people.
    pub reason: String,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResponse {
    /// How many changes were new and are merged and durable; records of [`PushRequest::state`] count if they became
    /// others.
    pub merged: u64,
    /// How many of them are records of the engine's own: who is a member, and what else travels beside the application's data.
    #[serde(default)]
    pub system: u64,
    /// How many were here already.
    pub duplicates: u64,
    /// Changes from too far in the future: kept, merged when time has caught up.
    pub held: u64,
    /// Changes that wait for the rest of their group.
    pub staged: u64,
    /// Changes not taken.
    pub refused: Vec<Refused>,
    /// What the peer has merged now.
    pub vector: Vector,
    /// The peer's digest of all alive objects now.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 16],
    /// The answer to [`PushRequest::pull`], read after the push was merged.
    pub pull: Option<PullResponse>,
}

/// Where a reader of the state feed stands; only the feed that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectsCursor(pub ByteBuf);

/// Asks for a page of the state feed; [`new`](Self::new) makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsRequest {
    /// The library.
    pub library: LibraryId,
    /// Who asks.
    pub device: DeviceId,
    /// Where to go on; `None` for the first page.
    pub after: Option<ObjectsCursor>,
    /// At most this many records.
    pub max_objects: u32,
    /// About this many bytes at most; one record always fits.
    pub max_bytes: u64,
    /// What is wanted, if not everything. A peer that does not know the word gives everything, and no
    /// [`resume`](ObjectsPage::resume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Selection>,
}

impl ObjectsRequest {
    /// Asks for the first page of everything, as long as one may be.
    ///
    /// ```
    /// use sync_core::{DeviceId, LibraryId, ObjectsRequest};
    ///
    /// let (library, device) = (LibraryId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
    /// let request = ObjectsRequest { max_objects: 100, ..ObjectsRequest::new(library, device) };
    /// assert!(request.after.is_none() && request.scope.is_none());
    /// ```
    pub const fn new(library: LibraryId, device: DeviceId) -> Self {
        Self { library, device, after: None, max_objects: u32::MAX, max_bytes: u64::MAX, scope: None }
    }
}

/// A page of the state feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsPage {
    /// The incarnation of the log that goes on where the feed ends.
    pub log_id: LogId,
    /// Records, each as a change of kind `Repair` with all its cells; tombstones included.
    pub objects: Vec<ByteBuf>,
    /// Where to go on; `None` when the feed is complete.
    pub next: Option<ObjectsCursor>,
    /// The log position from before the first page: from here the log goes on.
    pub seq: Seq,
    /// The head of the chain at `seq`.
    pub state_hash: StateHash,
    /// What the peer had merged before the first page: the reader's vector once the feed is complete.
    pub vector: Vector,
    /// How many records the feed holds in all, for a progress bar; approximate.
    pub total: u64,
    /// What the peer knows nothing of any more: the reader has no such record when the feed is complete. Where this differs from
    /// what the first page said, the reader begins anew.
    #[serde(default, skip_serializing_if = "Forgotten::is_nothing")]
    pub forgotten: Forgotten,
    /// True if this is the first page of a feed by a scope although the request named a cursor: what stood between may be gone without
    /// a trace. What no page lists from here on is not in the scope.
    #[serde(default, skip_serializing_if = "is_false")]
    pub anew: bool,
    /// Records that changed after the cursor and have no tag of the request's scope, where a tag would bring them into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<RecordName>,
    /// With the last page of a feed by a scope: where to go on another time. What changes until then is read from there, and
    /// the [`vector`](Self::vector) is then one of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ObjectsCursor>,
}

/// A hint that there is something to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The library.
    pub library: LibraryId,
    /// The end of the log when the notice was made.
    pub latest_seq: Seq,
}
