//! Values that later changes wrote again go from the log, and everybody who reads it gets where the others are.

use std::sync::Arc;

use sea_orm::{ActiveModelTrait, Set};
use sync_core::{
    Change, CompactReport, ConflictReason, Hello, Limits, Peer, Resolution, Retention, Seq, StateHash,
    SyncError, SyncReport, SyncValue, runtime::Time, testing::ManualClock,
};
use sync_tests::{
    Device,
    entities::item,
    faulty::{Fault, Faulty},
    older::Older,
    wire::{self, Author},
};
use uuid::Uuid;

use super::{DAY_MS, Place, add, items, retitle, settle, status, title};

/// A text that is worth saving.
pub(super) fn long(what: impl std::fmt::Display) -> String {
    format!("{what} {}", "and so on ".repeat(30))
}

pub(super) async fn compact(device: &Device) -> CompactReport {
    device.engine.compact().await.expect("a compaction")
}

pub(super) async fn round(a: &Device, b: &Device) -> SyncReport {
    a.sync(b).await.expect("a round")
}

/// All of these are sound and equal.
pub(super) async fn in_order(devices: &[&Device]) {
    for device in devices {
        device.assert_sound().await;
        device.assert_equal(devices[0]).await;
    }
}

async fn requantify(device: &Device, id: Uuid, qty: i64) {
    let edit = item::ActiveModel { id: Set(id), qty: Set(qty), ..Default::default() };
    edit.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

/// Records whose titles were written again and again, each time beside another column or with another record in one transaction.
async fn much_edited(device: &Device, records: usize, edits: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for at in 0..records {
        ids.push(add(device, &long(format!("first {at}"))).await);
    }
    for edit in 0..edits {
        for (at, id) in ids.iter().enumerate() {
            retitle(device, *id, &long(format!("edit {edit} of {at}"))).await;
        }
        requantify(device, ids[edit % records], 100 + edit as i64).await;
        let (one, other) = (ids[edit % records], ids[(edit + 1) % records]);
        let written = device.engine.transaction(async |txn| {
            for id in [one, other] {
                let title = Set(long(format!("together {edit}")));
                let edit = item::ActiveModel { id: Set(id), title, ..Default::default() };
                edit.update(txn).await.expect("an update");
            }
            Ok::<_, SyncError>(())
        });
        written.await.expect("a transaction");
    }
    ids
}

/// A device that reads logs, whatever they hold, so many entries at a time.
pub(super) async fn reader(place: &Place, page_entries: u32) -> Device {
    let clock = Arc::new(place.clock.clone());
    let mut limits = Limits::default();
    (limits.page_entries, limits.snapshot_above) = (page_entries, u64::MAX);
    Device::with(place.library, |builder| builder.without_background().time(clock).limits(limits)).await
}

/// What a device says of its log, and the digest of its objects.
async fn log_of(device: &Device) -> (Seq, StateHash, [u8; 16]) {
    let reader = wire::first_pull(&device.engine);
    let hello = Hello {
        wall_ms: 1_400_000_000_000,
        vector: reader.have,
        ..Hello::new(reader.library, reader.device)
    };
    let answer = device.engine.hello(hello).await.expect("an answer");
    (answer.latest_seq, answer.state_hash, answer.digest)
}

#[tokio::test]
async fn who_reads_the_compacted_log_has_what_one_has_who_read_all_of_it() {
    let place = Place::new();
    let (archive, early) = (place.device(Retention::forever()).await, reader(&place, 1_000).await);
    let ids = much_edited(&archive, 5, 20).await;
    settle(&early, &archive).await;
    settle(&early, &archive).await;
    let before = (log_of(&archive).await, status(&archive).await.entries);
    let report = compact(&archive).await;
    assert!(report.compacted > 100 && report.freed > 20_000, "{report:?}");
    assert_eq!(report.entries, before.1, "all of it was looked at");
    assert_eq!(
        (log_of(&archive).await, status(&archive).await.entries),
        before,
        "position, chain and digest"
    );
    assert_eq!(compact(&archive).await.compacted, 0, "there is nothing left to do");
    let again = round(&early, &archive).await;
    assert_eq!((again.in_sync, again.received, again.snapshot_records), (true, 0, 0), "{again:?}");

    for page in [1_000, 7, 1] {
        let late = reader(&place, page).await;
        let report = round(&late, &archive).await;
        assert!(report.in_sync && report.refused.is_empty(), "{report:?}");
        // Two entries are those by which the two older members name themselves.
        assert_eq!(report.received, before.1 - 2, "by the log: {report:?}");
        assert_eq!(report.snapshot_records > 0, page < 1_000, "where a page ends too early: {report:?}");
        // And who reads that one's log.
        let third = reader(&place, page).await;
        assert!(round(&third, &late).await.in_sync);
        for device in [&late, &early, &late] {
            settle(device, &archive).await;
        }
        settle(&third, &late).await;
        in_order(&[&archive, &early, &late, &third]).await;
        for device in [&late, &third] {
            assert_eq!(
                device.engine.replay().await.expect("a replay").rebuilt,
                [],
                "the log tells all of it"
            );
        }
    }
    assert_eq!(archive.engine.replay().await.expect("a replay").rebuilt, []);

    let history = archive.engine.history::<item::Entity>(ids[0]).await.expect("a history");
    let told = early.engine.history::<item::Entity>(ids[0]).await.expect("a history");
    assert_eq!(history.len(), told.len(), "each change stays");
    for (here, whole) in history.iter().zip(&told) {
        assert_eq!((here.id, here.device, here.kind), (whole.id, whole.device, whole.kind));
        assert!(
            !whole.compacted && here.values == if here.compacted { vec![] } else { whole.values.clone() }
        );
    }
    assert!(
        !history[0].compacted && !history[history.len() - 1].compacted,
        "an insert says what nothing says again"
    );
    let shown = "SELECT group_concat(DISTINCT change_type || ' ' || (data = '{}')) FROM sync_changes WHERE model_type = 'item'";
    assert_eq!(archive.text(shown).await, "insert 0,update 1,update 0", "people see that there was a change");
}

/// What is written after a compaction supersedes what the compaction left, and what stood in it.
#[tokio::test]
async fn a_log_is_compacted_again_and_again_while_a_member_is_in_the_middle_of_it() {
    let place = Place::new();
    let (hub, away) = (place.plain().await, reader(&place, 1_000).await);
    let note = add(&hub, &long("first")).await;
    settle(&away, &hub).await;
    let mut compacted = 0;
    for edit in 0..30 {
        retitle(&hub, note, &long(edit)).await;
        if edit % 7 == 0 {
            compacted += compact(&hub).await.compacted;
        }
        if edit == 11 {
            assert_eq!(round(&away, &hub).await.snapshot_records, 0);
        }
    }
    compacted += compact(&hub).await.compacted;
    assert_eq!(compacted, 29, "all but the last, each once");
    let report = round(&away, &hub).await;
    assert_eq!((report.received, report.snapshot_records, report.in_sync), (18, 0, true), "{report:?}");
    in_order(&[&hub, &away]).await;
    assert_eq!(title(&away, note).await, Some(long(29)));
}

/// A round that breaks off where a value is gone and the next one has not come.
#[tokio::test]
async fn a_reader_who_gets_no_further_shows_what_its_peer_shows_and_passes_that_on() {
    let place = Place::new();
    let hub = place.plain().await;
    let ids = much_edited(&hub, 3, 10).await;
    assert!(compact(&hub).await.compacted > 20);
    let (away, other) = (reader(&place, 4).await, reader(&place, 3).await);
    let breaks = Faulty::new(hub.engine.clone(), Fault::PagesLost(3));
    assert!(away.engine.sync_with(&breaks).await.is_err());
    assert_eq!(status(&away).await.pending, 0, "each record that came is whole");
    let told = away.engine.replay().await;
    assert!(matches!(told, Err(SyncError::LogIncomplete(_))), "its log does not tell it yet: {told:?}");
    assert!(items(&away).await > 0 && round(&other, &away).await.refused.is_empty());
    for id in ids {
        for device in [&away, &other] {
            let shown = title(device, id).await;
            assert!(shown.is_none() || shown == title(&hub, id).await, "no value that was gone before");
        }
    }
    breaks.set(Fault::None);
    assert!(away.engine.sync_with(&breaks).await.expect("a round").in_sync);
    settle(&other, &away).await;
    settle(&other, &hub).await;
    settle(&away, &hub).await;
    in_order(&[&hub, &away, &other]).await;
    for device in [&away, &other] {
        assert_eq!(device.engine.replay().await.expect("a replay").rebuilt, [], "now it does");
    }
}

/// A peer that only answers is given the same.
#[tokio::test]
async fn a_member_that_is_called_gets_compacted_changes_too() {
    let place = Place::new();
    for page in [1_000, 3] {
        let (hub, away) = (reader(&place, page).await, place.plain().await);
        let note = add(&hub, &long("first")).await;
        settle(&hub, &away).await;
        for edit in 0..20 {
            retitle(&hub, note, &long(edit)).await;
        }
        assert_eq!(compact(&hub).await.compacted, 19);
        retitle(&away, note, "a title by who was away").await;
        let report = round(&hub, &away).await;
        assert!(report.in_sync && report.refused.is_empty(), "{report:?}");
        assert_eq!(report.snapshot_sent > 0, page == 3, "{report:?}");
        assert_eq!(status(&away).await.floor.0, 0, "not by its state");
        in_order(&[&hub, &away]).await;
        assert_eq!(away.engine.history::<item::Entity>(note).await.expect("a history").len(), 22);
    }
}

#[tokio::test]
async fn a_program_from_before_compaction_reads_the_state_and_is_given_it() {
    let place = Place::new();
    let (hub, caller, called) = (place.plain().await, place.plain().await, place.plain().await);
    let note = add(&hub, &long("first")).await;
    for device in [&caller, &called] {
        settle(&hub, device).await;
    }
    settle(&hub, &caller).await;
    for edit in 0..20 {
        retitle(&hub, note, &long(edit)).await;
    }
    assert!(compact(&hub).await.compacted > 0);
    let asked = Older::new(hub.engine.clone());
    let report = caller.engine.sync_with(&asked).await.expect("a round");
    assert!(report.snapshot_records > 0 && report.received == 0, "{report:?}");
    assert_eq!(title(&caller, note).await, Some(long(19)));
    let report = hub.engine.sync_with(&Older::new(called.engine.clone())).await.expect("a round");
    assert!(report.snapshot_sent > 0 && report.refused.is_empty(), "{report:?}");
    assert_eq!(title(&called, note).await, Some(long(19)));
    for _ in 0..2 {
        settle(&caller, &hub).await;
        settle(&hub, &called).await;
    }
    in_order(&[&hub, &caller, &called]).await;
}

/// Who wrote at the same time hears that one of the two was lost, and to what.
#[tokio::test]
async fn conflicts_are_told_as_if_all_values_were_there() {
    let place = Place::new();
    let (hub, here, away) = (place.plain().await, place.plain().await, place.plain().await);
    let (note, other) = (add(&hub, &long("first")).await, add(&hub, &long("first")).await);
    for device in [&here, &away] {
        settle(device, &hub).await;
    }
    // Two wrote, and it is known at the hub.
    retitle(&here, note, &long("by here")).await;
    place.clock.step(1_000);
    retitle(&hub, note, &long("by the hub")).await;
    settle(&here, &hub).await;
    place.clock.step(1_000);
    retitle(&hub, note, &long("and later")).await;
    // Somebody wrote what the hub has not heard of.
    retitle(&away, other, &long("by who was away")).await;
    place.clock.step(1_000);
    for edit in 0..5 {
        retitle(&hub, other, &long(edit)).await;
    }
    assert_eq!(compact(&hub).await.compacted, 4, "the edits of `other` alone");
    let conflicts = hub.engine.conflicts().await.expect("conflicts");
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].winner_value, Some(SyncValue::Text(long("by the hub"))), "it is told what won");
    assert_eq!(conflicts[0].loser_value, SyncValue::Text(long("by here")));

    let report = round(&away, &hub).await;
    assert!(report.in_sync, "{report:?}");
    for device in [&away, &hub] {
        let found = device.engine.conflicts().await.expect("conflicts");
        let lost = found.iter().find(|one| one.record == sync_core::encode_key(&[SyncValue::Uuid(other)]));
        let lost = lost.expect("a conflict about `other`");
        assert_eq!(lost.reason, ConflictReason::ConcurrentWrite);
        assert_eq!(lost.loser_value, SyncValue::Text(long("by who was away")));
        assert_eq!(lost.winner_value, Some(SyncValue::Text(long(4))));
    }
    let lost = away.engine.conflicts().field("title").await.expect("conflicts");
    let lost =
        lost.iter().find(|one| one.loser_value == SyncValue::Text(long("by who was away"))).expect("it");
    away.engine.resolve(lost.id, Resolution::RestoreLoser).await.expect("resolved");
    settle(&away, &hub).await;
    settle(&here, &hub).await;
    in_order(&[&hub, &here, &away]).await;
    assert_eq!(title(&hub, other).await, Some(long("by who was away")));
    compact(&hub).await;
    in_order(&[&hub, &here, &away]).await;
}

