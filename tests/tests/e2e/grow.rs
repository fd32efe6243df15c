//! A table that gets columns while its rows sync, and programs of both versions side by side.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, Schema, Set, entity::prelude::*,
};
use sync_core::LibraryId;
use sync_tests::{
    Device,
    device::{introduce, library},
    grown::{MIGRATION, after, before, new, old},
    state::agree,
    wire,
};

const ROWS: u64 = 100_000;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

async fn first_table(db: &DatabaseConnection) {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(before::Entity)).await.expect("a table");
}

async fn device(library: LibraryId) -> Device {
    Device::prepared(library, first_table, old).await
}

async fn migrate(device: &Device) {
    for statement in MIGRATION {
        device.db.execute_unprepared(statement).await.expect("a migration");
    }
}

async fn fill(device: &Device, rows: u64) {
    let statement = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) \
         INSERT INTO grown (id, name) SELECT unhex(printf('%032x', n)), 'row ' || n FROM c"
    );
    device.db.execute_unprepared(&statement).await.expect("rows");
    device.engine.flush().await.expect("a flush");
}

async fn end(device: &Device) -> u64 {
    device.logged().await
}

async fn rows(device: &Device) -> Vec<after::Model> {
    after::Entity::find().all(&device.db).await.expect("rows")
}

#[tokio::test]
async fn a_migration_that_adds_columns_to_many_rows_logs_nothing() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    fill(&a, ROWS).await;
    b.sync(&a).await.expect("a round");
    let (logged, digest) = (end(&a).await, a.digest().await);
    assert_eq!(logged, ROWS);
    migrate(&a).await;
    assert_eq!(end(&a).await, logged, "the engine runs on with the old program");
    let a = a.restart(new).await;
    assert_eq!(end(&a).await, logged, "the new program starts");
    assert_eq!(a.engine.reconcile().await.expect("a reconcile"), 0);
    assert_eq!((end(&a).await, a.digest().await), (logged, digest));
    // Edits of the new columns travel, and nothing but them.
    for (n, note, stars) in [(1, Some("one"), 5), (2, None, 9)] {
        let edit = after::ActiveModel {
            id: Set(id(n)),
            note: Set(note.map(str::to_owned)),
            stars: Set(stars),
            ..Default::default()
        };
        edit.update(&a.db).await.expect("an update");
    }
    assert_eq!(end(&a).await, logged + 2);
    migrate(&b).await;
    let b = b.restart(new).await;
    let report = b.sync(&a).await.expect("a round");
    assert_eq!((report.received, report.conflicts), (2, 0));
    let one = after::Entity::find_by_id(id(1)).one(&b.db).await.expect("a query").expect("a row");
    assert_eq!((one.note.as_deref(), one.stars), (Some("one"), 5));
    let two = after::Entity::find_by_id(id(2)).one(&b.db).await.expect("a query").expect("a row");
    assert_eq!((two.note, two.stars), (None, 9));
    agree(&[&a, &b]).await;
}

/// A device with the old program gets values of columns that it has not got. They are in its rows once it has the
/// columns, and no default of its own takes their place.
#[tokio::test]
async fn values_that_came_before_their_columns_are_shown_when_the_columns_come() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    fill(&a, 4).await;
    b.sync(&a).await.expect("a round");
    migrate(&a).await;
    let a = a.restart(new).await;
    for n in 1..=3 {
        let edit = after::ActiveModel {
            id: Set(id(n)),
            note: Set(Some(format!("note {n}"))),
            stars: Set(n as i64),
            ..Default::default()
        };
        edit.update(&a.db).await.expect("an update");
    }
    let inserted =
        after::ActiveModel { id: Set(id(9)), name: Set("nine".into()), note: Set(None), stars: Set(99) };
    inserted.insert(&a.db).await.expect("a row");
    b.sync(&a).await.expect("a round");
    assert_eq!(before::Entity::find().all(&b.db).await.expect("rows").len(), 5);
    let logged = end(&b).await;
    // The columns come while the old program runs, it writes one of the rows, and only then the new program starts.
    migrate(&b).await;
    let edit = before::ActiveModel { id: Set(id(2)), name: Set("edited on b".into()) };
    edit.update(&b.db).await.expect("an update");
    assert_eq!(end(&b).await, logged + 1);
    let b = b.restart(new).await;
    assert_eq!(end(&b).await, logged + 1, "no default is an edit");
    let expected = rows(&a).await.into_iter().map(|row| match row.id {
        edited if edited == id(2) => after::Model { name: "edited on b".into(), ..row },
        _ => row,
    });
    assert_eq!(rows(&b).await, expected.collect::<Vec<_>>());
    a.sync(&b).await.expect("a round");
    assert_eq!(rows(&a).await, rows(&b).await);
    agree(&[&a, &b]).await;
}

