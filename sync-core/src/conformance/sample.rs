//! Messages with something in every field, and bytes that no text form can carry by luck: for the suite, and for tests of
//! transports and formats beside it.

mod part;

use serde_bytes::ByteBuf;

use crate::{
    change::{Cell, Change, ChangeKind, Tag},
    ids::{DeviceId, LibraryId, LogId, Seq, StateHash},
    ledger::Forgotten,
    merge::RecordRange,
    peer::{
        Answer, Entry, Hello, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, PeerError,
        PullRequest, PullResponse, PushRequest, PushResponse, RangeDigests, Refused, RepairAnswer,
        RepairRequest, RepairedName, Request,
    },
    stamp::Stamp,
    value::{SyncValue, encode_key},
    vector::{Clock, Vector},
};

pub use part::{hello_of_part, objects_of_part, push_of_part, push_of_state, requests_of_part};

/// When the samples' stamps were made, in milliseconds since the Unix epoch.
pub(super) const NOW: u64 = 1_700_000_000_000;

/// The library of the samples.
pub const LIBRARY: LibraryId = LibraryId::from_bytes(*b"a-library-of-all");

/// Another one.
pub const OTHER_LIBRARY: LibraryId = LibraryId::from_bytes(*b"another-library!");

/// The `n`th device.
pub fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

fn stamp(n: u8) -> Stamp {
    Stamp::new(NOW + u64::from(n), 77, device(n).node())
}

fn vector() -> Vector {
    let mut vector = Vector::new();
    vector.advance(device(1), stamp(1));
    vector.advance(device(2), stamp(2));
    vector.mark_forked(device(3));
    vector
}

/// 300 bytes, every value among them.
fn bytes(n: usize) -> ByteBuf {
    ByteBuf::from((0..=255).cycle().skip(n % 256).take(300).collect::<Vec<u8>>())
}

/// Bytes that do not compress, the same for the same length.
pub(super) fn noise(length: usize) -> ByteBuf {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    ByteBuf::from(std::iter::repeat_with(next).take(length).collect::<Vec<u8>>())
}

/// A greeting of the `n`th device; the first one knows nothing yet.
pub fn hello(n: u8) -> Hello {
    Hello {
        protocol: PROTOCOL,
        device: device(n),
        library: LIBRARY,
        log_id: LogId::from_bytes([n; 16]),
        schema: u64::MAX,
        wall_ms: NOW,
        vector: if n > 1 { vector() } else { Vector::new() },
        latest_seq: Seq(u64::MAX),
        state_hash: StateHash([0xff; 32]),
        digest: [n; 16],
        newest_of_yours: (n > 1).then(|| stamp(n)),
        probe: (n > 1).then(|| uuid::Uuid::from_bytes([n; 16])),
        retired: Vec::new(),
        scope: None,
        given: None,
        takes_compacted: false,
    }
}

/// A pull that [`answer`] answers with a page of this many entries.
pub fn pull(entries: u32) -> PullRequest {
    PullRequest {
        library: LIBRARY,
        device: device(1),
        log_id: (entries > 0).then(|| LogId::from_bytes([4; 16])),
        from_seq: Seq(u64::from(entries)),
        have: vector(),
        max_entries: entries,
        max_bytes: u64::MAX,
        takes_compacted: false,
    }
}

/// A greeting of a replica that takes compacted changes.
pub fn hello_of_compacted() -> Hello {
    Hello { takes_compacted: true, ..hello(2) }
}

/// The same pull by a replica that takes compacted changes: [`answer`] gives it as many records beside the page.
pub fn pull_of_compacted(entries: u32) -> PullRequest {
    PullRequest { takes_compacted: true, ..pull(entries) }
}

/// The page that [`answer`] gives.
fn page_for(pull: &PullRequest) -> PullResponse {
    let count = pull.max_entries as usize;
    let objects = if pull.takes_compacted { some_bytes(count) } else { Vec::new() };
    PullResponse { objects, ..page((0..count).map(entry).collect(), pull.from_seq) }
}

/// A page that begins after `base_seq`.
pub fn page(entries: Vec<Entry>, base_seq: Seq) -> PullResponse {
    PullResponse {
        log_id: LogId::from_bytes([4; 16]),
        next_seq: Seq(base_seq.0 + entries.len() as u64),
        base_seq,
        entries,
        latest_seq: Seq(1 << 60),
        base_hash: StateHash([1; 32]),
        state_hash: StateHash([2; 32]),
        vector: vector(),
        digest: [3; 16],
        objects: Vec::new(),
    }
}

