//! Devices that write apart and sync show the same.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use sync_tests::{
    Device,
    device::library,
    entities::{branch, item, label, leaf, memo},
    state::equal,
};

async fn add_item(device: &Device, title: &str) -> item::Model {
    item::ActiveModel { title: Set(title.into()), qty: Set(1), ..Default::default() }
        .insert(&device.db)
        .await
        .expect("an item")
}

#[tokio::test]
async fn an_insert_arrives() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let item = add_item(&a, "Photos").await;
    let report = a.sync(&b).await.expect("a round");
    assert_eq!((report.sent, report.received), (1, 0));
    let there = item::Entity::find_by_id(item.id).one(&b.db).await.expect("a query");
    assert_eq!(there, Some(item));
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn edits_of_different_columns_both_stay() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let item = add_item(&a, "Photos").await;
    a.sync(&b).await.expect("a round");
    let mut here = item.clone().into_active_model();
    here.title = Set("Pictures".into());
    here.update(&a.db).await.expect("an update");
    let mut there = item.clone().into_active_model();
    there.qty = Set(7);
    there.update(&b.db).await.expect("an update");
    let report = a.sync(&b).await.expect("a round");
    assert_eq!(report.conflicts, 0);
    let merged = item::Entity::find_by_id(item.id).one(&a.db).await.expect("a query").expect("the item");
    assert_eq!((merged.title.as_str(), merged.qty), ("Pictures", 7));
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_delete_wins_over_a_concurrent_update() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let item = add_item(&a, "Photos").await;
    a.sync(&b).await.expect("a round");
    item.clone().into_active_model().delete(&a.db).await.expect("a delete");
    let mut there = item.clone().into_active_model();
    there.qty = Set(7);
    there.update(&b.db).await.expect("an update");
    b.sync(&a).await.expect("a round");
    assert_eq!(item::Entity::find_by_id(item.id).one(&b.db).await.expect("a query"), None);
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn two_equal_unique_values_show_the_same_row_everywhere() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    for device in [&a, &b] {
        label::ActiveModel { name: Set("red".into()), ..Default::default() }
            .insert(&device.db)
            .await
            .expect("a label");
    }
    let report = a.sync(&b).await.expect("a round");
    a.sync(&b).await.expect("a round");
    assert_eq!(label::Entity::find().all(&a.db).await.expect("labels").len(), 1, "{report:?}");
    for device in [&a, &b] {
        let pending = device.engine.pending().await.expect("pending");
        assert_eq!(pending.len(), 1, "{pending:?}");
    }
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_child_comes_back_with_its_parent() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let branch = branch::ActiveModel { name: Set("b".into()), ..Default::default() }
        .insert(&a.db)
        .await
        .expect("a branch");
    a.sync(&b).await.expect("a round");
    // B hangs a leaf on the branch that A deletes at the same time.
    let leaf = leaf::ActiveModel {
        branch_id: Set(branch.id),
        name: Set("l".into()),
        seen: Set(Some(5)),
        ..Default::default()
    }
    .insert(&b.db)
    .await
    .expect("a leaf");
    branch.clone().into_active_model().delete(&a.db).await.expect("a delete");
    a.sync(&b).await.expect("a round");
    a.sync(&b).await.expect("a round");
    assert_eq!(leaf::Entity::find().all(&b.db).await.expect("leaves"), []);
    assert_eq!(a.engine.pending().await.expect("pending").len(), 1);
    equal(&[&a, &b]).await;
    branch.clone().into_active_model().insert(&a.db).await.expect("the branch again");
    a.sync(&b).await.expect("a round");
    equal(&[&a, &b]).await;
    assert_eq!(leaf::Entity::find_by_id(leaf.id).one(&b.db).await.expect("a query"), Some(leaf.clone()));
    assert!(leaf::Entity::find_by_id(leaf.id).one(&a.db).await.expect("a query").is_some());
}

#[tokio::test]
async fn the_users_merge_function_settles_a_conflict() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let memo = memo::ActiveModel { words: Set("one".into()), ..Default::default() }
        .insert(&a.db)
        .await
        .expect("a memo");
    a.sync(&b).await.expect("a round");
    for (device, words) in [(&a, "one two"), (&b, "one three")] {
        let mut edit = memo.clone().into_active_model();
        edit.words = Set(words.into());
        edit.update(&device.db).await.expect("an update");
    }
    a.sync(&b).await.expect("a round");
    b.sync(&a).await.expect("a round");
    a.sync(&b).await.expect("a round");
    let merged = memo::Entity::find_by_id(memo.id).one(&b.db).await.expect("a query").expect("the memo");
    assert_eq!(merged.words, "one three two");
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_replica_that_has_nothing_begins_with_the_state() {
    let library = library();
    let a = Device::new(library).await;
    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = 2;
    let b = Device::with(library, |builder| builder.without_background().limits(limits)).await;
    for title in ["one", "two", "three"] {
        add_item(&a, title).await;
    }
    let round = tokio::time::timeout(std::time::Duration::from_secs(10), b.sync(&a));
    let report = round.await.expect("a round that ends").expect("a round");
    assert_eq!((report.snapshot_records, report.received), (3, 0));
    equal(&[&a, &b]).await;
    add_item(&b, "four").await;
    let report = b.sync(&a).await.expect("a round");
    assert_eq!(report.sent, 1);
    equal(&[&a, &b]).await;
}
