//! Every message of the protocol in both formats, as HTTP sends them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sync_core::{Answer, PeerError, Request, conformance::sample};
use sync_transport::http::Format;

use crate::golden;

const FORMATS: [(Format, &str); 2] = [(Format::MessagePack, "msgpack"), (Format::Json, "json")];

fn decode<T: DeserializeOwned>(format: Format, bytes: &[u8], name: &str) -> T {
    format.decode(bytes, 1 << 20).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, message: &T) {
    for (format, ending) in FORMATS {
        let file = format!("messages/{name}.{ending}");
        golden::same(&file, &format.encode(message).expect("a message"));
        assert_eq!(decode::<T>(format, &golden::read(&file), &file), *message, "{file}");
    }
    // Both files of an earlier version are one message, and what the text says is what is read.
    for version in golden::earlier() {
        let file = |ending: &str| format!("{version}/messages/{name}.{ending}");
        let Some(text) = golden::find(&file("json")) else { continue };
        let read: T = decode(Format::Json, &text, &file("json"));
        let packed = golden::read(&file("msgpack"));
        assert_eq!(decode::<T>(Format::MessagePack, &packed, &file("msgpack")), read, "{version} {name}");
        let now = Format::Json.encode(&read).expect("a message");
        let [then, now] = [&text, &now].map(|text| serde_json::from_slice::<Value>(text).expect("JSON"));
        assert!(says(&now, &then), "{version} {name} says less than it did\nthen: {then}\nnow:  {now}");
    }
}

/// True if all that `then` says stands in `now`: a later version has more fields.
fn says(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(field, then)| now.get(field).is_some_and(|now| says(now, then)))
        }
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| says(now, then))
        }
        // The first version wrote bytes as numbers.
        (Value::String(_), Value::Array(_)) => {
            let bytes = |value: &Value| {
                let text = value.to_string();
                Format::Json.decode::<serde_bytes::ByteBuf>(text.as_bytes(), 1 << 20).ok()
            };
            bytes(now).is_some_and(|now| bytes(then) == Some(now))
        }
        (now, then) => now == then,
    }
}

#[test]
fn every_message_is_written_and_read_as_ever() {
    let names = ["hello", "pull", "push", "objects", "repair", "watch"];
    for (name, request) in names.into_iter().zip(sample::requests()) {
        let answer = sample::answer(request.clone());
        match &request {
            Request::Hello(hello) => check(name, hello),
            Request::Pull(pull) => check(name, pull),
            Request::Push(push) => check(name, push),
            Request::Objects(objects) => check(name, objects),
            Request::Repair(repair) => check(name, repair),
            _ => {}
        }
        match &answer {
            Answer::Pull(page) => check("page", page),
            Answer::Push(pushed) => check("pushed", pushed),
            Answer::Objects(feed) => check("feed", feed),
            Answer::Repair(repaired) => check("repaired", repaired),
            _ => {}
        }
        check(&format!("request_{name}"), &request);
        check(&format!("answer_{name}"), &answer);
    }
    check("answer_ended", &Answer::Ended);
    check("notice", &sample::notice(9));
}

/// What replicas that keep a part of the library say and are told, and those that are given state.
#[test]
fn every_message_about_a_part_is_written_and_read_as_ever() {
    check("hello_of_part", &sample::hello_of_part());
    check("push_of_state", &sample::push_of_state(false));
    check("push_of_last_state", &sample::push_of_state(true));
    check("push_of_part", &sample::push_of_part());
    let objects = sample::objects_of_part(2);
    check("objects_of_part", &objects);
    let Answer::Objects(feed) = sample::answer(objects.into()) else { panic!("no page of the feed") };
    check("feed_of_part", &feed);
}

/// What replicas say of compacted changes, and are told beside them.
#[test]
fn every_message_about_compacted_changes_is_written_and_read_as_ever() {
    check("hello_of_compacted", &sample::hello_of_compacted());
    let pull = sample::pull_of_compacted(3);
    check("pull_of_compacted", &pull);
    let Answer::Pull(page) = sample::answer(pull.into()) else { panic!("no page of the log") };
    check("page_of_compacted", &page);
}

#[test]
fn every_error_is_written_and_read_as_ever() {
    for error in sample::errors() {
        let name = sample::variant(&error).to_lowercase();
        check(&format!("error_{name}"), &error);
        if error == PeerError::Itself {
            check("answer_refused", &Answer::Refused(error));
        }
    }
}
