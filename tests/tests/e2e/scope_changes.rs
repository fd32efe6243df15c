//! A scope is made narrower, wider, and taken back, with writes in between.

use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use sync_core::{PeerError, Scope, SyncError};
use sync_tests::{
    Device,
    device::{introduce, library},
    entities::{item, label},
    faulty::{Fault, Faulty},
};

use crate::scope::{add, delete, part, rename, server_and_phone, settled, tag, titles};

async fn set(device: &Device, scope: Scope) {
    device.engine.set_scope(scope).await.expect("a scope");
}

async fn add_label(device: &Device, name: &str) {
    let new = label::ActiveModel { name: Set(name.into()), ..Default::default() };
    new.insert(&device.db).await.expect("a label");
}

#[tokio::test]
async fn a_narrower_scope_lets_go_and_a_wider_one_brings() {
    let library = library();
    let server = Device::new(library).await;
    let phone = part(library, Scope::none().tag("red").tag("blue")).await;
    for (title, tag) in [("a", "red"), ("b", "blue"), ("c", "green")] {
        add(&server, title, Some(tag)).await;
    }
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a", "b"]);
    set(&phone, Scope::none().tag("red")).await;
    assert_eq!(titles(&phone).await, ["a", "b"], "until the next round");
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a"]);
    set(&phone, Scope::none().tag("red").tag("green")).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a", "c"]);
    set(&phone, Scope::none().model::<item::Entity>()).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a", "b", "c"]);
    set(&phone, Scope::none()).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, [""; 0]);
    assert_eq!(settled(&phone, &server).await.sent, 0);
    assert_eq!(titles(&server).await, ["a", "b", "c"]);
}

/// A record that moved out since the last round with the scope before is not in the new one either, although its tag is as it was here.
#[tokio::test]
async fn a_record_that_moved_before_the_scope_changed_goes() {
    let library = library();
    let server = Device::new(library).await;
    let (phone, called) = (part(library, Scope::none().tag("red")).await, Device::new(library).await);
    let id = add(&server, "a", Some("red")).await;
    add(&server, "b", Some("red")).await;
    settled(&phone, &server).await;
    called.sync(&server).await.expect("a round");
    tag(&server, id, "blue").await;
    let wider = Scope::none().tag("red").tag("green");
    set(&phone, wider.clone()).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["b"]);
    // Of one that had everything, and is called.
    set(&called, wider).await;
    assert!(server.sync(&called).await.expect("a round").in_sync);
    assert_eq!(titles(&called).await, ["b"]);
    assert_eq!(titles(&server).await, ["a", "b"]);
}

/// What was not sent yet stays until it was.
#[tokio::test]
async fn unsent_writes_outlive_a_narrower_scope() {
    let (server, phone) = server_and_phone().await;
    let known = add(&server, "a", Some("mine")).await;
    let gone = add(&server, "b", Some("mine")).await;
    settled(&phone, &server).await;
    rename(&phone, known, "edited").await;
    delete(&phone, gone).await;
    add(&phone, "new", Some("mine")).await;
    set(&phone, Scope::none().model::<label::Entity>()).await;
    let lost = Faulty::new(server.engine.clone(), Fault::LostAfter);
    phone.engine.sync_with(&lost).await.expect_err("the answer is lost");
    assert_eq!(titles(&phone).await, ["edited", "new"]);
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, [""; 0]);
    assert_eq!(titles(&server).await, ["edited", "new"]);
    server.state().await;
}

