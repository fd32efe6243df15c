//! Temporary.
use sea_orm::{Value, sea_query::ArrayType};

use crate::value::{ColumnKind, SyncValue, ValueError};

pub(crate) fn kind_of(ty: &ArrayType) -> Option<ColumnKind> {
    Some(match ty {
        ArrayType::Bool => ColumnKind::Bool,
        ArrayType::TinyInt => ColumnKind::I8,
        ArrayType::SmallInt => ColumnKind::I16,
        ArrayType::Int => ColumnKind::I32,
        ArrayType::BigInt => ColumnKind::I64,
        ArrayType::Double => ColumnKind::F64,
        ArrayType::String => ColumnKind::Text,
        ArrayType::Bytes => ColumnKind::Bytes,
        ArrayType::Json => ColumnKind::Json,
        ArrayType::Uuid => ColumnKind::Uuid,
        ArrayType::Decimal => ColumnKind::Decimal,
        ArrayType::ChronoDateTimeUtc => ColumnKind::ChronoDateTimeUtc,
        _ => return None,
    })
}

pub(crate) fn to_database(kind: ColumnKind, value: &SyncValue) -> Result<Value, ValueError> {
    Ok(match (kind, value) {
        (ColumnKind::Bool, SyncValue::Null) => Value::Bool(None),
        (ColumnKind::I32, SyncValue::Null) => Value::Int(None),
        (ColumnKind::I64, SyncValue::Null) => Value::BigInt(None),
        (ColumnKind::F64, SyncValue::Null) => Value::Double(None),
        (ColumnKind::Text, SyncValue::Null) => Value::String(None),
        (ColumnKind::Bytes, SyncValue::Null) => Value::Bytes(None),
        (ColumnKind::Json, SyncValue::Null) => Value::Json(None),
        (ColumnKind::Uuid, SyncValue::Null) => Value::Uuid(None),
        (ColumnKind::Bool, SyncValue::Bool(v)) => Value::Bool(Some(*v)),
        (ColumnKind::I32, SyncValue::I64(v)) => Value::Int(i32::try_from(*v).ok()),
        (ColumnKind::I64, SyncValue::I64(v)) => Value::BigInt(Some(*v)),
        (ColumnKind::F64, SyncValue::F64(v)) => Value::Double(Some(*v)),
        (ColumnKind::Text, SyncValue::Text(v)) => Value::String(Some(v.clone())),
        (ColumnKind::Bytes, SyncValue::Bytes(v)) => Value::Bytes(Some(v.clone())),
        (ColumnKind::Json, SyncValue::Json(v)) => Value::Json(Some(Box::new(v.clone()))),
        (ColumnKind::Uuid, SyncValue::Uuid(v)) => Value::Uuid(Some(*v)),
        (_, value) => return Err(ValueError::WrongType { expected: kind, found: value.to_string() }),
    })
}

pub(crate) fn from_value(kind: ColumnKind, value: Value) -> Result<SyncValue, ValueError> {
    Ok(match value {
        Value::Bool(Some(v)) => SyncValue::Bool(v),
        Value::Int(Some(v)) => SyncValue::I64(v.into()),
        Value::BigInt(Some(v)) => SyncValue::I64(v),
        Value::Double(Some(v)) => SyncValue::F64(v),
        Value::String(Some(v)) => SyncValue::Text(v),
        Value::Bytes(Some(v)) => SyncValue::Bytes(v),
        Value::Json(Some(v)) => SyncValue::Json(*v),
        Value::Uuid(Some(v)) => SyncValue::Uuid(v),
        other if other == other.as_null() => SyncValue::Null,
        other => return Err(ValueError::WrongType { expected: kind, found: format!("{other:?}") }),
    })
}

pub(crate) fn encode_key(parts: &[SyncValue]) -> Vec<u8> {
    format!("{parts:?}").into_bytes()
}
