//! The type of a column, as SeaORM knows it.

use sea_orm::sea_query::{ArrayType, ColumnType};

/// What a column holds. One kind per type that SeaORM can put into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// `bool`
    Bool,
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `String`, and enums kept as text
    Text,
    /// `char`
    Char,
    /// `Vec<u8>`
    Bytes,
    /// JSON
    Json,
    /// `uuid::Uuid`
    Uuid,
    /// `rust_decimal::Decimal`
    Decimal,
    /// `bigdecimal::BigDecimal`
    BigDecimal,
    /// `chrono::NaiveDate`
    ChronoDate,
    /// `chrono::NaiveTime`
    ChronoTime,
    /// `chrono::NaiveDateTime`
    ChronoDateTime,
    /// `chrono::DateTime<Utc>`
    ChronoDateTimeUtc,
    /// `chrono::DateTime<Local>`
    ChronoDateTimeLocal,
    /// `chrono::DateTime<FixedOffset>`
    ChronoDateTimeWithTimeZone,
    /// `time::Date`
    TimeDate,
    /// `time::Time`
    TimeTime,
    /// `time::PrimitiveDateTime`
    TimeDateTime,
    /// `time::OffsetDateTime`
    TimeDateTimeWithTimeZone,
}

impl ColumnKind {
    /// The kind of a field, from `<FieldType as ValueType>::array_type()`; `None` for types that do not sync.
    pub fn from_array_type(array_type: &ArrayType) -> Option<Self> {
        Some(match array_type {
            ArrayType::Bool => Self::Bool,
            ArrayType::TinyInt => Self::I8,
            ArrayType::SmallInt => Self::I16,
            ArrayType::Int => Self::I32,
            ArrayType::BigInt => Self::I64,
            ArrayType::TinyUnsigned => Self::U8,
            ArrayType::SmallUnsigned => Self::U16,
            ArrayType::Unsigned => Self::U32,
            ArrayType::BigUnsigned => Self::U64,
            ArrayType::Float => Self::F32,
            ArrayType::Double => Self::F64,
            ArrayType::String | ArrayType::Enum(_) => Self::Text,
            ArrayType::Char => Self::Char,
            ArrayType::Bytes => Self::Bytes,
            ArrayType::Json => Self::Json,
            ArrayType::Uuid => Self::Uuid,
            ArrayType::Decimal => Self::Decimal,
            ArrayType::BigDecimal => Self::BigDecimal,
            ArrayType::ChronoDate => Self::ChronoDate,
            ArrayType::ChronoTime => Self::ChronoTime,
            ArrayType::ChronoDateTime => Self::ChronoDateTime,
            ArrayType::ChronoDateTimeUtc => Self::ChronoDateTimeUtc,
            ArrayType::ChronoDateTimeLocal => Self::ChronoDateTimeLocal,
            ArrayType::ChronoDateTimeWithTimeZone => Self::ChronoDateTimeWithTimeZone,
            ArrayType::TimeDate => Self::TimeDate,
            ArrayType::TimeTime => Self::TimeTime,
            ArrayType::TimeDateTime => Self::TimeDateTime,
            ArrayType::TimeDateTimeWithTimeZone => Self::TimeDateTimeWithTimeZone,
            #[expect(unreachable_patterns, reason = "other features of SeaORM add types that do not sync")]
            _ => return None,
        })
    }

    /// The kind of a column of which only the database's type is known; `None` for types that do not sync.
    ///
    /// One database type serves several field types: times are taken for chrono's, decimals for `rust_decimal`'s.
    pub fn from_column_type(column_type: &ColumnType) -> Option<Self> {
        Some(match column_type {
            ColumnType::Boolean => Self::Bool,
            ColumnType::TinyInteger => Self::I8,
            ColumnType::SmallInteger => Self::I16,
            ColumnType::Integer => Self::I32,
            ColumnType::BigInteger => Self::I64,
            ColumnType::TinyUnsigned => Self::U8,
            ColumnType::SmallUnsigned => Self::U16,
            ColumnType::Unsigned => Self::U32,
            ColumnType::BigUnsigned => Self::U64,
            ColumnType::Float => Self::F32,
            ColumnType::Double => Self::F64,
            ColumnType::Char(Some(1)) => Self::Char,
            ColumnType::Char(_) | ColumnType::String(_) | ColumnType::Text | ColumnType::Enum { .. } => {
                Self::Text
            }
            ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_) => Self::Bytes,
            ColumnType::Json | ColumnType::JsonBinary => Self::Json,
            ColumnType::Uuid => Self::Uuid,
            ColumnType::Decimal(_) | ColumnType::Money(_) => Self::Decimal,
            ColumnType::Date => Self::ChronoDate,
            ColumnType::Time => Self::ChronoTime,
            ColumnType::DateTime => Self::ChronoDateTime,
            ColumnType::Timestamp => Self::ChronoDateTimeUtc,
            ColumnType::TimestampWithTimeZone => Self::ChronoDateTimeWithTimeZone,
            _ => return None,
        })
    }

    /// The smallest and largest number that an integer column of up to 64 signed bits holds.
    pub(super) fn integer_range(self) -> Option<(i64, i64)> {
        Some(match self {
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
            Self::I32 => (i32::MIN.into(), i32::MAX.into()),
            Self::I64 => (i64::MIN, i64::MAX),
            Self::U8 => (0, u8::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            _ => return None,
        })
    }
}

/// Why a value cannot stand in a column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value has another type than the column.
    #[error("{found} where the column holds {expected:?}")]
    WrongType {
        /// The column's type.
        expected: ColumnKind,
        /// What came.
        found: String,
    },
    /// `NULL` where the column allows none.
    #[error("NULL in a column that allows none")]
    Null,
    /// The type is right, the value is not one that it can hold.
    #[error("{value} cannot be held by a column of type {kind:?}: {reason}")]
    OutOfRange {
        /// The column's type.
        kind: ColumnKind,
        /// The value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// A variant that this program's enum does not have; a newer one may.
    #[error("{0} is no variant that this program knows")]
    UnknownVariant(String),
}
