//! Two devices that each founded a library become devices of one, and a device leaves.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set};
use sync_core::{
    Join, Leave, PeerError, RenewalReason, SyncError,
    runtime::{SystemClock, Time},
};
use sync_tests::{
    Device,
    device::{acquainted, introduce, library},
    entities::{item, label},
};
use uuid::Uuid;

async fn add(device: &Device, title: &str) -> item::Model {
    add_with(device, Uuid::new_v4(), title).await
}

async fn add_with(device: &Device, id: Uuid, title: &str) -> item::Model {
    item::ActiveModel { id: Set(id), title: Set(title.into()), qty: Set(1), ..Default::default() }
        .insert(&device.db)
        .await
        .expect("an item")
}

async fn titles(device: &Device) -> Vec<String> {
    let rows = item::Entity::find().all(&device.db).await.expect("items");
    let mut titles: Vec<String> = rows.into_iter().map(|row| row.title).collect();
    titles.sort_unstable();
    titles
}

fn next_millisecond() {
    let now = SystemClock.now_ms();
    while SystemClock.now_ms() == now {
        std::hint::spin_loop();
    }
}

fn other_library(result: Result<sync_core::SyncReport, SyncError>) {
    let error = result.expect_err("another library");
    assert!(matches!(error, SyncError::Peer(PeerError::WrongLibrary { .. })), "{error}");
}

#[tokio::test]
async fn two_founded_libraries_become_one() {
    let (a, b) = (Device::new(library()).await, Device::new(library()).await);
    other_library(b.sync(&a).await);
    let both = Uuid::new_v4();
    add(&a, "of a").await;
    let there = add_with(&a, both, "first").await;
    // Logged by itself: what is written between two flushes is one change, with the stamp of the last write.
    a.engine.flush().await.expect("a flush");
    next_millisecond();
    add(&b, "of b").await;
    let gone = add(&b, "gone").await;
    let here = add_with(&b, both, "second").await;

    let mut here = here.into_active_model();
    here.note = Set(Some("from b".into()));
    here.update(&b.db).await.expect("an update");
    b.engine.flush().await.expect("a flush");
    next_millisecond();
    let mut there = there.into_active_model();
    there.qty = Set(9);
    there.update(&a.db).await.expect("an update");
    gone.into_active_model().delete(&b.db).await.expect("a delete");
    let former = (b.engine.library_id(), b.engine.device_id());

    let report = b.engine.join(a.engine.library_id(), Join::Merge).await.expect("joined");
    assert_eq!((report.former, report.library, report.records), (former.0, a.engine.library_id(), 2));
    assert_eq!(b.engine.library_id(), a.engine.library_id());
    assert_ne!(b.engine.device_id(), former.1);
    let again = b.engine.join(a.engine.library_id(), Join::Replace).await.expect("nothing to do");
    assert_eq!((again.former, again.records), (a.engine.library_id(), 0));

    b.sync(&a).await.expect("a round");
    a.assert_equal(&b).await;
    assert_eq!(titles(&a).await, ["of a", "of b", "second"]);
    let row = item::Entity::find_by_id(both).one(&a.db).await.expect("a query").expect("a row");
    assert_eq!((row.title.as_str(), row.qty), ("second", 9), "each column has its later write");
    assert_eq!(row.note.as_deref(), Some("from b"));

    // It is a library like any other: a third device and later writes see nothing of the join.
    let third = Device::new(a.engine.library_id()).await;
    add(&b, "later").await;
    third.sync(&b).await.expect("a round");
    let report = a.sync(&third).await.expect("a round");
    assert!(report.in_sync, "{report:?}");
    a.assert_equal(&third).await;
    let renewals = b.engine.status().await.expect("a status").renewals;
    assert_eq!(renewals.last().map(|one| (one.former, one.reason)), Some((former.1, RenewalReason::Joined)));
}

/// A device that read a snapshot has no log of what came with it; a peer that only answers gets all of it even so.
#[tokio::test]
async fn what_came_as_a_snapshot_joins_too() {
    let founder = Device::new(library()).await;
    for number in 0..30 {
        add(&founder, &format!("{number:02}")).await;
    }
    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = 10;
    let member =
        Device::with(founder.engine.library_id(), |builder| builder.without_background().limits(limits))
            .await;
    assert_eq!(member.sync(&founder).await.expect("a round").snapshot_records, 30);
    let server = Device::new(library()).await;
    add(&server, "of the server").await;
    member.engine.join(server.engine.library_id(), Join::Merge).await.expect("joined");
    let report = member.sync(&server).await.expect("a round");
    assert!(report.in_sync && report.sent == 30, "{report:?}");
    server.assert_equal(&member).await;
    // Another device of the former library brings the same records: nothing is doubled.
    founder.engine.join(server.engine.library_id(), Join::Merge).await.expect("joined");
    founder.sync(&server).await.expect("a round");
    assert_eq!(titles(&server).await.len(), 31);
    server.assert_equal(&founder).await;
}

