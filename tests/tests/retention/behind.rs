//! Replicas below a floor: they read the state by themselves, or are given it, and lose nothing.

use std::fs;

use sync_core::{Event, PeerError, Retention, SyncError};
use sync_tests::{
    Device,
    faulty::{Fault, Faulty},
};

use super::{Place, add, add_many, delete, items, prune, retitle, ruthless, settle, status, title};

#[tokio::test]
async fn a_replica_below_the_floor_reads_the_state_and_keeps_what_it_wrote() {
    let place = Place::new();
    let (hub, away) = (place.device(ruthless()).await, place.plain().await);
    let kept = add(&hub, "kept").await;
    let gone = add(&hub, "deleted meanwhile").await;
    let edited = add(&hub, "edited on both sides").await;
    settle(&away, &hub).await;

    delete(&hub, gone).await;
    retitle(&hub, kept, "renamed meanwhile").await;
    let new = add(&hub, "new").await;
    prune(&hub).await;
    retitle(&away, gone, "edited while it was deleted").await;
    retitle(&away, edited, "edited while away").await;
    let own = add(&away, "written while away").await;

    let report = away.sync(&hub).await.expect("a round");
    assert!(report.snapshot_records > 0, "{report:?}");
    assert_eq!(report.sent, 3);
    settle(&away, &hub).await;
    for device in [&away, &hub] {
        assert_eq!(title(device, gone).await, None, "a deleted record does not come back");
        assert_eq!(title(device, kept).await.as_deref(), Some("renamed meanwhile"));
        assert_eq!(title(device, edited).await.as_deref(), Some("edited while away"));
        assert_eq!(title(device, own).await.as_deref(), Some("written while away"));
        assert_eq!(title(device, new).await.as_deref(), Some("new"));
    }
    away.assert_equal(&hub).await;
}

/// A returned replica's floor must not make everybody else read its state: what it wrote while it was away, and what
/// only it has of others, is served from its log.
#[tokio::test]
async fn what_a_returned_replica_wrote_comes_from_its_log() {
    let place = Place::new();
    let (hub, away, third) = (place.device(ruthless()).await, place.plain().await, place.plain().await);
    add_many(&hub, 3).await;
    settle(&away, &hub).await;
    settle(&third, &away).await;
    let relayed = add(&third, "of a third, which only it and the one away have").await;
    settle(&third, &away).await;
    add_many(&hub, 3).await;
    prune(&hub).await;
    let own = add(&away, "written while away").await;
    // It reads the state, and the hub asks it for the rest.
    away.sync(&hub).await.expect("a round");
    let fresh = place.plain().await;
    settle(&fresh, &hub).await;
    let report = fresh.sync(&away).await.expect("a round");
    assert_eq!(report.snapshot_records, 0, "{report:?}");
    assert!(title(&fresh, own).await.is_some() && title(&fresh, relayed).await.is_some());
    let log = sync_tests::wire::first_pull(&away.engine);
    let have = sync_core::Peer::hello(&hub.engine, hello_of(&fresh).await).await.expect("a hello").vector;
    let page =
        sync_core::Peer::pull(&away.engine, sync_core::PullRequest { have, ..log }).await.expect("a page");
    assert!((2..8).contains(&page.entries.len()), "above the floor stands what the hub's state did not have");
    fresh.assert_equal(&hub).await;
}

async fn hello_of(device: &Device) -> sync_core::Hello {
    let someone = sync_core::Hello {
        protocol: sync_core::PROTOCOL,
        device: sync_core::DeviceId::from_bytes([8; 16]),
        library: device.engine.library_id(),
        log_id: sync_core::LogId::from_bytes([8; 16]),
        schema: 0,
        wall_ms: 0,
        vector: sync_core::Vector::new(),
        latest_seq: sync_core::Seq(0),
        state_hash: sync_core::StateHash::default(),
        digest: [0; 16],
        newest_of_yours: None,
        probe: None,
        retired: Vec::new(),
        scope: None,
        takes_compacted: true,
    };
    sync_core::Peer::hello(&device.engine, someone.clone()).await.map(|_| someone).expect("a hello")
}