/// A library that was here whole becomes a part and whole again: as if it had always been whole.
#[tokio::test]
async fn to_a_part_and_back_to_everything() {
    let library = library();
    let (server, phone) = (Device::new(library).await, Device::new(library).await);
    introduce(&[&server, &phone]).await;
    let mine = add(&server, "a", Some("mine")).await;
    let other = add(&server, "b", Some("other")).await;
    add_label(&server, "l").await;
    let own = add(&phone, "own", Some("other")).await;
    phone.sync(&server).await.expect("a round");
    phone.assert_equal(&server).await;
    let local = item::ActiveModel { id: Set(other), local: Set(Some("here".into())), ..Default::default() };
    local.update(&phone.db).await.expect("a column that stays here");

    set(&phone, Scope::none().tag("mine")).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a"]);
    rename(&server, own, "edited there").await;
    rename(&server, other, "b too").await;
    rename(&phone, mine, "edited here").await;
    settled(&phone, &server).await;

    set(&phone, Scope::everything()).await;
    assert!(phone.engine.status().await.expect("a status").widening);
    let unsent = add(&phone, "unsent", None).await;
    let report = phone.sync(&server).await.expect("a round");
    assert!(report.in_sync, "{report:?}");
    assert!(!phone.engine.status().await.expect("a status").widening);
    phone.assert_equal(&server).await;
    assert_eq!(titles(&phone).await, ["b too", "edited here", "edited there", "unsent"]);
    let back = item::Entity::find_by_id(other).one(&phone.db).await.expect("a query").expect("an item");
    assert_eq!(back.local, None, "what does not travel is gone with the row");

    // From then on as any other, in both directions and with a third.
    delete(&phone, unsent).await;
    tag(&server, own, "new").await;
    let third = Device::new(library).await;
    third.sync(&phone).await.expect("a round");
    for (one, other) in [(&phone, &server), (&third, &server), (&phone, &third), (&server, &phone)] {
        one.sync(other).await.expect("a round");
    }
    let report = phone.sync(&server).await.expect("a round");
    assert!(report.in_sync && report.snapshot_records == 0, "{report:?}");
    phone.assert_equal(&server).await;
    third.assert_equal(&server).await;
}

/// Until a complete state was read, a replica that lets its scope go has holes: nobody is to build on it, and whom it meets first
/// does not matter.
#[tokio::test]
async fn a_replica_with_holes_gives_nobody_its_state() {
    let library = library();
    let (server, phone) = (Device::new(library).await, Device::new(library).await);
    for title in ["a", "b", "c"] {
        add(&server, title, Some("other")).await;
    }
    phone.sync(&server).await.expect("a round");
    add(&phone, "own", Some("other")).await;
    set(&phone, Scope::none().tag("mine")).await;
    settled(&phone, &server).await;
    set(&phone, Scope::everything()).await;

    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = 0;
    let eager = Device::with(library, |builder| builder.without_background().limits(limits)).await;
    eager.sync(&phone).await.expect("it brings what the phone itself has written");
    assert_eq!(titles(&phone).await, [""; 0], "the phone is given nothing that it would take for all");
    eager.sync(&server).await.expect("a round");
    let other = Device::new(library).await;
    other.sync(&server).await.expect("a round");
    // Not the peer that it has a position with.
    let report = phone.sync(&other).await.expect("a round");
    assert!(report.in_sync, "{report:?}");
    phone.assert_equal(&other).await;
    phone.sync(&server).await.expect("a round");
    phone.assert_equal(&server).await;
    eager.sync(&phone).await.expect("a round");
    eager.assert_equal(&server).await;
}

/// A page from before is on its way when the scope changes.
#[tokio::test]
async fn a_scope_that_changes_while_a_state_is_read() {
    let library = library();
    let server = Device::new(library).await;
    for number in 0..30 {
        add(&server, &format!("{number:02}"), Some(if number % 3 == 0 { "mine" } else { "other" })).await;
    }
    let mut limits = sync_core::Limits::default();
    (limits.page_entries, limits.snapshot_above) = (4, 10);
    let phone = Device::with(library, |builder| builder.without_background().limits(limits)).await;
    let faulty = Faulty::new(server.engine.clone(), Fault::ObjectsLost(3));
    phone.engine.sync_with(&faulty).await.expect_err("lost in the middle of a complete state");
    set(&phone, Scope::none().tag("mine")).await;
    faulty.set(Fault::ObjectsLost(2));
    phone.engine.sync_with(&faulty).await.expect_err("lost in the middle of a part");
    set(&phone, Scope::everything()).await;
    faulty.set(Fault::ObjectsLost(3));
    phone.engine.sync_with(&faulty).await.expect_err("lost in the middle of a complete state");
    set(&phone, Scope::none().tag("mine")).await;
    faulty.set(Fault::None);
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await.len(), 10);
    set(&phone, Scope::everything()).await;
    phone.sync(&server).await.expect("a round");
    phone.assert_equal(&server).await;
}

