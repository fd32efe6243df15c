//! The suite's checks of how messages are written: one form that keeps what is promised, and forms that do not.

use serde::{Serialize, de::DeserializeOwned};
use sync_core::{
    PeerError,
    conformance::{Codec, check_codec},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// MessagePack with named fields, nothing behind.
    Named,
    /// MessagePack with fields by position.
    Positional,
    /// As `Named`, but whatever stands behind a message is overlooked.
    Careless,
}

impl Codec for Form {
    fn encode<T: Serialize>(&self, message: &T) -> Result<Vec<u8>, PeerError> {
        let written = match self {
            Self::Positional => rmp_serde::to_vec(message),
            Self::Named | Self::Careless => rmp_serde::to_vec_named(message),
        };
        written.map_err(|error| PeerError::Failed(error.to_string()))
    }

    fn decode<T: DeserializeOwned>(&self, mut bytes: &[u8]) -> Result<T, PeerError> {
        let message = T::deserialize(&mut rmp_serde::Deserializer::new(&mut bytes));
        let message = message.map_err(|error| PeerError::Invalid(error.to_string()))?;
        if bytes.is_empty() || *self == Self::Careless {
            Ok(message)
        } else {
            Err(PeerError::Invalid("bytes behind a message".into()))
        }
    }
}

fn failed(form: Form) -> Vec<&'static str> {
    match check_codec(&form) {
        Ok(_) => Vec::new(),
        Err(failed) => failed.0.failures.iter().map(|failure| failure.check).collect(),
    }
}

#[test]
fn a_form_with_named_fields_passes() {
    check_codec(&Form::Named).expect("a good form");
}

#[test]
fn a_form_that_cannot_evolve_is_named() {
    // Nor can it leave out what is not said.
    let checks = [
        "messages_are_read_as_they_were_written",
        "unknown_fields_are_skipped",
        "missing_fields_take_their_default",
    ];
    assert_eq!(failed(Form::Positional), checks);
}

#[test]
fn a_form_that_overlooks_bytes_is_named() {
    assert_eq!(failed(Form::Careless), ["what_is_no_message_is_refused"]);
}
