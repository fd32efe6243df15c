//! A replica that keeps a part of the library reads state: nobody keeps history for it.

use sea_orm::{ActiveModelTrait, Set};
use sync_core::{Retention, Scope, Standing};
use sync_tests::{Device, entities::item};

use super::{Place, add, add_many, delete, items, prune, retitle, settle, status, title};

#[tokio::test]
async fn history_does_not_wait_for_who_keeps_a_part() {
    let place = Place::new();
    let (hub, whole) = (place.plain().await, place.plain().await);
    let open = async |retention: Retention| place.device(retention).await;
    let (phone, called) = (open(Retention::default()).await, open(Retention::default()).await);
    for device in [&whole, &phone, &called] {
        settle(device, &hub).await;
    }
    // Both were members like any other; one calls, one is called.
    hub.sync(&called).await.expect("a round");
    for device in [&phone, &called] {
        device.engine.set_scope(Scope::none()).await.expect("a scope");
    }
    phone.sync(&hub).await.expect("a round");
    hub.sync(&called).await.expect("a round");
    add_many(&hub, 10).await;
    for _ in 0..2 {
        whole.sync(&hub).await.expect("a round");
    }
    place.days(8);
    let report = prune(&hub).await;
    assert!(report.removed >= 10 && report.waits_for.is_empty(), "{report:?}");
    let members = status(&hub).await.members;
    let standing = |device: &Device| {
        let member = members.iter().find(|member| member.device == device.engine.device_id());
        member.map(|member| member.standing)
    };
    let [of_phone, of_called, of_whole] = [&phone, &called, &whole].map(standing);
    assert_eq!((of_phone, of_called), (Some(Standing::Part), Some(Standing::Part)));
    assert_eq!(of_whole, Some(Standing::Active));

    // What went is no loss to it, and it prunes its own.
    let id = add(&phone, "by the phone").await;
    phone.engine.set_scope(Scope::none().record::<item::Entity>(id)).await.expect("a scope");
    assert!(phone.sync(&hub).await.expect("a round").in_sync);
    retitle(&hub, id, "by the hub").await;
    assert!(phone.sync(&hub).await.expect("a round").in_sync);
    assert_eq!((title(&phone, id).await.as_deref(), items(&phone).await), (Some("by the hub"), 1));
    // It keeps its own until the others have it: it hears that from their records.
    whole.sync(&hub).await.expect("a round");
    place.days(8);
    whole.sync(&hub).await.expect("a round");
    phone.sync(&hub).await.expect("a round");
    check_pruned(&phone).await;
    // Everything again, although the history that it lacks is gone.
    phone.engine.set_scope(Scope::everything()).await.expect("a scope");
    settle(&phone, &hub).await;
    phone.assert_equal(&hub).await;
}

async fn check_pruned(device: &Device) {
    let before = status(device).await.entries;
    assert!(prune(device).await.removed > 0, "of {before}");
}

/// What was deleted is forgotten when all who keep everything know of it. Who keeps a part is not waited for, and hears of it all the same.
#[tokio::test]
async fn a_part_loses_what_was_deleted_and_forgotten_while_it_was_away() {
    let place = Place::new();
    let (hub, whole) = (place.plain().await, place.plain().await);
    let (phone, called) = (place.plain().await, place.plain().await);
    let (gone, kept) = (add(&hub, "soon gone").await, add(&hub, "kept").await);
    settle(&whole, &hub).await;
    let meet = async || {
        phone.sync(&hub).await.expect("a round");
        hub.sync(&called).await.expect("a round");
    };
    for part in [&phone, &called] {
        part.engine.set_scope(Scope::none().model::<item::Entity>()).await.expect("a scope");
    }
    meet().await;
    assert_eq!((items(&phone).await, items(&called).await), (2, 2));
    delete(&hub, gone).await;
    for _ in 0..3 {
        place.days(5);
        for _ in 0..2 {
            whole.sync(&hub).await.expect("a round");
        }
    }
    assert_eq!(prune(&hub).await.forgotten, 1);
    meet().await;
    for part in [&phone, &called] {
        assert_eq!((title(part, gone).await, items(part).await), (None, 1));
        assert_eq!(title(part, kept).await.as_deref(), Some("kept"));
    }
    let report = phone.sync(&hub).await.expect("a round");
    assert_eq!((report.snapshot_records, report.in_sync), (0, true), "it is read anew once");

    // Its key is free again, also where the delete is known still.
    let again =
        item::ActiveModel { id: Set(gone), title: Set("again".into()), qty: Set(1), ..Default::default() };
    again.insert(&phone.db).await.expect("an item");
    phone.sync(&hub).await.expect("a round");
    settle(&whole, &hub).await;
    for device in [&phone, &hub, &whole] {
        assert_eq!(title(device, gone).await.as_deref(), Some("again"));
    }
    whole.assert_equal(&hub).await;
}
