//! From a value to what SeaORM binds, and back.
//!
//! Invariant: [`to_database`] gives the very variant that the field's own type becomes, so that a row written here
//! is byte for byte the row that the program itself would write. [`as_stored`] says what reading it gives.

use chrono::{Datelike, Timelike};
use sea_orm::{
    DatabaseBackend, Value,
    prelude::{BigDecimal, Decimal},
    sea_query::{Enum, EnumTypeName, OptionEnum},
};

use super::{
    ColumnKind, SyncValue, ValueError, decimal, json,
    moment::{Moment, Shape},
};

/// The parameter to bind for `value` in a column of this kind. `NULL` is always one; whether the column allows it is
/// for the model to say.
///
/// # Errors
/// [`ValueError::WrongType`] and [`ValueError::OutOfRange`].
pub fn to_database(kind: ColumnKind, value: &SyncValue) -> Result<Value, ValueError> {
    match to_field(kind, value)? {
        // No database here has unsigned integers, and the driver would panic at a large one.
        Value::BigUnsigned(None) => Ok(Value::BigInt(None)),
        Value::BigUnsigned(Some(number)) => i64::try_from(number)
            .map(|number| Value::BigInt(Some(number)))
            .map_err(|_| out_of_range(kind, value, "above the largest integer of the database")),
        bound => Ok(bound),
    }
}

/// The variant that a field of this kind is made from with `ValueType::try_from`: as [`to_database`], but a `u64`
/// stays one.
///
/// # Errors
/// [`ValueError::WrongType`] and [`ValueError::OutOfRange`].
pub fn to_field(kind: ColumnKind, value: &SyncValue) -> Result<Value, ValueError> {
    let out_of_range = |reason: &str| out_of_range(kind, value, reason);
    Ok(match (kind, value) {
        (_, SyncValue::Null) => null(kind),
        (ColumnKind::Bool, SyncValue::Bool(value)) => Value::Bool(Some(*value)),
        (ColumnKind::U64, SyncValue::U64(number)) => Value::BigUnsigned(Some(*number)),
        (_, SyncValue::I64(number)) if kind.integer_range().is_some() => {
            integer(kind, *number).ok_or_else(|| out_of_range("too large or too small"))?
        }
        (ColumnKind::F32, SyncValue::F64(number)) => {
            let single = *number as f32;
            if single.is_infinite() && number.is_finite() {
                return Err(out_of_range("too large"));
            }
            Value::Float(Some(single))
        }
        (ColumnKind::F64, SyncValue::F64(number)) => Value::Double(Some(*number)),
        (ColumnKind::Text | ColumnKind::Char, SyncValue::Text(text)) if text.contains('\0') => {
            return Err(out_of_range("text with a NUL"));
        }
        (ColumnKind::Text, SyncValue::Text(text)) => Value::String(Some(text.clone())),
        (ColumnKind::Char, SyncValue::Text(text)) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Value::Char(Some(char)),
                _ => return Err(out_of_range("not one character")),
            }
        }
        (ColumnKind::Bytes, SyncValue::Bytes(bytes)) => Value::Bytes(Some(bytes.clone())),
        (ColumnKind::Json, SyncValue::Json(value)) => {
            if json::is_too_deep(value) {
                return Err(out_of_range("nested too deeply"));
            }
            Value::Json(Some(Box::new(value.clone())))
        }
        (ColumnKind::Uuid, SyncValue::Uuid(uuid)) => Value::Uuid(Some(*uuid)),
        (ColumnKind::Decimal, SyncValue::Decimal(text)) => {
            let number = Decimal::from_str_exact(text).map_err(|_| out_of_range("too many digits"))?;
            Value::Decimal(Some(number))
        }
        (ColumnKind::BigDecimal, SyncValue::Decimal(text)) => {
            let number: BigDecimal = text.parse().map_err(|_| out_of_range("no decimal"))?;
            Value::BigDecimal(Some(Box::new(number)))
        }
        (_, SyncValue::Time(text)) if Shape::of(kind).is_some() => {
            time(kind, text).ok_or_else(|| out_of_range("no such date or time"))?
        }
        _ => return Err(ValueError::WrongType { expected: kind, found: value.type_name().to_owned() }),
    })
}

