//! A replica keeps the part of the library that its scope names, and reads of it only what is new.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryOrder, Set};
use sync_core::{LibraryId, Scope, SyncError};
use sync_tests::{
    Device,
    device::library,
    entities::{branch, item, label, leaf},
    ruled::basket,
};
use uuid::Uuid;

/// A device that keeps this part.
pub(crate) async fn part(library: LibraryId, scope: Scope) -> Device {
    Device::with(library, |builder| builder.without_background().scope(scope)).await
}

/// A server, and a device that keeps the items with the tag `mine`.
pub(crate) async fn server_and_phone() -> (Device, Device) {
    let library = library();
    let server = Device::new(library).await;
    let phone = part(library, Scope::none().tag("mine")).await;
    phone.sync(&server).await.expect("a round");
    (server, phone)
}

/// Adds an item with a tag.
pub(crate) async fn add(device: &Device, title: &str, tag: Option<&str>) -> Uuid {
    add_with(device, Uuid::new_v4(), title, tag).await
}

/// The same with this key.
pub(crate) async fn add_with(device: &Device, id: Uuid, title: &str, tag: Option<&str>) -> Uuid {
    let new = item::ActiveModel {
        id: Set(id),
        title: Set(title.into()),
        qty: Set(1),
        note: Set(tag.map(Into::into)),
        ..Default::default()
    };
    new.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
    id
}

