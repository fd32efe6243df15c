//! No text from the wire becomes SQL, and none does harm where it is stored.

use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use sync_core::{Change, ChangeKind, PendingReason, SyncValue, Tag, encode_key};
use sync_tests::{
    Device,
    device::{introduce, library},
    entities::item,
    everything,
    wire::{self, Author},
};
use uuid::Uuid;

/// Texts that end a string, a name, a statement, or look like a name that is known.
const HOSTILE: [&str; 16] = [
    "'; DROP TABLE items; --",
    "\"; DROP TABLE items; --",
    "`items`; DELETE FROM sync_log; --",
    "items\" (id) VALUES (1); DROP TABLE sync_objects; --",
    "x') ON CONFLICT DO NOTHING; ATTACH 'evil.db' AS evil; --",
    "item\0'; DROP TABLE items",
    "sync_log",
    "sqlite_schema",
    "ITEM",
    "ite\u{043c}",
    "item\u{200b}",
    "\u{202e}meti",
    "$1 ?1 :id @id %s {} {{}}",
    "); PRAGMA writable_schema = ON; --",
    "",
    "\r\n\t🌊'\"\\",
];

fn text(text: &str) -> SyncValue {
    SyncValue::Text(text.into())
}

async fn device(library: sync_core::LibraryId) -> Device {
    let models = ["item", "label"].into_iter().chain(everything::MODELS);
    let configure = |builder: sync_core::EngineBuilder| builder.without_background().models(models);
    Device::prepared(library, everything::create_tables, configure).await
}

/// Every hostile text in every place of a change that holds text: model, column, record, value, tag.
fn attacks(author: &mut Author) -> Vec<Change> {
    let mut changes = Vec::new();
    for (n, evil) in HOSTILE.into_iter().enumerate() {
        let id = SyncValue::Uuid(Uuid::from_u128(n as u128 + 1));
        let whole = [("title", text("t")), ("qty", SyncValue::I64(1))];
        if !evil.is_empty() {
            changes.push(author.insert(evil, std::slice::from_ref(&id), &whole));
            let column = [whole.as_slice(), &[(evil, text(evil))]].concat();
            changes.push(author.insert("item", std::slice::from_ref(&id), &column));
        }
        // As a value where it may stand, where another type is wanted, and as a key of the wrong type and count.
        let id = SyncValue::Uuid(Uuid::from_u128(n as u128 + 1_001));
        changes.push(author.insert("item", &[id], &[("title", text(evil)), ("qty", SyncValue::I64(1))]));
        let id = SyncValue::Uuid(Uuid::from_u128(n as u128 + 2_001));
        changes.push(author.insert("item", &[id], &[("title", text("t")), ("qty", text(evil))]));
        changes.push(author.insert("item", &[text(evil)], &whole));
        changes.push(author.insert("item", &[text(evil), text(evil)], &whole));
        // Bytes that are no key at all.
        let mut raw = author.insert("item", &[], &whole);
        raw.record = sync_core::RecordId::from_bytes(format!("\u{1}{evil}").into_bytes());
        changes.push(raw);
        let id = SyncValue::Uuid(Uuid::from_u128(n as u128 + 3_001));
        let mut tagged = author.insert("item", &[id], &[("title", text(evil)), ("qty", SyncValue::I64(1))]);
        tagged.cells[1].tag = Tag { rule: 255, kind: 200 };
        changes.push(tagged);
        let id = SyncValue::Uuid(Uuid::from_u128(n as u128 + 4_001));
        let json = serde_json::json!({ evil: [evil, { evil: evil }] });
        changes.push(author.insert(
            "everything",
            &[id],
            &[("json", SyncValue::Json(json)), ("text", text(evil))],
        ));
    }
    changes
}

