//! Rows that stood in a table before its engine: quickly taken in, settled with another device's without fuss.

use std::time::{Duration, Instant};

use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, Set};
use sync_core::ChangeKind;
use sync_tests::{Device, device::library, entities::item, wire};
use uuid::Uuid;

const ROWS: u32 = 100_000;

/// Items with the same keys and titles on every device; `qty` is what `qty` makes of the number `n`.
async fn fill(db: &DatabaseConnection, rows: u32, qty: &str) {
    let statement = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) \
         INSERT INTO items (id, title, qty, note, local) \
         SELECT unhex(printf('%032x', n * 2654435761)), 'item ' || n, {qty}, 'a note of some length', 'here' FROM c"
    );
    db.execute_unprepared(&statement).await.expect("rows");
}

async fn device(library: sync_core::LibraryId, rows: u32, qty: &'static str) -> Device {
    let prepare = async |db: &DatabaseConnection| fill(db, rows, qty).await;
    Device::prepared(library, prepare, |builder| builder.without_background()).await
}

async fn clean(device: &Device) {
    device.assert_sound().await;
}

#[tokio::test]
async fn a_hundred_thousand_rows_are_adopted_in_seconds_and_equal_ones_do_not_clash() {
    let library = library();
    let mut devices = Vec::new();
    for _ in 0..2 {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.db");
        let db = sea_orm::Database::connect(sync_core::sqlite(&path)).await.expect("a database");
        sync_tests::device::create_tables(&db).await.expect("tables");
        fill(&db, ROWS, "n").await;
        db.close().await.expect("a closed database");
        let began = Instant::now();
        let device = Device::open(path, library, |builder| builder.without_background()).await;
        let took = began.elapsed();
        println!("adopted {ROWS} rows in {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        let status = device.engine.status().await.expect("a status");
        assert_eq!((status.latest_seq.0, status.dirty), (u64::from(ROWS), false));
        devices.push((device, dir));
    }
    let (a, b) = (&devices[0].0, &devices[1].0);
    assert_eq!(a.digest().await, b.digest().await, "equal rows are equal before any round");
    let report = a.sync(b).await.expect("a round");
    assert_eq!((report.conflicts, report.pending), (0, 0), "{report:?}");
    assert_eq!(a.digest().await, b.digest().await);
    assert_eq!(a.dump().await, b.dump().await);
    clean(a).await;
}

#[tokio::test]
async fn rows_that_differ_settle_alike_whoever_calls_first() {
    let mut outcomes = Vec::new();
    for a_calls in [true, false] {
        let library = library();
        let (a, b) = (device(library, 50, "n").await, device(library, 50, "n + (n % 5 = 0)").await);
        let kinds: Vec<_> = wire::log_of(&a.engine).await.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [ChangeKind::Adopt; 50]);
        for _ in 0..2 {
            if a_calls { a.sync(&b).await } else { b.sync(&a).await }.expect("a round");
        }
        assert_eq!(a.dump().await, b.dump().await);
        assert_eq!(a.digest().await, b.digest().await);
        clean(&a).await;
        clean(&b).await;
        // Nothing but the columns that differed is another.
        assert_eq!(
            a.text(
                "SELECT CAST(count(*) AS TEXT) FROM items WHERE title = 'item ' || \
                           CAST(substr(title, 6) AS INTEGER) AND note = 'a note of some length'"
            )
            .await,
            "50"
        );
        let same = a
            .text(
                "SELECT CAST(count(*) AS TEXT) FROM items WHERE qty = CAST(substr(title, 6) AS INTEGER) \
                           AND qty % 5 != 0",
            )
            .await;
        assert_eq!(same, "40");
        outcomes.push(a.dump().await);
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

#[tokio::test]
async fn an_edit_beats_what_was_adopted_whatever_its_value() {
    for edited in [i64::MIN, -1, 0, 1_000_000, i64::MAX] {
        let library = library();
        let (a, b) = (device(library, 3, "n").await, device(library, 3, "n * 7").await);
        let id = Uuid::from_u128(2_654_435_761);
        let edit = item::ActiveModel { id: Set(id), qty: Set(edited), ..Default::default() };
        edit.update(&a.db).await.expect("an update");
        b.sync(&a).await.expect("a round");
        a.sync(&b).await.expect("a round");
        for device in [&a, &b] {
            let item = item::Entity::find_by_id(id).one(&device.db).await.expect("a query").expect("an item");
            assert_eq!(item.qty, edited);
            assert_eq!(item.local.as_deref(), Some("here"), "what stays here stays");
        }
        assert_eq!(a.dump().await, b.dump().await);
        assert_eq!(a.digest().await, b.digest().await);
    }
}

/// A device that joins with rows of its own keeps them, and gets the others'.
#[tokio::test]
async fn rows_that_only_one_has_arrive_at_the_other() {
    let library = library();
    let (a, b) = (device(library, 20, "n").await, device(library, 5, "n").await);
    b.db.execute_unprepared("DELETE FROM items WHERE title = 'item 3'").await.expect("a delete");
    a.sync(&b).await.expect("a round");
    assert_eq!(a.dump().await, b.dump().await);
    // What was deleted after it was adopted stays deleted: a delete is an edit, the other device's row a baseline.
    assert_eq!(b.text("SELECT CAST(count(*) AS TEXT) FROM items").await, "19");
}