fn entry(n: usize) -> Entry {
    if n % 3 == 2 { Entry::Digest(StateHash([n as u8; 32])) } else { Entry::Change(bytes(n)) }
}

/// A push of these changes.
pub fn push(changes: Vec<ByteBuf>, pull: Option<PullRequest>) -> PushRequest {
    PushRequest {
        library: LIBRARY,
        device: device(1),
        log_id: LogId::from_bytes([4; 16]),
        changes,
        pull,
        state: None,
    }
}

/// `count` times 300 bytes, which a transport takes for changes.
pub fn some_bytes(count: usize) -> Vec<ByteBuf> {
    (0..count).map(bytes).collect()
}

/// A request for so many records of a state, which [`answer`] answers with as many.
pub fn objects(objects: u32) -> ObjectsRequest {
    ObjectsRequest {
        library: LIBRARY,
        device: device(1),
        after: (objects > 0).then(|| ObjectsCursor(bytes(9))),
        max_objects: objects,
        max_bytes: 1,
        scope: None,
    }
}

/// A repair that [`answer`] answers with this many of each.
pub fn repair(count: usize) -> RepairRequest {
    RepairRequest {
        library: LIBRARY,
        device: device(1),
        vector: vector(),
        ranges: (0..count as u64).map(|n| RecordRange { first: n << 56, bits: 8 }).collect(),
        objects: some_bytes(count),
        wanted: (0..count as u64).map(|n| u64::MAX - n).collect(),
        last: count > 0,
        whole: count > 0,
    }
}

/// A notice that the log has grown.
pub fn notice(seq: u64) -> Notice {
    Notice { library: LIBRARY, latest_seq: Seq(seq) }
}

/// One of each request, with something in every field.
pub fn requests() -> [Request; 6] {
    [
        hello(2).into(),
        pull(3).into(),
        push(some_bytes(3), Some(pull(2))).into(),
        objects(3).into(),
        repair(3).into(),
        Request::Watch { library: LIBRARY },
    ]
}

/// One of each request that speaks of compacted changes.
pub fn requests_of_compacted() -> [Request; 3] {
    let push = push(Vec::new(), Some(pull_of_compacted(2)));
    [hello_of_compacted().into(), pull_of_compacted(2).into(), push.into()]
}

/// What the test double answers unless a check says otherwise: a function of the request.
pub fn answer(request: Request) -> Answer {
    match request {
        Request::Hello(hello_in) => {
            let Hello { device, wall_ms, retired, scope, given, takes_compacted, .. } = hello_in;
            Answer::Hello(Hello {
                wall_ms,
                retired,
                scope,
                given,
                takes_compacted,
                ..hello(device.as_bytes()[0])
            })
        }
        Request::Pull(pull) => Answer::Pull(page_for(&pull)),
        Request::Push(push) => Answer::Push(PushResponse {
            merged: push.changes.len() as u64,
            duplicates: 2,
            held: 3,
            staged: u64::MAX,
            system: 1,
            refused: vec![
                Refused { id: stamp(1), reason: "“too” \"new\"\n\0".into() },
                Refused { id: Stamp::NIL, reason: String::new() },
            ],
            vector: vector(),
            digest: [3; 16],
            pull: push.pull.as_ref().map(page_for),
        }),
        Request::Objects(request) => Answer::Objects(ObjectsPage {
            log_id: LogId::from_bytes([4; 16]),
            objects: some_bytes(request.max_objects as usize),
            next: request.after.map(|_| ObjectsCursor(bytes(10))),
            seq: Seq(request.max_bytes),
            state_hash: StateHash([3; 32]),
            vector: vector(),
            total: 1 << 60,
            forgotten: Forgotten { generation: 2, removed: 1 << 60 },
            anew: request.scope.is_some(),
            gone: request.scope.iter().flat_map(|_| part::gone()).collect(),
            resume: request.scope.map(|_| part::resume()),
        }),
        Request::Repair(request) => Answer::Repair(RepairAnswer {
            ranges: request
                .ranges
                .iter()
                .map(|range| RangeDigests { parts: bytes(range.bits.into()), entries: ByteBuf::new() })
                .collect(),
            objects: request.objects,
            records: request
                .wanted
                .iter()
                .map(|place| RepairedName {
                    model: "“model”".into(),
                    record: bytes(*place as usize % 256),
                    fault: (place % 2 == 0).then(|| "damaged".into()),
                })
                .collect(),
            vector: request.vector,
            whole: request.whole,
            digest: [u8::from(request.last); 16],
        }),
        Request::Watch { .. } => Answer::Watching,
    }
}

