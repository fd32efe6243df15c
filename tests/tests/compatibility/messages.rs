//! Every message of the protocol, as MessagePack and as JSON.

use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use sync_core::{
    Answer, DeviceId, Entry, Hello, LibraryId, LogId, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest,
    PeerError, PullRequest, PullResponse, PushRequest, PushResponse, RangeDigests, RecordName, RecordRange,
    Refused, RepairAnswer, RepairRequest, RepairedName, Request, SelectedTag, Selection, Seq, Stamp,
    StateHash, StateOfPart, StatePart, Vector,
};
use uuid::Uuid;

use crate::golden;

const LIBRARY: LibraryId = LibraryId::from_bytes(*b"a-library-of-all");
const LOG: LogId = LogId::from_bytes([4; 16]);

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

fn bytes() -> ByteBuf {
    ByteBuf::from(vec![0, 1, 127, 128, 255])
}

fn hello() -> Hello {
    Hello {
        protocol: 1,
        device: device(1),
        library: LIBRARY,
        log_id: LOG,
        schema: u64::MAX,
        wall_ms: 1_700_000_000_000,
        vector: vector(),
        latest_seq: Seq(9),
        state_hash: StateHash([0xff; 32]),
        digest: [3; 16],
        newest_of_yours: Some(stamp(2)),
        probe: Some(Uuid::from_bytes([5; 16])),
        retired: Vec::new(),
        scope: None,
    }
}

fn pull() -> PullRequest {
    PullRequest {
        library: LIBRARY,
        device: device(1),
        log_id: Some(LOG),
        from_seq: Seq(5),
        have: vector(),
        max_entries: 20_000,
        max_bytes: 1 << 40,
    }
}

fn page() -> PullResponse {
    PullResponse {
        log_id: LOG,
        base_seq: Seq(5),
        entries: vec![Entry::Change(bytes()), Entry::Digest(StateHash([7; 32]))],
        next_seq: Seq(7),
        latest_seq: Seq(9),
        base_hash: StateHash([1; 32]),
        state_hash: StateHash([2; 32]),
        vector: vector(),
        digest: [3; 16],
    }
}

fn push() -> PushRequest {
    PushRequest {
        library: LIBRARY,
        device: device(1),
        log_id: LOG,
        changes: vec![bytes()],
        pull: Some(pull()),
        state: None,
    }
}

fn pushed() -> PushResponse {
    PushResponse {
        merged: 4,
        system: 1,
        duplicates: 2,
        held: 3,
        staged: 5,
        refused: vec![Refused { id: stamp(1), reason: "a reason".into() }],
        vector: vector(),
        digest: [3; 16],
        pull: Some(page()),
    }
}

fn objects() -> ObjectsRequest {
    let after = Some(ObjectsCursor(bytes()));
    ObjectsRequest { library: LIBRARY, device: device(1), after, max_objects: 7, max_bytes: 8, scope: None }
}

fn feed() -> ObjectsPage {
    ObjectsPage {
        log_id: LOG,
        objects: vec![bytes()],
        next: Some(ObjectsCursor(bytes())),
        seq: Seq(9),
        state_hash: StateHash([2; 32]),
        vector: vector(),
        total: 11,
        gone: Vec::new(),
        resume: None,
    }
}

fn selection() -> Selection {
    let record = RecordName { model: "album".into(), record: bytes() };
    let tag = SelectedTag { model: "photo".into(), column: "project".into(), values: vec![bytes()] };
    Selection { models: vec!["user".into()], records: vec![record], tags: vec![tag] }
}

fn hello_of_part() -> Hello {
    Hello { scope: Some(selection()), ..hello() }
}

fn objects_of_part() -> ObjectsRequest {
    ObjectsRequest { scope: Some(selection()), ..objects() }
}

fn feed_of_part() -> ObjectsPage {
    let gone = vec![RecordName { model: "photo".into(), record: bytes() }];
    ObjectsPage { next: None, gone, resume: Some(ObjectsCursor(bytes())), ..feed() }
}

fn push_of_part() -> PushRequest {
    let part = StateOfPart { gone: feed_of_part().gone, vector: vector(), begins: true, last: true };
    let state = StatePart { objects: vec![bytes()], complete: None, news: false, part: Some(part) };
    PushRequest { changes: Vec::new(), pull: None, state: Some(state), ..push() }
}

fn repair() -> RepairRequest {
    RepairRequest {
        library: LIBRARY,
        device: device(1),
        vector: vector(),
        whole: true,
        ranges: vec![RecordRange { first: 1 << 56, bits: 8 }],
        objects: vec![bytes()],
        wanted: vec![1, 2],
        last: true,
    }
}