/// As [`to_field`] for a field whose `array_type()` is `ArrayType::Enum` of this name: such a field is made from
/// nothing else. The database gets the same text either way.
///
/// # Errors
/// [`ValueError::WrongType`] and [`ValueError::OutOfRange`].
pub fn to_enum_field(type_name: &EnumTypeName, value: &SyncValue) -> Result<Value, ValueError> {
    let type_name = type_name.clone();
    Ok(Value::Enum(match to_field(ColumnKind::Text, value)? {
        Value::String(Some(text)) => OptionEnum::Some(Box::new(Enum { type_name, value: text.into() })),
        _ => OptionEnum::None(type_name),
    }))
}

/// The value of a bound parameter: how a model's field becomes a value. `None` for a type that does not sync.
pub fn from_database(value: &Value) -> Option<SyncValue> {
    fn integer<T: Copy + Into<i64>>(value: &Option<T>) -> Option<SyncValue> {
        value.map(|value| SyncValue::I64(value.into()))
    }
    fn moment<T>(value: &Option<T>, moment: impl FnOnce(&T) -> Option<Moment>) -> Option<Option<SyncValue>> {
        match value {
            None => Some(None),
            Some(value) => moment(value).map(|moment| Some(SyncValue::Time(moment.to_string()))),
        }
    }
    let time = |shape: Shape| move |moment: Moment| moment.shaped(shape);

    let read = match value {
        Value::Bool(value) => value.map(SyncValue::Bool),
        Value::TinyInt(value) => integer(value),
        Value::SmallInt(value) => integer(value),
        Value::Int(value) => integer(value),
        Value::BigInt(value) => integer(value),
        Value::TinyUnsigned(value) => integer(value),
        Value::SmallUnsigned(value) => integer(value),
        Value::Unsigned(value) => integer(value),
        Value::BigUnsigned(value) => value.map(SyncValue::U64),
        Value::Float(value) => value.map(|value| SyncValue::F64(value.into())),
        Value::Double(value) => value.map(SyncValue::F64),
        Value::String(value) => value.clone().map(SyncValue::Text),
        Value::Enum(OptionEnum::Some(value)) => Some(SyncValue::Text(value.value.to_string())),
        Value::Enum(OptionEnum::None(_)) => None,
        Value::Char(value) => value.map(|value| SyncValue::Text(value.into())),
        Value::Bytes(value) => value.clone().map(SyncValue::Bytes),
        Value::Json(value) => value.as_ref().map(|value| SyncValue::Json((**value).clone())),
        Value::Uuid(value) => value.map(SyncValue::Uuid),
        Value::Decimal(None) | Value::BigDecimal(None) => None,
        Value::Decimal(Some(value)) => Some(SyncValue::Decimal(decimal::normalise(&value.to_string())?)),
        Value::BigDecimal(Some(value)) => Some(SyncValue::Decimal(decimal::normalise(&value.to_string())?)),
        Value::ChronoDate(value) => moment(value, |value| Some(Moment::date(*value)))?,
        Value::ChronoTime(value) => moment(value, |value| Some(Moment::time(*value)))?,
        Value::ChronoDateTime(value) => moment(value, |value| Some(Moment::local(*value, None)))?,
        Value::ChronoDateTimeUtc(value) => {
            moment(value, |value| time(Shape::Instant)(Moment::instant(value.fixed_offset())))?
        }
        Value::ChronoDateTimeLocal(value) => {
            moment(value, |value| time(Shape::Instant)(Moment::instant(value.fixed_offset())))?
        }
        Value::ChronoDateTimeWithTimeZone(value) => {
            moment(value, |value| time(Shape::Offset)(Moment::instant(*value)))?
        }
        Value::TimeDate(value) => moment(value, |value| Some(Moment::date(convert::from_date(*value)?)))?,
        Value::TimeTime(value) => moment(value, |value| Some(Moment::time(convert::from_time(*value)?)))?,
        Value::TimeDateTime(value) => moment(value, |value| {
            let at = convert::from_date(value.date())?.and_time(convert::from_time(value.time())?);
            Some(Moment::local(at, None))
        })?,
        Value::TimeDateTimeWithTimeZone(value) => moment(value, |value| {
            let at = convert::from_date(value.date())?.and_time(convert::from_time(value.time())?);
            let offset = chrono::FixedOffset::east_opt(value.offset().whole_seconds())?;
            Some(Moment::local(at, Some(offset)))
        })?,
        #[expect(unreachable_patterns, reason = "other features of SeaORM add types that do not sync")]
        _ => return None,
    };
    Some(read.unwrap_or(SyncValue::Null))
}

