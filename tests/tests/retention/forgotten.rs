//! Deleted records of which nothing is kept any more: they stay deleted, whoever comes late with what.

use std::{fs, path::Path, time::Duration};

use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use sync_core::{ObjectsRequest, Peer, Retention, SyncError};
use sync_tests::{
    Device,
    entities::item,
    faulty::{Fault, Faulty},
};
use uuid::Uuid;

use super::{Place, add, add_many, delete, items, prune, retitle, ruthless, title};

/// Rounds of `a` with `b` until both are in sync, without one that had to be repaired.
async fn settle(a: &Device, b: &Device) {
    for _ in 0..4 {
        let report = a.sync(b).await.expect("a round");
        assert!(report.repair.is_none() && !report.diverged, "{report:?}");
        if report.in_sync {
            return;
        }
    }
    panic!("four rounds and not in sync");
}

async fn add_as(device: &Device, id: Uuid, title: &str) {
    let new = item::ActiveModel { id: Set(id), title: Set(title.into()), qty: Set(1), ..Default::default() };
    new.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
}

/// Somebody reads the first page of the state.
async fn begin_to_read(device: &Device) {
    let reader = sync_core::DeviceId::from_bytes([9; 16]);
    let whole = ObjectsRequest::new(device.engine.library_id(), reader);
    device.engine.objects(ObjectsRequest { max_objects: 1, ..whole }).await.expect("a page");
}

/// How many records the ledger knows, deleted ones among them.
fn known(device: &Device) -> u64 {
    let raw = rusqlite::Connection::open(&device.path).expect("a database");
    let count = "SELECT count(*) FROM sync_objects WHERE model = (SELECT id FROM sync_names WHERE name = CAST('item' AS BLOB))";
    raw.query_row(count, [], |row| row.get::<_, i64>(0)).expect("a count") as u64
}

/// So many days that what all have said is old, and all have said what they have.
async fn weeks(place: &Place, devices: &[&Device]) {
    for _ in 0..3 {
        place.days(5);
        for _ in 0..2 {
            for pair in devices.windows(2) {
                pair[1].sync(pair[0]).await.expect("a round");
            }
        }
    }
}

/// Two devices, and a record that both had, deleted and forgotten by the first; the second still knows that it is deleted.
struct Deleted {
    place: Place,
    a: Device,
    b: Device,
    id: Uuid,
}

impl Deleted {
    async fn new() -> Self {
        let place = Place::new();
        let (a, b) = (place.plain().await, place.plain().await);
        let id = add(&a, "soon gone").await;
        settle(&b, &a).await;
        Self::of(place, a, b, id).await
    }

    async fn of(place: Place, a: Device, b: Device, id: Uuid) -> Self {
        delete(&b, id).await;
        settle(&b, &a).await;
        let kept = add(&a, "kept").await;
        weeks(&place, &[&a, &b]).await;
        let before = known(&a);
        let report = prune(&a).await;
        assert!(report.forgotten >= 1, "{report:?}");
        assert_eq!(known(&a), before - 1);
        assert_eq!(known(&b), before);
        assert!(title(&a, kept).await.is_some());
        Self { place, a, b, id }
    }

    async fn settle(&self) {
        for _ in 0..2 {
            settle(&self.b, &self.a).await;
        }
        self.b.assert_equal(&self.a).await;
    }

    /// All are equal, and none has the record.
    async fn is_gone(&self, others: &[&Device]) {
        self.settle().await;
        for device in [&self.a, &self.b].into_iter().chain(others.iter().copied()) {
            assert_eq!(title(device, self.id).await, None);
            device.assert_equal(&self.a).await;
        }
    }
}

#[tokio::test]
async fn a_deleted_record_is_forgotten_when_every_member_knows_of_it() {
    let world = Deleted::new().await;
    let fresh = world.place.plain().await;
    settle(&fresh, &world.a).await;
    assert_eq!(known(&fresh), 1, "nothing of it came along");
    assert_eq!(prune(&world.b).await.forgotten, 1);
    assert_eq!(prune(&world.b).await.forgotten, 0, "once");
    world.is_gone(&[&fresh]).await;
}