/// Gives an item another tag.
pub(crate) async fn tag(device: &Device, id: Uuid, tag: &str) {
    let edit = item::ActiveModel { id: Set(id), note: Set(Some(tag.into())), ..Default::default() };
    edit.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

/// Gives an item another title.
pub(crate) async fn rename(device: &Device, id: Uuid, title: &str) {
    let edit = item::ActiveModel { id: Set(id), title: Set(title.into()), ..Default::default() };
    edit.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

/// Deletes an item.
pub(crate) async fn delete(device: &Device, id: Uuid) {
    item::Entity::delete_by_id(id).exec(&device.db).await.expect("a delete");
    device.engine.flush().await.expect("a flush");
}

/// The titles of a device's items, in order.
pub(crate) async fn titles(device: &Device) -> Vec<String> {
    let items = item::Entity::find().order_by_asc(item::Column::Title).all(&device.db).await;
    items.expect("items").into_iter().map(|item| item.title).collect()
}

/// One round, after which all of the scope is there and nothing waits.
pub(crate) async fn settled(phone: &Device, server: &Device) -> sync_core::SyncReport {
    let report = phone.sync(server).await.expect("a round");
    assert!(report.in_sync && !report.diverged, "{report:?}");
    let state = phone.state().await;
    assert_eq!((state.pending, state.held), (0, 0));
    report
}

async fn add_label(device: &Device, name: &str) -> Uuid {
    let new = label::ActiveModel { name: Set(name.into()), ..Default::default() };
    new.insert(&device.db).await.expect("a label").id
}

async fn labels(device: &Device) -> Vec<String> {
    let labels = label::Entity::find().order_by_asc(label::Column::Name).all(&device.db).await;
    labels.expect("labels").into_iter().map(|label| label.name).collect()
}

#[tokio::test]
async fn a_model_comes_and_of_it_only_what_is_new() {
    let library = library();
    let server = Device::new(library).await;
    let phone = part(library, Scope::none().model::<label::Entity>()).await;
    for name in ["a", "b"] {
        add_label(&server, name).await;
        add(&server, name, None).await;
    }
    assert_eq!(settled(&phone, &server).await.snapshot_records, 2);
    assert_eq!(labels(&phone).await, ["a", "b"]);
    assert_eq!(titles(&phone).await, [""; 0]);

    let c = add_label(&server, "c").await;
    add(&server, "c", None).await;
    assert_eq!(settled(&phone, &server).await.snapshot_records, 1, "what is new");
    assert_eq!(settled(&phone, &server).await.snapshot_records, 0, "nothing is");
    label::Entity::delete_by_id(c).exec(&server.db).await.expect("a delete");
    assert_eq!(settled(&phone, &server).await.snapshot_records, 1, "the delete");
    assert_eq!(labels(&phone).await, ["a", "b"]);

    // And the other way.
    add_label(&phone, "d").await;
    assert_eq!(settled(&phone, &server).await.sent, 1);
    assert_eq!(labels(&server).await, ["a", "b", "d"]);
    server.state().await;
}

#[tokio::test]
async fn a_record_comes_and_its_siblings_do_not() {
    let library = library();
    let server = Device::new(library).await;
    let wanted = add(&server, "wanted", None).await;
    let other = add(&server, "other", None).await;
    let phone = part(library, Scope::none().record::<item::Entity>(wanted)).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["wanted"]);
    rename(&server, wanted, "renamed").await;
    rename(&server, other, "other still").await;
    assert_eq!(settled(&phone, &server).await.snapshot_records, 1);
    assert_eq!(titles(&phone).await, ["renamed"]);
    rename(&phone, wanted, "by the phone").await;
    settled(&phone, &server).await;
    assert_eq!(titles(&server).await, ["by the phone", "other still"]);
}

#[tokio::test]
async fn tags_choose_by_values_and_by_elements_of_sets() {
    let library = library();
    let server = Device::new(library).await;
    for (title, tag) in [("a", Some("red")), ("b", Some("blue")), ("c", None), ("d", Some("green"))] {
        add(&server, title, tag).await;
    }
    let mut baskets = Vec::new();
    for tags in [["red", "round"], ["square", "grey"]] {
        let new = basket::ActiveModel { tags: Set(serde_json::json!(tags)), ..Default::default() };
        baskets.push(new.insert(&server.db).await.expect("a basket").id);
    }
    let phone = part(library, Scope::none().tag("red").tag("green").model::<label::Entity>()).await;
    add_label(&server, "of a model").await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a", "d"], "a record is in scope if one of its names is");
    assert_eq!(labels(&phone).await, ["of a model"]);
    let here = basket::Entity::find().all(&phone.db).await.expect("baskets");
    assert_eq!(here.iter().map(|basket| basket.id).collect::<Vec<_>>(), [baskets[0]]);

    // An element that two devices add and take out: the set that it comes to decides.
    for (at, tags) in [(1, vec!["square", "green"]), (0, vec!["round"])] {
        let edit = basket::ActiveModel { id: Set(baskets[at]), tags: Set(serde_json::json!(tags)) };
        edit.update(&server.db).await.expect("an update");
    }
    settled(&phone, &server).await;
    let here = basket::Entity::find().all(&phone.db).await.expect("baskets");
    assert_eq!(here.iter().map(|basket| basket.id).collect::<Vec<_>>(), [baskets[1]]);
}

#[tokio::test]
async fn a_scope_is_remembered_and_shown() {
    let library = library();
    let server = Device::new(library).await;
    add(&server, "a", Some("mine")).await;
    add(&server, "b", None).await;
    let phone = Device::new(library).await;
    assert!(phone.engine.scope().await.expect("a scope").is_everything());
    let mine = Scope::none().tag("mine");
    phone.engine.set_scope(mine.clone()).await.expect("a scope");
    let phone = phone.restart(|builder| builder.without_background()).await;
    assert_eq!(phone.engine.scope().await.expect("a scope"), mine);
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a"]);
    let status = phone.engine.status().await.expect("a status");
    assert_eq!((status.scope, status.widening), (mine, false));
}

#[tokio::test]
async fn a_scope_that_cannot_be_meant_changes_nothing() {
    let device =
        Device::with(library(), |builder| builder.without_background().models(["item", "label"])).await;
    for (scope, why) in [
        (Scope::none().tag(7), "no column marked"),
        (Scope::none().tag(Option::<String>::None), "cannot be a tag"),
        (
            (0..=Scope::MOST).fold(Scope::none(), |scope, _| scope.record::<item::Entity>(Uuid::new_v4())),
            "may be named",
        ),
    ] {
        let error = device.engine.set_scope(scope).await.expect_err("no such scope");
        assert!(matches!(&error, SyncError::Scope(what) if what.contains(why)), "{error}");
    }
    assert!(device.engine.scope().await.expect("a scope").is_everything());
}

/// A child in scope of a parent out of it waits for the parent, and comes when the parent does.
#[tokio::test]
async fn a_child_waits_for_a_parent_out_of_scope() {
    let library = library();
    let server = Device::new(library).await;
    let parent = branch::ActiveModel { name: Set("parent".into()), ..Default::default() };
    let parent = parent.insert(&server.db).await.expect("a branch");
    for name in ["a", "b"] {
        let child =
            leaf::ActiveModel { branch_id: Set(parent.id), name: Set(name.into()), ..Default::default() };
        child.insert(&server.db).await.expect("a leaf");
    }
    let phone = part(library, Scope::none().model::<leaf::Entity>()).await;
    let report = phone.sync(&server).await.expect("a round");
    assert!(report.in_sync && report.pending == 2, "{report:?}");
    assert!(leaf::Entity::find().all(&phone.db).await.expect("leaves").is_empty());
    assert_eq!(phone.state().await.pending, 2);

    let both = Scope::none().model::<leaf::Entity>().model::<branch::Entity>();
    phone.engine.set_scope(both).await.expect("a scope");
    settled(&phone, &server).await;
    assert_eq!(leaf::Entity::find().all(&phone.db).await.expect("leaves").len(), 2);

    // The parent goes, the children wait with what does not travel, and are as they were when it comes back.
    let seen = "UPDATE leaves SET seen = 5";
    phone.db.execute_unprepared(seen).await.expect("a column that stays here");
    phone.engine.set_scope(Scope::none().model::<leaf::Entity>()).await.expect("a scope");
    phone.sync(&server).await.expect("a round");
    assert_eq!(phone.state().await.pending, 2);
    assert!(branch::Entity::find().all(&phone.db).await.expect("branches").is_empty());
    let both = Scope::none().model::<leaf::Entity>().model::<branch::Entity>();
    phone.engine.set_scope(both).await.expect("a scope");
    settled(&phone, &server).await;
    let leaves = leaf::Entity::find().all(&phone.db).await.expect("leaves");
    assert_eq!(leaves.iter().map(|leaf| leaf.seen).collect::<Vec<_>>(), [Some(5); 2]);
    // Nothing of it was a delete.
    settled(&phone, &server).await;
    assert_eq!(leaf::Entity::find().all(&server.db).await.expect("leaves").len(), 2);
    let parent = parent.into_active_model();
    parent.delete(&server.db).await.expect("a delete");
    settled(&phone, &server).await;
    assert!(leaf::Entity::find().all(&phone.db).await.expect("leaves").is_empty());
}
