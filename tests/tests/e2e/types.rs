//! Every column type arrives as it was written, over one relay and over two.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, QueryOrder, Set, entity::prelude::*};
use sync_tests::{
    Device,
    device::{introduce, library},
    everything::{self, every as all, solid, wide},
    wire,
};

async fn device(library: sync_core::LibraryId) -> Device {
    let configure =
        |builder: sync_core::EngineBuilder| builder.without_background().models(everything::MODELS);
    Device::prepared(library, everything::create_tables, configure).await
}

fn zone(text: &str) -> TimeDateTimeWithTimeZone {
    let moment: ChronoDateTimeWithTimeZone = text.parse().expect("a moment");
    let offset = time::UtcOffset::from_whole_seconds(moment.offset().local_minus_utc()).expect("an offset");
    TimeDateTimeWithTimeZone::from_unix_timestamp(moment.timestamp()).expect("a time").to_offset(offset)
        + time::Duration::nanoseconds(moment.timestamp_subsec_nanos().into())
}

fn plain() -> all::Model {
    all::Model {
        id: Uuid::from_u128(1),
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
        text: Some("Grüße, \"Welt\"\nin zwei Zeilen 🌊".into()),
        bytes: Some(vec![0, 1, 255]),
        json: Some(serde_json::json!({
            "z": u64::MAX, "a": [1, 2.0, -0.5e-7, null, i64::MIN], "m": {"b": {"a": []}, "": "x"}
        })),
        uuid: Some(Uuid::from_u128(0x1234)),
        decimal: Some("12.50".parse().expect("a decimal")),
        big_decimal: Some("-0.375".parse().expect("a decimal")),
        chrono_date: Some("2024-02-29".parse().expect("a date")),
        chrono_time: Some("23:59:58.120".parse().expect("a time")),
        chrono_date_time: Some("2024-02-29T01:02:03.000004".parse().expect("a time")),
        chrono_utc: Some("2024-02-29T01:02:03.123456789Z".parse().expect("a time")),
        chrono_local: Some("2024-07-01T01:02:03Z".parse::<ChronoDateTimeUtc>().expect("a time").into()),
        chrono_zone: Some("2024-02-29T01:02:03.000000007+05:30".parse().expect("a time")),
        time_date: Some(TimeDate::from_ordinal_date(2024, 60).expect("a date")),
        time_time: Some(TimeTime::from_hms_nano(1, 2, 3, 40_000).expect("a time")),
        time_date_time: Some(TimeDateTime::new(
            TimeDate::from_ordinal_date(1999, 365).expect("a date"),
            TimeTime::from_hms(23, 59, 59).expect("a time"),
        )),
        time_zone: Some(zone("2024-02-29T01:02:03.25-08:00")),
        status: Some(all::Status::Done),
        rank: Some(all::Rank::Low),
        title: Some(all::Title("a \u{1F9ED} title".into())),
        meters: Some(all::Meters(-42)),
        settings: Some(all::Settings { depth: u64::MAX, names: vec![String::new(), "'".into()] }),
    }
}

fn extreme() -> all::Model {
    all::Model {
        id: Uuid::max(),
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
        uuid: Some(Uuid::nil()),
        decimal: Some("100000000000000000000".parse().expect("a decimal")),
        big_decimal: Some("123456789012345".parse().expect("a decimal")),
        chrono_date: Some("0001-01-01".parse().expect("a date")),
        chrono_time: Some("00:00:00".parse().expect("a time")),
        chrono_date_time: Some("9999-12-31T23:59:59.999999999".parse().expect("a time")),
        chrono_utc: Some("1969-12-31T23:59:59.9Z".parse().expect("a time")),
        chrono_local: Some("1900-01-01T00:00:00.001Z".parse::<ChronoDateTimeUtc>().expect("a time").into()),
        chrono_zone: Some("2024-01-01T00:00:00Z".parse().expect("a time")),
        time_date: Some(TimeDate::from_ordinal_date(9999, 365).expect("a date")),
        time_time: Some(TimeTime::MIDNIGHT),
        time_date_time: Some(TimeDateTime::new(
            TimeDate::from_ordinal_date(2024, 366).expect("a date"),
            TimeTime::from_hms_nano(23, 59, 59, 999_999_999).expect("a time"),
        )),
        time_zone: Some(zone("2024-02-29T01:02:03Z")),
        status: Some(all::Status::Open),
        rank: Some(all::Rank::High),
        title: Some(all::Title(String::new())),
        meters: Some(all::Meters(i64::MAX)),
        settings: Some(all::Settings { depth: 0, names: Vec::new() }),
    }
}

