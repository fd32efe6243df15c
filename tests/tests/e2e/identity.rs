//! A device id belongs to one database: copies take another before they write, and whoever has two is told why.

use std::{fs, path::Path, sync::Arc};

use sea_orm::{ActiveModelTrait, Database, EntityTrait, Set};
use sync_core::{
    Change, DeviceId, Event, LogId, Peer, PeerError, PushRequest, RenewalReason, SyncEngine, SyncError,
    runtime::Random,
};
use sync_tests::{
    Device,
    device::{ManualClock, library},
    entities::item,
};

async fn add(device: &Device, title: &str) {
    item::ActiveModel { title: Set(title.into()), qty: Set(1), ..Default::default() }
        .insert(&device.db)
        .await
        .expect("an item");
}

async fn open(path: &Path, library: sync_core::LibraryId) -> Device {
    Device::open(path.to_owned(), library, |builder| builder.without_background()).await
}

/// A row by a program without an engine.
fn write_raw(path: &Path, title: &str) {
    let db = rusqlite::Connection::open(path).expect("a database");
    let id = uuid::Uuid::new_v4();
    db.execute("INSERT INTO items (id, title, qty) VALUES (?, ?, 1)", (id.as_bytes().as_slice(), title))
        .expect("a row");
}

/// As on a machine that was copied as a whole: nothing tells the file from the original.
fn forget_file(path: &Path) {
    let db = rusqlite::Connection::open(path).expect("a database");
    db.execute("DELETE FROM sync_metadata WHERE key = 'fingerprint'", []).expect("its own table");
}

async fn equal(a: &Device, b: &Device) {
    for _ in 0..2 {
        a.sync(b).await.expect("a round");
    }
    a.assert_equal(b).await;
}

#[tokio::test]
async fn a_copied_file_takes_an_id_of_its_own_before_it_logs_anything() {
    let (library, dir) = (library(), tempfile::tempdir().expect("a folder"));
    let [path, copy] = ["a.db", "b.db"].map(|name| dir.path().join(name));
    let original = open(&path, library).await;
    let id = original.engine.device_id();
    add(&original, "before").await;
    original.close().await;
    fs::copy(&path, &copy).expect("a copy");
    write_raw(&copy, "in the copy");
    write_raw(&path, "in the original");

    let (original, copy) = (open(&path, library).await, open(&copy, library).await);
    assert_eq!(original.engine.device_id(), id, "the original is where it was");
    assert_ne!(copy.engine.device_id(), id);
    let renewals = copy.engine.status().await.expect("a status").renewals;
    let told: Vec<_> = renewals.iter().map(|one| (one.former, one.reason)).collect();
    assert_eq!(told, [(id, RenewalReason::Copied)]);
    assert_eq!(copy.bytes_of(id).await.len(), 1, "what was written before the copy");
    assert_eq!(copy.bytes_of(copy.engine.device_id()).await.len(), 1, "what was written since");
    equal(&original, &copy).await;
    assert_eq!(original.dump().await.lines().count(), 3);
    let renewals = original.engine.status().await.expect("a status").renewals;
    assert_eq!(renewals, [], "nobody wrote under the id of the original");
}

#[tokio::test]
async fn a_moved_file_keeps_its_id_and_so_does_a_database_in_memory() {
    let (library, dir) = (library(), tempfile::tempdir().expect("a folder"));
    let [path, moved] = ["a.db", "b.db"].map(|name| dir.path().join(name));
    let device = open(&path, library).await;
    let id = device.engine.device_id();
    add(&device, "one").await;
    device.close().await;
    fs::rename(&path, &moved).expect("a rename");
    let device = open(&moved, library).await;
    assert_eq!(device.engine.device_id(), id);
    device.close().await;

    let memory = Database::connect("sqlite::memory:").await.expect("a database");
    sync_tests::device::create_tables(&memory).await.expect("tables");
    let start = || SyncEngine::builder(memory.clone()).models(["item"]).without_background().start();
    let first = start().await.expect("an engine").device_id();
    assert_eq!(start().await.expect("an engine").device_id(), first, "an engine that comes back");
}