/// The whole change and what is left of it are one change; another under its id is none of either.
#[tokio::test]
async fn a_whole_change_that_comes_to_a_compacted_one_is_a_duplicate_and_another_is_refused() {
    let place = Place::today();
    let hub = place.plain().await;
    let mut author = Author::new(place.library, 3);
    let text = |text: String| [("title", SyncValue::Text(text))];
    let cells =
        [("title", SyncValue::Text("first".into())), ("qty", SyncValue::I64(1)), ("note", SyncValue::Null)];
    let mut changes = vec![author.insert("item", &[SyncValue::Uuid(Uuid::new_v4())], &cells)];
    for edit in 0..3 {
        let next = author.edit(&changes[edit], &text(long(edit)));
        changes.push(next);
    }
    author.merged(&hub.engine, &changes).await;
    assert_eq!(compact(&hub).await.compacted, 2);
    let answer = author.push(&hub.engine, &changes).await.expect("an answer");
    assert_eq!((answer.duplicates, answer.merged, answer.refused.len()), (4, 0, 0), "{answer:?}");
    let other = Change { cells: author.edit(&changes[0], &text(long("forged"))).cells, ..changes[1].clone() };
    let mut other = other;
    other.cells.iter_mut().for_each(|cell| cell.version = other.id);
    let answer = author.push(&hub.engine, &[other]).await.expect("an answer");
    assert_eq!((answer.duplicates, answer.refused.len()), (0, 1), "{answer:?}");

    // And the other way round.
    let whole = place.plain().await;
    author.merged(&whole.engine, &changes).await;
    let left = wire::log_bytes(&hub.engine).await;
    assert_eq!(left.iter().filter(|bytes| Change::is_compacted(bytes)).count(), 2);
    let answer = wire::push(&whole.engine, place.library, left.clone()).await.expect("an answer");
    assert_eq!((answer.duplicates, answer.merged, answer.refused.len()), (4, 0, 0), "{answer:?}");
    for at in 0..left[1].len() {
        let mut spoilt = left[1].clone();
        spoilt[at] ^= 1;
        let answer = wire::push(&whole.engine, place.library, vec![spoilt]).await.expect("an answer");
        assert_eq!(answer.refused.len(), 1, "byte {at}: {answer:?}");
    }
    whole.assert_sound().await;
}