/// What the database gives back for `value` after it was written into a column of this kind, of the type that SeaORM
/// creates for it. A value that cannot be written comes back as it is.
pub fn as_stored(backend: DatabaseBackend, kind: ColumnKind, value: &SyncValue) -> SyncValue {
    let stored = match (kind, value) {
        (ColumnKind::F32 | ColumnKind::F64, SyncValue::F64(number)) => {
            let kept = if kind == ColumnKind::F32 { f64::from(*number as f32) } else { *number };
            match backend {
                DatabaseBackend::Sqlite if kept.is_nan() => Some(SyncValue::Null),
                // A whole number in a REAL column is kept as an integer, which has no negative zero.
                DatabaseBackend::Sqlite if kept == 0.0 => Some(SyncValue::F64(0.0)),
                _ => Some(SyncValue::F64(kept)),
            }
        }
        (ColumnKind::Decimal | ColumnKind::BigDecimal, SyncValue::Decimal(text)) => match backend {
            // The column has REAL affinity.
            DatabaseBackend::Sqlite => decimal::normalise(text)
                .and_then(|text| decimal::to_sqlite_real(&text))
                .and_then(decimal::from_f64)
                .map(SyncValue::Decimal),
            _ => decimal::normalise(text).map(SyncValue::Decimal),
        },
        (_, SyncValue::Time(text)) => Shape::of(kind).and_then(|shape| {
            let moment = Moment::parse(text)?.shaped(shape)?;
            let moment = if backend == DatabaseBackend::Postgres { moment.in_postgres()? } else { moment };
            Some(SyncValue::Time(moment.to_string()))
        }),
        _ => None,
    };
    stored.unwrap_or_else(|| value.clone())
}

fn out_of_range(kind: ColumnKind, value: &SyncValue, reason: &str) -> ValueError {
    const SHOWN: usize = 60;
    let mut shown = value.to_string();
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    ValueError::OutOfRange { kind, value: shown, reason: reason.to_owned() }
}

fn integer(kind: ColumnKind, value: i64) -> Option<Value> {
    Some(match kind {
        ColumnKind::I8 => Value::TinyInt(Some(value.try_into().ok()?)),
        ColumnKind::I16 => Value::SmallInt(Some(value.try_into().ok()?)),
        ColumnKind::I32 => Value::Int(Some(value.try_into().ok()?)),
        ColumnKind::I64 => Value::BigInt(Some(value)),
        ColumnKind::U8 => Value::TinyUnsigned(Some(value.try_into().ok()?)),
        ColumnKind::U16 => Value::SmallUnsigned(Some(value.try_into().ok()?)),
        ColumnKind::U32 => Value::Unsigned(Some(value.try_into().ok()?)),
        _ => return None,
    })
}

fn null(kind: ColumnKind) -> Value {
    match kind {
        ColumnKind::Bool => Value::Bool(None),
        ColumnKind::I8 => Value::TinyInt(None),
        ColumnKind::I16 => Value::SmallInt(None),
        ColumnKind::I32 => Value::Int(None),
        ColumnKind::I64 => Value::BigInt(None),
        ColumnKind::U64 => Value::BigUnsigned(None),
        ColumnKind::U8 => Value::TinyUnsigned(None),
        ColumnKind::U16 => Value::SmallUnsigned(None),
        ColumnKind::U32 => Value::Unsigned(None),
        ColumnKind::F32 => Value::Float(None),
        ColumnKind::F64 => Value::Double(None),
        ColumnKind::Text => Value::String(None),
        ColumnKind::Char => Value::Char(None),
        ColumnKind::Bytes => Value::Bytes(None),
        ColumnKind::Json => Value::Json(None),
        ColumnKind::Uuid => Value::Uuid(None),
        ColumnKind::Decimal => Value::Decimal(None),
        ColumnKind::BigDecimal => Value::BigDecimal(None),
        ColumnKind::ChronoDate => Value::ChronoDate(None),
        ColumnKind::ChronoTime => Value::ChronoTime(None),
        ColumnKind::ChronoDateTime => Value::ChronoDateTime(None),
        ColumnKind::ChronoDateTimeUtc => Value::ChronoDateTimeUtc(None),
        ColumnKind::ChronoDateTimeLocal => Value::ChronoDateTimeLocal(None),
        ColumnKind::ChronoDateTimeWithTimeZone => Value::ChronoDateTimeWithTimeZone(None),
        ColumnKind::TimeDate => Value::TimeDate(None),
        ColumnKind::TimeTime => Value::TimeTime(None),
        ColumnKind::TimeDateTime => Value::TimeDateTime(None),
        ColumnKind::TimeDateTimeWithTimeZone => Value::TimeDateTimeWithTimeZone(None),
    }
}