/// A database that is copied between two batches of one flush: the copy ends the group under its own id.
#[tokio::test]
async fn a_group_that_was_open_when_the_file_was_copied_arrives_whole() {
    let (library, dir) = (library(), tempfile::tempdir().expect("a folder"));
    let [path, copy] = ["a.db", "b.db"].map(|name| dir.path().join(name));
    let small = |builder: sync_core::EngineBuilder| {
        let mut limits = sync_core::Limits::default();
        limits.flush_batch = 100;
        builder.without_background().limits(limits)
    };
    let original = Device::open(path.clone(), library, small).await;
    let many: Vec<_> = (0..1_000)
        .map(|number| item::ActiveModel {
            id: Set(uuid::Uuid::new_v4()),
            title: Set(format!("item {number}")),
            qty: Set(1),
            ..Default::default()
        })
        .collect();
    item::Entity::insert_many(many).exec_without_returning(&original.db).await.expect("rows");
    let engine = original.engine.clone();
    let flush = async { engine.flush().await.expect("a flush") };
    let copying = async {
        let begun = "SELECT CAST(count(*) AS TEXT) FROM sync_log";
        while original.text(begun).await == "0" {
            tokio::task::yield_now().await;
        }
        let db = rusqlite::Connection::open(&path).expect("a database");
        db.execute("VACUUM INTO ?", [copy.to_str().expect("a path")]).expect("a copy");
    };
    tokio::join!(flush, copying);
    let db = rusqlite::Connection::open(&copy).expect("a database");
    let count = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let logged = count("SELECT count(*) FROM sync_log");
    assert!(
        logged < 1_000 && count("SELECT min(more) FROM sync_log") == 1,
        "{logged} are logged, the group is open"
    );
    // What was not logged yet is taken back, so that nothing but the end of the group is to be logged.
    db.execute("DELETE FROM items WHERE id IN (SELECT record FROM sync_dirty)", []).expect("rows");
    drop(db);

    let copy = open(&copy, library).await;
    let other = Device::new(library).await;
    let report = other.sync(&copy).await.expect("a round");
    assert!(report.received >= u64::try_from(logged).expect("a count"), "{report:?}");
    equal(&other, &copy).await;
    equal(&original, &copy).await;
    equal(&original, &other).await;
}

/// A device with an item and its copy in `dir`, which nothing tells from it.
async fn twins(dir: &Path) -> [Device; 2] {
    let library = library();
    let [path, copy] = ["a.db", "b.db"].map(|name| dir.join(name));
    let original = open(&path, library).await;
    add(&original, "before").await;
    original.close().await;
    fs::copy(&path, &copy).expect("a copy");
    forget_file(&copy);
    [open(&path, library).await, open(&copy, library).await]
}

/// Two further devices of the library.
async fn strangers(device: &Device) -> (Device, Device) {
    let library = device.engine.library_id();
    (Device::new(library).await, Device::new(library).await)
}

#[tokio::test]
async fn two_with_one_id_are_told_apart_when_they_meet() {
    let dir = tempfile::tempdir().expect("a folder");
    let [original, copy] = twins(dir.path()).await;
    let id = original.engine.device_id();
    assert_eq!(copy.engine.device_id(), id);
    add(&copy, "in the copy").await;
    let mut events = copy.engine.events();
    let report = copy.sync(&original).await.expect("the round goes on");
    assert_eq!((report.sent, report.in_sync), (1, true), "{report:?}");
    assert_eq!(original.engine.device_id(), id, "who was called keeps it");
    let device = copy.engine.device_id();
    loop {
        match events.next().await.expect("an event") {
            Event::NewDevice { former, device: now, reason } => {
                assert_eq!((former, now, reason), (id, device, RenewalReason::SameDevice));
                break;
            }
            _ => continue,
        }
    }
    let changes = original.bytes_of(device).await;
    let change = Change::decode(&changes[0]).expect("a change");
    assert_eq!(change.device, device, "what was not logged yet is logged under the new id");
    original.assert_equal(&copy).await;
}

/// Hello was said before the file was put back, or by nobody.
#[tokio::test]
async fn a_change_of_its_own_that_it_lacks_makes_a_device_doubt_itself_whoever_brings_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let [original, copy] = twins(dir.path()).await;
    let id = original.engine.device_id();
    add(&copy, "in the copy").await;
    copy.engine.flush().await.expect("a flush");
    let stranger = DeviceId::from_bytes([9; 16]);
    let changes = copy.bytes_of(id).await.into_iter().map(serde_bytes::ByteBuf::from).collect();
    let push = PushRequest {
        library: original.engine.library_id(),
        device: stranger,
        log_id: LogId::from_bytes([9; 16]),
        changes,
        pull: None,
        state: None,
    };
    let answer = original.engine.push(push).await.expect("an answer");
    assert_eq!((answer.merged, answer.refused.len()), (1, 0), "{answer:?}");
    let renewals = original.engine.status().await.expect("a status").renewals;
    assert_eq!(renewals.iter().map(|one| one.reason).collect::<Vec<_>>(), [RenewalReason::Restored]);
    assert_ne!(original.engine.device_id(), id);
    equal(&copy, &original).await;
}