#[tokio::test]
async fn a_member_that_is_not_waited_for_loses_nothing() {
    let place = Place::new();
    let (hub, relay, hidden) = (place.plain().await, place.plain().await, place.plain().await);
    add_many(&hub, 5).await;
    settle(&relay, &hub).await;
    settle(&hidden, &relay).await;
    let id = add(&hub, "while the hidden one is away").await;
    let own = add(&hidden, "by the hidden one").await;
    settle(&relay, &hub).await;
    relay.sync(&hub).await.expect("a round");
    place.days(8);
    assert!(hub.engine.remove_member(hidden.engine.device_id()).await.expect("an answer"));
    assert!(prune(&hub).await.removed >= 5, "all who are left have it");
    settle(&hidden, &hub).await;
    assert_eq!(title(&hidden, id).await.as_deref(), Some("while the hidden one is away"));
    settle(&relay, &hub).await;
    assert_eq!(title(&relay, own).await.as_deref(), Some("by the hidden one"));
    settle(&hidden, &relay).await;
    hidden.assert_equal(&relay).await;
}

#[tokio::test]
async fn a_server_that_only_answers_is_given_the_state_it_lacks() {
    let place = Place::new();
    let phone = place.device(ruthless()).await;
    add_many(&phone, 2_000).await;
    prune(&phone).await;
    let late = add(&phone, "after the prune").await;
    let server = place.plain().await;
    let report = phone.sync(&server).await.expect("a round");
    assert!(report.snapshot_sent >= 2_001 && report.sent == 1, "{report:?}");
    assert!(report.in_sync);
    assert_eq!(title(&server, late).await.as_deref(), Some("after the prune"));
    phone.assert_equal(&server).await;
    let again = phone.sync(&server).await.expect("a round");
    assert_eq!((again.snapshot_sent, again.sent), (0, 0), "once is enough");
    // And the server gives it on.
    let other = place.plain().await;
    settle(&other, &server).await;
    settle(&phone, &server).await;
    other.assert_equal(&phone).await;
}

#[tokio::test]
async fn a_server_restored_from_a_backup_older_than_the_floor_is_made_whole_by_its_client() {
    let place = Place::new();
    let dir = tempfile::tempdir().expect("a folder");
    let (path, backup) = (dir.path().join("server.db"), dir.path().join("backup.db"));
    let server = place.open(path.clone(), Retention::default()).await;
    let phone = place.plain().await;
    add_many(&phone, 5).await;
    settle(&phone, &server).await;
    server.close().await;
    fs::copy(&path, &backup).expect("a backup");
    let server = place.open(path.clone(), Retention::default()).await;
    let lost = add(&phone, "after the backup").await;
    let deleted = add(&phone, "deleted after the backup").await;
    settle(&phone, &server).await;
    delete(&phone, deleted).await;
    settle(&phone, &server).await;
    place.days(8);
    assert!(prune(&phone).await.removed >= 8);
    server.close().await;
    // Into the same file, as a tool that restores does it.
    fs::write(&path, fs::read(&backup).expect("the backup")).expect("a restore");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let server = place.open(path, Retention::default()).await;
    assert_eq!(title(&server, lost).await, None);
    settle(&phone, &server).await;
    assert_eq!(title(&server, lost).await.as_deref(), Some("after the backup"));
    assert_eq!(title(&server, deleted).await, None);
    phone.assert_equal(&server).await;
}

/// A new device that reads the state in small pages.
async fn reader(place: &Place) -> Device {
    let mut limits = sync_core::Limits::default();
    limits.page_entries = 300;
    let clock = std::sync::Arc::new(place.clock.clone());
    Device::with(place.library, |builder| builder.without_background().time(clock).limits(limits)).await
}

/// The log goes on from where its state began, for as long as that may take.
#[tokio::test]
async fn history_is_kept_for_one_in_the_middle_of_a_first_sync() {
    let place = Place::new();
    let hub = place.device(ruthless()).await;
    add_many(&hub, 2_000).await;
    prune(&hub).await;
    let new = reader(&place).await;
    let line = Faulty::new(hub.engine.clone(), Fault::ObjectsLost(3));
    new.engine.sync_with(&line).await.expect_err("it breaks off");
    let id = add(&hub, "meanwhile").await;
    prune(&hub).await;
    line.set(Fault::None);
    let report = new.engine.sync_with(&line).await.expect("a round");
    assert!(report.snapshot_records < 1_200 && report.received > 0, "the rest, then the log: {report:?}");
    assert_eq!(title(&new, id).await.as_deref(), Some("meanwhile"));
    new.assert_equal(&hub).await;
    // Who does not come back is not waited for.
    let other = reader(&place).await;
    line.set(Fault::ObjectsLost(3));
    other.engine.sync_with(&line).await.expect_err("it breaks off");
    add(&hub, "once more").await;
    place.clock.step(11 * 60_000);
    prune(&hub).await;
    assert_eq!(status(&hub).await.entries, 0);
}