#[tokio::test]
async fn nothing_is_forgotten_that_is_young_or_that_a_member_lacks_or_in_an_archive() {
    let place = Place::new();
    // Guards note the machine's own time, and a stamp is no later than that: here it is later than the clock.
    place.days(-300);
    let hasty = Retention { min_age: Duration::ZERO, ..Retention::default() };
    let (a, b) = (place.device(hasty).await, place.device(Retention::forever()).await);
    let third = place.plain().await;
    let id = add(&a, "soon gone").await;
    for device in [&b, &third] {
        settle(device, &a).await;
    }
    delete(&a, id).await;
    for days in [0, 2, 2] {
        place.days(days);
        for device in [&b, &third] {
            device.sync(&a).await.expect("a round");
        }
    }
    let report = prune(&a).await;
    assert!(report.removed > 0, "{report:?}");
    assert_eq!(report.forgotten, 0, "its history may go; it is younger than a week");
    let id = add(&a, "gone without the third").await;
    delete(&a, id).await;
    weeks(&place, &[&a, &b]).await;
    assert_eq!(prune(&a).await.forgotten, 1, "the first; the third lacks the second delete");
    assert_eq!(prune(&b).await.forgotten, 0, "an archive keeps all");
    assert_eq!(known(&a), 1);
}

/// History goes all the same where a bound says so.
#[tokio::test]
async fn nothing_is_forgotten_because_its_history_was_made_to_go() {
    let place = Place::new();
    let (a, b, third) = (place.device(ruthless()).await, place.plain().await, place.plain().await);
    let id = add(&a, "soon gone").await;
    for device in [&b, &third] {
        settle(device, &a).await;
    }
    delete(&a, id).await;
    weeks(&place, &[&a, &b]).await;
    let report = prune(&a).await;
    assert!(report.forced > 0 && report.forgotten == 0, "the third has not heard of the delete: {report:?}");
    settle(&third, &a).await;
    weeks(&place, &[&a, &third, &b]).await;
    assert_eq!(prune(&a).await.forgotten, 1);
}

#[tokio::test]
async fn a_record_with_the_key_of_a_forgotten_one_begins_a_new_life_everywhere() {
    // Whoever of the two writes it again: the one that forgot, the one that knows, or both.
    for writers in [[true, false], [false, true], [true, true]] {
        let world = Deleted::new().await;
        for (device, writes) in [&world.a, &world.b].into_iter().zip(writers) {
            if writes {
                add_as(device, world.id, "again").await;
            }
        }
        world.settle().await;
        let fresh = world.place.plain().await;
        settle(&fresh, &world.a).await;
        world.settle().await;
        for device in [&world.a, &world.b, &fresh] {
            assert_eq!(title(device, world.id).await.as_deref(), Some("again"), "{writers:?}");
            device.assert_equal(&world.a).await;
        }
        retitle(&fresh, world.id, "and edited").await;
        settle(&fresh, &world.a).await;
        world.settle().await;
        assert_eq!(title(&world.b, world.id).await.as_deref(), Some("and edited"));
        delete(&world.b, world.id).await;
        settle(&fresh, &world.a).await;
        world.settle().await;
        settle(&fresh, &world.a).await;
        world.is_gone(&[&fresh]).await;
    }
}

