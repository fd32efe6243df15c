//! JSON for people: byte strings stand as base64 text instead of arrays of numbers.
//!
//! Invariant: what [`to_vec`] writes, [`from_slice`] reads back equal, for every message. Arrays of numbers are
//! read as well, so that a program without base64 at hand can still speak.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Serialize,
    de::{
        DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value, ser::Formatter};

pub(super) fn to_vec<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    message.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Base64Bytes))?;
    Ok(text)
}

pub(super) fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    T::deserialize(Readable(serde_json::from_slice(text)?))
}

struct Base64Bytes;

impl Formatter for Base64Bytes {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        write!(writer, "\"{}\"", STANDARD.encode(value))
    }
}

/// A JSON value that gives bytes where bytes are asked for.
struct Readable(Value);

impl<'de> IntoDeserializer<'de, Error> for Readable {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Readable {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Readable));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(fields) => visitor.visit_map(map(fields)),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => {
                let bytes = STANDARD
                    .decode(&text)
                    .map_err(|error| Error::custom(format_args!("not base64: {error}")))?;
                visitor.visit_byte_buf(bytes)
            }
            other => Readable(other).deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(fields) => visitor.visit_enum(MapAccessDeserializer::new(map(fields))),
            Value::String(variant) => visitor.visit_enum(variant.into_deserializer()),
            _ => Err(Error::custom("a variant is a text or an object with one field")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn map<'de>(
    fields: serde_json::Map<String, Value>,
) -> MapDeserializer<'de, impl Iterator<Item = (String, Readable)>, Error> {
    MapDeserializer::new(fields.into_iter().map(|(name, value)| (name, Readable(value))))
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;
    use sync_core::{Entry, LibraryId, PeerError, StateHash};

    use super::*;

    #[test]
    fn bytes_are_base64_text() {
        let entries =
            vec![Entry::Change(ByteBuf::from(b"change".to_vec())), Entry::Digest(StateHash([7; 32]))];
        let text = String::from_utf8(to_vec(&entries).unwrap()).unwrap();
        assert!(text.starts_with(r#"[{"Change":"Y2hhbmdl"},{"Digest":"BwcH"#), "{text}");
        assert_eq!(from_slice::<Vec<Entry>>(text.as_bytes()).unwrap(), entries);
    }

    #[test]
    fn arrays_of_numbers_are_read_as_bytes() {
        let entry: Entry = from_slice(br#"{"Change":[1,2,255]}"#).unwrap();
        assert_eq!(entry, Entry::Change(ByteBuf::from(vec![1, 2, 255])));
    }

    #[test]
    fn variants_of_every_shape_are_read() {
        for error in [
            PeerError::SnapshotRequired,
            PeerError::Busy("later".into()),
            PeerError::WrongLibrary { asked: LibraryId::from_bytes([3; 16]) },
        ] {
            assert_eq!(from_slice::<PeerError>(&to_vec(&error).unwrap()).unwrap(), error);
        }
    }

    #[test]
    fn what_is_not_base64_is_refused_with_the_reason() {
        let error = from_slice::<Entry>(br#"{"Change":"not base64!"}"#).unwrap_err().to_string();
        assert!(error.contains("not base64"), "{error}");
        assert!(from_slice::<Entry>(br#"{"Digest":"AAAA"}"#).is_err(), "a hash has 32 bytes");
    }
}
