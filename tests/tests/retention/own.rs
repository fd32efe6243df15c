//! A follower sends what a record came to, not how it came to that; and nobody sees less than before, or half of it.

use std::{fs, sync::Arc};

use sea_orm::{ConnectionTrait, TransactionTrait};
use sync_core::{ChangeKind, Event, History, Limits, Retention, SyncReport};
use sync_tests::{
    Device,
    entities::item,
    faulty::{Fault, Faulty},
};

use super::{Place, add, delete, items, retitle, settle, status, title};

/// A phone that only follows, and a server.
async fn followed(place: &Place) -> (Device, Device) {
    let (phone, server) = (place.device(Retention::own()).await, place.plain().await);
    for _ in 0..2 {
        settle(&phone, &server).await;
    }
    (phone, server)
}

async fn round(a: &Device, b: &Device) -> SyncReport {
    a.sync(b).await.expect("a round")
}

async fn in_order(devices: &[&Device]) {
    for device in devices {
        let verified = device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "{:?}", verified.findings);
        device.assert_equal(devices[0]).await;
    }
}

#[tokio::test]
async fn a_thousand_edits_of_a_note_are_sent_as_one_change() {
    let place = Place::new();
    let (phone, server) = followed(&place).await;
    let note = add(&phone, "first").await;
    assert_eq!(round(&phone, &server).await.sent, 1);
    let other = add(&phone, "written once").await;
    for at in 1..=1_000 {
        retitle(&phone, note, &format!("edit {at}")).await;
    }
    let before = status(&phone).await;
    assert!(before.entries >= 1_001);
    let report = round(&phone, &server).await;
    assert_eq!((report.sent, report.in_sync), (2, true), "{report:?}");
    assert_eq!(title(&server, note).await.as_deref(), Some("edit 1000"));
    assert!(title(&server, other).await.is_some());
    assert_eq!(server.engine.history::<item::Entity>(note).await.expect("a history").len(), 2);
    assert!(status(&phone).await.entries < 3, "it is the server's history now");
    in_order(&[&server, &phone]).await;
    assert_eq!(server.engine.replay().await.expect("a replay").rebuilt, [], "the log tells all of it");
    // And it goes on from there.
    retitle(&phone, note, "after").await;
    retitle(&server, other, "by the server").await;
    settle(&phone, &server).await;
    let third = place.plain().await;
    settle(&third, &server).await;
    settle(&phone, &server).await;
    in_order(&[&server, &phone]).await;
    assert_eq!(title(&third, note).await.as_deref(), Some("after"));
}

/// What several changes said of several columns, of counters, and of a life that ended.
#[tokio::test]
async fn one_change_says_all_that_several_said() {
    let place = Place::new();
    let (phone, server) = followed(&place).await;
    let run = async |device: &Device, statement: &str| {
        place.clock.step(1);
        device.db.execute_unprepared(statement).await.expect(statement);
        device.engine.flush().await.expect("a flush");
    };
    let gauge = "INSERT INTO gauges (id, count, peak, low, x, y) VALUES (x'00000000000000000000000000000021', 3, 5, 5, 1, 2)";
    run(&phone, gauge).await;
    let (edited, gone) = (add(&phone, "edited").await, add(&phone, "soon gone").await);
    settle(&phone, &server).await;
    for _ in 0..10 {
        run(&phone, "UPDATE gauges SET count = count + 1, peak = peak + 1").await;
        run(&server, "UPDATE gauges SET count = count + 100, low = low - 1").await;
    }
    run(&phone, "UPDATE items SET note = 'of the phone', qty = 7 WHERE title = 'edited'").await;
    run(&server, "UPDATE items SET qty = 8 WHERE title = 'edited'").await;
    retitle(&phone, edited, "edited twice").await;
    retitle(&phone, gone, "and edited").await;
    delete(&phone, gone).await;
    let fleeting = add(&phone, "never heard of").await;
    delete(&phone, fleeting).await;
    let report = round(&phone, &server).await;
    assert_eq!(report.sent, 4, "{report:?}");
    settle(&phone, &server).await;
    in_order(&[&server, &phone]).await;
    let count = "SELECT count || ' ' || peak || ' ' || low FROM gauges";
    assert_eq!(server.text(count).await, "1013 15 -5");
    let row = "SELECT title || ' ' || note || ' ' || qty FROM items";
    assert_eq!(server.text(row).await, "edited twice of the phone 8", "each column by its own time");
    assert_eq!(items(&server).await, 1);
}

