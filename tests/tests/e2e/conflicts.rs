//! Conflicts as a person or a program looks at them: asked for, counted, watched, and decided once for all devices.

use std::sync::Arc;

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use sync_core::{
    Bucket, ConflictReason, ConflictRecord, ConflictState, Resolution, SyncError, SyncValue, runtime::Time,
};
use sync_tests::{
    Device,
    device::{ManualClock, library},
    entities::{item, label},
};
use uuid::Uuid;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Midnight of some day, UTC.
const MIDNIGHT: u64 = 20_000 * DAY;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

async fn item_of(device: &Device, number: u128) -> Option<item::Model> {
    item::Entity::find_by_id(id(number)).one(&device.db).await.expect("a query")
}

async fn edit(device: &Device, number: u128, change: impl FnOnce(&mut item::ActiveModel)) {
    let mut row = item_of(device, number).await.expect("the item").into_active_model();
    change(&mut row);
    row.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

/// Both write another title, `a` first.
async fn clash(a: &Device, b: &Device, clock: &ManualClock, number: u128) {
    clash_with(a, b, clock, number, "").await;
}

/// The same, with a word that no title has yet.
async fn clash_with(a: &Device, b: &Device, clock: &ManualClock, number: u128, word: &str) {
    edit(a, number, |row| row.title = Set(format!("a{number}{word}"))).await;
    clock.step(1);
    edit(b, number, |row| row.title = Set(format!("b{number}{word}"))).await;
    a.sync(b).await.expect("a round");
    clock.step(1);
}

fn set(clock: &ManualClock, ms: u64) {
    clock.step(ms.cast_signed() - clock.now_ms().cast_signed());
}

async fn device(library: sync_core::LibraryId, clock: &ManualClock) -> Device {
    let clock = Arc::new(clock.clone());
    Device::with(library, |builder| builder.without_background().time(clock)).await
}

/// Two devices on one clock, with three items.
async fn two(clock: &ManualClock) -> (Device, Device) {
    let library = library();
    let (a, b) = (device(library, clock).await, device(library, clock).await);
    for number in 1..=3 {
        let new = item::ActiveModel {
            id: Set(id(number)),
            title: Set("old".into()),
            qty: Set(1),
            ..Default::default()
        };
        new.insert(&a.db).await.expect("an item");
    }
    a.sync(&b).await.expect("a round");
    (a, b)
}

async fn open(device: &Device) -> Vec<ConflictRecord> {
    device.engine.conflicts().await.expect("conflicts")
}

async fn equal(devices: &[&Device]) {
    for device in devices {
        assert_eq!(
            (device.dump().await, device.digest().await),
            (devices[0].dump().await, devices[0].digest().await)
        );
        let verified = device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "{:?}", verified.findings);
    }
}

