//! The two forms of a message, and which one an HTTP message asks for.
//!
//! MessagePack with named fields between programs, JSON for people and for clients that know nothing else.

use axum::http::{HeaderMap, header};
use serde::{Serialize, de::DeserializeOwned};
use sync_core::PeerError;

use super::{json, weight};

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `application/msgpack`, fields by name: an older program skips what it does not know.
    #[default]
    MessagePack,
    /// `application/json`, byte strings as base64.
    Json,
}

impl Format {
    /// The media type in `content-type` and `accept`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::MessagePack => "application/msgpack",
            Self::Json => "application/json",
        }
    }

    /// The format of this media type, whatever its parameters.
    pub(super) fn of_media_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/msgpack" | "application/vnd.msgpack" | "application/x-msgpack" => {
                Some(Self::MessagePack)
            }
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The format of the body that these headers announce.
    pub(super) fn of_body(headers: &HeaderMap) -> Option<Self> {
        Self::of_media_type(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
    }

    /// The format in which these headers want the answer: the one they accept with the highest weight, the
    /// first of equals; without a word about either, the format they themselves are written in.
    pub(super) fn of_answer(headers: &HeaderMap) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for (value, weight) in weighted(headers, header::ACCEPT) {
            if let Some(format) = Self::of_media_type(value)
                && weight > best.map_or(0.0, |(weight, _)| weight)
            {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format).or_else(|| Self::of_body(headers)).unwrap_or(Self::Json)
    }

    /// The body that says `message`.
    ///
    /// # Errors
    /// [`PeerError::Failed`] for what this format cannot say; it can say every message of the protocol.
    pub fn encode<T: Serialize>(self, message: &T) -> Result<Vec<u8>, PeerError> {
        match self {
            Self::MessagePack => rmp_serde::to_vec_named(message).map_err(|error| error.to_string()),
            Self::Json => json::to_vec(message).map_err(|error| error.to_string()),
        }
        .map_err(|error| PeerError::Failed(format!("the message cannot be written: {error}")))
    }

    /// The message in the body `bytes`, if reading it takes about `max_decoded` bytes of memory or less.
    ///
    /// # Errors
    /// [`PeerError::TooLarge`] if it takes more, [`PeerError::Invalid`] if the bytes are not this message.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8], max_decoded: usize) -> Result<T, PeerError> {
        weight::check(self, bytes, max_decoded)?;
        match self {
            Self::MessagePack => from_msgpack(bytes),
            Self::Json => json::from_slice(bytes).map_err(|error| error.to_string()),
        }
        .map_err(|error| PeerError::Invalid(format!("not this message in {}: {error}", self.media_type())))
    }
}

/// True if these headers accept a body compressed with zstd.
pub(super) fn accepts_zstd(headers: &HeaderMap) -> bool {
    weighted(headers, header::ACCEPT_ENCODING)
        .any(|(coding, weight)| coding.eq_ignore_ascii_case("zstd") && weight > 0.0)
}

/// The elements of a list header with their weights (`q`), 1 where none is given.
fn weighted(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = (&str, f32)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let value = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
        (value, weight)
    })
}

/// A message is all of its body: bytes behind it mean that the two sides disagree about the frame.
fn from_msgpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut rest = bytes;
    let message =
        T::deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(message) } else { Err(format!("{} bytes too many", rest.len())) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use sync_core::conformance::{Codec, check_codec};

    use super::*;

    impl Codec for Format {
        fn encode<T: Serialize>(&self, message: &T) -> Result<Vec<u8>, PeerError> {
            Format::encode(*self, message)
        }

        fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, PeerError> {
            Format::decode(*self, bytes, 64 << 20)
        }
    }

    #[test]
    fn both_formats_evolve_and_refuse_what_is_no_message() {
        check_codec(&Format::MessagePack).unwrap();
        check_codec(&Format::Json).unwrap();
    }

    fn headers(lines: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_answer_has_the_format_that_is_wanted_most() {
        let check = |accept, body, expected| {
            let lines = [(header::ACCEPT, accept), (header::CONTENT_TYPE, body)];
            assert_eq!(Format::of_answer(&headers(&lines)), expected, "accept {accept}, body {body}");
        };
        check("application/json", "application/msgpack", Format::Json);
        check("application/msgpack", "application/json", Format::MessagePack);
        check("application/json;q=0.3, application/msgpack;q=0.9", "text/plain", Format::MessagePack);
        check("application/json;q=0, */*", "application/msgpack", Format::MessagePack);
        check("*/*", "application/json; charset=utf-8", Format::Json);
        check("text/html", "application/x-msgpack", Format::MessagePack);
        check("text/html", "text/html", Format::Json);
        assert_eq!(Format::of_answer(&HeaderMap::new()), Format::Json);
    }

    #[test]
    fn zstd_is_used_only_where_it_is_accepted() {
        assert!(accepts_zstd(&headers(&[(header::ACCEPT_ENCODING, "gzip, zstd;q=0.5")])));
        assert!(!accepts_zstd(&headers(&[(header::ACCEPT_ENCODING, "gzip, zstd;q=0")])));
        assert!(!accepts_zstd(&HeaderMap::new()));
    }

    #[test]
    fn bytes_behind_a_message_are_refused() {
        let mut bytes = Format::MessagePack.encode(&PeerError::SnapshotRequired).unwrap();
        assert_eq!(Format::MessagePack.decode::<PeerError>(&bytes, 1000), Ok(PeerError::SnapshotRequired));
        bytes.push(0xc0);
        assert!(matches!(Format::MessagePack.decode::<PeerError>(&bytes, 1000), Err(PeerError::Invalid(_))));
    }
}
