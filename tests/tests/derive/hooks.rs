//! From a save to the queues of the engines.

use std::{sync::Arc, time::Duration};

use sea_orm::{ActiveValue::Set, ConnectionTrait, Database, DatabaseConnection, Schema, entity::prelude::*};
use sync_core::{
    ColumnKind, RecordId, SyncValue, encode_key,
    hooks::{self, ChangeType, HookQueue},
    runtime::Time,
};
use uuid::Uuid;

use crate::entities::{both, line, manual, note, order, seat};

#[derive(Debug)]
struct Noon;

impl Time for Noon {
    fn now_ms(&self) -> u64 {
        43_200_000
    }
}

fn listen(model: &str, capacity: usize) -> HookQueue {
    hooks::subscribe([model.into()], capacity, Arc::new(Noon))
}

async fn database() -> DatabaseConnection {
    let db = Database::connect("sqlite::memory:").await.expect("a database in memory");
    let schema = Schema::new(db.get_database_backend());
    let tables = [
        schema.create_table_from_entity(order::Entity),
        schema.create_table_from_entity(line::Entity),
        schema.create_table_from_entity(seat::Entity),
        schema.create_table_from_entity(note::Entity),
        schema.create_table_from_entity(manual::Entity),
        schema.create_table_from_entity(both::Entity),
    ];
    for table in &tables {
        db.execute(table).await.expect("a new table");
    }
    db
}

fn order(name: &str) -> order::ActiveModel {
    order::ActiveModel { name: Set(name.into()), ..Default::default() }
}

fn record(key: Uuid) -> RecordId {
    encode_key(&[SyncValue::Uuid(key)])
}

/// The hints of one record: other tests of this process write to the same models.
fn of(queue: &HookQueue, record: &RecordId) -> Vec<ChangeType> {
    queue.drain().into_iter().filter(|hint| hint.record == *record).map(|hint| hint.change_type).collect()
}

#[tokio::test]
async fn insert_update_and_delete_are_told_with_their_record_and_time() {
    let db = database().await;
    let queue = listen("orders", 1024);
    let model = order("a").insert(&db).await.unwrap();
    let hint = queue.drain().into_iter().find(|hint| hint.record == record(model.id)).unwrap();
    assert_eq!((hint.model.as_str(), hint.change_type, hint.at), ("orders", ChangeType::Insert, 43_200_000));

    let mut active: order::ActiveModel = model.clone().into();
    active.name = Set("b".into());
    active.update(&db).await.unwrap();
    assert_eq!(of(&queue, &record(model.id)), [ChangeType::Update]);

    let id = model.id;
    model.delete(&db).await.unwrap();
    assert_eq!(of(&queue, &record(id)), [ChangeType::Delete]);
}

#[tokio::test]
async fn an_unset_uuid_key_is_filled_and_a_set_one_stays() {
    let db = database().await;
    let (first, second) = (order("a").insert(&db).await.unwrap(), order("b").save(&db).await.unwrap());
    assert_eq!(first.id.get_version_num(), 7);
    assert_ne!(first.id, *second.id.as_ref());

    let chosen = Uuid::from_u128(5);
    let model = order::ActiveModel { id: Set(chosen), name: Set("c".into()) }.insert(&db).await.unwrap();
    assert_eq!(model.id, chosen);
    manual::ActiveModel { ..Default::default() }.insert(&db).await.unwrap_err();
    both::ActiveModel { ..Default::default() }.insert(&db).await.unwrap_err();
    let lost = order("without a key").update(&db).await.unwrap_err();
    assert!(matches!(lost, DbErr::PrimaryKeyNotSet { .. }), "{lost:?}");
    // An update of many rows must not be given a key to write.
    let changed = order::Entity::update_many()
        .set(order::ActiveModel { name: Set("all".into()), ..Default::default() })
        .exec(&db)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected, 3);
}