fn repaired() -> RepairAnswer {
    RepairAnswer {
        ranges: vec![RangeDigests { parts: bytes(), entries: bytes() }],
        objects: vec![bytes()],
        records: vec![RepairedName { model: "item".into(), record: bytes(), fault: Some("damaged".into()) }],
        whole: true,
        vector: vector(),
        digest: [3; 16],
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, message: &T) {
    let packed = rmp_serde::to_vec_named(message).expect("MessagePack");
    golden::same(&format!("messages/{name}.msgpack"), &packed);
    let read: T =
        rmp_serde::from_slice(&golden::read(&format!("messages/{name}.msgpack"))).expect("a message");
    assert_eq!(read, *message, "{name}");
    let text = serde_json::to_vec_pretty(message).expect("JSON");
    golden::same(&format!("messages/{name}.json"), &text);
    let read: T = serde_json::from_slice(&golden::read(&format!("messages/{name}.json"))).expect("a message");
    assert_eq!(read, *message, "{name}");
}

#[test]
fn every_message_is_written_and_read_as_ever() {
    check("hello", &hello());
    check("pull", &pull());
    check("page", &page());
    check("push", &push());
    check("pushed", &pushed());
    check("objects", &objects());
    check("feed", &feed());
    check("repair", &repair());
    check("repaired", &repaired());
    check("hello_of_part", &hello_of_part());
    check("objects_of_part", &objects_of_part());
    check("feed_of_part", &feed_of_part());
    check("push_of_part", &push_of_part());
    check("notice", &Notice { library: LIBRARY, latest_seq: Seq(9) });
}

#[test]
fn every_request_and_answer_is_written_and_read_as_ever() {
    for (name, request) in [
        ("hello", Request::Hello(hello())),
        ("pull", Request::Pull(pull())),
        ("push", Request::Push(push())),
        ("objects", Request::Objects(objects())),
        ("repair", Request::Repair(repair())),
        ("watch", Request::Watch { library: LIBRARY }),
    ] {
        check(&format!("request_{name}"), &request);
    }
    for (name, answer) in [
        ("hello", Answer::Hello(hello())),
        ("pull", Answer::Pull(page())),
        ("push", Answer::Push(pushed())),
        ("objects", Answer::Objects(feed())),
        ("repair", Answer::Repair(repaired())),
        ("watching", Answer::Watching),
    ] {
        check(&format!("answer_{name}"), &answer);
    }
}

#[test]
fn every_error_is_written_and_read_as_ever() {
    let text = || "why, “exactly”".to_owned();
    for error in [
        PeerError::WrongLibrary { asked: LIBRARY },
        PeerError::Protocol { ours: 1, theirs: 2 },
        PeerError::SameDevice { device: device(1) },
        PeerError::Itself,
        PeerError::TailTaken { device: device(1), other: device(2) },
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
    ] {
        let name = format!("{error:?}");
        let name =
            name.split(|letter: char| !letter.is_alphanumeric()).next().expect("a name").to_lowercase();
        check(&format!("error_{name}"), &error);
    }
}

/// A message with a field that this version does not know.
#[derive(Serialize)]
struct Later<'a, T> {
    #[serde(flatten)]
    message: &'a T,
    a_field_of_later: (u8, &'static str),
}

fn check_later<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
    let later = Later { message, a_field_of_later: (1, "and its value") };
    let read: T =
        rmp_serde::from_slice(&rmp_serde::to_vec_named(&later).expect("MessagePack")).expect("a message");
    assert_eq!(read, *message);
    let read: T = serde_json::from_slice(&serde_json::to_vec(&later).expect("JSON")).expect("a message");
    assert_eq!(read, *message);
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    check_later(&hello());
    check_later(&pull());
    check_later(&page());
    check_later(&push());
    check_later(&pushed());
    check_later(&objects());
    check_later(&feed());
    check_later(&feed_of_part());
    check_later(&selection());
    check_later(&repair());
    check_later(&repaired());
}

/// A message without fields that its version did not have.
fn earlier<T: DeserializeOwned>(message: &impl Serialize, fields: &[&str]) -> T {
    let serde_json::Value::Object(mut map) = serde_json::to_value(message).expect("JSON") else {
        panic!("no map")
    };
    for field in fields {
        assert!(map.remove(*field).is_some(), "{field}");
    }
    serde_json::from_value(map.into()).expect("a message of before")
}

#[test]
fn a_field_that_an_earlier_version_did_not_have_is_not_missed() {
    assert_eq!(earlier::<Hello>(&hello(), &["probe"]), Hello { probe: None, ..hello() });
    assert_eq!(earlier::<Hello>(&hello_of_part(), &["scope"]), hello());
    assert_eq!(earlier::<ObjectsRequest>(&objects_of_part(), &["scope"]), objects());
    assert_eq!(
        earlier::<ObjectsPage>(&feed_of_part(), &["gone", "resume"]),
        ObjectsPage { next: None, ..feed() }
    );
    assert_eq!(earlier::<PushResponse>(&pushed(), &["system"]), PushResponse { system: 0, ..pushed() });
    let fields = ["whole", "ranges", "objects", "wanted", "last"];
    let expected = RepairRequest {
        whole: false,
        ranges: Vec::new(),
        objects: Vec::new(),
        wanted: Vec::new(),
        last: false,
        ..repair()
    };
    assert_eq!(earlier::<RepairRequest>(&repair(), &fields), expected);
}
