use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;

/// Any value that has a canonical form.
pub(crate) fn any_value() -> impl Strategy<Value = SyncValue> {
    prop_oneof![
        Just(SyncValue::Null),
        any::<bool>().prop_map(SyncValue::Bool),
        any_integer().prop_map(SyncValue::I64),
        any::<u64>().prop_map(SyncValue::U64),
        any::<u64>().prop_map(|bits| SyncValue::F64(f64::from_bits(bits))),
        any_text().prop_map(SyncValue::Text),
        vec(any::<u8>(), 0..40).prop_map(SyncValue::Bytes),
        any_json().prop_map(SyncValue::Json),
        any::<u128>().prop_map(|bits| SyncValue::Uuid(Uuid::from_u128(bits))),
        any_decimal().prop_map(SyncValue::Decimal),
        any_moment().prop_map(SyncValue::Time),
    ]
}

/// Integers of every length, not only long ones.
fn any_integer() -> impl Strategy<Value = i64> {
    (any::<i64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<char>(), 0..12).prop_map(String::from_iter),
        (0..400_usize).prop_map(|n| "x".repeat(n))
    ]
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<u64>().prop_map(|bits| f64::from_bits(bits).into()),
        any_text().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            vec((any_text(), inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_decimal() -> impl Strategy<Value = String> {
    (any::<i128>(), 0..127_u32, -30..30_i32).prop_map(|(digits, shift, exponent)| {
        decimal::normalise(&format!("{}e{exponent}", digits >> shift)).unwrap()
    })
}

fn any_moment() -> impl Strategy<Value = String> {
    let parts =
        (-100_000_000_000..300_000_000_000_i64, 0..10_u32, 0..1_000_000_000_u32, -1439..1440_i32, 0..4_u8);
    parts.prop_map(|(seconds, zeros, nanos, minutes, form)| {
        let unit = 10_u32.pow(zeros);
        let at = chrono::DateTime::from_timestamp(seconds, nanos / unit * unit).unwrap();
        let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let moment = match form {
            0 => moment::Moment::date(at.date_naive()),
            1 => moment::Moment::time(at.time()),
            2 => moment::Moment::local(at.naive_utc(), None),
            _ => moment::Moment::instant(at.with_timezone(&offset)),
        };
        moment.to_string()
    })
}

proptest! {
    #[test]
    fn a_value_comes_back_from_its_bytes(value in any_value()) {
        let bytes = value.encode();
        prop_assert_eq!(SyncValue::decode(&bytes), Ok(value.clone()));
        prop_assert_eq!(value.hash64(), ValueHash::of_bytes(&bytes));
    }

    #[test]
    fn equal_values_and_only_those_have_equal_bytes(a in any_value(), b in any_value()) {
        prop_assert_eq!(a == b, a.encode() == b.encode());
    }

    #[test]
    fn a_key_comes_back_from_its_bytes(parts in vec(any_value(), 1..4)) {
        prop_assert_eq!(decode_key(encode_key(&parts).as_bytes()), Ok(parts));
    }

    #[test]
    fn a_changed_byte_is_refused_or_means_exactly_what_it_says(value in any_value(), at: prop::sample::Index, mask in 1..=255_u8) {
        let mut bytes = value.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(other) = SyncValue::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn what_decodes_from_noise_encodes_to_it(bytes in vec(any::<u8>(), 0..60)) {
        if let Ok(value) = SyncValue::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes);
        }
    }

    #[test]
    fn a_time_of_any_length_of_fraction_is_normal(text in any_moment()) {
        let moment = moment::Moment::parse(&text).unwrap();
        prop_assert_eq!(moment.to_string(), text);
    }
}

#[test]
fn the_bytes_of_each_type_are_these() {
    let cases: [(SyncValue, &[u8]); 14] = [
        (SyncValue::Null, &[0xc0]),
        (SyncValue::Bool(true), &[0xc3]),
        (SyncValue::I64(0), &[0]),
        (SyncValue::I64(127), &[127]),
        (SyncValue::I64(128), &[0xcc, 128]),
        (SyncValue::I64(-32), &[0xe0]),
        (SyncValue::I64(-33), &[0xd0, 0xdf]),
        (SyncValue::I64(65_536), &[0xce, 0, 1, 0, 0]),
        (SyncValue::U64(1), &[0xd7, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        (SyncValue::F64(-f64::NAN), &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
        (SyncValue::Text("ab".into()), &[0xa2, b'a', b'b']),
        (SyncValue::Bytes(vec![7]), &[0xc4, 1, 7]),
        (SyncValue::Json(json!({"b": 1, "a": []})), b"\xc7\x0e\x02{\"a\":[],\"b\":1}"),
        (SyncValue::Decimal("1.5".into()), b"\xc7\x03\x041.5"),
    ];
    for (value, bytes) in cases {
        assert_eq!(value.encode(), bytes, "{value}");
    }
}

#[test]
fn other_forms_of_a_value_are_refused() {
    use DecodeError::*;
    let cases: [(&[u8], DecodeError); 17] = [
        (&[], Truncated),
        (&[0xcc, 1], NotCanonical("a number or length")),
        (&[0xd0, 1], NotCanonical("a number")),
        (&[0xd1, 0xff, 0xff], NotCanonical("a number")),
        (&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], NotCanonical("an unsigned integer")),
        (&[0xca, 0, 0, 0, 0], NotCanonical("a float")),
        (&[0xcb, 0xff, 0xf8, 0, 0, 0, 0, 0, 0], NotCanonical("a float")),
        (&[0xd9, 1, b'a'], NotCanonical("a number or length")),
        (&[0xdb, 255, 255, 255, 255, b'a'], Truncated),
        (&[0xa1, 0xff], NotUtf8),
        (&[0xc0, 0xc0], Trailing(1)),
        (b"\xc7\x03\x02{ }", NotCanonical("JSON")),
        (b"\xc7\x0d\x02{\"b\":1,\"a\":1}", NotCanonical("JSON")),
        (b"\xc7\x03\x041.0", NotCanonical("a decimal")),
        (b"\xd5\x04-0", NotCanonical("a decimal")),
        (b"\xc7\x05\x0512:00", NotCanonical("a date or time")),
        (&[0xc1], Unexpected { expected: "a value", marker: 0xc1 }),
    ];
    for (bytes, error) in cases {
        assert_eq!(SyncValue::decode(bytes), Err(error), "{bytes:02x?}");
    }
    assert!(SyncValue::decode(&[0x90]).is_err(), "an array is no value");
    assert!(SyncValue::decode(b"\xd4\x09a").is_err(), "an unknown extension");
    assert!(decode_key(&[]).is_err(), "a key has a part");
}

/// A length in more bytes than it needs, for each marker that has one.
#[test]
fn lengths_have_one_form() {
    let wide = [(0xd9, 1, 31), (0xda, 2, 255), (0xdb, 4, 65_535), (0xc5, 2, 255), (0xc6, 4, 65_535)];
    for (marker, size, longest) in wide {
        let text = |length: usize| {
            let head = (length as u32).to_be_bytes();
            [&[marker], &head[4 - size..], &vec![b'a'; length]].concat()
        };
        assert_eq!(SyncValue::decode(&text(longest)), Err(DecodeError::NotCanonical("a number or length")));
        assert!(SyncValue::decode(&text(longest + 1)).is_ok(), "{marker:#x}");
    }
    for (marker, size, length) in [(0xc7, 1, 16_usize), (0xc8, 2, 255), (0xc9, 4, 65_535)] {
        let head = (length as u32).to_be_bytes();
        let digits = vec![b'1'; length];
        let bytes = [&[marker], &head[4 - size..], &[4], &digits].concat();
        assert!(matches!(SyncValue::decode(&bytes), Err(DecodeError::NotCanonical(_))), "{marker:#x}");
    }
}

#[test]
fn floats_and_json_are_equal_by_meaning_of_their_bytes() {
    assert_eq!(SyncValue::F64(f64::NAN), SyncValue::F64(-f64::NAN));
    assert_ne!(SyncValue::F64(0.0), SyncValue::F64(-0.0));
    assert_ne!(SyncValue::Json(json!(1)), SyncValue::Json(json!(1.0)));
    assert_ne!(SyncValue::Json(json!(0.0)), SyncValue::Json(json!(-0.0)));
    assert_ne!(SyncValue::I64(1), SyncValue::U64(1));
    let twisted: serde_json::Value = serde_json::from_str(r#"{"b":{"y":1,"x":2},"a":3}"#).unwrap();
    assert_eq!(SyncValue::Json(twisted), SyncValue::Json(json!({"a": 3, "b": {"x": 2, "y": 1}})));
}

#[test]
fn decimals_have_one_form() {
    for (text, normal) in [
        ("007.500", Some("7.5")),
        ("-0.00", Some("0")),
        (".5", Some("0.5")),
        ("5.", Some("5")),
        ("1e3", Some("1000")),
        ("-12.5E-4", Some("-0.00125")),
        ("100", Some("100")),
        ("", None),
        ("-", None),
        (".", None),
        ("1e999999999", None),
        ("1e99999999999999999999", None),
        ("0x10", None),
        ("NaN", None),
        ("1 ", None),
    ] {
        assert_eq!(decimal::normalise(text).as_deref(), normal, "{text:?}");
    }
    assert_eq!(decimal::from_f64(1e21).as_deref(), Some("1000000000000000000000"));
    assert_eq!(decimal::from_f64(-0.0).as_deref(), Some("0"));
}

#[test]
fn times_have_one_form() {
    for (text, normal) in [
        ("2024-02-29 01:02", Some("2024-02-29T01:02:00")),
        ("2024-02-29T01:02:03.1200-00:00", Some("2024-02-29T01:02:03.12Z")),
        ("2024-02-29t01:02:03z", Some("2024-02-29T01:02:03Z")),
        ("23:59:60", Some("23:59:60")),
        ("01:02:03.1234567899", Some("01:02:03.123456789")),
        ("+12024-02-29", Some("+12024-02-29")),
        ("-0001-01-01", Some("-0001-01-01")),
        ("+2024-02-28", Some("2024-02-28")),
        ("2023-02-29", None),
        ("2024-2-9", None),
        ("12024-02-29", None),
        ("2024-02-29T", None),
        ("2024-02-29T24:00:00", None),
        ("2024-02-29T01:02:03+24:00", None),
        ("01:02:03.", None),
        ("", None),
    ] {
        assert_eq!(
            moment::Moment::parse(text).map(|moment| moment.to_string()).as_deref(),
            normal,
            "{text:?}"
        );
    }
}

#[test]
fn values_are_readable() {
    let bytes = SyncValue::Bytes(vec![0xab, 1]);
    assert_eq!(SyncValue::Text("a\"b".into()).to_string(), r#""a\"b""#);
    assert_eq!(bytes.to_string(), "x'ab01'");
    assert_eq!(bytes.to_json(), json!({"bytes": "ab01"}));
    assert_eq!(SyncValue::U64(u64::MAX).to_json(), json!({"u64": "18446744073709551615"}));
    assert_eq!(SyncValue::I64(-5).to_json(), json!(-5));
    assert_eq!(SyncValue::F64(f64::INFINITY).to_json(), json!({"float": "inf"}));
    assert_eq!(SyncValue::Uuid(Uuid::nil()).to_json(), json!("00000000-0000-0000-0000-000000000000"));
    let key = encode_key(&[SyncValue::I64(1), SyncValue::Text("x".into())]);
    assert_eq!(key.to_string(), r#"(1, "x")"#);
}