/// Trees, hidden and waiting records: all of it goes, and what never synced stays.
async fn fill(device: &Device, name: &str) {
    add(device, name).await;
    label::ActiveModel { name: Set("red".into()), ..Default::default() }
        .insert(&device.db)
        .await
        .expect("a label");
    let [branch, leaf] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
    for statement in [
        format!("INSERT INTO branches (id, name) VALUES (x'{branch}', '{name}')"),
        format!("INSERT INTO leaves (id, branch_id, name) VALUES (x'{leaf}', x'{branch}', '{name}')"),
    ] {
        device.db.execute_unprepared(&statement).await.expect("a row");
    }
}

#[tokio::test]
async fn what_is_replaced_goes_and_the_library_comes() {
    let (a, b) = (Device::new(library()).await, Device::new(library()).await);
    let old = Device::new(b.engine.library_id()).await;
    for (device, name) in [(&a, "a"), (&b, "b"), (&old, "old")] {
        fill(device, name).await;
    }
    old.sync(&b).await.expect("a round, after which two labels have one name and one of them is hidden");
    assert_eq!(b.engine.status().await.expect("a status").pending, 1);
    let report = b.engine.join(a.engine.library_id(), Join::Replace).await.expect("joined");
    assert_eq!(report.records, 8);
    assert_eq!(b.dump().await, "");
    let state = b.state().await;
    assert_eq!((state.pending, state.conflicts, state.latest_seq), (0, 0, 0));
    other_library(old.sync(&b).await);
    let report = b.sync(&a).await.expect("a round");
    assert!(report.in_sync && report.sent == 0, "{report:?}");
    a.assert_equal(&b).await;
    assert_eq!(titles(&b).await, ["a"]);
    assert_eq!(old.state().await.pending, 1, "the others keep what they have");
}

#[tokio::test]
async fn who_leaves_keeps_the_data_or_not() {
    for how in [Leave::Keep, Leave::Wipe] {
        let a = Device::new(library()).await;
        let b = Device::new(a.engine.library_id()).await;
        fill(&a, "a").await;
        b.sync(&a).await.expect("a round");
        let before = b.dump().await;
        let report = b.engine.leave(how).await.expect("left");
        assert_eq!((report.records, report.library), (4, b.engine.library_id()));
        assert_ne!(b.engine.library_id(), a.engine.library_id());
        other_library(b.sync(&a).await);
        other_library(a.sync(&b).await);
        assert_eq!(b.dump().await, if how == Leave::Keep { before.clone() } else { String::new() });
        add(&b, "alone").await;
        let b = b.restart(|builder| builder.without_background()).await;
        assert!(titles(&b).await.contains(&"alone".to_owned()));
        b.state().await;
        // It may come back; and it founded a library that others can join.
        let c = Device::new(b.engine.library_id()).await;
        c.sync(&b).await.expect("a round");
        c.assert_equal(&b).await;
        b.engine.join(a.engine.library_id(), Join::Merge).await.expect("joined");
        b.sync(&a).await.expect("a round");
        a.assert_equal(&b).await;
        assert_eq!(titles(&a).await, ["a", "alone"]);
    }
}

/// The recipe of `docs/backups.md`: a backup that leaves becomes the library that all others join.
#[tokio::test]
async fn all_devices_go_back_to_a_backup() {
    let (a, b) = acquainted().await;
    fill(&a, "a").await;
    b.sync(&a).await.expect("a round");
    let yesterday = a.dump().await;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("backup.db");
    a.db.execute_unprepared(&format!("VACUUM INTO '{}'", path.display())).await.expect("a backup");
    item::Entity::delete_many().exec(&a.db).await.expect("what they should not have done");
    add(&b, "of today").await;
    b.sync(&a).await.expect("a round");
    let backup = Device::open(path, a.engine.library_id(), |builder| builder.without_background()).await;
    backup.engine.leave(Leave::Keep).await.expect("left");
    a.engine.join(backup.engine.library_id(), Join::Replace).await.expect("joined");
    a.sync(&backup).await.expect("a round");
    other_library(b.sync(&a).await);
    other_library(b.sync(&backup).await);
    b.engine.join(backup.engine.library_id(), Join::Replace).await.expect("joined");
    b.sync(&a).await.expect("a round");
    introduce(&[&a, &b, &backup]).await;
    for device in [&a, &b, &backup] {
        device.assert_equal(&a).await;
        assert_eq!(device.dump().await, yesterday);
    }
}

/// A row outside of sync that refers to one that would go: nothing is done, and the error says why.
#[tokio::test]
async fn a_join_that_the_database_refuses_changes_nothing() {
    let device = Device::new(library()).await;
    fill(&device, "a").await;
    for statement in [
        "CREATE TABLE stickers (item BLOB NOT NULL REFERENCES items (id))",
        "INSERT INTO stickers SELECT id FROM items",
    ] {
        device.db.execute_unprepared(statement).await.expect("a table of the application");
    }
    let (before, id) = (device.state().await, device.engine.device_id());
    let error = device.engine.join(library(), Join::Replace).await.expect_err("a sticker stands");
    assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
    assert_eq!(device.state().await, before);
    assert_eq!(device.engine.device_id(), id);
    device.engine.join(library(), Join::Merge).await.expect("nothing goes");
    assert_eq!(device.state().await.rows, before.rows);
}