/// The note of the first transaction went into the second: nobody may see the rest of the first without it.
#[tokio::test]
async fn transactions_that_went_together_arrive_together() {
    let place = Place::new();
    let (phone, server) = followed(&place).await;
    // Each change of a group, and each group, would come by itself.
    let (time, mut limits) = (Arc::new(place.clock.clone()), Limits::default());
    limits.page_entries = 1;
    let phone = phone
        .restart(|builder| builder.without_background().time(time).retention(Retention::own()).limits(limits))
        .await;
    let (from, to) = (add(&phone, "from").await, add(&phone, "to").await);
    settle(&phone, &server).await;
    for step in 1..=3 {
        let transaction = phone.db.begin().await.expect("a transaction");
        for (sign, title) in [("-", "from"), ("+", "to")] {
            let statement = format!("UPDATE items SET qty = qty {sign} {step} WHERE title = '{title}'");
            transaction.execute_unprepared(&statement).await.expect("an update");
        }
        transaction.commit().await.expect("a commit");
        phone.engine.flush().await.expect("a flush");
        retitle(&phone, from, "from").await;
    }
    phone
        .db
        .execute_unprepared("UPDATE items SET note = 'last' WHERE title = 'from'")
        .await
        .expect("an update");
    let mut events = server.engine.events();
    let report = round(&phone, &server).await;
    assert_eq!(report.sent, 2, "{report:?}");
    let Some(Event::Remote { changes, .. }) = events.next().await else { panic!("not the group") };
    assert_eq!(changes.len(), 2);
    assert_eq!(title(&server, to).await.as_deref(), Some("to"));
    assert_eq!(server.text("SELECT CAST(sum(qty) AS TEXT) FROM items").await, "2");
    in_order(&[&server, &phone]).await;
}

/// A laptop read the phone's log in between; and the answer to a push was lost, so the phone does not know that it arrived.
#[tokio::test]
async fn what_somebody_has_seen_stays_as_it_is() {
    let place = Place::new();
    let (phone, server) = followed(&place).await;
    let laptop = place.plain().await;
    let note = add(&phone, "first").await;
    settle(&laptop, &phone).await;
    let id = phone.engine.device_id();
    for at in 1..=5 {
        retitle(&phone, note, &format!("before {at}")).await;
    }
    let report = round(&laptop, &phone).await;
    assert_eq!(report.received, 1, "{report:?}");
    let verified = phone.engine.verify().await.expect("verify");
    assert!(verified.is_clean(), "its chain is that of what it has: {:?}", verified.findings);
    for at in 1..=5 {
        retitle(&phone, note, &format!("after {at}")).await;
    }
    let line = Faulty::new(server.engine.clone(), Fault::LostAfter);
    assert!(phone.engine.sync_with(&line).await.is_err());
    assert_eq!(title(&server, note).await.as_deref(), Some("after 5"), "it arrived");
    for at in 1..=5 {
        retitle(&phone, note, &format!("later {at}")).await;
    }
    let report = round(&phone, &server).await;
    assert_eq!((report.sent, report.duplicates), (1, 0), "{report:?}");
    let report = round(&laptop, &phone).await;
    assert!(report.received + report.snapshot_records >= 1, "{report:?}");
    settle(&laptop, &server).await;
    settle(&phone, &server).await;
    in_order(&[&server, &phone, &laptop]).await;
    assert_eq!(phone.engine.device_id(), id);
    assert_eq!(title(&laptop, note).await.as_deref(), Some("later 5"));
    let kinds = server.engine.history::<item::Entity>(note).await.expect("a history");
    assert_eq!(kinds.iter().filter(|entry| entry.kind == ChangeKind::Edit).count(), 4);
    assert_eq!(laptop.text("SELECT CAST(count(*) AS TEXT) FROM sync_origins WHERE forked <> 0").await, "0");
}