/// The name of an error's variant. A new variant gets a line here and an example in [`errors`].
pub const fn variant(error: &PeerError) -> &'static str {
    match error {
        PeerError::WrongLibrary { .. } => "WrongLibrary",
        PeerError::Protocol { .. } => "Protocol",
        PeerError::SameDevice { .. } => "SameDevice",
        PeerError::Itself => "Itself",
        PeerError::TailTaken { .. } => "TailTaken",
        PeerError::Revoked { .. } => "Revoked",
        PeerError::Unauthorized(_) => "Unauthorized",
        PeerError::Forbidden(_) => "Forbidden",
        PeerError::SnapshotRequired => "SnapshotRequired",
        PeerError::PartOnly => "PartOnly",
        PeerError::TooLarge(_) => "TooLarge",
        PeerError::Invalid(_) => "Invalid",
        PeerError::Corrupt(_) => "Corrupt",
        PeerError::Busy(_) => "Busy",
        PeerError::Unreachable(_) => "Unreachable",
        PeerError::Unsupported(_) => "Unsupported",
        PeerError::Failed(_) => "Failed",
    }
}

/// One of each variant, with words that text forms like to break.
pub fn errors() -> Vec<PeerError> {
    let text = || "why, “exactly”\n\0 \u{1f600} \"\\".to_owned();
    vec![
        PeerError::WrongLibrary { asked: OTHER_LIBRARY },
        PeerError::Protocol { ours: 1, theirs: u32::MAX },
        PeerError::SameDevice { device: device(1) },
        PeerError::Itself,
        PeerError::TailTaken { device: device(1), other: device(2) },
        PeerError::Revoked { device: device(1) },
        PeerError::Unauthorized(text()),
        PeerError::Forbidden(text()),
        PeerError::SnapshotRequired,
        PeerError::PartOnly,
        PeerError::TooLarge(text()),
        PeerError::Invalid(String::new()),
        PeerError::Corrupt(text()),
        PeerError::Busy(text()),
        PeerError::Unreachable(text()),
        PeerError::Unsupported("long ".repeat(2_000)),
        PeerError::Failed(text()),
    ]
}

/// Values at the edges of what a column can hold.
pub(super) fn edges() -> Vec<(&'static str, SyncValue)> {
    vec![
        ("bytes", SyncValue::Bytes((0..=255).collect())),
        ("empty", SyncValue::Bytes(Vec::new())),
        ("f64_inf", SyncValue::F64(f64::NEG_INFINITY)),
        ("f64_nan", SyncValue::F64(f64::NAN)),
        ("f64_zero", SyncValue::F64(-0.0)),
        ("i64_min", SyncValue::I64(i64::MIN)),
        ("large", SyncValue::Bytes(noise(1 << 20).into_vec())),
        ("null", SyncValue::Null),
        ("text", SyncValue::Text("a\0b \u{1f600} “\"\\".into())),
        ("u64_max", SyncValue::U64(u64::MAX)),
        ("zeros", SyncValue::Bytes(vec![0; 4096])),
    ]
}

/// `count` inserts of one author, each with a few small cells; the first has all [`edges`].
pub(super) fn changes(count: u32) -> Vec<Change> {
    let author = device(7);
    let mut previous = None;
    let mut changes = Vec::new();
    for n in 0..count {
        let id = Stamp::new(NOW, n + 1, author.node());
        let cells = if n == 0 { edges() } else { vec![("number", SyncValue::I64(i64::from(n)))] };
        changes.push(Change {
            id,
            device: author,
            previous: previous.replace(id),
            txn: id,
            more: false,
            kind: ChangeKind::Edit,
            model: "conformance_unknown".into(),
            record: encode_key(&[SyncValue::I64(i64::from(n))]),
            generation: 1,
            born: id,
            context: Clock::new(),
            cells: cells
                .into_iter()
                .map(|(column, value)| Cell { column: column.into(), tag: Tag::LWW, version: id, value })
                .collect(),
        });
    }
    changes
}
