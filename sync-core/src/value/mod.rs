//! Values as they travel: exact for every column type of SeaORM, with one canonical byte form.
//!
//! Invariant: two values are equal exactly if their canonical bytes are ([`codec`]). Values enter from the database
//! through [`sqlite`] and leave to it through [`bind`]; both keep decimals and times in their normal form.

mod bind;
mod codec;
mod decimal;
mod json;
mod kind;
mod moment;
mod order;
mod pack;
mod sqlite;

use std::{
    fmt,
    hash::{Hash, Hasher},
};

pub use bind::{as_stored, from_database, to_database, to_enum_field, to_field};
pub use codec::{ValueHash, decode_key, encode_key};
pub(crate) use codec::{read as read_value, write as write_value};
pub use kind::{ColumnKind, ValueError};
pub use pack::DecodeError;
pub(crate) use pack::{Item, Reader, put_array, put_bin, put_bool, put_map, put_nil, put_str, put_uint};
pub use sqlite::{Unreadable, read_sqlite};

use uuid::Uuid;

/// The one NaN that is encoded; all others become it.
pub(crate) const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

/// One column's value, free of any database's notion of it.
///
/// Times and decimals are text in one normal form, so that equal values have equal bytes on every backend. Equality
/// is that of the canonical bytes: NaN equals NaN, `-0.0` differs from `0.0`, the order of a JSON object's keys does
/// not matter.
#[derive(Clone, Debug)]
pub enum SyncValue {
    /// SQL `NULL`.
    Null,
    /// A truth value.
    Bool(bool),
    /// Every signed integer type, and unsigned ones up to 32 bits.
    I64(i64),
    /// `u64` columns.
    U64(u64),
    /// Both float types, compared and encoded by bits (one canonical NaN).
    F64(f64),
    /// Text, characters and enums.
    Text(String),
    /// Binary.
    Bytes(Vec<u8>),
    /// JSON; objects are encoded with sorted keys.
    Json(serde_json::Value),
    /// A UUID.
    Uuid(Uuid),
    /// A decimal, in plain notation without an exponent, a leading `+` or trailing zeros after the point.
    Decimal(String),
    /// A date, time or timestamp in ISO 8601 form; an offset is kept.
    Time(String),
}

impl SyncValue {
    /// The name of the value's type, for messages.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool(_) => "a boolean",
            Self::I64(_) => "an integer",
            Self::U64(_) => "an unsigned 64-bit integer",
            Self::F64(_) => "a float",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Json(_) => "JSON",
            Self::Uuid(_) => "a UUID",
            Self::Decimal(_) => "a decimal",
            Self::Time(_) => "a date or time",
        }
    }

    /// True for SQL `NULL`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// The bits by which a float is compared and encoded.
pub(crate) fn float_bits(value: f64) -> u64 {
    if value.is_nan() { CANONICAL_NAN } else { value.to_bits() }
}

impl PartialEq for SyncValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::U64(a), Self::U64(b)) => a == b,
            (Self::F64(a), Self::F64(b)) => float_bits(*a) == float_bits(*b),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => json::equal(a, b),
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) | (Self::Time(a), Self::Time(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for SyncValue {}

impl Hash for SyncValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::I64(value) => value.hash(state),
            Self::U64(value) => value.hash(state),
            Self::F64(value) => float_bits(*value).hash(state),
            Self::Text(text) | Self::Decimal(text) | Self::Time(text) => text.hash(state),
            Self::Bytes(bytes) => bytes.hash(state),
            Self::Json(_) => self.hash64().hash(state),
            Self::Uuid(uuid) => uuid.hash(state),
        }
    }
}

/// Readable: text in quotes, bytes in hexadecimal, the rest plain.
impl fmt::Display for SyncValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::U64(value) => write!(f, "{value}"),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => {
                f.write_str("x'")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("'")
            }
            Self::Json(value) => write!(f, "{value}"),
            Self::Uuid(uuid) => write!(f, "{uuid}"),
            Self::Decimal(text) | Self::Time(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod database_tests;
#[cfg(test)]
pub(crate) use tests::any_value;