#[tokio::test]
async fn hostile_text_changes_no_schema_and_travels_on_as_it_is() {
    let library = library();
    let (b, c) = (device(library).await, device(library).await);
    introduce(&[&b, &c]).await;
    let (schema_b, schema_c) = (b.schema().await, c.schema().await);
    let mut author = Author::new(library, 3);
    let changes = attacks(&mut author);
    let answer = author.push(&b.engine, &changes).await.expect("an answer");
    assert!(answer.refused.is_empty(), "{:?}", answer.refused);
    assert_eq!(answer.merged, changes.len() as u64);
    c.sync(&b).await.expect("a round");
    let bytes: Vec<_> = changes.iter().map(|change| change.encode().into_bytes()).collect();
    for (device, schema) in [(&b, &schema_b), (&c, &schema_c)] {
        assert_eq!(&device.schema().await, schema);
        assert_eq!(wire::log_bytes(&device.engine).await, bytes, "kept and served on as they are");
        device.assert_sound().await;
        assert_eq!(device.engine.reconcile().await.expect("a reconcile"), 0);
        // Rows: one for each change of a known model with a key that its table can have and values that its columns
        // can hold; text without NUL stands there as it came.
        let titles: Vec<String> = item::Entity::find()
            .all(&device.db)
            .await
            .expect("items")
            .into_iter()
            .map(|item| item.title)
            .collect();
        for evil in HOSTILE.iter().filter(|evil| !evil.contains('\0')) {
            assert_eq!(titles.iter().filter(|title| title == evil).count(), 1, "{evil:?}");
        }
        assert_eq!(titles.len(), 15 + 15);
        assert_eq!(device.text("SELECT CAST(count(*) AS TEXT) FROM labels").await, "0");
        let pending = device.engine.pending().await.expect("pending");
        let count = |reason| pending.iter().filter(|one| one.reason == reason).count();
        // Wrong type of value 16, wrong keys 3 * 16, NUL in a title and in a text; and a rule that nobody knows.
        assert_eq!(count(PendingReason::Invalid), 16 + 3 * 16 + 2, "{pending:#?}");
        assert_eq!((count(PendingReason::UnknownValue), pending.len()), (16, 16 + 3 * 16 + 2 + 16));
        // What people look at shows it too, and breaks nothing.
        device.text("SELECT CAST(count(*) AS TEXT) FROM sync_changes").await;
        assert_eq!(device.logged().await, changes.len() as u64);
        for evil in HOSTILE.iter().filter(|evil| !evil.is_empty()) {
            let record = encode_key(&[SyncValue::Uuid(Uuid::from_u128(1))]);
            let history = device.engine.history_of(evil, &record).await.expect("a history");
            assert_eq!(history.len(), usize::from(*evil == HOSTILE[0]));
        }
    }
    assert_eq!(b.digest().await, c.digest().await);
}

/// A row that was edited here goes out with its columns' own names, whatever else its object has.
#[tokio::test]
async fn edits_and_deletes_of_poisoned_records_work() {
    let library = library();
    let (b, c) = (device(library).await, device(library).await);
    let schema = b.schema().await;
    let mut author = Author::new(library, 3);
    let changes = attacks(&mut author);
    author.merged(&b.engine, &changes).await;
    let count = item::Entity::find().all(&b.db).await.expect("items").len();
    b.db.execute_unprepared("UPDATE items SET qty = qty + 1").await.expect("an update");
    let log = wire::log_of(&b.engine).await;
    let own: Vec<_> = log.iter().filter(|change| change.device == b.engine.device_id()).collect();
    assert_eq!(own.len(), count);
    assert!(own.iter().all(|change| change.cells.len() == 1 && change.cells[0].column == "qty"));
    c.sync(&b).await.expect("a round");
    c.db.execute_unprepared("DELETE FROM items").await.expect("a delete");
    b.sync(&c).await.expect("a round");
    assert_eq!(item::Entity::find().all(&b.db).await.expect("items"), []);
    let log = wire::log_of(&b.engine).await;
    assert_eq!(log.iter().filter(|change| change.kind == ChangeKind::Delete).count(), count);
    assert_eq!((b.schema().await, b.digest().await), (schema, c.digest().await));
}

/// A text key that ends a statement is a key like any other.
#[tokio::test]
async fn hostile_text_is_a_key_where_keys_are_text() {
    let library = library();
    let (b, c) = (device(library).await, device(library).await);
    let cells = [
        ("bool", SyncValue::Bool(true)),
        ("i64", SyncValue::I64(1)),
        ("u32", SyncValue::I64(1)),
        ("f64", SyncValue::F64(1.0)),
        ("bytes", SyncValue::Bytes(vec![])),
        ("json", SyncValue::Json(serde_json::Value::Null)),
        ("uuid", SyncValue::Uuid(Uuid::nil())),
        ("decimal", SyncValue::Decimal("1".into())),
        ("utc", SyncValue::Time("2024-01-01T00:00:00Z".into())),
        ("date", SyncValue::Time("2024-01-01".into())),
        ("status", text("open")),
        ("rank", SyncValue::I64(-1)),
        ("title", text("t")),
        ("meters", SyncValue::I64(1)),
        ("settings", SyncValue::Json(serde_json::json!({"depth": 1, "names": []}))),
    ];
    let mut author = Author::new(library, 3);
    let keys: Vec<&str> = HOSTILE.into_iter().filter(|key| !key.contains('\0')).collect();
    let changes: Vec<_> = keys.iter().map(|key| author.insert("solid", &[text(key)], &cells)).collect();
    author.merged(&b.engine, &changes).await;
    b.db.execute_unprepared("UPDATE solids SET i64 = 2").await.expect("an update");
    c.sync(&b).await.expect("a round");
    for key in &keys {
        let statement = Statement::from_sql_and_values(
            c.db.get_database_backend(),
            "SELECT i64 FROM solids WHERE name = ?",
            [(*key).into()],
        );
        let row = c.db.query_one_raw(statement).await.expect("a query").expect("a row");
        assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 2, "{key:?}");
    }
    c.db.execute_unprepared("DELETE FROM solids WHERE name LIKE '%DROP%'").await.expect("a delete");
    b.sync(&c).await.expect("a round");
    assert_eq!(
        b.text("SELECT CAST(count(*) AS TEXT) FROM solids").await,
        keys.iter().filter(|key| !key.contains("DROP")).count().to_string()
    );
    assert_eq!(b.digest().await, c.digest().await);
}
