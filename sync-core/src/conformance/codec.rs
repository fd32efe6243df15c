//! The way a transport writes messages, by itself: they evolve, and what is no message is refused.

use std::{fmt::Debug, panic};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    panic_text,
    report::{Failed, Outcome, Report, fail, same, shown},
    reshape::Reshaped,
    sample,
};
use crate::peer::{Answer, Hello, PeerError, PullRequest, PushRequest, PushResponse, Request};

/// How a transport writes messages and reads them.
pub trait Codec {
    /// The bytes of a message.
    ///
    /// # Errors
    /// When it cannot be written.
    fn encode<T: Serialize>(&self, message: &T) -> Result<Vec<u8>, PeerError>;

    /// The message of these bytes.
    ///
    /// # Errors
    /// When they are not this message.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, PeerError>;
}

/// Checks how a transport writes messages: for those that do it with serde in a form of their own.
///
/// # Errors
/// [`Failed`], whose text is the report, if a check failed.
pub fn check_codec(codec: &impl Codec) -> Result<Report, Failed> {
    let mut report = Report::default();
    let checks: [(_, _, &dyn Fn() -> Outcome); 4] = [
        (
            "messages_are_read_as_they_were_written",
            "Every message, request, answer and error is read back equal",
            &|| every(codec, &RoundTrip),
        ),
        (
            "unknown_fields_are_skipped",
            "A message of a newer program, with a field that this one does not know, is read all the same",
            &|| every(codec, &Newer),
        ),
        (
            "missing_fields_take_their_default",
            "A message of an older program, without an optional field, is read with the field's default",
            &|| older(codec),
        ),
        (
            "what_is_no_message_is_refused",
            "A message cut short, or with bytes behind it, is an error, never a panic and never another message",
            &|| every(codec, &Cut),
        ),
    ];
    for (name, promise, check) in checks {
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(check));
        report.add(name, promise, outcome.unwrap_or_else(|panic| fail("no panic", panic_text(&*panic))));
    }
    report.into_result()
}

/// What is done with each message.
trait Look {
    fn look<C: Codec, M: Message>(&self, codec: &C, name: &str, message: &M) -> Outcome;
}

trait Message: Serialize + DeserializeOwned + PartialEq + Debug {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug> Message for T {}

fn every(codec: &impl Codec, look: &impl Look) -> Outcome {
    for request in sample::requests()
        .into_iter()
        .chain(sample::requests_of_part())
        .chain(sample::requests_of_compacted())
    {
        let answer = sample::answer(request.clone());
        match &request {
            Request::Hello(hello) => look.look(codec, "Hello", hello)?,
            Request::Pull(pull) => look.look(codec, "PullRequest", pull)?,
            Request::Push(push) => look.look(codec, "PushRequest", push)?,
            Request::Objects(objects) => look.look(codec, "ObjectsRequest", objects)?,
            Request::Repair(repair) => look.look(codec, "RepairRequest", repair)?,
            Request::Watch { .. } => {}
        }
        match &answer {
            Answer::Pull(page) => look.look(codec, "PullResponse", page)?,
            Answer::Push(answer) => look.look(codec, "PushResponse", answer)?,
            Answer::Objects(page) => look.look(codec, "ObjectsPage", page)?,
            Answer::Repair(answer) => look.look(codec, "RepairAnswer", answer)?,
            _ => {}
        }
        look.look(codec, "Request", &request)?;
        look.look(codec, "Answer", &answer)?;
    }
    look.look(codec, "Notice", &sample::notice(u64::MAX))?;
    for error in sample::errors() {
        look.look(codec, "PeerError", &error)?;
        look.look(codec, "Answer", &Answer::Refused(error))?;
    }
    look.look(codec, "Answer", &Answer::Ended)
}

fn written<C: Codec>(codec: &C, name: &str, message: &impl Serialize) -> Outcome<Vec<u8>> {
    codec.encode(message).or_else(|error| fail(format!("a {name} is written"), shown(&error)))
}

struct RoundTrip;

impl Look for RoundTrip {
    fn look<C: Codec, M: Message>(&self, codec: &C, name: &str, message: &M) -> Outcome {
        match codec.decode::<M>(&written(codec, name, message)?) {
            Ok(read) => same(&format!("a {name}, read"), &read, message),
            Err(error) => fail(format!("a {name} is read"), shown(&error)),
        }
    }
}

struct Newer;

impl Look for Newer {
    fn look<C: Codec, M: Message>(&self, codec: &C, name: &str, message: &M) -> Outcome {
        if matches!(name, "Request" | "Answer" | "PeerError") {
            // No fields of its own.
            return Ok(());
        }
        reshaped(codec, name, None, message)
    }
}

/// `message`, with a new field and without another, is read as it is.
fn reshaped<M: Message>(
    codec: &impl Codec,
    name: &str,
    without: Option<&'static str>,
    message: &M,
) -> Outcome {
    let bytes = written(codec, name, &Reshaped { message, without })?;
    let how = without.map_or("with a field more".to_owned(), |field| format!("without {field}"));
    match codec.decode::<M>(&bytes) {
        Ok(read) => same(&format!("a {name} {how}, read"), &read, message),
        Err(error) => fail(format!("a {name} {how} is read"), shown(&error)),
    }
}

fn older(codec: &impl Codec) -> Outcome {
    let hello = Hello { newest_of_yours: None, ..sample::hello(2) };
    reshaped(codec, "Hello", Some("newest_of_yours"), &hello)?;
    let hello = Hello { probe: None, ..sample::hello(2) };
    reshaped(codec, "Hello", Some("probe"), &hello)?;
    let pull = PullRequest { log_id: None, ..sample::pull(3) };
    reshaped(codec, "PullRequest", Some("log_id"), &pull)?;
    let push: PushRequest = sample::push(sample::some_bytes(2), None);
    reshaped(codec, "PushRequest", Some("pull"), &push)?;
    if let Answer::Push(answer) = sample::answer(push.into()) {
        reshaped(codec, "PushResponse", Some("pull"), &answer)?;
        let answer = PushResponse { system: 0, ..answer };
        reshaped(codec, "PushResponse", Some("system"), &answer)?;
    }
    let objects = sample::objects(0);
    reshaped(codec, "ObjectsRequest", Some("after"), &objects)?;
    match sample::answer(objects.into()) {
        Answer::Objects(page) => reshaped(codec, "ObjectsPage", Some("next"), &page)?,
        _ => return Ok(()),
    }
    let repair = sample::repair(0);
    for field in ["ranges", "objects", "wanted", "last", "whole"] {
        reshaped(codec, "RepairRequest", Some(field), &repair)?;
    }
    match sample::answer(repair.into()) {
        Answer::Repair(answer) => reshaped(codec, "RepairAnswer", Some("objects"), &answer),
        _ => Ok(()),
    }
}

struct Cut;

impl Look for Cut {
    fn look<C: Codec, M: Message>(&self, codec: &C, name: &str, message: &M) -> Outcome {
        let mut bytes = written(codec, name, message)?;
        // A long message is cut at some hundred places.
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 300) {
            if let Ok(read) = codec.decode::<M>(&bytes[..at]) {
                return fail(format!("an error for the first {at} bytes of a {name}"), shown(&read));
            }
        }
        bytes.push(b'1');
        match codec.decode::<M>(&bytes) {
            Ok(read) => fail(format!("an error for a {name} with a byte behind it"), shown(&read)),
            Err(_) => Ok(()),
        }
    }
}
