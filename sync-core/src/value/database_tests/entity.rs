//! A table with a column of every type that SeaORM reads from SQLite, and rows for it.
#![expect(unreachable_pub, reason = "the derive wants its types public")]

use sea_orm::{ActiveModelTrait, ActiveValue::Set, Iterable};

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "everything")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub bool: Option<bool>,
    pub i8: Option<i8>,
    pub i16: Option<i16>,
    pub i32: Option<i32>,
    pub i64: Option<i64>,
    pub u8: Option<u8>,
    pub u16: Option<u16>,
    pub u32: Option<u32>,
    pub f32: Option<f32>,
    pub f64: Option<f64>,
    pub text: Option<String>,
    pub bytes: Option<Vec<u8>>,
    pub json: Option<Json>,
    pub uuid: Option<Uuid>,
    pub decimal: Option<Decimal>,
    pub big_decimal: Option<BigDecimal>,
    pub chrono_date: Option<ChronoDate>,
    pub chrono_time: Option<ChronoTime>,
    pub chrono_date_time: Option<ChronoDateTime>,
    pub chrono_utc: Option<ChronoDateTimeUtc>,
    pub chrono_local: Option<ChronoDateTimeLocal>,
    pub chrono_zone: Option<ChronoDateTimeWithTimeZone>,
    pub time_date: Option<TimeDate>,
    pub time_time: Option<TimeTime>,
    pub time_date_time: Option<TimeDateTime>,
    pub time_zone: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Each column's kind, from the type of its field.
pub fn kinds() -> Vec<crate::value::ColumnKind> {
    use sea_orm::sea_query::ValueType;

    use crate::value::ColumnKind;
    fn kind<T: ValueType, U>(_: fn(&Model) -> &U) -> ColumnKind
    where
        U: AsOption<Inner = T>,
    {
        ColumnKind::from_array_type(&T::array_type()).unwrap()
    }
    trait AsOption {
        type Inner;
    }
    impl<T> AsOption for Option<T> {
        type Inner = T;
    }
    vec![
        ColumnKind::I32,
        kind(|m| &m.bool),
        kind(|m| &m.i8),
        kind(|m| &m.i16),
        kind(|m| &m.i32),
        kind(|m| &m.i64),
        kind(|m| &m.u8),
        kind(|m| &m.u16),
        kind(|m| &m.u32),
        kind(|m| &m.f32),
        kind(|m| &m.f64),
        kind(|m| &m.text),
        kind(|m| &m.bytes),
        kind(|m| &m.json),
        kind(|m| &m.uuid),
        kind(|m| &m.decimal),
        kind(|m| &m.big_decimal),
        kind(|m| &m.chrono_date),
        kind(|m| &m.chrono_time),
        kind(|m| &m.chrono_date_time),
        kind(|m| &m.chrono_utc),
        kind(|m| &m.chrono_local),
        kind(|m| &m.chrono_zone),
        kind(|m| &m.time_date),
        kind(|m| &m.time_time),
        kind(|m| &m.time_date_time),
        kind(|m| &m.time_zone),
    ]
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

fn utc(text: &str) -> ChronoDateTimeUtc {
    text.parse().unwrap()
}

fn time_zone(text: &str) -> TimeDateTimeWithTimeZone {
    let moment: ChronoDateTimeWithTimeZone = text.parse().unwrap();
    TimeDateTimeWithTimeZone::from_unix_timestamp_nanos(moment.timestamp_nanos_opt().unwrap().into())
        .unwrap()
        .to_offset(time::UtcOffset::from_whole_seconds(moment.offset().local_minus_utc()).unwrap())
}

/// Rows with plain values, with extremes, and with nothing.
pub fn models() -> Vec<Model> {
    let plain = Model {
        id: 1,
        bool: Some(true),
        i8: Some(-7),
        i16: Some(300),
        i32: Some(-70_000),
        i64: Some(1 << 40),
        u8: Some(200),
        u16: Some(60_000),
        u32: Some(4_000_000_000),
        f32: Some(0.1),
        f64: Some(0.1),
        text: Some("Grüße, \"Welt\"".into()),
        bytes: Some(vec![0, 1, 255]),
        json: Some(json(r#"{"b": [1, 2.0, -0.5e-7, null], "a": "x", "z": 18446744073709551615}"#)),
        uuid: Some(Uuid::from_u128(0x1234)),
        decimal: Some("12.50".parse().unwrap()),
        big_decimal: Some("-0.00000123".parse().unwrap()),
        chrono_date: Some("2024-02-29".parse().unwrap()),
        chrono_time: Some("23:59:58.120".parse().unwrap()),
        chrono_date_time: Some("2024-02-29T01:02:03.000004".parse().unwrap()),
        chrono_utc: Some(utc("2024-02-29T01:02:03.5Z")),
        chrono_local: Some(utc("2024-07-01T01:02:03Z").into()),
        chrono_zone: Some("2024-02-29T01:02:03.000000007+05:30".parse().unwrap()),
        time_date: Some(TimeDate::from_ordinal_date(2024, 60).unwrap()),
        time_time: Some(TimeTime::from_hms_nano(1, 2, 3, 40_000).unwrap()),
        time_date_time: Some(TimeDateTime::new(
            TimeDate::from_ordinal_date(1999, 365).unwrap(),
            TimeTime::from_hms(23, 59, 59).unwrap(),
        )),
        time_zone: Some(time_zone("2024-02-29T01:02:03.25-08:00")),
    };
    let extreme = Model {
        id: 2,
        bool: Some(false),
        i8: Some(i8::MIN),
        i16: Some(i16::MIN),
        i32: Some(i32::MAX),
        i64: Some(i64::MIN),
        u8: Some(u8::MAX),
        u16: Some(0),
        u32: Some(u32::MAX),
        f32: Some(f32::MAX),
        f64: Some(f64::NEG_INFINITY),
        text: Some(String::new()),
        bytes: Some(Vec::new()),
        json: Some(Json::Null),
        uuid: Some(Uuid::max()),
        decimal: Some("100000000000000000000".parse().unwrap()),
        big_decimal: Some("123456789012345".parse().unwrap()),
        chrono_date: Some("0001-01-01".parse().unwrap()),
        chrono_time: Some("00:00:00".parse().unwrap()),
        chrono_date_time: Some("9999-12-31T23:59:59.999999999".parse().unwrap()),
        chrono_utc: Some(utc("1969-12-31T23:59:59.9Z")),
        chrono_local: Some(utc("1900-01-01T00:00:00.001Z").into()),
        chrono_zone: Some("2024-01-01T00:00:00Z".parse().unwrap()),
        time_date: Some(TimeDate::from_ordinal_date(9999, 365).unwrap()),
        time_time: Some(TimeTime::MIDNIGHT),
        time_date_time: Some(TimeDateTime::new(
            TimeDate::from_ordinal_date(2024, 366).unwrap(),
            TimeTime::from_hms_nano(23, 59, 59, 999_999_999).unwrap(),
        )),
        time_zone: Some(time_zone("2024-02-29T01:02:03Z")),
    };
    let nothing = ActiveModel { id: Set(3), ..Default::default() };
    let nothing = Column::iter().skip(1).fold(nothing, |mut model, column| {
        let null = model.get(column).into_value().unwrap_or_else(|| plain.clone().get(column).as_null());
        model.set(column, null);
        model
    });
    vec![plain, extreme, nothing.try_into().unwrap()]
}