/// What superseded a value may be of a day to come, and be written again under another stamp.
#[tokio::test]
async fn a_clock_that_was_ahead_loses_nothing_that_it_superseded() {
    let place = Place::today();
    // Guards note the machine's own time, and no clock is to be ahead of that.
    place.days(-500);
    let ahead = ManualClock::at(place.clock.now_ms());
    let time = Arc::new(ahead.clone());
    let wrong = Device::with(place.library, |builder| builder.without_background().time(time)).await;
    let right = place.plain().await;
    let note = add(&wrong, &long("first")).await;
    for edit in 0..3 {
        retitle(&wrong, note, &long(edit)).await;
    }
    settle(&wrong, &right).await;
    ahead.step(200 * DAY_MS);
    retitle(&wrong, note, &long("of a day to come")).await;
    assert_eq!(compact(&wrong).await.compacted, 3);
    ahead.step(-200 * DAY_MS);
    let today = add(&right, "today").await;
    let former = wrong.engine.device_id();
    for _ in 0..3 {
        wrong.sync(&right).await.expect("a round");
    }
    assert_ne!(wrong.engine.device_id(), former, "it took back what nobody had accepted");
    for device in [&wrong, &right] {
        assert_eq!(title(device, note).await, Some(long("of a day to come")), "and wrote it again");
    }
    assert!(title(&wrong, today).await.is_some());
    wrong.assert_sound().await;
    for clock in [&ahead, &place.clock] {
        clock.step(201 * DAY_MS);
    }
    for _ in 0..2 {
        settle(&wrong, &right).await;
    }
    in_order(&[&wrong, &right]).await;
    assert_eq!(title(&right, note).await, Some(long("of a day to come")));
    for device in [&wrong, &right] {
        let conflicts = device.engine.conflicts().await.expect("conflicts");
        assert!(conflicts.is_empty(), "nobody wrote at the same time: {conflicts:?}");
    }
}

