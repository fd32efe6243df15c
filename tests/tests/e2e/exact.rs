//! Values that SQLite cannot hold exactly stay exact in what is served on, whatever is done to their rows.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set, entity::prelude::*};
use sync_core::{Change, LibraryId, PendingReason, SyncValue};
use sync_tests::{
    Device,
    device::{introduce, library},
    everything::{self, every as all, solid},
    wire::{self, Author},
};

const ID: Uuid = Uuid::from_u128(77);

async fn device(library: LibraryId) -> Device {
    let configure =
        |builder: sync_core::EngineBuilder| builder.without_background().models(everything::MODELS);
    Device::prepared(library, everything::create_tables, configure).await
}

fn text(text: &str) -> SyncValue {
    SyncValue::Text(text.into())
}

fn decimal(text: &str) -> SyncValue {
    SyncValue::Decimal(text.into())
}

fn moment(text: &str) -> SyncValue {
    SyncValue::Time(text.into())
}

/// Values, and what a row of SQLite holds of each.
fn inexact() -> Vec<(&'static str, SyncValue, &'static str)> {
    vec![
        ("f32", SyncValue::F64(-0.0), "0.0"),
        ("f64", SyncValue::F64(f64::NAN), "NULL"),
        ("decimal", decimal("1234567890.123456789012345678"), "1234567890.123456789012345678"),
        (
            "big_decimal",
            decimal("-12.3456789012345678901234567890123"),
            "-12.3456789012345678901234567890123",
        ),
        ("text", text("first"), "'first'"),
        ("chrono_utc", moment("2024-02-29T01:02:03.123456789Z"), "chrono_utc"),
        ("chrono_time", moment("23:59:60.999999999"), "chrono_time"),
        ("time_zone", moment("2024-02-29T01:02:03.123456789+05:30"), "time_zone"),
    ]
}

fn cells() -> Vec<(&'static str, SyncValue)> {
    inexact().into_iter().map(|(column, value, _)| (column, value)).collect()
}

async fn quoted(device: &Device, column: &str) -> String {
    device.text(format!("SELECT quote(\"{column}\") FROM everything")).await
}

async fn agree(devices: &[&Device]) {
    let feed = wire::feed_of(&devices[0].engine).await;
    let cells = |feed: &[Change]| -> Vec<_> { feed.iter().map(|one| one.cells.clone()).collect() };
    for device in devices {
        assert_eq!(cells(&wire::feed_of(&device.engine).await), cells(&feed));
        assert_eq!(device.digest().await, devices[0].digest().await);
        device.assert_sound().await;
    }
}

fn value_of<'a>(feed: &'a [Change], column: &str) -> &'a SyncValue {
    let cell = feed[0].cells.iter().find(|cell| cell.column == column);
    &cell.unwrap_or_else(|| panic!("no {column}")).value
}

#[tokio::test]
async fn what_sqlite_rounds_is_served_on_exactly_and_never_sent_back_rounded() {
    let library = library();
    let (b, c, d) = (device(library).await, device(library).await, device(library).await);
    introduce(&[&b, &c, &d]).await;
    let mut author = Author::new(library, 3);
    let insert = author.insert("everything", &[SyncValue::Uuid(ID)], &cells());
    author.merged(&b.engine, std::slice::from_ref(&insert)).await;
    c.sync(&b).await.expect("a round");
    d.sync(&c).await.expect("a round");
    let bytes = insert.encode().into_bytes();
    for device in [&b, &c, &d] {
        assert_eq!(
            wire::log_bytes(&device.engine).await,
            std::slice::from_ref(&bytes),
            "the author's own bytes"
        );
        let feed = wire::feed_of(&device.engine).await;
        for (column, value, row) in inexact() {
            assert_eq!(value_of(&feed, column), &value);
            assert_eq!(
                quoted(device, column).await,
                device.text(format!("SELECT quote({row}) FROM everything")).await
            );
        }
        let row = all::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("a row");
        assert_eq!(row.chrono_utc.map(|time| time.timestamp_subsec_nanos()), Some(123_456_789));
        assert_eq!(row.time_zone.map(|time| time.nanosecond()), Some(123_456_789));
        assert_eq!(device.engine.pending().await.expect("pending"), []);
    }
    agree(&[&b, &c, &d]).await;

    // A form that was read from the row, changed in one place and saved. (Saved as a whole it would write the decimals
    // as SeaORM read them, with 15 digits: those are other rows.)
    let row = all::Entity::find_by_id(ID).one(&b.db).await.expect("a query").expect("a row");
    let mut form = row.into_active_model();
    form.f32 = Set(Some(0.0));
    form.f64 = Set(None);
    form.text = Set(Some("second".into()));
    form.update(&b.db).await.expect("an update");
    let log = wire::log_of(&b.engine).await;
    assert_eq!(log.len(), 2);
    let sent: Vec<_> = log[1].cells.iter().map(|cell| (cell.column.as_str(), cell.value.clone())).collect();
    assert_eq!(sent, [("text", text("second"))], "nothing but the edited column");
    c.sync(&b).await.expect("a round");
    d.sync(&c).await.expect("a round");
    agree(&[&b, &c, &d]).await;
    let feed = wire::feed_of(&d.engine).await;
    for (column, value, _) in inexact().into_iter().filter(|(column, ..)| *column != "text") {
        assert_eq!(value_of(&feed, column), &value, "the author's value survives");
    }

    // An edit of the very columns sends the new values.
    let edit = all::ActiveModel {
        id: Set(ID),
        f64: Set(Some(1.5)),
        f32: Set(Some(-0.25)),
        decimal: Set(Some("2.5".parse().expect("a decimal"))),
        ..Default::default()
    };
    edit.update(&c.db).await.expect("an update");
    let log = wire::log_of(&c.engine).await;
    let sent: Vec<_> = log[2].cells.iter().map(|cell| cell.column.as_str()).collect();
    assert_eq!(sent, ["decimal", "f32", "f64"]);
    b.sync(&c).await.expect("a round");
    d.sync(&c).await.expect("a round");
    agree(&[&b, &c, &d]).await;
    let feed = wire::feed_of(&b.engine).await;
    assert_eq!(value_of(&feed, "f64"), &SyncValue::F64(1.5));
    assert_eq!(value_of(&feed, "decimal"), &decimal("2.5"));
    assert_eq!(value_of(&feed, "big_decimal"), &decimal("-12.3456789012345678901234567890123"));
    assert_eq!(quoted(&b, "f64").await, "1.5");
}