#[tokio::test]
async fn a_question_narrows_down_pages_and_counts() {
    let clock = ManualClock::at(MIDNIGHT + HOUR);
    let (a, b) = two(&clock).await;
    clash(&a, &b, &clock, 1).await;
    clash(&a, &b, &clock, 2).await;
    set(&clock, MIDNIGHT + 2 * HOUR);
    edit(&b, 3, |row| row.note = Set(Some("late".into()))).await;
    item_of(&a, 3).await.expect("the item").into_active_model().delete(&a.db).await.expect("a delete");
    a.sync(&b).await.expect("a round");
    set(&clock, MIDNIGHT + DAY);
    clash_with(&a, &b, &clock, 1, " again").await;

    let all = open(&a).await;
    let fields: Vec<&str> = all.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["title", "note", "title", "title"], "newest first");
    assert_eq!(all[0].key::<item::Entity>(), Some(id(1)));
    assert_eq!(all[0].key::<label::Entity>(), None);
    let text = |text: &str| SyncValue::Text(text.into());
    assert_eq!((&all[2].loser_value, &all[2].winner_value), (&text("a2"), &Some(text("b2"))));
    let devices = (all[2].winner_device, all[2].loser_device);
    assert_eq!(devices, (Some(b.engine.device_id()), Some(a.engine.device_id())));
    assert_eq!(all[1].winner_value, None, "a delete wrote nothing");

    let ask = || a.engine.conflicts();
    let ids = |found: Vec<ConflictRecord>| found.iter().map(|one| one.id).collect::<Vec<_>>();
    let expected = |at: &[usize]| at.iter().map(|at| all[*at].id).collect::<Vec<_>>();
    assert_eq!(ids(ask().of::<item::Entity>().field("title").await.expect("titles")), expected(&[0, 2, 3]));
    assert_eq!(ids(ask().model("label").await.expect("labels")), expected(&[]));
    assert_eq!(ids(ask().model("nobody knows it").await.expect("none")), expected(&[]));
    assert_eq!(
        ids(ask().key::<item::Entity>(id(1)).expect("a key").await.expect("of one")),
        expected(&[0, 3])
    );
    assert_eq!(ids(ask().record(all[2].record.clone()).await.expect("of one")), expected(&[2]));
    assert_eq!(ids(ask().reason(ConflictReason::DeleteWins).await.expect("deletes")), expected(&[1]));
    assert_eq!(ids(ask().since_ms(MIDNIGHT + 2 * HOUR).await.expect("later ones")), expected(&[0, 1]));
    assert_eq!(ids(ask().until_ms(MIDNIGHT + 2 * HOUR).await.expect("earlier ones")), expected(&[2, 3]));
    let page = ids(ask().limit(3).await.expect("a page"));
    assert_eq!(page, expected(&[0, 1, 2]));
    assert_eq!(ids(ask().limit(3).before(page[2]).await.expect("the next")), expected(&[3]));
    assert_eq!(ask().field("title").count().await.expect("a count"), 3);

    a.engine.resolve(all[3].id, Resolution::Dismiss).await.expect("settled");
    assert_eq!(ids(ask().await.expect("open")), expected(&[0, 1, 2]));
    let settled = ask().settled().await.expect("settled");
    assert_eq!((settled.len(), settled[0].state), (1, ConflictState::Settled));
    let counts = ask().with_settled().over_time(Bucket::Hour).await.expect("counts");
    let of: Vec<(u64, u64)> = counts.iter().map(|one| (one.from_ms, one.conflicts)).collect();
    assert_eq!(of, [(MIDNIGHT + HOUR, 2), (MIDNIGHT + 2 * HOUR, 1), (MIDNIGHT + DAY, 1)]);
    let days = ask().over_time(Bucket::Day).await.expect("counts");
    let of: Vec<(u64, u64)> = days.iter().map(|one| (one.from_ms, one.conflicts)).collect();
    assert_eq!(of, [(MIDNIGHT, 2), (MIDNIGHT + DAY, 1)], "the open ones");
}

#[tokio::test]
async fn what_is_kept_is_decided_on_every_device() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    clash(&a, &b, &clock, 1).await;
    clash(&a, &b, &clock, 2).await;
    let third = device(a.engine.library_id(), &clock).await;
    let lost = open(&a).await.remove(1);
    assert_eq!(open(&b).await.len(), 2, "b found them too");
    a.engine.resolve(lost.id, Resolution::KeepWinner).await.expect("settled");
    assert_eq!(item_of(&a, 1).await.expect("the item").title, "b1");
    a.sync(&b).await.expect("a round");
    third.sync(&b).await.expect("a round");
    a.sync(&b).await.expect("a round");
    for device in [&a, &b, &third] {
        let left = open(device).await;
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0].key::<item::Entity>(), Some(id(2)));
        let settled = device.engine.conflicts().settled().await.expect("settled");
        assert_eq!((settled.len(), settled[0].loser_value.clone()), (1, SyncValue::Text("a1".into())));
    }
    equal(&[&a, &b, &third]).await;
}