/// The backup has unsent edits that the phone sent, together with later ones, after the backup was made.
#[tokio::test]
async fn a_phone_restored_from_a_backup_sends_nothing_twice_and_loses_nothing() {
    let place = Place::new();
    let server = place.plain().await;
    let dir = tempfile::tempdir().expect("a folder");
    let (path, backup) = (dir.path().join("phone.db"), dir.path().join("backup.db"));
    let phone = place.open(path.clone(), Retention::own()).await;
    let note = add(&phone, "first").await;
    settle(&phone, &server).await;
    let id = phone.engine.device_id();
    for at in 1..=3 {
        retitle(&phone, note, &format!("in the backup {at}")).await;
    }
    phone.close().await;
    fs::copy(&path, &backup).expect("a backup");
    for sends_more in [false, true] {
        // What is written after a restore is later than what was written before it.
        place.clock.step(10_000);
        let phone = place.open(path.clone(), Retention::own()).await;
        if sends_more {
            retitle(&phone, note, "after the backup").await;
        }
        settle(&phone, &server).await;
        phone.close().await;
        fs::write(&path, fs::read(&backup).expect("the backup")).expect("a restore");
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
        place.clock.step(10_000);
        let phone = place.open(path.clone(), Retention::own()).await;
        let own = add(&phone, "after the restore").await;
        retitle(&phone, note, "written again").await;
        for at in 1..=3 {
            retitle(&phone, own, &format!("after the restore {at}")).await;
        }
        for _ in 0..3 {
            round(&phone, &server).await;
        }
        settle(&phone, &server).await;
        in_order(&[&server, &phone]).await;
        assert_eq!(title(&server, own).await.as_deref(), Some("after the restore 3"));
        assert_eq!(title(&server, note).await.as_deref(), Some("written again"));
        assert_eq!(
            phone.engine.device_id() != id,
            sends_more,
            "only then the server has what the backup lacks"
        );
        phone.close().await;
        fs::write(&path, fs::read(&backup).expect("the backup")).expect("a restore");
    }
}

#[tokio::test]
async fn a_repair_knows_what_one_change_passes_on() {
    let place = Place::new();
    let (phone, server) = followed(&place).await;
    let note = add(&phone, "first").await;
    settle(&phone, &server).await;
    phone.db.execute_unprepared("UPDATE items SET qty = 5").await.expect("an update");
    phone.engine.flush().await.expect("a flush");
    retitle(&phone, note, "second").await;
    assert_eq!(round(&phone, &server).await.sent, 1);
    let raw = rusqlite::Connection::open(&server.path).expect("a database");
    raw.execute_batch("DELETE FROM sync_objects WHERE substr(record, -16) = (SELECT id FROM items)")
        .expect("damage");
    let report = server.engine.repair_with(&phone.engine).await.expect("a repair");
    assert!(report.in_sync && report.unmended.is_empty(), "{report:?}");
    settle(&phone, &server).await;
    in_order(&[&server, &phone]).await;
}

/// Whoever keeps history for others keeps all of it.
#[tokio::test]
async fn a_device_that_stops_following_joins_nothing_any_more() {
    let place = Place::new();
    let server = place.plain().await;
    let phone = place.device(Retention::own()).await;
    let note = add(&phone, "first").await;
    settle(&phone, &server).await;
    let clock = Arc::new(place.clock.clone());
    let shared = Retention { history: History::Shared, ..Retention::default() };
    let phone = phone.restart(|builder| builder.without_background().time(clock).retention(shared)).await;
    for at in 1..=3 {
        retitle(&phone, note, &format!("edit {at}")).await;
    }
    assert_eq!(round(&phone, &server).await.sent, 3);
    in_order(&[&server, &phone]).await;
}
