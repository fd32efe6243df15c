//! The type of a column, as SeaORM knows it.

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