#[tokio::test]
async fn a_nested_save_tells_of_parent_and_children() {
    let db = database().await;
    let (orders, lines) = (listen("orders", 1024), listen("lines", 1024));
    let saved = order::ActiveModelEx::new()
        .set_name("nested")
        .add_line(line::ActiveModelEx::new().set_text("one"))
        .add_line(line::ActiveModelEx::new().set_text("two"))
        .insert(&db)
        .await
        .unwrap();
    assert_eq!(of(&orders, &record(saved.id)), [ChangeType::Insert]);
    let children = line::Entity::find().filter(line::Column::OrderId.eq(saved.id)).all(&db).await.unwrap();
    assert_eq!(children.len(), 2);
    let told = lines.drain();
    for child in children {
        assert!(told.iter().any(|hint| hint.record == record(child.id)));
    }
}

#[tokio::test]
async fn a_composite_key_is_told_in_key_order() {
    let db = database().await;
    let queue = listen("seats", 16);
    let seat = seat::ActiveModel { number: Set(3), row: Set("k".into()), taken: Set(true) };
    seat.insert(&db).await.unwrap();
    let expected = encode_key(&[SyncValue::I64(3), SyncValue::Text("k".into())]);
    assert_eq!(of(&queue, &expected), [ChangeType::Insert]);
    let adapter = sync_core::Registration::of::<seat::ActiveModel>().adapter().unwrap();
    assert_eq!(adapter.spec().keys, [0, 1]);
    assert_eq!(adapter.spec().columns[0].kind, ColumnKind::I32);
}

#[tokio::test]
async fn hooks_of_the_users_own_run_and_ours_around_them() {
    let db = database().await;
    let queue = listen("notes", 64);
    let note = |text: &str| note::ActiveModel { text: Set(text.into()), ..Default::default() };

    let saved = note("a").insert(&db).await.unwrap();
    assert_eq!((saved.text.as_str(), saved.id.get_version_num()), ("a!?", 7));
    assert_eq!(of(&queue, &record(saved.id)), [ChangeType::Insert]);

    // `before_save` returns early.
    let mut active: note::ActiveModel = saved.clone().into();
    active.text = Set("b".into());
    assert_eq!(active.update(&db).await.unwrap().text, "b?");
    assert_eq!(of(&queue, &record(saved.id)), [ChangeType::Update]);

    // `before_save` fails: nothing was written, nothing is told.
    note("refused").insert(&db).await.unwrap_err();
    assert_eq!(queue.drain(), []);

    // `after_save` fails behind the written row, which must be told all the same.
    let late = Uuid::from_u128(11);
    let failing = note::ActiveModel { id: Set(late), text: Set("late".into()) };
    failing.insert(&db).await.unwrap_err();
    assert!(note::Entity::find_by_id(late).one(&db).await.unwrap().is_some());
    assert_eq!(of(&queue, &record(late)), [ChangeType::Insert]);

    // `after_delete` is not among the user's, and is added.
    saved.clone().delete(&db).await.unwrap();
    assert_eq!(of(&queue, &record(saved.id)), [ChangeType::Delete]);
}

#[tokio::test]
async fn a_write_wakes_every_engine_that_serves_the_model_and_no_other() {
    let db = database().await;
    let serving: Vec<HookQueue> = (0..20).map(|_| listen("manual", 4)).collect();
    let (other, gone) = (listen("things that are not", 4), listen("manual", 4));
    drop(gone);

    let id = Uuid::from_u128(1);
    manual::ActiveModel { id: Set(id) }.insert(&db).await.unwrap();
    for queue in &serving {
        tokio::time::timeout(Duration::from_secs(5), queue.notified()).await.unwrap();
        assert_eq!(of(queue, &record(id)), [ChangeType::Insert]);
    }
    tokio::time::timeout(Duration::from_millis(20), other.notified()).await.unwrap_err();
    assert_eq!(other.pop(), None);
}

#[tokio::test]
async fn a_full_queue_loses_hints_but_not_the_wake() {
    let queue = listen("seats", 2);
    let seat = |number| seat::Model { number, row: "full".into(), taken: false };
    for number in 0..5 {
        hooks::saved(&seat(number), true);
    }
    assert!(queue.overflowed() >= 3);
    assert_eq!(queue.drain().len(), 2);
    tokio::time::timeout(Duration::from_secs(5), queue.notified()).await.unwrap();
    hooks::deleted(&seat::ActiveModel::from(seat(9)));
    assert!(!queue.drain().is_empty());
}
