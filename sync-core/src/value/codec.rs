//! The canonical bytes of a value: MessagePack, one form per value.
//!
//! ```text
//! null nil | bool | i64 int, shortest | f64 float64 | text str | bytes bin
//! ext 1: u64, 8 bytes | 2: json, canonical text | 3: uuid, 16 bytes | 4: decimal, text | 5: date or time, text
//! ```
//!
//! Invariant: `decode(encode(v)) == v`, and `encode(decode(b)) == b` for all bytes that decode at all.

use std::cell::RefCell;

use super::{
    SyncValue, decimal, float_bits, json,
    moment::Moment,
    pack::{self, DecodeError, Item, Reader},
};
use crate::ids::RecordId;

const U64: i8 = 1;
const JSON: i8 = 2;
const UUID: i8 = 3;
const DECIMAL: i8 = 4;
const TIME: i8 = 5;

/// A thread's scratch buffer is given back to the system above this size.
const SCRATCH_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The first 64 bits of the BLAKE3 hash of a value's canonical bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueHash(pub u64);

impl ValueHash {
    /// The hash of the value with these canonical bytes.
    pub fn of_bytes(canonical: &[u8]) -> Self {
        let hash = blake3::hash(canonical);
        let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash of 32 bytes");
        Self(u64::from_be_bytes(*first))
    }
}

impl SyncValue {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        write(self, &mut out);
        out
    }

    /// Appends the canonical bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        write(self, out);
    }

    /// The value with these canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else than the exact bytes of one value.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// The hash by which cells, digests and shadows compare values.
    pub fn hash64(&self) -> ValueHash {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            write(self, scratch);
            let hash = ValueHash::of_bytes(scratch);
            if scratch.capacity() > SCRATCH_MAX {
                *scratch = Vec::new();
            }
            hash
        })
    }
}

/// The record whose primary key has these parts, in key order.
pub fn encode_key(parts: &[SyncValue]) -> RecordId {
    let mut out = Vec::with_capacity(24);
    for part in parts {
        write(part, &mut out);
    }
    RecordId::from_bytes(out)
}

/// The parts of a primary key.
///
/// # Errors
/// [`DecodeError`] if the bytes are not the canonical bytes of one value or more.
pub fn decode_key(bytes: &[u8]) -> Result<Vec<SyncValue>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut parts = Vec::with_capacity(1);
    while parts.is_empty() || !reader.is_empty() {
        parts.push(read(&mut reader)?);
    }
    Ok(parts)
}

pub(crate) fn write(value: &SyncValue, out: &mut Vec<u8>) {
    match value {
        SyncValue::Null => pack::put_nil(out),
        SyncValue::Bool(value) => pack::put_bool(out, *value),
        SyncValue::I64(value) => pack::put_int(out, *value),
        SyncValue::U64(value) => pack::put_ext(out, U64, &value.to_be_bytes()),
        SyncValue::F64(value) => pack::put_f64(out, float_bits(*value)),
        SyncValue::Text(text) => pack::put_str(out, text),
        SyncValue::Bytes(bytes) => pack::put_bin(out, bytes),
        SyncValue::Json(value) => pack::put_ext(out, JSON, json::canonical(value).as_bytes()),
        SyncValue::Uuid(uuid) => pack::put_ext(out, UUID, uuid.as_bytes()),
        SyncValue::Decimal(text) => pack::put_ext(out, DECIMAL, text.as_bytes()),
        SyncValue::Time(text) => pack::put_ext(out, TIME, text.as_bytes()),
    }
}

pub(crate) fn read(reader: &mut Reader<'_>) -> Result<SyncValue, DecodeError> {
    Ok(match reader.item()? {
        Item::Nil => SyncValue::Null,
        Item::Bool(value) => SyncValue::Bool(value),
        Item::Uint(value) => i64::try_from(value)
            .map(SyncValue::I64)
            .map_err(|_| DecodeError::NotCanonical("an unsigned integer"))?,
        Item::Nint(value) => SyncValue::I64(value),
        Item::F64(value) => SyncValue::F64(value),
        Item::Str(text) => SyncValue::Text(text.to_owned()),
        Item::Bin(bytes) => SyncValue::Bytes(bytes.to_vec()),
        Item::Ext(code, bytes) => read_ext(code, bytes)?,
        Item::Array(_) | Item::Map(_) => {
            return Err(DecodeError::Invalid { field: "value", reason: "a container is no value" });
        }
    })
}

fn read_ext(code: i8, bytes: &[u8]) -> Result<SyncValue, DecodeError> {
    let text = || std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8);
    Ok(match code {
        U64 => SyncValue::U64(u64::from_be_bytes(sized(bytes)?)),
        UUID => SyncValue::Uuid(uuid::Uuid::from_bytes(sized(bytes)?)),
        JSON => {
            let text = text()?;
            let value = serde_json::from_str(text).map_err(|_| DecodeError::Invalid {
                field: "value",
                reason: "not JSON, or nested too deeply",
            })?;
            if json::canonical(&value) != text {
                return Err(DecodeError::NotCanonical("JSON"));
            }
            SyncValue::Json(value)
        }
        DECIMAL => {
            let text = text()?;
            if !decimal::is_normal(text) {
                return Err(DecodeError::NotCanonical("a decimal"));
            }
            SyncValue::Decimal(text.to_owned())
        }
        TIME => {
            let text = text()?;
            if !Moment::is_normal(text) {
                return Err(DecodeError::NotCanonical("a date or time"));
            }
            SyncValue::Time(text.to_owned())
        }
        _ => {
            return Err(DecodeError::Invalid {
                field: "value",
                reason: "a type that this version does not know",
            });
        }
    })
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Invalid { field: "value", reason: "of the wrong length" })
}