/// A write made to a new column between the migration and the new program's start is an edit like any other.
#[tokio::test]
async fn a_write_to_a_column_that_just_came_is_an_edit() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    fill(&a, 2).await;
    b.sync(&a).await.expect("a round");
    migrate(&a).await;
    let a = a.restart(new).await;
    let edit = after::ActiveModel { id: Set(id(1)), stars: Set(1), ..Default::default() };
    edit.update(&a.db).await.expect("an update");
    b.sync(&a).await.expect("a round");
    b.engine.shutdown().await.expect("a shutdown");
    migrate(&b).await;
    b.db.execute_unprepared("UPDATE grown SET stars = 7 WHERE name = 'row 1'").await.expect("an update");
    let b = b.restart(new).await;
    let log = wire::log_of(&b.engine).await;
    let last = log.last().expect("a change");
    assert_eq!(last.device, b.engine.device_id());
    assert_eq!(last.cells.len(), 1, "{last:?}");
    a.sync(&b).await.expect("a round");
    assert_eq!(rows(&a).await.iter().map(|row| row.stars).collect::<Vec<_>>(), [7, 5]);
    assert_eq!(rows(&a).await, rows(&b).await);
    agree(&[&a, &b]).await;
}

/// A write made to a new column while the old program runs, which passes it over, is an edit once the new program starts.
#[tokio::test]
async fn a_write_to_a_column_that_the_program_does_not_know_yet_is_an_edit_later() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    fill(&a, 3).await;
    b.sync(&a).await.expect("a round");
    migrate(&a).await;
    let a = a.restart(new).await;
    let edit = after::ActiveModel { id: Set(id(1)), stars: Set(1), ..Default::default() };
    edit.update(&a.db).await.expect("an update");
    b.sync(&a).await.expect("a round");
    migrate(&b).await;
    let logged = end(&b).await;
    let update = "UPDATE grown SET stars = 7, note = 'of b' WHERE name IN ('row 1', 'row 2')";
    b.db.execute_unprepared(update).await.expect("an update");
    assert_eq!(end(&b).await, logged, "nothing that the old program knows was written");
    let b = b.restart(new).await;
    assert_eq!(end(&b).await, logged + 2);
    let again = b.restart(new).await;
    assert_eq!(end(&again).await, logged + 2, "once");
    again.sync(&a).await.expect("a round");
    assert_eq!(rows(&a).await.iter().map(|row| row.stars).collect::<Vec<_>>(), [7, 7, 5]);
    assert_eq!(rows(&a).await, rows(&again).await);
    agree(&[&a, &again]).await;
}

/// A model that the program did not have, or whose table was not there: its records are shown when both are.
#[tokio::test]
async fn records_that_came_before_their_model_are_shown_when_it_comes() {
    let library = library();
    let a = device(library).await;
    fill(&a, 3_000).await;
    // One lacks the model, one the table.
    let no_model = Device::with(library, |builder| builder.without_background().models(["item"])).await;
    let no_table = Device::with(library, old).await;
    introduce(&[&a, &no_model, &no_table]).await;
    for device in [&no_model, &no_table] {
        device.sync(&a).await.expect("a round");
        assert_eq!(device.digest().await, a.digest().await);
        first_table(&device.db).await;
    }
    let logged = end(&no_table).await;
    let no_model = no_model.restart(old).await;
    for device in [&no_model, &no_table] {
        assert_eq!(end(device).await, logged, "nothing is logged");
        assert_eq!(before::Entity::find().all(&device.db).await.expect("rows").len(), 3_000);
        agree(&[&a, device]).await;
    }
}

/// A device whose rows lose two columns, and what it knew of them is not lost: to `log` or to the state of a peer.
async fn check_dropped(log: bool) {
    let library = library();
    let a = device(library).await.migrated(MIGRATION, new).await;
    for n in 1..=3 {
        let row = after::ActiveModel {
            id: Set(id(n)),
            name: Set(format!("row {n}")),
            note: Set(Some(format!("note {n}"))),
            stars: Set(i64::try_from(n).expect("few")),
        };
        row.insert(&a.db).await.expect("a row");
    }
    a.engine.flush().await.expect("a flush");
    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = if log { u64::MAX } else { 0 };
    let b = device(library).await.migrated(MIGRATION, |builder| new(builder).limits(limits)).await;
    let report = b.sync(&a).await.expect("a round");
    assert_eq!(report.snapshot_records > 0, !log);
    agree(&[&a, &b]).await;

    // The migration is undone, by a program that does not know the columns.
    let statements = ["ALTER TABLE grown DROP COLUMN note", "ALTER TABLE grown DROP COLUMN stars"];
    let b = b.migrated(statements, old).await;
    let row = before::ActiveModel { id: Set(id(1)), name: Set("of b".into()) };
    row.update(&b.db).await.expect("an update");
    let row = after::ActiveModel { id: Set(id(2)), note: Set(Some("newer".into())), ..Default::default() };
    row.update(&a.db).await.expect("an update");
    b.sync(&a).await.expect("a round is not stopped by it");
    let report = b.sync(&a).await.expect("nor the next");
    assert!(report.in_sync, "{report:?}");
    agree(&[&a, &b]).await;

    // What b passes on is whole.
    let c = device(library).await.migrated(MIGRATION, new).await;
    c.sync(&b).await.expect("a round");
    a.sync(&b).await.expect("a round");
    agree(&[&a, &c]).await;
    assert_eq!(rows(&a).await, rows(&c).await);

    // And so is what it shows when the columns are back.
    let b = b.migrated(MIGRATION, new).await;
    agree(&[&a, &b]).await;
    assert_eq!(rows(&a).await, rows(&b).await);
}

#[tokio::test]
async fn values_of_columns_that_go_are_kept_from_the_log() {
    check_dropped(true).await;
}

#[tokio::test]
async fn values_of_columns_that_go_come_again_from_a_peer() {
    check_dropped(false).await;
}