/// Time is not past the last stamp, as with a clock that is a little behind the others'.
#[tokio::test]
async fn a_restored_database_loses_nothing_though_its_clock_stands() {
    let (library, dir) = (library(), tempfile::tempdir().expect("a folder"));
    let path = dir.path().join("a.db");
    let clock = Arc::new(ManualClock::at(1_600_000_000_000));
    let open = async || {
        Device::open(path.clone(), library, |builder| builder.without_background().time(clock.clone())).await
    };
    let other = Device::with(library, |builder| builder.without_background().time(clock.clone())).await;
    let device = open().await;
    let id = device.engine.device_id();
    add(&device, "before").await;
    device.close().await;
    let backup = fs::read(&path).expect("a backup");
    let device = open().await;
    add(&device, "after the backup").await;
    device.sync(&other).await.expect("a round");
    device.close().await;
    fs::write(&path, backup).expect("a restore, into the same file");
    let device = open().await;
    assert_eq!(device.engine.device_id(), id, "nothing tells yet");
    add(&device, "after the restore").await;
    device.engine.flush().await.expect("it is logged under the old id");
    equal(&device, &other).await;
    let renewal = device.engine.status().await.expect("a status").renewals.remove(0);
    // Whose gap was the larger one says in which way it was found out.
    let found = matches!(renewal.reason, RenewalReason::Restored | RenewalReason::Forked);
    assert!(renewal.former == id && found, "{renewal:?}");
    assert_eq!(other.dump().await.lines().count(), 3, "{}", other.dump().await);
}

/// Neither side is a party, and each has one branch.
#[tokio::test]
async fn third_parties_that_saw_one_side_each_find_the_fork_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let [original, copy] = twins(dir.path()).await;
    let (one, other) = strangers(&original).await;
    add(&copy, "early, in the copy").await;
    copy.sync(&other).await.expect("a round");
    add(&original, "late, in the original").await;
    original.sync(&one).await.expect("a round");
    // The later branch is not taken for all that the author wrote, from the first word on.
    other.sync(&one).await.expect("a round");
    assert_eq!(other.dump().await.lines().count(), 3, "{}", other.dump().await);
    equal(&other, &one).await;
    equal(&one, &other).await;
    assert_eq!(one.dump().await.lines().count(), 3, "{}", one.dump().await);
}

/// The branches were written to in turn, so that each has changes below the other's head: a head of one stands for none of
/// the other.
#[tokio::test]
async fn branches_that_were_written_in_turn_are_found_out_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let [original, copy] = twins(dir.path()).await;
    let (one, other) = strangers(&original).await;
    for (device, title) in [(&copy, "first"), (&original, "second"), (&copy, "third")] {
        add(device, title).await;
        device.engine.flush().await.expect("a flush");
    }
    original.sync(&one).await.expect("a round");
    copy.sync(&other).await.expect("a round");
    equal(&other, &one).await;
    equal(&one, &other).await;
    assert_eq!(one.dump().await.lines().count(), 4, "{}", one.dump().await);
}

/// Random bytes that are equal but for the first of an id.
#[derive(Debug)]
struct Alike(u8);

impl Random for Alike {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
        bytes[0] = self.0;
    }
}

#[tokio::test]
async fn a_device_with_the_tail_of_another_is_refused() {
    let library = library();
    let alike = async |first: u8| {
        Device::with(library, |builder| builder.without_background().random(Arc::new(Alike(first)))).await
    };
    let (a, b) = (alike(1).await, alike(2).await);
    let (third, fourth) = (Device::new(library).await, Device::new(library).await);
    add(&a, "a").await;
    add(&b, "b").await;
    let refused = |error: SyncError, device: DeviceId, other: DeviceId| match error {
        SyncError::Peer(PeerError::TailTaken { device: one, other: two }) => {
            assert_eq!((one, two), (device, other));
        }
        error => panic!("{error}"),
    };
    let [id, like] = [a.engine.device_id(), b.engine.device_id()];
    refused(a.sync(&b).await.expect_err("one tail"), id, like);
    third.sync(&a).await.expect("the first of the two");
    refused(third.sync(&b).await.expect_err("the second"), like, id);
    refused(b.sync(&third).await.expect_err("the second"), like, id);

    // What it wrote does not come in by others either, and they are told.
    fourth.sync(&b).await.expect("here it is the first");
    let report = third.sync(&fourth).await.expect("a round");
    assert_eq!(report.refused.len(), 4, "its item and its own record, on both sides: {report:?}");
    assert!(report.refused[0].reason.contains("tail"), "{report:?}");
    assert_eq!(third.bytes_of(like).await.len(), 0);
}
