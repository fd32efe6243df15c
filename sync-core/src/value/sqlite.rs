//! Reads a column of a SQLite row.
//!
//! SQLite's types belong to values, not to columns: what stands in a row may be of any storage class, whatever the
//! table says. So the value's own class decides, and what the column's kind cannot mean is [`Unreadable`]; nothing
//! is coerced that SeaORM would not read the same way.

use sea_orm::sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef, sqlite::SqliteRow};

use super::{
    ColumnKind, SyncValue, decimal, json,
    moment::{Moment, Shape},
};

/// A local value that the column's kind has no meaning for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} in a column of type {kind:?}")]
pub struct Unreadable {
    /// What the column should hold.
    pub kind: ColumnKind,
    /// What it holds.
    pub found: String,
}

/// What SQLite stores, by storage class.
enum Stored<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
}

/// The value in the column with this index.
///
/// # Errors
/// [`Unreadable`] if what stands there is no value of this kind; the record then waits until somebody repairs it.
pub fn read_sqlite(kind: ColumnKind, row: &SqliteRow, index: usize) -> Result<SyncValue, Unreadable> {
    let unreadable = |found: String| Unreadable { kind, found };
    let stored = fetch(row, index).map_err(unreadable)?;
    convert(kind, &stored).ok_or_else(|| unreadable(describe(&stored)))
}

fn fetch(row: &SqliteRow, index: usize) -> Result<Stored<'_>, String> {
    fn decode<'r, T: Decode<'r, Sqlite>>(
        value: <Sqlite as sea_orm::sqlx::Database>::ValueRef<'r>,
    ) -> Result<T, String> {
        T::decode(value).map_err(|error| error.to_string())
    }

    let value = row.try_get_raw(index).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(Stored::Null);
    }
    let class = value.type_info();
    match class.name() {
        "INTEGER" => decode(value).map(Stored::Integer),
        "REAL" => decode(value).map(Stored::Real),
        "TEXT" => decode(value).map(Stored::Text).map_err(|_| "text that is not UTF-8".to_owned()),
        "BLOB" => decode(value).map(Stored::Blob),
        other => Err(format!("a value of the unknown class {other}")),
    }
}

fn convert(kind: ColumnKind, stored: &Stored<'_>) -> Option<SyncValue> {
    if let Stored::Null = stored {
        return Some(SyncValue::Null);
    }
    if let Some((least, most)) = kind.integer_range() {
        return match stored {
            Stored::Integer(value) if (least..=most).contains(value) => Some(SyncValue::I64(*value)),
            _ => None,
        };
    }
    if let Some(shape) = Shape::of(kind) {
        return moment(kind, stored)?.shaped(shape).map(|moment| SyncValue::Time(moment.to_string()));
    }
    Some(match (kind, stored) {
        (ColumnKind::Bool, Stored::Integer(value)) => SyncValue::Bool(*value != 0),
        (ColumnKind::U64, Stored::Integer(value)) => SyncValue::U64(u64::try_from(*value).ok()?),
        // A column of type float whose value is read as the `f32` that the model has.
        (ColumnKind::F32, Stored::Real(value)) => SyncValue::F64(f64::from(*value as f32)),
        (ColumnKind::F64, Stored::Real(value)) => SyncValue::F64(*value),
        (ColumnKind::F32 | ColumnKind::F64, Stored::Integer(value)) if value.unsigned_abs() <= 1 << 24 => {
            SyncValue::F64(*value as f64)
        }
        (ColumnKind::F64, Stored::Integer(value)) if value.unsigned_abs() <= 1 << 53 => {
            SyncValue::F64(*value as f64)
        }
        (ColumnKind::Text, Stored::Text(text)) if !text.contains('\0') => SyncValue::Text((*text).to_owned()),
        (ColumnKind::Char, Stored::Text(text)) if is_char(text) => SyncValue::Text((*text).to_owned()),
        (ColumnKind::Bytes, Stored::Blob(bytes)) => SyncValue::Bytes(bytes.to_vec()),
        (ColumnKind::Bytes, Stored::Text(text)) => SyncValue::Bytes(text.as_bytes().to_vec()),
        (ColumnKind::Json, Stored::Text(text)) => SyncValue::Json(parse_json(text.as_bytes())?),
        (ColumnKind::Json, Stored::Blob(bytes)) => SyncValue::Json(parse_json(bytes)?),
        (ColumnKind::Uuid, Stored::Blob(bytes)) => SyncValue::Uuid(uuid::Uuid::from_slice(bytes).ok()?),
        (ColumnKind::Uuid, Stored::Text(text)) => SyncValue::Uuid(text.parse().ok()?),
        (ColumnKind::Decimal | ColumnKind::BigDecimal, Stored::Integer(value)) => {
            SyncValue::Decimal(value.to_string())
        }
        (ColumnKind::Decimal | ColumnKind::BigDecimal, Stored::Real(value)) => {
            SyncValue::Decimal(decimal::from_f64(*value)?)
        }
        (ColumnKind::Decimal | ColumnKind::BigDecimal, Stored::Text(text)) => {
            SyncValue::Decimal(decimal::normalise(text)?)
        }
        _ => return None,
    })
}

/// Integers are Unix seconds and reals Julian days, as for SeaORM's drivers.
fn moment(kind: ColumnKind, stored: &Stored<'_>) -> Option<Moment> {
    let at = match stored {
        Stored::Text(text) => return Moment::parse(text),
        Stored::Integer(seconds) => chrono::DateTime::from_timestamp(*seconds, 0)?,
        Stored::Real(days)
            if !matches!(kind, ColumnKind::TimeDateTime | ColumnKind::TimeDateTimeWithTimeZone) =>
        {
            const UNIX_EPOCH: f64 = 2_440_587.5;
            let seconds = (days - UNIX_EPOCH) * 86_400.0;
            chrono::DateTime::from_timestamp(seconds.trunc() as i64, (seconds.fract() * 1e9).abs() as u32)?
        }
        _ => return None,
    };
    Some(Moment::instant(at.fixed_offset()))
}

fn is_char(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first != '\0') && chars.next().is_none()
}

fn parse_json(bytes: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(bytes).ok().filter(|value| !json::is_too_deep(value))
}

/// What stands there, short enough for a message.
fn describe(stored: &Stored<'_>) -> String {
    const SHOWN: usize = 40;
    match stored {
        Stored::Null => "NULL".to_owned(),
        Stored::Integer(value) => format!("the integer {value}"),
        Stored::Real(value) => format!("the real number {value}"),
        Stored::Text(text) if text.chars().nth(SHOWN).is_none() => format!("the text {text:?}"),
        Stored::Text(text) => format!("the text {:?}…", text.chars().take(SHOWN).collect::<String>()),
        Stored::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    }
}