#[tokio::test]
async fn a_restart_and_a_reconcile_send_nothing_back() {
    let library = library();
    let b = device(library).await;
    let mut author = Author::new(library, 3);
    let insert = author.insert("everything", &[SyncValue::Uuid(ID)], &cells());
    author.merged(&b.engine, &[insert]).await;
    let before = wire::log_bytes(&b.engine).await;
    let b = b.restart(|builder| builder.without_background().models(everything::MODELS)).await;
    assert_eq!(b.engine.reconcile().await.expect("a reconcile"), 0);
    assert_eq!(wire::log_bytes(&b.engine).await, before);
}

/// A number that no integer of SQLite can be: the rest of the row is shown, the record is listed, and the number is
/// what is served on.
#[tokio::test]
async fn a_number_above_the_database_is_listed_served_on_and_can_be_replaced() {
    let library = library();
    let (b, c) = (device(library).await, device(library).await);
    let mut author = Author::new(library, 3);
    let cells = [("u64", SyncValue::U64(u64::MAX)), ("text", text("first"))];
    let insert = author.insert("wide", &[SyncValue::Uuid(ID)], &cells);
    author.merged(&b.engine, &[insert]).await;
    c.sync(&b).await.expect("a round");
    for device in [&b, &c] {
        let pending = device.engine.pending().await.expect("pending");
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].reason, PendingReason::Invalid);
        assert!(pending[0].detail.contains("`u64`: 18446744073709551615"), "{}", pending[0].detail);
        assert_eq!(device.text("SELECT text || quote(u64) FROM wides").await, "firstNULL");
        assert_eq!(value_of(&wire::feed_of(&device.engine).await, "u64"), &SyncValue::U64(u64::MAX));
    }
    b.db.execute_unprepared("UPDATE wides SET text = 'second'").await.expect("an update");
    let log = wire::log_of(&b.engine).await;
    assert_eq!(log[1].cells.len(), 1, "{:?}", log[1].cells);
    c.sync(&b).await.expect("a round");
    agree(&[&b, &c]).await;
    assert_eq!(value_of(&wire::feed_of(&c.engine).await, "u64"), &SyncValue::U64(u64::MAX));
    assert_eq!(c.text("SELECT text FROM wides").await, "second");
    b.db.execute_unprepared("UPDATE wides SET u64 = 7").await.expect("an update");
    c.sync(&b).await.expect("a round");
    agree(&[&b, &c]).await;
    assert_eq!(c.text("SELECT quote(u64) FROM wides").await, "7");
    for device in [&b, &c] {
        assert_eq!(device.engine.pending().await.expect("pending"), []);
    }
}

/// SQLite keeps NaN as NULL; where the column allows none the row waits, and is shown when a number comes.
#[tokio::test]
async fn a_nan_where_null_is_not_allowed_waits_for_a_number() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    let row = solid::Model {
        name: "n".into(),
        bool: true,
        i64: 1,
        u32: 1,
        f64: 1.0,
        bytes: vec![],
        json: Json::Null,
        uuid: ID,
        decimal: "1".parse().expect("a decimal"),
        utc: "2024-01-01T00:00:00Z".parse().expect("a time"),
        date: TimeDate::from_ordinal_date(2024, 1).expect("a date"),
        status: solid::Status::Open,
        rank: solid::Rank::Low,
        title: solid::Title("t".into()),
        meters: solid::Meters(1),
        settings: solid::Settings { depth: 1, names: vec![] },
    };
    row.into_active_model().insert(&a.db).await.expect("a row");
    // The same insert by a device whose database holds NaN.
    let mut nan = wire::log_of(&a.engine).await.remove(0);
    let mut author = Author::new(library, 3);
    let cells: Vec<_> = nan.cells.iter().map(|cell| (cell.column.to_string(), cell.value.clone())).collect();
    let cells: Vec<_> = cells
        .iter()
        .map(|(column, value)| match column.as_str() {
            "f64" => ("f64", SyncValue::F64(f64::NAN)),
            other => (other, value.clone()),
        })
        .collect();
    nan = author.insert("solid", &[text("other")], &cells);
    author.merged(&b.engine, std::slice::from_ref(&nan)).await;
    assert_eq!(solid::Entity::find().all(&b.db).await.expect("rows"), []);
    let pending = b.engine.pending().await.expect("pending");
    assert_eq!((pending.len(), pending[0].reason), (1, PendingReason::Invalid), "{pending:?}");
    assert_eq!(wire::log_bytes(&b.engine).await, [nan.encode().into_bytes()]);
    let edit = author.edit(&nan, &[("f64", SyncValue::F64(2.0))]);
    author.merged(&b.engine, &[edit]).await;
    let shown = solid::Entity::find_by_id("other").one(&b.db).await.expect("a query").expect("a row");
    assert_eq!(shown.f64, 2.0);
    assert_eq!(b.engine.pending().await.expect("pending"), []);
}