#[tokio::test]
async fn a_part_is_not_rebuilt_from_its_log_nor_repaired() {
    let (server, phone) = server_and_phone().await;
    add(&server, "a", Some("mine")).await;
    add(&phone, "gone", Some("other")).await;
    settled(&phone, &server).await;
    let before = phone.state().await;
    let error = phone.engine.replay().await.expect_err("its log has not everything");
    assert!(matches!(&error, SyncError::LogIncomplete(_)), "{error}");
    for (one, other) in [(&phone, &server), (&server, &phone)] {
        let error = one.engine.repair_with(&other.engine).await.expect_err("not all is on both sides");
        assert!(matches!(&error, SyncError::Peer(PeerError::PartOnly)), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(phone.state().await, before);
}

#[tokio::test]
async fn a_library_of_its_own_is_whole() {
    let (server, phone) = server_and_phone().await;
    add(&server, "a", Some("mine")).await;
    settled(&phone, &server).await;
    phone.engine.leave(sync_core::Leave::Keep).await.expect("left");
    assert!(phone.engine.scope().await.expect("a scope").is_everything());
    let second = Device::new(phone.engine.library_id()).await;
    second.sync(&phone).await.expect("a round");
    second.assert_equal(&phone).await;
    assert_eq!(titles(&second).await, ["a"]);
}

/// What it read of a server that is ahead is more than another one has, of which it then reads everything. All of it stays, and who
/// lacks it gets it.
#[tokio::test]
async fn a_part_of_two_servers_becomes_everything_of_the_one_that_is_behind() {
    let library = library();
    let (ahead, behind) = (Device::new(library).await, Device::new(library).await);
    let phone = part(library, Scope::none().tag("mine")).await;
    introduce(&[&ahead, &behind]).await;
    let old = add(&ahead, "old", Some("mine")).await;
    let gone = add(&ahead, "gone", Some("mine")).await;
    add(&ahead, "other", Some("other")).await;
    behind.sync(&ahead).await.expect("a round");
    settled(&phone, &behind).await;
    rename(&ahead, old, "renamed").await;
    delete(&ahead, gone).await;
    add(&ahead, "new", Some("mine")).await;
    add(&ahead, "another", Some("other")).await;
    settled(&phone, &ahead).await;
    assert_eq!(titles(&phone).await, ["new", "renamed"]);

    set(&phone, Scope::everything()).await;
    let round = async |from: &Device, to: &Device| {
        let report = from.sync(to).await.expect("a round");
        assert!(!report.diverged && report.repair.is_none(), "{report:?}");
    };
    for _ in 0..2 {
        round(&phone, &behind).await;
        assert_eq!(titles(&phone).await, ["new", "other", "renamed"]);
        round(&behind, &phone).await;
        assert_eq!(titles(&behind).await, ["new", "other", "renamed"]);
    }
    phone.assert_equal(&behind).await;
    // What the one ahead did not write is passed on, not written: a later edit there wins.
    rename(&ahead, old, "renamed again").await;
    for (from, to) in [(&behind, &ahead), (&phone, &ahead), (&behind, &phone)] {
        round(from, to).await;
    }
    for device in [&phone, &behind, &ahead] {
        assert_eq!(titles(device).await, ["another", "new", "other", "renamed again"]);
        device.state().await;
    }
    phone.assert_equal(&ahead).await;
    behind.assert_equal(&ahead).await;
}
