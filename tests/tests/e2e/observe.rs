//! What an application is told: which rows to read again, and how each peer stands.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::FutureExt;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set};
use sync_core::{Changed, Changes, EngineBuilder, Limits, SyncError};
use sync_tests::{
    Device,
    device::{ManualClock, library},
    entities::{item, label},
    faulty::{Fault, Faulty},
    grown::before,
    tangled::tagging,
};
use uuid::Uuid;

async fn add_label(device: &Device, name: &str) -> Uuid {
    let row = label::ActiveModel { name: Set(name.into()), ..Default::default() };
    row.insert(&device.db).await.expect("a label").id
}

/// All keys told so far.
fn told(changes: &mut Changes<label::Entity>) -> BTreeSet<Uuid> {
    let mut keys = BTreeSet::new();
    while let Some(changed) = changes.next().now_or_never() {
        match changed.expect("an engine") {
            Changed::Keys(more) => keys.extend(more),
            other => panic!("{other:?}"),
        }
    }
    keys
}

#[tokio::test]
async fn rows_that_change_are_told_by_their_keys_whoever_wrote_them() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let (mut at_a, mut at_b) = (
        a.engine.changed::<label::Entity>().expect("served"),
        b.engine.changed::<label::Entity>().expect("served"),
    );
    let red = add_label(&a, "red").await;
    item::ActiveModel { title: Set("not a label".into()), qty: Set(1), ..Default::default() }
        .insert(&a.db)
        .await
        .expect("an item");
    assert_eq!(told(&mut at_a), BTreeSet::new(), "not logged yet");
    a.engine.flush().await.expect("a flush");
    assert_eq!(told(&mut at_a), BTreeSet::from([red]));
    a.sync(&b).await.expect("a round");
    assert_eq!(told(&mut at_b), BTreeSet::from([red]));
    assert_eq!(told(&mut at_a), BTreeSet::new());
}

#[tokio::test]
async fn a_row_that_a_constraint_takes_away_or_gives_back_is_told() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let older = add_label(&a, "same").await;
    a.engine.flush().await.expect("a flush");
    let newer = add_label(&b, "same").await;
    b.engine.flush().await.expect("a flush");
    let mut at_b = b.engine.changed::<label::Entity>().expect("served");
    b.sync(&a).await.expect("a round");
    assert_eq!(told(&mut at_b), BTreeSet::from([older, newer]), "one came, the other is hidden");
    let row = label::Entity::find_by_id(older).one(&b.db).await.expect("a query").expect("the older row");
    row.into_active_model().delete(&b.db).await.expect("a delete");
    b.engine.flush().await.expect("a flush");
    assert_eq!(told(&mut at_b), BTreeSet::from([older, newer]), "one went, the other is back");
}

#[tokio::test]
async fn composite_keys_are_told_whole() {
    let device = Device::new(library()).await;
    let mut changes = device.engine.changed::<tagging::Entity>().expect("served");
    let key = (Uuid::from_u128(1), Uuid::from_u128(2));
    for statement in [
        "INSERT INTO folders (id, name) VALUES (x'00000000000000000000000000000001', 'f')",
        "INSERT INTO labels (id, name) VALUES (x'00000000000000000000000000000002', 'l')",
    ] {
        device.db.execute_unprepared(statement).await.expect("a parent");
    }
    let row = tagging::ActiveModel { folder_id: Set(key.0), label_id: Set(key.1), why: Set(None) };
    row.insert(&device.db).await.expect("a tagging");
    device.engine.flush().await.expect("a flush");
    assert_eq!(changes.next().await, Some(Changed::Keys(vec![key])));
}

#[tokio::test]
async fn nobody_waits_for_changes_of_an_entity_that_is_not_served() {
    let engine = |builder: EngineBuilder| builder.without_background().models(["item", "grown"]);
    let device = Device::with(library(), |builder| engine(builder).register::<before::ActiveModel>()).await;
    let refused = device.engine.changed::<label::Entity>().expect_err("it is not served");
    assert!(matches!(&refused, SyncError::UnknownModel(model) if model == "label"), "{refused}");
    let mut grown =
        device.engine.changed::<before::Entity>().expect("served, though its table is not there yet");
    let table = "CREATE TABLE grown (id BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL)";
    device.db.execute_unprepared(table).await.expect("a table");
    let row = before::ActiveModel { id: Set(Uuid::from_u128(1)), name: Set("one".into()) };
    device.engine.flush().await.expect("a flush");
    row.insert(&device.db).await.expect("a row");
    device.engine.flush().await.expect("a flush");
    assert_eq!(grown.next().await, Some(Changed::Keys(vec![Uuid::from_u128(1)])));
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_so_and_goes_on() {
    let mut limits = Limits::default();
    limits.event_buffer = 2;
    let device = Device::with(library(), |builder| builder.without_background().limits(limits)).await;
    let mut changes = device.engine.changed::<label::Entity>().expect("served");
    let mut last = Uuid::nil();
    for number in 0..5 {
        last = add_label(&device, &format!("label {number}")).await;
        device.engine.flush().await.expect("a flush");
    }
    assert_eq!(changes.next().await, Some(Changed::Missed));
    assert!(matches!(changes.next().await, Some(Changed::Keys(_))));
    assert_eq!(changes.next().await, Some(Changed::Keys(vec![last])));
}

#[tokio::test]
async fn the_status_tells_a_peers_clock_and_its_last_error() {
    let library = library();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let ahead = Arc::new(ManualClock::at(1_700_000_007_000));
    let a = Device::with(library, |builder| builder.without_background().time(clock)).await;
    let b = Device::with(library, |builder| builder.without_background().time(ahead)).await;
    add_label(&b, "red").await;
    a.sync(&b).await.expect("a round");
    let peer = a.engine.status().await.expect("a status").peers.remove(0);
    assert_eq!((peer.clock_offset_ms, peer.last_error), (Some(7_000), None));

    add_label(&b, "green").await;
    let error = a.engine.sync_with(&Faulty::new(b.engine.clone(), Fault::WrongHash)).await;
    let error = error.expect_err("a corrupt page").to_string();
    let peer = a.engine.status().await.expect("a status").peers.remove(0);
    assert_eq!(peer.last_error, Some(error));
    a.sync(&b).await.expect("a round");
    assert_eq!(a.engine.status().await.expect("a status").peers.remove(0).last_error, None);
}
