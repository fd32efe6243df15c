//! JSON as a value, canonical, and JSON as a form of values for people.
//!
//! Invariant of the canonical text: no white space, keys in byte order, numbers as `serde_json` prints them (which
//! tells `1` from `1.0` and gives every float back).

use serde_json::{Map, Value, json};

use super::SyncValue;

/// Integers beyond this lose digits in readers that hold every number as a float.
const SAFE_INTEGER: u64 = 1 << 53;

/// The deepest nesting that [`SyncValue::Json`] may have: that which the parser follows.
pub(super) const MAX_DEPTH: usize = 127;

pub(super) fn canonical(value: &Value) -> String {
    if is_sorted(value) {
        return value.to_string();
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// True if no object in it has its keys out of order. Whether objects can at all is the choice of another crate's
/// features.
fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_sorted),
        Value::Object(map) => map.keys().is_sorted() && map.values().all(is_sorted),
        _ => true,
    }
}

fn write(value: &Value, out: &mut String) {
    let separate = |out: &mut String, index: usize| {
        if index > 0 {
            out.push(',');
        }
    };
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index);
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                separate(out, index);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Equal as canonical text: floats by bits, keys in any order.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.to_string() == b.to_string(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// How deep arrays and objects are nested; stops counting beyond [`MAX_DEPTH`].
pub(super) fn is_too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|item| deeper(item, left - 1)),
            Value::Object(map) => left == 0 || map.values().any(|item| deeper(item, left - 1)),
            _ => false,
        }
    }
    deeper(value, MAX_DEPTH)
}

impl SyncValue {
    /// The value as JSON, for people and for clients that show it. One way: a UUID and a text look alike.
    ///
    /// What JSON has no form for is an object with one key: `{"bytes": hex}`, `{"u64": text}`, `{"i64": text}` for
    /// integers beyond 2^53, `{"float": text}` for NaN and the infinities, `{"json": value}` for JSON columns.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::I64(value) if value.unsigned_abs() > SAFE_INTEGER => json!({ "i64": value.to_string() }),
            Self::I64(value) => Value::from(*value),
            Self::U64(value) if *value > SAFE_INTEGER => json!({ "u64": value.to_string() }),
            Self::U64(value) => Value::from(*value),
            Self::F64(value) if !value.is_finite() => json!({ "float": value.to_string() }),
            Self::F64(value) => Value::from(*value),
            Self::Text(text) | Self::Decimal(text) | Self::Time(text) => Value::from(text.as_str()),
            Self::Bytes(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                json!({ "bytes": hex })
            }
            Self::Json(value) => Value::Object(Map::from_iter([("json".to_owned(), value.clone())])),
            Self::Uuid(uuid) => Value::from(uuid.to_string()),
        }
    }
}