#[tokio::test]
async fn a_first_sync_that_breaks_off_goes_on_and_tells_how_far_it_is() {
    let place = Place::new();
    let hub = place.device(ruthless()).await;
    add_many(&hub, 2_000).await;
    prune(&hub).await;
    let new = reader(&place).await;
    let mut events = new.engine.events();
    let line = Faulty::new(hub.engine.clone(), Fault::ObjectsLost(3));
    let broken = new.engine.sync_with(&line).await;
    assert!(matches!(broken, Err(SyncError::Peer(PeerError::Unreachable(_)))), "{broken:?}");
    assert!((890..=900).contains(&items(&new).await));
    line.set(Fault::None);
    let report = new.engine.sync_with(&line).await.expect("a round");
    assert!((1_100..=1_110).contains(&report.snapshot_records), "it went on where it was: {report:?}");
    assert!(report.in_sync);
    let mut told = Vec::new();
    while !told.last().is_some_and(|(_, complete)| *complete) {
        if let Some(Event::Snapshot(progress)) = events.next().await {
            assert!((2_000..2_010).contains(&progress.total));
            told.push((progress.records, progress.complete));
        }
    }
    assert_eq!(told[..4], [(300, false), (600, false), (900, false), (1_200, false)]);
    new.assert_equal(&hub).await;
}

/// Its peer says: the newest change of yours that I have is this one. It stands below the floor, so the log does not tell
/// whether it was ever here.
#[tokio::test]
async fn pruned_changes_of_its_own_make_no_device_doubt_who_it_is() {
    let place = Place::new();
    let (hub, guest) = (place.device(ruthless()).await, place.plain().await);
    add_many(&hub, 3).await;
    settle(&guest, &hub).await;
    settle(&hub, &guest).await;
    let id = hub.engine.device_id();
    add_many(&hub, 3).await;
    prune(&hub).await;
    for _ in 0..2 {
        hub.sync(&guest).await.expect("a round");
        guest.sync(&hub).await.expect("a round");
    }
    assert_eq!(hub.engine.device_id(), id);
    guest.assert_equal(&hub).await;
}

#[tokio::test]
async fn a_database_restored_to_before_its_floor_takes_a_new_id_and_gets_back_what_it_lost() {
    let place = Place::new();
    let dir = tempfile::tempdir().expect("a folder");
    let (path, backup) = (dir.path().join("hub.db"), dir.path().join("backup.db"));
    let hub = place.open(path.clone(), ruthless()).await;
    let guest = place.plain().await;
    add_many(&hub, 3).await;
    prune(&hub).await;
    settle(&guest, &hub).await;
    hub.close().await;
    fs::copy(&path, &backup).expect("a backup");
    let hub = place.open(path.clone(), ruthless()).await;
    let id = hub.engine.device_id();
    let lost = add(&hub, "after the backup").await;
    settle(&guest, &hub).await;
    prune(&hub).await;
    hub.close().await;
    fs::write(&path, fs::read(&backup).expect("the backup")).expect("a restore");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let hub = place.open(path, ruthless()).await;
    let fresh = add(&hub, "written after the restore").await;
    settle(&guest, &hub).await;
    settle(&guest, &hub).await;
    assert_ne!(hub.engine.device_id(), id);
    for device in [&hub, &guest] {
        assert_eq!(title(device, lost).await.as_deref(), Some("after the backup"));
        assert_eq!(title(device, fresh).await.as_deref(), Some("written after the restore"));
    }
    hub.assert_equal(&guest).await;
}

#[tokio::test]
async fn two_replicas_each_below_the_others_floor_become_equal() {
    let place = Place::new();
    let (a, b) = (place.device(ruthless()).await, place.device(ruthless()).await);
    let shared = add(&a, "shared").await;
    settle(&a, &b).await;
    let gone = add(&a, "soon gone").await;
    settle(&a, &b).await;
    delete(&a, gone).await;
    add_many(&a, 4).await;
    retitle(&b, shared, "by b").await;
    add_many(&b, 4).await;
    prune(&a).await;
    prune(&b).await;
    assert_eq!((status(&a).await.entries, status(&b).await.entries), (0, 0));
    settle(&a, &b).await;
    settle(&b, &a).await;
    assert_eq!(items(&a).await, 9);
    assert_eq!(title(&a, shared).await.as_deref(), Some("by b"));
    a.assert_equal(&b).await;
}