/// What SQLite keeps of these is not what was written: `NULL` for NaN, no negative zero.
fn odd() -> all::Model {
    all::Model { id: Uuid::from_u128(3), f32: Some(-0.0), f64: Some(f64::NAN), ..nothing(3) }
}

fn nothing(id: u128) -> all::Model {
    all::Model {
        id: Uuid::from_u128(id),
        bool: None,
        i8: None,
        i16: None,
        i32: None,
        i64: None,
        u8: None,
        u16: None,
        u32: None,
        f32: None,
        f64: None,
        text: None,
        bytes: None,
        json: None,
        uuid: None,
        decimal: None,
        big_decimal: None,
        chrono_date: None,
        chrono_time: None,
        chrono_date_time: None,
        chrono_utc: None,
        chrono_local: None,
        chrono_zone: None,
        time_date: None,
        time_time: None,
        time_date_time: None,
        time_zone: None,
        status: None,
        rank: None,
        title: None,
        meters: None,
        settings: None,
    }
}

fn solid_model(name: &str, row: &all::Model) -> solid::Model {
    solid::Model {
        name: name.into(),
        bool: row.bool.expect("a value"),
        i64: row.i64.expect("a value"),
        u32: row.u32.expect("a value"),
        f64: row.f64.expect("a value"),
        bytes: row.bytes.clone().expect("a value"),
        json: row.json.clone().expect("a value"),
        uuid: row.uuid.expect("a value"),
        decimal: row.decimal.expect("a value"),
        utc: row.chrono_utc.expect("a value"),
        date: row.time_date.expect("a value"),
        status: row.status.clone().expect("a value"),
        rank: row.rank.clone().expect("a value"),
        title: row.title.clone().expect("a value"),
        meters: row.meters.expect("a value"),
        settings: row.settings.clone().expect("a value"),
    }
}

/// The rows of a table as SQLite has them: storage classes and exact contents.
async fn raw(device: &Device, table: &str) -> String {
    let columns = device
        .text(format!(
            "SELECT group_concat('typeof(\"' || name || '\") || '' '' || quote(\"' || name || '\")', ' || '', '' || ') \
             FROM pragma_table_info('{table}')"
        ))
        .await;
    device.text(format!("SELECT coalesce(group_concat(row, char(10)), '') FROM (SELECT {columns} AS row FROM {table} ORDER BY 1)")).await
}

async fn all_equal(devices: &[&Device]) {
    for table in ["everything", "solids", "wides"] {
        let first = raw(devices[0], table).await;
        for device in &devices[1..] {
            assert_eq!(first, raw(device, table).await, "{table}");
        }
    }
    let rows = all::Entity::find().order_by_asc(all::Column::Id).all(&devices[0].db).await.expect("rows");
    let solids =
        solid::Entity::find().order_by_asc(solid::Column::Name).all(&devices[0].db).await.expect("rows");
    for device in devices {
        assert_eq!(
            all::Entity::find().order_by_asc(all::Column::Id).all(&device.db).await.expect("rows"),
            rows
        );
        assert_eq!(
            solid::Entity::find().order_by_asc(solid::Column::Name).all(&device.db).await.expect("rows"),
            solids
        );
        assert_eq!(device.digest().await, devices[0].digest().await);
        assert_eq!(device.engine.pending().await.expect("pending"), []);
        device.assert_sound().await;
    }
}