/// One that was given up on comes back, with the record, and with an edit of another.
#[tokio::test]
async fn what_was_forgotten_goes_where_it_still_stands_and_an_edit_of_it_is_a_conflict() {
    for meets_the_forgetful in [true, false] {
        let place = Place::new();
        let (a, b, away) = (place.plain().await, place.plain().await, place.plain().await);
        let (id, edited) = (add(&a, "soon gone").await, add(&a, "soon gone too").await);
        for device in [&away, &b] {
            settle(device, &a).await;
        }
        b.engine.remove_member(away.engine.device_id()).await.expect("an answer");
        retitle(&away, edited, "edited while it was deleted").await;
        let own = add(&away, "written while away").await;
        delete(&b, edited).await;
        let world = Deleted::of_two(place, a, b, id).await;
        assert_eq!(title(&away, id).await.as_deref(), Some("soon gone"));

        let first = if meets_the_forgetful { &world.a } else { &world.b };
        settle(&away, first).await;
        for device in [&world.a, &world.b] {
            settle(&away, device).await;
        }
        world.is_gone(&[&away]).await;
        for device in [&world.a, &world.b, &away] {
            assert_eq!(title(device, edited).await, None);
            assert_eq!(title(device, own).await.as_deref(), Some("written while away"));
        }
        let conflicts = away.engine.conflicts().await.expect("conflicts");
        let lost = conflicts.iter().find(|one| one.field == "title").expect("the lost title");
        assert_eq!(format!("{:?}", lost.loser_value), "Text(\"edited while it was deleted\")");
    }
}

impl Deleted {
    /// As [`of`](Self::of), where another record was deleted before.
    async fn of_two(place: Place, a: Device, b: Device, id: Uuid) -> Self {
        delete(&b, id).await;
        settle(&b, &a).await;
        weeks(&place, &[&a, &b]).await;
        assert_eq!(prune(&a).await.forgotten, 2);
        Self { place, a, b, id }
    }
}