#[tokio::test]
async fn what_is_restored_is_decided_on_every_device() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    clash(&a, &b, &clock, 1).await;
    let lost = open(&b).await.remove(0);
    b.engine.resolve(lost.id, Resolution::RestoreLoser).await.expect("settled");
    a.sync(&b).await.expect("a round");
    assert_eq!(item_of(&a, 1).await.expect("the item").title, "a1");
    assert_eq!((open(&a).await, open(&b).await), (vec![], vec![]));
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn two_people_who_decide_differently_are_a_conflict_again() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    clash(&a, &b, &clock, 1).await;
    let (of_a, of_b) = (open(&a).await.remove(0), open(&b).await.remove(0));
    a.engine.resolve(of_a.id, Resolution::RestoreLoser).await.expect("settled");
    clock.step(1);
    b.engine.resolve(of_b.id, Resolution::KeepWinner).await.expect("settled");
    a.sync(&b).await.expect("a round");
    let left = open(&a).await;
    assert_eq!((left.len(), left[0].reason), (1, ConflictReason::ConcurrentWrite));
    assert_eq!(left[0].loser_value, SyncValue::Text("a1".into()));
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_delete_that_is_kept_is_decided_on_every_device() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    edit(&b, 1, |row| row.note = Set(Some("late".into()))).await;
    item_of(&a, 1).await.expect("the item").into_active_model().delete(&a.db).await.expect("a delete");
    a.sync(&b).await.expect("a round");
    let lost = open(&b).await.remove(0);
    b.engine.resolve(lost.id, Resolution::KeepWinner).await.expect("settled");
    a.sync(&b).await.expect("a round");
    assert_eq!((open(&a).await, open(&b).await), (vec![], vec![]));
    assert_eq!((item_of(&a, 1).await, item_of(&b, 1).await), (None, None));
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_record_that_comes_back_leaves_what_else_it_lost_to_be_decided() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    edit(&b, 1, |row| row.note = Set(Some("late".into()))).await;
    edit(&b, 1, |row| row.qty = Set(9)).await;
    item_of(&a, 1).await.expect("the item").into_active_model().delete(&a.db).await.expect("a delete");
    a.sync(&b).await.expect("a round");
    let lost = a.engine.conflicts().field("note").await.expect("conflicts").remove(0);
    a.engine.resolve(lost.id, Resolution::RestoreLoser).await.expect("settled");
    a.sync(&b).await.expect("a round");
    for device in [&a, &b] {
        let row = item_of(device, 1).await.expect("the item is back");
        assert_eq!(row.note.as_deref(), Some("late"));
        let fields: Vec<String> = open(device).await.iter().map(|one| one.field.to_string()).collect();
        let expected: &[&str] = if row.qty == 9 { &[] } else { &["qty"] };
        assert_eq!(fields, expected, "qty is {}", row.qty);
    }
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn all_that_match_are_settled_at_once() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    for number in 1..=3 {
        clash(&a, &b, &clock, number).await;
    }
    let first = a.engine.conflicts().key::<item::Entity>(id(1)).expect("a key");
    assert_eq!(first.settle(Resolution::Dismiss).await.expect("settled"), 1);
    let rest = a.engine.conflicts().of::<item::Entity>();
    assert_eq!(rest.settle(Resolution::RestoreLoser).await.expect("settled"), 2);
    assert_eq!(open(&a).await, []);
    a.sync(&b).await.expect("a round");
    let mut titles = Vec::new();
    for number in 1..=3 {
        titles.push(item_of(&b, number).await.expect("the item").title);
    }
    assert_eq!(titles, ["b1", "a2", "a3"]);
    assert_eq!(open(&b).await.len(), 1, "what a dismissed is b's to decide");
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_slow_watcher_misses_no_conflict() {
    let clock = ManualClock::at(MIDNIGHT);
    let library = library();
    let mut limits = sync_core::Limits::default();
    limits.event_buffer = 2;
    let time = Arc::new(clock.clone());
    let a = Device::with(library, |builder| builder.without_background().time(time).limits(limits)).await;
    let b = device(library, &clock).await;
    for number in 1..=8 {
        let new = item::ActiveModel {
            id: Set(id(number)),
            title: Set("old".into()),
            qty: Set(1),
            ..Default::default()
        };
        new.insert(&b.db).await.expect("an item");
    }
    a.sync(&b).await.expect("a round");
    clash(&a, &b, &clock, 8).await;
    let mut found =
        a.engine.conflicts().of::<item::Entity>().field("title").limit(1).watch().await.expect("a stream");
    for number in 1..=7 {
        clash(&a, &b, &clock, number).await;
    }
    for number in 1..=7 {
        let conflict = found.next().await.expect("a conflict").expect("readable");
        assert_eq!(conflict.key::<item::Entity>(), Some(id(number)), "from now on, oldest first");
    }
    clash_with(&a, &b, &clock, 8, " again").await;
    let conflict = found.next().await.expect("a conflict").expect("readable");
    a.engine.resolve(conflict.id, Resolution::RestoreLoser).await.expect("settled");
    a.close().await;
    assert!(found.next().await.is_none(), "the stream ends with the engine");
}