#[tokio::test]
async fn every_type_arrives_over_one_relay_and_over_two() {
    let library = library();
    let (a, b, c) = (device(library).await, device(library).await, device(library).await);
    introduce(&[&a, &b, &c]).await;
    for model in [plain(), extreme(), odd(), nothing(4)] {
        model.into_active_model().insert(&a.db).await.expect("a row");
    }
    for (name, row) in [("it's", plain()), ("", extreme())] {
        solid_model(name, &row).into_active_model().insert(&a.db).await.expect("a row");
    }
    for (id, number) in [(1, Some(i64::MAX as u64)), (2, Some(0)), (3, None)] {
        let row = wide::ActiveModel { id: Set(Uuid::from_u128(id)), u64: Set(number), text: Set("w".into()) };
        wide::Entity::insert(row).exec_without_returning(&a.db).await.expect("a row");
    }
    a.sync(&b).await.expect("a round");
    c.sync(&b).await.expect("a round");
    all_equal(&[&a, &b, &c]).await;
    assert_eq!(all::Entity::find_by_id(Uuid::from_u128(1)).one(&c.db).await.expect("a query"), Some(plain()));
    assert_eq!(
        solid::Entity::find().order_by_asc(solid::Column::Name).all(&c.db).await.expect("rows").len(),
        2
    );
    assert_eq!(c.text("SELECT group_concat(coalesce(u64, 'none')) FROM wides ORDER BY id").await.len(), 26);

    // From the state feed alone a fourth gets the same.
    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = 0;
    let configure = |builder: sync_core::EngineBuilder| {
        builder.without_background().models(everything::MODELS).limits(limits)
    };
    let d = Device::prepared(library, everything::create_tables, configure).await;
    let report = d.sync(&c).await.expect("a round");
    assert_eq!((report.snapshot_records, report.received), (9, 0));
    introduce(&[&a, &b, &c, &d]).await;
    all_equal(&[&a, &d]).await;
}

#[tokio::test]
async fn every_type_is_edited_and_cleared_from_the_other_side() {
    let library = library();
    let (a, b, c) = (device(library).await, device(library).await, device(library).await);
    introduce(&[&a, &b, &c]).await;
    for model in [plain(), extreme(), nothing(4)] {
        model.into_active_model().insert(&a.db).await.expect("a row");
    }
    a.sync(&b).await.expect("a round");
    // On B each row becomes another: values over values, nothing over values, values over nothing.
    let edits = [
        all::Model { id: plain().id, ..extreme() },
        all::Model { id: extreme().id, ..nothing(0) },
        all::Model { id: Uuid::from_u128(4), ..plain() },
    ];
    for model in edits.clone() {
        model.into_active_model().reset_all().update(&b.db).await.expect("an update");
    }
    b.sync(&c).await.expect("a round");
    a.sync(&b).await.expect("a round");
    all_equal(&[&a, &b, &c]).await;
    let cleared = all::Entity::find_by_id(extreme().id).one(&a.db).await.expect("a query");
    assert_eq!(cleared.as_ref(), Some(&edits[1]));
    let filled = all::Entity::find_by_id(Uuid::from_u128(4)).one(&a.db).await.expect("a query");
    assert_eq!(filled.as_ref(), Some(&edits[2]));
}

/// A form that is saved as a whole without having changed anything sends nothing, whatever the types.
#[tokio::test]
async fn a_row_saved_as_it_was_read_is_no_change() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    for model in [plain(), extreme(), odd()] {
        model.into_active_model().insert(&a.db).await.expect("a row");
    }
    a.sync(&b).await.expect("a round");
    for device in [&a, &b] {
        let before = wire::log_bytes(&device.engine).await;
        for model in all::Entity::find().order_by_asc(all::Column::Id).all(&device.db).await.expect("rows") {
            model.into_active_model().reset_all().update(&device.db).await.expect("an update");
        }
        assert_eq!(wire::log_bytes(&device.engine).await, before);
    }
}
