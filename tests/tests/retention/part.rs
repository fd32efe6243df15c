//! A replica that keeps a part of the library reads state: nobody keeps history for it.

use sync_core::{Retention, Scope};
use sync_tests::Device;

use super::{Place, add, add_many, items, prune, retitle, settle, status, title};

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
    let members: Vec<_> = status(&hub).await.members.iter().map(|member| member.device).collect();
    assert_eq!(members, [whole.engine.device_id()]);
    let known = hub.engine.members().await.expect("members");
    let phones = known.iter().find(|member| member.device == phone.engine.device_id());
    assert!(phones.is_some_and(|member| member.name.is_none()), "it is a member all the same");

    // What went is no loss to it, and it prunes its own.
    let id = add(&phone, "by the phone").await;
    phone
        .engine
        .set_scope(Scope::none().record::<sync_tests::entities::item::Entity>(id))
        .await
        .expect("a scope");
    assert!(phone.sync(&hub).await.expect("a round").in_sync);
    retitle(&hub, id, "by the hub").await;
    assert!(phone.sync(&hub).await.expect("a round").in_sync);
    assert_eq!((title(&phone, id).await.as_deref(), items(&phone).await), (Some("by the hub"), 1));
    place.days(8);
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
