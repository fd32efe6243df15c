//! A device that is revoked is refused by everybody who heard of it, keeps what it has, and cannot take it back.

use std::sync::Arc;

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, PaginatorTrait, Set};
use sync_core::{
    DeviceId, LibraryId, Member, ObjectsRequest, Peer, PeerError, PushRequest, RepairRequest, Standing,
    SyncError, Vector,
};
use sync_tests::{
    Device,
    device::{ManualClock, acquainted, introduce, library},
    entities::item,
    wire,
};

const DAY: i64 = 24 * 60 * 60 * 1_000;

async fn add(device: &Device, title: &str) {
    let new = item::ActiveModel { title: Set(title.into()), qty: Set(1), ..Default::default() };
    new.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
}

async fn items(device: &Device) -> u64 {
    item::Entity::find().count(&device.db).await.expect("a count")
}

async fn member(of: &Device, id: DeviceId) -> Member {
    let members = of.engine.members().await.expect("members");
    members.into_iter().find(|member| member.device == id).expect("a member")
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(result: Result<T, PeerError>, id: DeviceId) {
    match result {
        Err(error @ PeerError::Revoked { device }) if device == id => assert!(!error.is_retryable()),
        other => panic!("not refused: {other:?}"),
    }
}

async fn cannot_sync(a: &Device, b: &Device, revoked: DeviceId) {
    for (from, to) in [(a, b), (b, a)] {
        match from.sync(to).await {
            Err(error @ SyncError::Peer(PeerError::Revoked { device })) if device == revoked => {
                assert!(!error.is_retryable() && error.to_string().contains("keeps what it has"));
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_revoked_device_is_refused_by_all_who_heard_of_it_and_loses_nothing() {
    let library = library();
    let (a, b, lost) = (Device::new(library).await, Device::new(library).await, Device::new(library).await);
    introduce(&[&a, &b, &lost]).await;
    add(&lost, "of before").await;
    lost.sync(&a).await.expect("a round");
    b.sync(&a).await.expect("a round");
    let id = lost.engine.device_id();
    assert!(matches!(a.engine.revoke(a.engine.device_id()).await, Err(SyncError::OwnDevice)));
    assert!(a.engine.revoke(id).await.expect("an answer"));
    assert!(!a.engine.revoke(id).await.expect("an answer"), "revoked already");

    add(&lost, "unsent").await;
    cannot_sync(&lost, &a, id).await;
    // The other has not heard of it.
    lost.sync(&b).await.expect("a round");
    b.sync(&a).await.expect("a round");
    cannot_sync(&lost, &b, id).await;
    assert_eq!([items(&a).await, items(&b).await, items(&lost).await], [2, 2, 2], "what was taken stays");
    add(&lost, "for itself").await;
    assert_eq!(items(&lost).await, 3);
    for device in [&a, &b] {
        let known = member(device, id).await;
        assert!(known.standing == Standing::Revoked && known.revoked_at_ms.is_some());
    }
    a.assert_equal(&b).await;
    // It can go on as a library of its own.
    lost.engine.leave(sync_core::Leave::Keep).await.expect("left");
    assert_eq!(items(&lost).await, 3);
}

/// Not only the first call of a round.
#[tokio::test]
async fn every_call_that_names_a_revoked_device_is_refused() {
    let (a, b) = acquainted().await;
    let id = b.engine.device_id();
    a.engine.revoke(id).await.expect("an answer");
    let (library, log_id) = (a.engine.library_id(), sync_core::LogId::from_bytes([1; 16]));
    let before = a.state().await;
    let pull = sync_core::PullRequest { device: id, ..wire::first_pull(&a.engine) };
    is_refused(a.engine.pull(pull.clone()).await, id);
    let push = PushRequest { library, device: id, log_id, changes: vec![], pull: None, state: None };
    is_refused(a.engine.push(push.clone()).await, id);
    // With a pull in the name of another.
    let other = DeviceId::from_bytes([9; 16]);
    is_refused(a.engine.push(PushRequest { device: other, pull: Some(pull), ..push }).await, id);
    is_refused(a.engine.objects(ObjectsRequest::new(library, id)).await, id);
    let repair = RepairRequest {
        library,
        device: id,
        vector: Vector::new(),
        whole: false,
        ranges: vec![],
        objects: vec![],
        wanted: vec![],
        last: true,
    };
    is_refused(a.engine.repair(repair).await, id);
    assert_eq!(a.state().await, before);
}

/// It writes its record again each day, and may write what it likes into its own database.
#[tokio::test]
async fn nothing_that_a_device_says_of_itself_takes_a_revocation_back() {
    let library: LibraryId = library();
    let clock = ManualClock::at(1_700_000_000_000);
    let with = |clock: &ManualClock| {
        let clock: Arc<ManualClock> = Arc::new(clock.clone());
        move |builder: sync_core::EngineBuilder| builder.without_background().time(clock)
    };
    let a = Device::with(library, with(&clock)).await;
    let unaware = Device::with(library, with(&clock)).await;
    let lost = Device::with(library, with(&clock)).await;
    introduce(&[&a, &unaware, &lost]).await;
    let id = lost.engine.device_id();
    a.engine.revoke(id).await.expect("an answer");
    clock.step(DAY);
    lost.sync(&unaware).await.expect("a round");
    lost.db
        .execute_unprepared("UPDATE sync_devices SET revoked_at = NULL, name = 'me'")
        .await
        .expect("a write");
    clock.step(DAY);
    lost.sync(&unaware).await.expect("a round");
    for _ in 0..2 {
        unaware.sync(&a).await.expect("a round");
    }
    for device in [&a, &unaware] {
        let known = member(device, id).await;
        assert_eq!(known.standing, Standing::Revoked);
        assert_eq!(known.name.as_deref(), Some("me"), "its record came, and says so all the same");
    }
    // Nor does somebody else's wish.
    unaware.db.execute_unprepared("UPDATE sync_devices SET revoked_at = NULL").await.expect("a write");
    unaware.sync(&a).await.expect("a round");
    assert_eq!(member(&a, id).await.standing, Standing::Revoked);
    assert_eq!(member(&unaware, id).await.standing, Standing::Revoked);
    cannot_sync(&lost, &unaware, id).await;
    a.assert_equal(&unaware).await;
}

#[tokio::test]
async fn a_device_can_be_revoked_before_anybody_met_it() {
    let (a, b) = acquainted().await;
    let stranger = Device::new(a.engine.library_id()).await;
    let id = stranger.engine.device_id();
    a.engine.revoke(id).await.expect("an answer");
    b.sync(&a).await.expect("a round");
    cannot_sync(&stranger, &b, id).await;
    assert_eq!(b.engine.members().await.expect("members").len(), 3);
}
