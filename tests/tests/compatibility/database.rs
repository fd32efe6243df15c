//! A database of each format, as the statements that make it.

use std::path::Path;

use rusqlite::{Connection, types::Value};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Set, prelude::*};
use sync_core::{NewColumn, NewTable, SchemaChange, SchemaType, SyncValue};
use sync_tests::{
    Device,
    device::{introduce, library},
    entities::item,
    wire::Author,
};

use crate::golden;

/// The format that this version writes.
const FORMAT: u64 = 1;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn key(n: u128) -> SyncValue {
    SyncValue::Uuid(id(n))
}

async fn run(device: &Device, statement: &str) {
    device.db.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    device.engine.flush().await.expect("a flush");
}

async fn add(device: &Device, n: u128, title: &str) {
    let row =
        item::ActiveModel { id: Set(id(n)), title: Set(title.into()), qty: Set(1), ..Default::default() };
    row.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
}

async fn edit(device: &Device, n: u128, title: &str) {
    let row = item::ActiveModel { id: Set(id(n)), title: Set(title.into()), ..Default::default() };
    row.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

/// A device with something in every table of ours.
async fn device_with_everything() -> Device {
    let library = library();
    let a = Device::with(library, |builder| builder.without_background().device_name("golden")).await;
    let b = Device::new(library).await;
    introduce(&[&a, &b]).await;
    for n in 1..=4 {
        add(&a, n, &format!("item {n}")).await;
    }
    run(&a, "INSERT INTO labels (id, name) VALUES (x'00000000000000000000000000000011', 'one name')").await;
    run(&a, "INSERT INTO gauges (id, count, peak, low, x, y) VALUES (x'00000000000000000000000000000021', 3, 5, 5, 1, 2)").await;
    run(&a, "INSERT INTO baskets (id, tags) VALUES (x'00000000000000000000000000000031', '[\"red\"]')").await;
    run(&a, "INSERT INTO cards (id, front, back) VALUES (x'00000000000000000000000000000041', 'f', 'b')")
        .await;
    run(&b, "INSERT INTO labels (id, name) VALUES (x'00000000000000000000000000000012', 'one name')").await;
    b.sync(&a).await.expect("a round");
    // Both edit one item, count, and put in; one deletes. Both have a label of one name since before.
    edit(&a, 1, "of a").await;
    edit(&b, 1, "of b").await;
    run(&a, "UPDATE gauges SET count = count + 2, peak = 9").await;
    run(&b, "UPDATE gauges SET count = count + 4, low = 1").await;
    run(&b, "UPDATE baskets SET tags = '[\"red\",\"blue\"]'").await;
    item::Entity::delete_by_id(id(2)).exec(&b.db).await.expect("a delete");
    a.sync(&b).await.expect("a round");
    let table = NewTable::new("extras").column(NewColumn::new("id", SchemaType::Uuid)).key(["id"]);
    a.engine.schema().apply(SchemaChange::CreateTable(table)).await.expect("a table");
    // What waits: for its parent, for a right value, for its model, for the rest of its group, for time.
    let mut author = Author::new(library, 7);
    let leaf = author.insert(
        "leaf",
        &[key(51)],
        &[("branch_id", key(50)), ("name", SyncValue::Text("leaf".into()))],
    );
    let wrong =
        author.insert("item", &[key(61)], &[("qty", SyncValue::I64(1)), ("title", SyncValue::I64(7))]);
    let unknown =
        author.insert("of a later program", &[key(71)], &[("what", SyncValue::Text("kept".into()))]);
    author.merged(&a.engine, &[leaf, wrong, unknown]).await;
    let mut open = author.insert("item", &[key(81)], &[("qty", SyncValue::I64(1))]);
    open.more = true;
    author.push(&a.engine, &[open]).await.expect("an answer");
    let mut ahead = Author::new(library, 8);
    ahead.ahead_ms = 10 * 365 * 24 * 60 * 60 * 1_000;
    let cells = [("qty", SyncValue::I64(1)), ("title", SyncValue::Text("of a later time".into()))];
    let later = ahead.insert("item", &[key(91)], &cells);
    ahead.push(&a.engine, &[later]).await.expect("an answer");
    a
}

/// The statements that make the database anew.
fn statements(path: &Path) -> String {
    let db = Connection::open(path).expect("a database");
    let list = |statement: &str| -> Vec<(String, String)> {
        let mut prepared = db.prepare(statement).expect("a statement");
        let rows = prepared.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    };
    let mut text = String::new();
    let tables = list(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid",
    );
    for (name, create) in &tables {
        text.push_str(&format!("{create};\n"));
        let columns = list(&format!("SELECT name, type FROM pragma_table_info('{name}')"));
        let quoted: Vec<String> = columns.iter().map(|(column, _)| format!("quote(\"{column}\")")).collect();
        let rows = format!("SELECT '', {} FROM \"{name}\" ORDER BY 2", quoted.join(" || ',' || "));
        for (_, values) in list(&rows) {
            text.push_str(&format!("INSERT INTO \"{name}\" VALUES ({values});\n"));
        }
    }
    for (_, create) in list(
        "SELECT name, sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY type, rowid",
    ) {
        text.push_str(&format!("{create};\n"));
    }
    text
}

/// A column of a table, as text.
fn values(path: &Path, statement: &str) -> Vec<String> {
    let db = Connection::open(path).expect("a database");
    let mut prepared = db.prepare(statement).expect("a statement");
    let rows = prepared.query_map([], |row| row.get::<_, Value>(0)).expect("rows");
    rows.map(|row| format!("{:?}", row.expect("a row"))).collect()
}

/// What the database means to its user.
async fn meaning(device: &Device) -> String {
    device.assert_sound().await;
    let status = device.engine.status().await.expect("a status");
    let mut text = device.dump().await;
    for one in device.engine.pending().await.expect("pending") {
        text.push_str(&format!("pending: {} {} {}\n", one.model, one.record, one.reason));
    }
    for one in device.engine.conflicts().await.expect("conflicts") {
        text.push_str(&format!(
            "conflict: {} {} {} {} {:?}\n",
            one.model,
            one.record,
            one.field,
            one.reason.as_str(),
            one.loser_value
        ));
    }
    for entry in device.engine.history::<item::Entity>(id(1)).await.expect("a history") {
        text.push_str(&format!(
            "history: {} {} {:?} {:?}\n",
            entry.id, entry.device, entry.kind, entry.values
        ));
    }
    for member in
        device.engine.members().await.expect("members").into_iter().filter(|member| !member.is_this_one)
    {
        text.push_str(&format!("member: {} {:?} {:?}\n", member.device, member.name, member.last_seen_ms));
    }
    for change in device.engine.schema().changes().await.expect("changes") {
        text.push_str(&format!("schema: {change:?}\n"));
    }
    text.push_str(&format!("held: {}\n", status.held));
    let digest: String = status.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push_str(&format!("digest: {digest}\n"));
    text
}

/// Makes the database of `format` and opens it with this program.
async fn open(format: u64, dir: &Path) -> Device {
    let path = dir.join("golden.db");
    let statements = golden::read(&format!("databases/{format}.sql"));
    let db = Connection::open(&path).expect("a database");
    db.execute_batch(std::str::from_utf8(&statements).expect("text")).expect("statements that run");
    let library =
        db.query_row("SELECT value FROM sync_metadata WHERE key = 'library_id'", [], |row| row.get(0));
    let library: [u8; 16] = library.expect("a library");
    drop(db);
    Device::open(path, sync_core::LibraryId::from_bytes(library), |builder| builder.without_background())
        .await
}

/// Writes the files of this version's format, where they are asked for: what a database holds differs each time, so an existing one
/// is never written over.
async fn write_missing() {
    if !golden::writes() || golden::path(&format!("databases/{FORMAT}.sql")).exists() {
        return;
    }
    let device = device_with_everything().await;
    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("copy.db");
    device.db.execute_unprepared(&format!("VACUUM INTO '{}'", copy.display())).await.expect("a copy");
    golden::write(&format!("databases/{FORMAT}.sql"), statements(&copy).as_bytes());
    let opened = open(FORMAT, dir.path()).await;
    golden::write(&format!("databases/{FORMAT}.txt"), meaning(&opened).await.as_bytes());
}

#[tokio::test]
async fn databases_of_every_format_are_read_with_the_meaning_that_they_had() {
    write_missing().await;
    for format in 1..=FORMAT {
        let dir = tempfile::tempdir().expect("a folder");
        let device = open(format, dir.path()).await;
        let expected = golden::read(&format!("databases/{format}.txt"));
        let expected = String::from_utf8(expected).expect("text");
        assert_eq!(meaning(&device).await, expected, "format {format}");
        // It goes on: others get all of it, and what is written to it travels.
        edit(&device, 3, "of today").await;
        let other = Device::new(device.engine.library_id()).await;
        let report = other.sync(&device).await.expect("a round");
        assert!(report.in_sync && report.refused.is_empty(), "{report:?}");
        assert_eq!(other.dump().await, device.dump().await);
        for one in [&device, &other] {
            one.assert_sound().await;
        }
    }
}

/// The file has something in every table of ours: a table that is empty there is not tested.
#[test]
fn the_database_has_something_in_every_table() {
    if golden::writes() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("golden.db");
    let db = Connection::open(&path).expect("a database");
    let statements = golden::read(&format!("databases/{FORMAT}.sql"));
    db.execute_batch(std::str::from_utf8(&statements).expect("text")).expect("statements that run");
    drop(db);
    for table in values(&path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'sync_*'") {
        let table = table.trim_start_matches("Text(\"").trim_end_matches("\")").to_owned();
        let count = values(&path, &format!("SELECT count(*) FROM {table}"));
        assert!(count != ["Integer(0)"] || table == "sync_dirty", "{table} is empty");
    }
}
