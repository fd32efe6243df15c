//! What replicas say to each other that keep a part of the library, and to one that lacks what the log no longer holds.

use serde_bytes::ByteBuf;

use super::{bytes, device, hello, objects, push, some_bytes, stamp, vector};
use crate::{
    ledger::{Forgotten, Retired},
    peer::{Hello, ObjectsCursor, ObjectsRequest, PushRequest, Request, StateOfPart, StatePart},
    scope::{RecordName, SelectedTag, Selection},
};

fn record(n: usize) -> RecordName {
    RecordName { model: "“model”".into(), record: bytes(n) }
}

/// Records that went out of a scope.
pub(super) fn gone() -> Vec<RecordName> {
    (0..3).map(record).collect()
}

/// Where a feed by a scope goes on another time.
pub(super) fn resume() -> ObjectsCursor {
    ObjectsCursor(bytes(11))
}

fn selection() -> Selection {
    let values = vec![bytes(12), ByteBuf::new()];
    let tag = SelectedTag { model: "photo".into(), column: "a \"tag\"".into(), values };
    Selection { models: vec!["user".into(), "label".into()], records: vec![record(13)], tags: vec![tag] }
}

/// A greeting of a replica that keeps a part, and had ids before.
pub fn hello_of_part() -> Hello {
    Hello {
        retired: vec![
            Retired { device: device(8), last: Some(stamp(8)) },
            Retired { device: device(9), last: None },
        ],
        scope: Some(selection()),
        given: Some(resume()),
        ..hello(2)
    }
}

/// A push of a page of state; of the last one, if it is `complete`.
pub fn push_of_state(complete: bool) -> PushRequest {
    let state = StatePart {
        objects: some_bytes(3),
        complete: complete.then(vector),
        news: true,
        begins: !complete,
        forgotten: Forgotten { generation: 2, removed: 1 << 60 },
        part: None,
    };
    PushRequest { state: Some(state), ..push(Vec::new(), None) }
}

/// A push of a page of state to a replica that keeps a part.
pub fn push_of_part() -> PushRequest {
    let part =
        StateOfPart { gone: gone(), vector: vector(), begins: true, last: true, resume: Some(resume()) };
    let request = push_of_state(false);
    let state = request.state.map(|state| StatePart { part: Some(part), ..state });
    PushRequest { state, ..request }
}

/// A request for so many records of a part.
pub fn objects_of_part(count: u32) -> ObjectsRequest {
    ObjectsRequest { scope: Some(selection()), ..objects(count) }
}

/// One of each request that speaks of a part of the library or brings state.
pub fn requests_of_part() -> [Request; 5] {
    [
        hello_of_part().into(),
        push_of_state(false).into(),
        push_of_state(true).into(),
        push_of_part().into(),
        objects_of_part(3).into(),
    ]
}
