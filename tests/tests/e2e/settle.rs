//! What a person or a migration settles later: conflicts are kept or undone, pending records are tried again.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set};
use sync_core::{ConflictReason, ConflictRecord, PendingReason, Resolution, SyncError};
use sync_tests::{Device, device::library, entities::item, state::equal};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);

async fn item_of(device: &Device) -> Option<item::Model> {
    item::Entity::find_by_id(ID).one(&device.db).await.expect("a query")
}

async fn edit(device: &Device, change: impl FnOnce(&mut item::ActiveModel)) {
    let mut row = item_of(device).await.expect("the item").into_active_model();
    change(&mut row);
    row.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

/// Two devices that have one item, which both write apart, first `a`, then `b`.
async fn two() -> (Device, Device) {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let row = item::ActiveModel { id: Set(ID), title: Set("old".into()), qty: Set(1), ..Default::default() };
    row.insert(&a.db).await.expect("an item");
    a.sync(&b).await.expect("a round");
    (a, b)
}

async fn clash() -> (Device, Device, ConflictRecord) {
    let (a, b) = two().await;
    edit(&a, |row| row.title = Set("of a".into())).await;
    edit(&b, |row| row.title = Set("of b".into())).await;
    a.sync(&b).await.expect("a round");
    let conflict = a.engine.conflicts().await.expect("conflicts").remove(0);
    assert_eq!((conflict.field.as_str(), conflict.loser_value.to_string()), ("title", "\"of a\"".into()));
    (a, b, conflict)
}

async fn end_of_log(device: &Device) -> u64 {
    device.engine.status().await.expect("a status").latest_seq.0
}

#[tokio::test]
async fn a_lost_value_that_is_restored_wins_everywhere() {
    let (a, b, conflict) = clash().await;
    edit(&b, |row| row.qty = Set(5)).await;
    a.engine.resolve(conflict.id, Resolution::RestoreLoser).await.expect("settled");
    assert_eq!(a.engine.conflicts().await.expect("conflicts"), []);
    assert_eq!(a.engine.status().await.expect("a status").conflicts, 0);
    a.sync(&b).await.expect("a round");
    let row = item_of(&b).await.expect("the item");
    assert_eq!((row.title.as_str(), row.qty), ("of a", 5), "and other columns stay as they were written");
    equal(&[&a, &b]).await;
    assert_eq!(a.engine.conflicts().await.expect("conflicts"), [], "b knew of nothing newer");
}

#[tokio::test]
async fn a_restored_value_gives_way_to_a_later_one() {
    let (a, b, conflict) = clash().await;
    a.engine.resolve(conflict.id, Resolution::RestoreLoser).await.expect("settled");
    a.sync(&b).await.expect("a round");
    edit(&b, |row| row.title = Set("final".into())).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(item_of(&a).await.expect("the item").title, "final");
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_conflict_that_is_dismissed_writes_nothing() {
    let (a, b, conflict) = clash().await;
    let before = (end_of_log(&a).await, a.dump().await);
    a.engine.resolve(conflict.id, Resolution::Dismiss).await.expect("settled");
    assert_eq!((end_of_log(&a).await, a.dump().await), before);
    assert_eq!(a.engine.conflicts().await.expect("conflicts"), []);
    let again = a.engine.resolve(conflict.id, Resolution::RestoreLoser).await;
    assert!(matches!(again, Err(SyncError::UnknownConflict(id)) if id == conflict.id), "{again:?}");
    assert_eq!((end_of_log(&a).await, a.dump().await), before);
    assert_eq!(b.engine.conflicts().await.expect("conflicts").len(), 1, "b has its own list");
}

#[tokio::test]
async fn a_record_that_was_deleted_comes_back_as_it_was() {
    let (a, b) = two().await;
    item_of(&a).await.expect("the item").into_active_model().delete(&a.db).await.expect("a delete");
    edit(&b, |row| row.note = Set(Some("keep me".into()))).await;
    a.sync(&b).await.expect("a round");
    assert_eq!((item_of(&a).await, item_of(&b).await), (None, None));
    let conflict = b.engine.conflicts().await.expect("conflicts").remove(0);
    assert_eq!(conflict.reason, ConflictReason::DeleteWins);
    b.engine.resolve(conflict.id, Resolution::RestoreLoser).await.expect("settled");
    b.sync(&a).await.expect("a round");
    let row = item_of(&a).await.expect("the item is back");
    assert_eq!((row.title.as_str(), row.qty, row.note.as_deref()), ("old", 1, Some("keep me")));
    equal(&[&a, &b]).await;
}

/// `b` refuses the item until the trigger is gone.
async fn refused() -> (Device, Device) {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON items WHEN NEW.qty = 13 BEGIN SELECT RAISE(ABORT, 'thirteen'); END";
    b.db.execute_unprepared(trigger).await.expect("a trigger");
    let row = item::ActiveModel { id: Set(ID), title: Set("t".into()), qty: Set(13), ..Default::default() };
    row.insert(&a.db).await.expect("an item");
    a.sync(&b).await.expect("a round");
    let pending = b.engine.pending().await.expect("pending").remove(0);
    assert_eq!((pending.reason, item_of(&b).await), (PendingReason::Invalid, None));
    assert!(pending.detail.contains("thirteen"), "{}", pending.detail);
    (a, b)
}

#[tokio::test]
async fn what_was_refused_is_written_once_the_table_takes_it() {
    let (a, b) = refused().await;
    assert_eq!(b.engine.pending().retry().await.expect("a look"), 0, "nothing has changed");
    assert_eq!(b.engine.pending().await.expect("pending").len(), 1);
    b.db.execute_unprepared("DROP TRIGGER refuse").await.expect("no trigger");
    let mut changes = b.engine.changed::<item::Entity>().expect("served");
    let before = end_of_log(&b).await;
    assert_eq!(b.engine.pending().retry().await.expect("a look"), 1);
    assert_eq!(changes.next().await, Some(sync_core::Changed::Keys(vec![ID])));
    assert_eq!(b.engine.pending().await.expect("pending"), []);
    assert_eq!(end_of_log(&b).await, before, "what others wrote is not logged again");
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_start_tries_what_was_refused_before() {
    let (a, b) = refused().await;
    b.db.execute_unprepared("DROP TRIGGER refuse").await.expect("no trigger");
    let (path, library) = (b.path.clone(), b.engine.library_id());
    b.engine.shutdown().await.expect("a shutdown");
    let again = Device::open(path, library, |builder| builder.without_background()).await;
    assert_eq!(again.engine.pending().await.expect("pending"), []);
    equal(&[&a, &again]).await;
}
