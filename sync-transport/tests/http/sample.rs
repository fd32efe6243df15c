//! Messages with something in every field.

use serde_bytes::ByteBuf;
use sync_core::{
    DeviceId, Entry, Hello, LibraryId, LogId, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL,
    PeerError, PullRequest, PullResponse, PushRequest, PushResponse, Refused, Seq, Stamp, StateHash, Vector,
};

pub(crate) fn library() -> LibraryId {
    LibraryId::from_bytes(*b"a-library-of-all")
}

pub(crate) fn other_library() -> LibraryId {
    LibraryId::from_bytes(*b"another-library!")
}

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

fn stamp(n: u8) -> Stamp {
    Stamp::new(1_700_000_000_000 + u64::from(n), 77, device(n).node())
}

fn vector() -> Vector {
    let mut vector = Vector::new();
    vector.advance(device(1), stamp(1));
    vector.advance(device(2), stamp(2));
    vector.mark_forked(device(3));
    vector
}

/// Bytes of every value, so that no text form can pass by luck.
fn change(n: usize) -> ByteBuf {
    ByteBuf::from((0..=255).cycle().skip(n % 256).take(300).collect::<Vec<u8>>())
}

pub(crate) fn hello(n: u8) -> Hello {
    Hello {
        protocol: PROTOCOL,
        device: device(n),
        library: library(),
        log_id: LogId::from_bytes([n; 16]),
        schema: u64::MAX,
        wall_ms: 1_700_000_000_000,
        vector: vector(),
        latest_seq: Seq(u64::MAX),
        state_hash: StateHash([0xff; 32]),
        digest: [n; 16],
        newest_of_yours: (n > 1).then(|| stamp(n)),
        probe: None,
        retired: Vec::new(),
        scope: None,
    }
}

pub(crate) fn pull(entries: u32) -> PullRequest {
    PullRequest {
        library: library(),
        device: device(1),
        log_id: (entries > 0).then(|| LogId::from_bytes([4; 16])),
        from_seq: Seq(5),
        have: vector(),
        max_entries: entries,
        max_bytes: u64::MAX,
    }
}

pub(crate) fn pull_response(entries: usize) -> PullResponse {
    let entry =
        |n| if n % 3 == 2 { Entry::Digest(StateHash([n as u8; 32])) } else { Entry::Change(change(n)) };
    PullResponse {
        log_id: LogId::from_bytes([4; 16]),
        entries: (0..entries).map(entry).collect(),
        base_seq: Seq(5),
        next_seq: Seq(6),
        latest_seq: Seq(7),
        base_hash: StateHash([1; 32]),
        state_hash: StateHash([2; 32]),
        vector: vector(),
        digest: [3; 16],
    }
}

pub(crate) fn push(changes: usize, pull: Option<PullRequest>) -> PushRequest {
    PushRequest {
        library: library(),
        device: device(1),
        log_id: LogId::from_bytes([4; 16]),
        changes: (0..changes).map(change).collect(),
        pull,
        state: None,
    }
}

pub(crate) fn push_response(pull: bool) -> PushResponse {
    PushResponse {
        merged: 1,
        duplicates: 2,
        held: 3,
        staged: 4,
        system: 1,
        refused: vec![
            Refused { id: stamp(1), reason: "“too” \"new\"\n".into() },
            Refused { id: Stamp::NIL, reason: String::new() },
        ],
        vector: vector(),
        digest: [3; 16],
        pull: pull.then(|| pull_response(3)),
    }
}

pub(crate) fn objects(objects: u32) -> ObjectsRequest {
    ObjectsRequest {
        library: library(),
        device: device(1),
        after: (objects > 0).then(|| ObjectsCursor(change(9))),
        max_objects: objects,
        max_bytes: 1,
        scope: None,
    }
}

pub(crate) fn objects_page(objects: usize) -> ObjectsPage {
    ObjectsPage {
        log_id: LogId::from_bytes([4; 16]),
        objects: (0..objects).map(change).collect(),
        next: (objects > 0).then(|| ObjectsCursor(change(10))),
        seq: Seq(8),
        state_hash: StateHash([3; 32]),
        vector: vector(),
        total: 1 << 60,
        gone: Vec::new(),
        resume: None,
    }
}

/// One of each.
pub(crate) fn errors() -> Vec<PeerError> {
    let text = || "why, “exactly”".to_owned();
    vec![
        PeerError::WrongLibrary { asked: other_library() },
        PeerError::Protocol { ours: 1, theirs: 2 },
        PeerError::SameDevice { device: device(1) },
        PeerError::Unauthorized(text()),
        PeerError::Forbidden(text()),
        PeerError::SnapshotRequired,
        PeerError::PartOnly,
        PeerError::TooLarge(text()),
        PeerError::Invalid(text()),
        PeerError::Corrupt(text()),
        PeerError::Busy(text()),
        PeerError::Unreachable(text()),
        PeerError::Unsupported(text()),
        PeerError::Failed(text()),
    ]
}
