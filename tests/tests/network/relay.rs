//! Replicas that never meet: what one writes reaches the other through a third, in the author's own bytes.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait, Set};
use sync_tests::{
    Device, Served,
    device::{introduce, library},
    entities::item,
};

use crate::{add, items};

async fn edit_one_and_delete_another(device: &Device) {
    let mut rows = item::Entity::find().all(&device.db).await.expect("items");
    rows.pop().expect("an item").delete(&device.db).await.expect("a delete");
    let mut row = rows.pop().expect("an item").into_active_model();
    row.title = Set("edited".into());
    row.update(&device.db).await.expect("an update");
}

/// A and C sync with the relay only; it knows these models.
async fn check(models: Option<&'static str>) {
    let library = library();
    let (a, c) = (Device::new(library).await, Device::new(library).await);
    let relay = Device::with(library, |builder| match models {
        Some(model) => builder.without_background().models([model]),
        None => builder.without_background(),
    })
    .await;
    introduce(&[&a, &relay, &c]).await;
    let served = Served::new(relay.engine.clone(), library).await;
    let round = async |device: &Device| device.engine.sync_with(&served.client()).await.expect("a round");

    add(&a, "a", 5).await;
    round(&a).await;
    round(&c).await;
    edit_one_and_delete_another(&a).await;
    add(&c, "c", 3).await;
    round(&a).await;
    round(&c).await;
    round(&a).await;

    c.assert_equal(&a).await;
    assert_eq!((items(&a).await, items(&relay).await), (7, if models.is_some() { 0 } else { 7 }));
    assert_eq!(relay.digest().await, a.digest().await);
    for author in [&a, &c] {
        let original = author.bytes_of(author.engine.device_id()).await;
        assert_eq!(original.len(), if std::ptr::eq(author, &a) { 7 } else { 3 });
        for other in [&a, &relay, &c] {
            assert_eq!(other.bytes_of(author.engine.device_id()).await, original);
        }
    }
    for row in item::Entity::find().all(&c.db).await.expect("items") {
        let there = c.engine.history::<item::Entity>(row.id).await.expect("a history");
        let here = a.engine.history::<item::Entity>(row.id).await.expect("a history");
        let of = |history: &[sync_core::HistoryEntry]| {
            history.iter().map(|entry| (entry.id, entry.device, entry.values.clone())).collect::<Vec<_>>()
        };
        assert_eq!(of(&there), of(&here));
    }
}

#[tokio::test]
async fn the_authors_bytes_arrive_through_a_relay() {
    check(None).await;
}

#[tokio::test]
async fn the_authors_bytes_arrive_through_a_relay_that_lacks_the_model() {
    check(Some("label")).await;
}