fn time(kind: ColumnKind, text: &str) -> Option<Value> {
    let moment = Moment::parse(text)?.shaped(Shape::of(kind)?)?;
    Some(match kind {
        ColumnKind::ChronoDate => Value::ChronoDate(moment.date),
        ColumnKind::ChronoTime => Value::ChronoTime(moment.time),
        ColumnKind::ChronoDateTime => Value::ChronoDateTime(Some(moment.naive()?)),
        ColumnKind::ChronoDateTimeUtc => Value::ChronoDateTimeUtc(Some(moment.utc()?)),
        ColumnKind::ChronoDateTimeLocal => {
            Value::ChronoDateTimeLocal(Some(moment.utc()?.with_timezone(&chrono::Local)))
        }
        ColumnKind::ChronoDateTimeWithTimeZone => Value::ChronoDateTimeWithTimeZone(Some(moment.zoned()?)),
        ColumnKind::TimeDate => Value::TimeDate(Some(convert::to_date(moment.date?)?)),
        ColumnKind::TimeTime => Value::TimeTime(Some(convert::to_time(moment.time?)?)),
        ColumnKind::TimeDateTime => {
            let date = convert::to_date(moment.date?)?;
            Value::TimeDateTime(Some(sea_orm::prelude::TimeDateTime::new(
                date,
                convert::to_time(moment.time?)?,
            )))
        }
        ColumnKind::TimeDateTimeWithTimeZone => {
            // The driver writes it by RFC 3339, which has no other years, and drops a parameter it cannot write.
            let date = moment.date.filter(|date| (0..=9999).contains(&date.year()))?;
            let at =
                sea_orm::prelude::TimeDateTime::new(convert::to_date(date)?, convert::to_time(moment.time?)?);
            let offset = moment.offset?.local_minus_utc();
            Value::TimeDateTimeWithTimeZone(Some(convert::assume_offset(at, offset)?))
        }
        _ => return None,
    })
}

impl Moment {
    /// Postgres keeps microseconds, and of an instant no offset.
    fn in_postgres(self) -> Option<Self> {
        let cut = |time: chrono::NaiveTime| time.with_nanosecond(time.nanosecond() / 1000 * 1000);
        let moment = Self { time: self.time.and_then(cut), ..self };
        if moment.offset.is_some() { moment.shaped(Shape::Instant) } else { Some(moment) }
    }
}

/// Between chrono's types, which all text goes through, and those of the `time` crate.
mod convert {
    use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
    use sea_orm::prelude::{TimeDate, TimeDateTime, TimeDateTimeWithTimeZone, TimeTime};

    pub(super) fn from_date(date: TimeDate) -> Option<NaiveDate> {
        NaiveDate::from_yo_opt(date.year(), date.ordinal().into())
    }

    pub(super) fn from_time(time: TimeTime) -> Option<NaiveTime> {
        let (hour, minute, second, nanos) = time.as_hms_nano();
        NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nanos)
    }

    pub(super) fn to_date(date: NaiveDate) -> Option<TimeDate> {
        TimeDate::from_ordinal_date(date.year(), date.ordinal().try_into().ok()?).ok()
    }

    pub(super) fn to_time(time: NaiveTime) -> Option<TimeTime> {
        let [hour, minute, second] = [time.hour(), time.minute(), time.second()].map(|part| part as u8);
        TimeTime::from_hms_nano(hour, minute, second, time.nanosecond()).ok()
    }

    pub(super) fn assume_offset(at: TimeDateTime, seconds: i32) -> Option<TimeDateTimeWithTimeZone> {
        let offset = time::UtcOffset::from_whole_seconds(seconds).ok()?;
        Some(at.assume_offset(offset))
    }
}