#[tokio::test]
async fn a_conflict_that_is_settled_is_not_settled_again() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    clash(&a, &b, &clock, 1).await;
    let lost = open(&a).await.remove(0);
    a.engine.resolve(lost.id, Resolution::KeepWinner).await.expect("settled");
    let before = a.engine.status().await.expect("a status").latest_seq;
    for resolution in [Resolution::KeepWinner, Resolution::RestoreLoser, Resolution::Dismiss] {
        let again = a.engine.resolve(lost.id, resolution).await;
        assert!(matches!(again, Err(SyncError::UnknownConflict(id)) if id == lost.id), "{again:?}");
    }
    assert_eq!(a.engine.status().await.expect("a status").latest_seq, before);
}

/// Values that were lost in a conflict that is settled, and that nobody will ask for.
#[tokio::test]
async fn settled_conflicts_go_with_the_history_of_their_time() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    clash(&a, &b, &clock, 1).await;
    clash(&a, &b, &clock, 2).await;
    let first = open(&a).await.pop().expect("a conflict").id;
    a.engine.resolve(first, Resolution::Dismiss).await.expect("settled");
    let all = || async { a.engine.conflicts().with_settled().await.expect("conflicts").len() };
    clock.step(6 * DAY.cast_signed());
    assert_eq!((a.engine.prune().await.expect("a prune").settled, all().await), (0, 2));
    clock.step(2 * DAY.cast_signed());
    assert_eq!((a.engine.prune().await.expect("a prune").settled, all().await), (1, 1));
    assert_eq!(open(&a).await.len(), 1, "open ones stay");
}

#[tokio::test]
async fn of_too_many_open_conflicts_the_oldest_are_dropped_and_that_is_told() {
    let clock = ManualClock::at(MIDNIGHT);
    let (a, b) = two(&clock).await;
    let time = Arc::new(clock.clone());
    let mut limits = sync_core::Limits::default();
    limits.max_conflicts = 2;
    let a = a.restart(|builder| builder.without_background().time(time).limits(limits)).await;
    let mut events = a.engine.events();
    for number in 1..=3 {
        clash(&a, &b, &clock, number).await;
    }
    let newest: Vec<i64> = open(&a).await.iter().map(|one| one.id).take(2).collect();
    assert_eq!(a.engine.prune().await.expect("a prune").dropped, 1);
    assert_eq!(open(&a).await.iter().map(|one| one.id).collect::<Vec<_>>(), newest);
    let mut told = None;
    while told.is_none() {
        if let sync_core::Event::ConflictsDropped(count) = events.next().await.expect("an event") {
            told = Some(count);
        }
    }
    assert_eq!(told, Some(1));
    assert_eq!(a.engine.prune().await.expect("a prune").dropped, 0);
}