/// `RETENTION_EDITS` says how often each of a hundred notes of 1,000 bytes is edited.
#[tokio::test]
async fn a_compacted_log_takes_less_room() {
    let edits = std::env::var("RETENTION_EDITS").map_or(20, |text| text.parse().expect("a number"));
    let place = Place::new();
    let archive = place.device(Retention::forever()).await;
    let mut ids = Vec::new();
    for at in 0..100 {
        ids.push(add(&archive, &format!("note {at}")).await);
    }
    for edit in 0..edits {
        let raw = rusqlite::Connection::open(&archive.path).expect("a database");
        let text = format!("{edit:04}{}", "x".repeat(996));
        raw.execute("UPDATE items SET title = ?", [text]).expect("a write");
        archive.engine.flush().await.expect("a flush");
    }
    let bytes = async || {
        archive
            .text("SELECT CAST(sum(length(data)) AS TEXT) FROM sync_log")
            .await
            .parse::<u64>()
            .expect("a sum")
    };
    let before = bytes().await;
    let began = std::time::Instant::now();
    let report = compact(&archive).await;
    let took = began.elapsed();
    let after = bytes().await;
    println!(
        "{edits} edits of 100 notes of 1,000 bytes: {before} bytes of changes, {after} after {took:?}: {report:?}"
    );
    assert_eq!((report.compacted, before - after), (100 * (edits - 1), report.freed));
    assert!(after * 4 < before, "{before} {after}");
    archive.assert_sound().await;
}