fn restore(path: &Path, backup: &Path) {
    fs::write(path, fs::read(backup).expect("the backup")).expect("a restore");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// The server only answers, so it is given the state, and that lacks the record.
#[tokio::test]
async fn a_server_restored_to_before_the_delete_loses_the_record_again() {
    let place = Place::new();
    let dir = tempfile::tempdir().expect("a folder");
    let (path, backup) = (dir.path().join("server.db"), dir.path().join("backup.db"));
    let server = place.open(path.clone(), Retention::default()).await;
    let phone = place.plain().await;
    let id = add(&phone, "soon gone").await;
    add_many(&phone, 3).await;
    settle(&phone, &server).await;
    server.close().await;
    fs::copy(&path, &backup).expect("a backup");
    let server = place.open(path.clone(), Retention::default()).await;
    delete(&phone, id).await;
    settle(&phone, &server).await;
    weeks(&place, &[&server, &phone]).await;
    assert_eq!(prune(&phone).await.forgotten, 1);
    server.close().await;
    restore(&path, &backup);
    let server = place.open(path, Retention::default()).await;
    let own = add(&server, "written after the restore").await;
    assert_eq!(items(&server).await, 5);
    settle(&phone, &server).await;
    settle(&phone, &server).await;
    for device in [&phone, &server] {
        assert_eq!((title(device, id).await, items(device).await), (None, 4));
        assert!(title(device, own).await.is_some());
    }
    phone.assert_equal(&server).await;
}

/// A newcomer has made a record with that key by itself, before it met anybody. Where the delete is known it loses to it, and
/// where it is forgotten it must not live on.
#[tokio::test]
async fn a_life_that_the_delete_did_not_know_ends_alike_where_the_delete_is_known_and_where_it_is_forgotten()
{
    for meets_the_forgetful in [true, false] {
        let world = Deleted::new().await;
        let newcomer = world.place.plain().await;
        add_as(&newcomer, world.id, "made by itself").await;
        let first = if meets_the_forgetful { &world.a } else { &world.b };
        settle(&newcomer, first).await;
        for _ in 0..2 {
            for device in [&world.a, &world.b] {
                settle(&newcomer, device).await;
            }
            world.settle().await;
        }
        world.is_gone(&[&newcomer]).await;
        for device in [&world.a, &world.b] {
            let verified = device.engine.verify().await.expect("verify");
            assert!(verified.is_clean(), "{:?}", verified.findings);
        }
    }
}

/// A record that was lost by damage is not one that was forgotten.
#[tokio::test]
async fn a_repair_brings_back_what_was_damaged_and_not_what_was_forgotten() {
    let world = Deleted::new().await;
    let lost = add(&world.a, "lost by damage").await;
    world.settle().await;
    let raw = rusqlite::Connection::open(&world.a.path).expect("a database");
    raw.execute_batch("DELETE FROM sync_objects WHERE generation % 2 = 1 AND substr(record, -16) = (SELECT id FROM items WHERE title = 'lost by damage')")
        .expect("damage");
    assert!(!world.a.engine.verify().await.expect("verify").is_clean());
    let report = world.a.engine.repair_with(&world.b.engine).await.expect("a repair");
    assert!(report.in_sync && report.unmended.is_empty(), "{report:?}");
    assert_eq!(title(&world.a, lost).await.as_deref(), Some("lost by damage"));
    world.is_gone(&[]).await;
}

/// It had the record, is behind, and reads a page of the state. Then the line breaks, and what the state had of the record's
/// end goes.
#[tokio::test]
async fn a_state_of_which_something_was_forgotten_meanwhile_is_read_again() {
    let place = Place::new();
    let (a, b) = (place.plain().await, place.plain().await);
    let clock = std::sync::Arc::new(place.clock.clone());
    let mut limits = sync_core::Limits::default();
    limits.page_entries = 10;
    let away =
        Device::with(place.library, |builder| builder.without_background().time(clock).limits(limits)).await;
    add_many(&a, 30).await;
    let id = add(&a, "soon gone").await;
    for device in [&away, &b] {
        settle(device, &a).await;
    }
    b.engine.remove_member(away.engine.device_id()).await.expect("an answer");
    delete(&b, id).await;
    settle(&b, &a).await;
    for _ in 0..3 {
        place.days(5);
        for _ in 0..2 {
            b.sync(&a).await.expect("a round");
        }
    }
    // Its history goes, and it is written to again, so that it stands at the end of the state.
    let line = Faulty::new(a.engine.clone(), Fault::ObjectsLost(1));
    assert!(prune(&b).await.removed > 0);
    begin_to_read(&a).await;
    let report = prune(&a).await;
    assert!(report.removed > 0 && report.forgotten == 0, "somebody reads the state: {report:?}");
    let broken = away.engine.sync_with(&line).await;
    assert!(matches!(broken, Err(SyncError::Peer(_))), "{broken:?}");
    place.clock.step(20 * 60_000);
    assert_eq!(prune(&a).await.forgotten, 1, "the reader is gone");
    line.set(Fault::None);
    let report = away.engine.sync_with(&line).await.expect("a round");
    assert!(report.snapshot_records >= 30, "from its beginning again: {report:?}");
    assert_eq!(title(&away, id).await, None);
    settle(&away, &a).await;
    away.assert_equal(&a).await;
}

/// How many bytes the database has without what is free in it.
fn bytes(device: &Device) -> u64 {
    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("copy.db");
    let raw = rusqlite::Connection::open(&device.path).expect("a database");
    raw.execute("VACUUM INTO ?", [copy.to_str().expect("a path")]).expect("a copy");
    fs::metadata(&copy).expect("a file").len()
}

/// `RETENTION_RECORDS` says how many.
#[tokio::test]
async fn deleted_records_take_no_room_once_they_are_forgotten() {
    let records = std::env::var("RETENTION_RECORDS").map_or(2_000, |text| text.parse().expect("a number"));
    let place = Place::new();
    let (a, b) = (place.plain().await, place.plain().await);
    settle(&b, &a).await;
    let empty = bytes(&a);
    add_many(&b, records).await;
    item::Entity::delete_many().exec(&b.db).await.expect("a delete");
    settle(&b, &a).await;
    weeks(&place, &[&a, &b]).await;
    // While somebody reads the state only history goes.
    begin_to_read(&a).await;
    let report = prune(&a).await;
    assert!(report.removed as usize >= 2 * records && report.forgotten == 0, "{report:?}");
    let deleted = bytes(&a) - empty;
    place.clock.step(20 * 60_000);
    assert_eq!(prune(&a).await.forgotten as usize, records - 1, "the last place stays taken");
    let forgotten = bytes(&a).saturating_sub(empty);
    println!("{records} deleted records: {deleted} bytes, {forgotten} once they are forgotten");
    assert!(forgotten < deleted / 20);
}
