//! The database's own triggers: what they do while remote changes are applied is absorbed, or logged where the model
//! says so.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Set};
use sync_tests::{
    Device,
    device::library,
    entities::{item, tally},
};

use crate::ways::{id, new_item};

/// Rewrites what comes into `items` and `tallies`.
const REWRITE: &str = "\
    CREATE TRIGGER shout AFTER INSERT ON items BEGIN \
        UPDATE items SET note = upper(NEW.title) WHERE id = NEW.id; END; \
    CREATE TRIGGER count_name AFTER INSERT ON tallies BEGIN \
        UPDATE tallies SET total = length(NEW.name) WHERE id = NEW.id; END";

async fn pair() -> (Device, Device) {
    let library = library();
    (Device::new(library).await, Device::new(library).await)
}

async fn make(device: &Device, triggers: &str) {
    device.db.execute_unprepared(triggers).await.expect("triggers");
}

async fn item_of(device: &Device) -> Option<item::Model> {
    item::Entity::find_by_id(id(1)).one(&device.db).await.expect("a query")
}

async fn tally_of(device: &Device) -> Option<tally::Model> {
    tally::Entity::find_by_id(id(1)).one(&device.db).await.expect("a query")
}

async fn insert_tally(device: &Device) {
    let new = tally::ActiveModel { id: Set(id(1)), name: Set("four".into()), total: Set(0) };
    new.insert(&device.db).await.expect("a tally");
}

/// Rounds until nothing moves any more; each device's ledger is whole then, and they are equal.
async fn rest(a: &Device, b: &Device) {
    for round in 0.. {
        let report = a.sync(b).await.expect("a round");
        if (report.sent, report.received) == (0, 0) {
            break;
        }
        assert!(round < 5, "the devices do not come to rest");
    }
    for device in [a, b] {
        device.assert_sound().await;
    }
    assert_eq!(a.digest().await, b.digest().await);
}

#[tokio::test]
async fn what_a_trigger_does_to_an_applied_row_is_absorbed() {
    let (a, b) = pair().await;
    make(&b, REWRITE).await;
    new_item(1, "one").insert(&a.db).await.expect("an item");
    rest(&a, &b).await;
    let here = item_of(&b).await.expect("the item");
    assert_eq!(here.note.as_deref(), Some("ONE"), "the trigger ran");
    assert_eq!(item_of(&a).await.expect("the item").note, None, "and nobody else hears of it");
    let history = b.engine.history::<item::Entity>(id(1)).await.expect("a history");
    assert!(history.iter().all(|entry| entry.device == a.engine.device_id()), "{history:?}");

    // The column travels again once it is written.
    let note = item::ActiveModel { id: Set(id(1)), note: Set(Some("mine".into())), ..Default::default() };
    note.update(&b.db).await.expect("an update");
    rest(&a, &b).await;
    assert_eq!(item_of(&a).await.expect("the item").note.as_deref(), Some("mine"));
    assert_eq!(a.dump().await, b.dump().await);
}

#[tokio::test]
async fn what_a_trigger_does_to_an_applied_row_is_logged_where_the_model_says_so() {
    let (a, b) = pair().await;
    make(&b, REWRITE).await;
    insert_tally(&a).await;
    rest(&a, &b).await;
    assert_eq!(tally_of(&b).await.expect("the tally").total, 4, "the trigger ran");
    assert_eq!(tally_of(&a).await.expect("the tally").total, 4, "and the others hear of it");
    let history = b.engine.history::<tally::Entity>(id(1)).await.expect("a history");
    let by: Vec<_> = history.iter().map(|entry| entry.device).collect();
    assert_eq!(by, [a.engine.device_id(), b.engine.device_id()]);
    let columns: Vec<_> = history[1].values.iter().map(|(column, _)| column.as_str()).collect();
    assert_eq!(columns, ["total"], "only what the trigger changed");
    assert_eq!(a.dump().await, b.dump().await);
}

#[tokio::test]
async fn the_same_trigger_on_both_devices_logs_once() {
    let (a, b) = pair().await;
    make(&a, REWRITE).await;
    make(&b, REWRITE).await;
    new_item(1, "one").insert(&a.db).await.expect("an item");
    insert_tally(&a).await;
    rest(&a, &b).await;
    assert_eq!(a.dump().await, b.dump().await);
    assert_eq!(item_of(&b).await.expect("the item").note.as_deref(), Some("ONE"));
    for device in [&a, &b] {
        assert_eq!(device.engine.history::<item::Entity>(id(1)).await.expect("a history").len(), 1);
        assert_eq!(device.engine.history::<tally::Entity>(id(1)).await.expect("a history").len(), 1);
    }
}

#[tokio::test]
async fn a_row_that_a_trigger_adds_is_logged_where_its_model_says_so() {
    let (a, b) = pair().await;
    let add = "CREATE TRIGGER add_tally AFTER INSERT ON items BEGIN \
               INSERT INTO tallies (id, name, total) VALUES (NEW.id, NEW.title, 7); END";
    make(&b, add).await;
    new_item(1, "one").insert(&a.db).await.expect("an item");
    rest(&a, &b).await;
    assert_eq!(tally_of(&a).await.expect("the tally").total, 7);
    assert_eq!(a.dump().await, b.dump().await);
}

#[tokio::test]
async fn a_row_that_a_trigger_adds_stays_unless_it_is_written_again() {
    let (a, b) = pair().await;
    let add = "CREATE TRIGGER add_item AFTER INSERT ON tallies BEGIN \
               INSERT INTO items (id, title, qty) VALUES (NEW.id, NEW.name, 7); END";
    make(&b, add).await;
    insert_tally(&a).await;
    rest(&a, &b).await;
    assert!(item_of(&b).await.is_some() && item_of(&a).await.is_none(), "absorbed");
    make(&b, "UPDATE items SET note = 'touched'").await;
    rest(&a, &b).await;
    let there = item_of(&a).await.expect("the item");
    assert_eq!((there.title.as_str(), there.qty, there.note.as_deref()), ("four", 7, Some("touched")));
    assert_eq!(a.dump().await, b.dump().await);
}
