//! Clocks that are wrong: ahead, behind, to and fro. Nothing is lost, nobody is stopped for good, and what was written on a day
//! that was none yet does not come back on that day.

use std::sync::Arc;

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set, prelude::DateTimeUtc};
use sync_core::{
    Event, LibraryId, RenewalReason, SyncValue,
    runtime::{SystemClock, Time},
};
use sync_tests::{
    Device,
    device::{ManualClock, library},
    entities::item,
    nested::{author, book},
    ruled::{basket, product},
    state::equal,
    tangled::shelf,
};
use uuid::Uuid;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Some years ago: guards note the database's own time, and no clock of a test is to be ahead of that.
fn noon() -> ManualClock {
    let clock = ManualClock::at(SystemClock.now_ms());
    clock.step(-4 * YEAR);
    // An hour more or less is the same day, on which a device writes its own record once.
    clock.step(DAY / 2 - clock.now_ms().cast_signed() % DAY);
    clock
}

/// A clock of its own that agrees with `clock` for now.
fn like(clock: &ManualClock) -> ManualClock {
    ManualClock::at(clock.now_ms())
}

async fn device(library: LibraryId, clock: &ManualClock) -> Device {
    let clock = Arc::new(clock.clone());
    Device::with(library, |builder| builder.without_background().time(clock)).await
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

async fn title(device: &Device, number: u128) -> Option<String> {
    item::Entity::find_by_id(id(number)).one(&device.db).await.expect("a query").map(|row| row.title)
}

async fn add(device: &Device, number: u128, title: &str) {
    let row = item::ActiveModel {
        id: Set(id(number)),
        title: Set(title.into()),
        qty: Set(1),
        ..Default::default()
    };
    row.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
}

async fn rename(device: &Device, number: u128, title: &str) {
    let row = item::Entity::find_by_id(id(number)).one(&device.db).await.expect("a query").expect("the item");
    let mut row = row.into_active_model();
    row.title = Set(title.into());
    row.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

async fn held(device: &Device) -> u64 {
    device.engine.status().await.expect("a status").held
}

async fn rounds(devices: &[&Device]) {
    for _ in 0..2 {
        for (at, one) in devices.iter().enumerate() {
            for other in &devices[at + 1..] {
                one.sync(other).await.expect("a round");
            }
        }
    }
}

/// A device whose clock is to go wrong and one whose clock is right: the clocks, then the devices.
async fn wrong_and_right() -> (ManualClock, ManualClock, Device, Device) {
    let (here, library) = (noon(), library());
    let wrong = like(&here);
    let (a, b) = (device(library, &wrong).await, device(library, &here).await);
    (wrong, here, a, b)
}

/// Three that share an item, and the clock of each.
async fn three() -> ([ManualClock; 3], [Device; 3]) {
    let (here, library) = (noon(), library());
    let clocks = [like(&here), like(&here), here];
    let devices = [
        device(library, &clocks[0]).await,
        device(library, &clocks[1]).await,
        device(library, &clocks[2]).await,
    ];
    add(&devices[0], 1, "old").await;
    rounds(&[&devices[0], &devices[1], &devices[2]]).await;
    (clocks, devices)
}

/// When so much time has passed on these clocks and all have met, all are equal.
async fn equal_after(ms: i64, clocks: &[&ManualClock], devices: &[&Device]) {
    clocks.iter().for_each(|clock| clock.step(ms));
    rounds(devices).await;
    rounds(devices).await;
    all_equal(devices).await;
}

async fn all_equal(devices: &[&Device]) {
    for device in &devices[1..] {
        devices[0].assert_equal(device).await;
    }
}

/// The last reason for which the device took another id.
async fn renewed(device: &Device) -> Option<RenewalReason> {
    device.engine.status().await.expect("a status").renewals.last().map(|renewal| renewal.reason)
}

#[tokio::test]
async fn what_an_hour_ahead_wrote_is_shown_when_time_has_caught_up_by_itself() {
    let (here, library) = (noon(), library());
    let ahead = like(&here);
    ahead.step(HOUR);
    let a = device(library, &ahead).await;
    let time = Arc::new(here.clone());
    let b = Device::with(library, |builder| builder.time(time)).await;
    let mut events = b.engine.events();
    add(&a, 1, "early").await;
    let report = a.sync(&b).await.expect("a round");
    // The device's own record is held with what it wrote.
    assert!(report.held > 0 && held(&b).await == report.held);
    assert_eq!(title(&b, 1).await, None);
    loop {
        if let Event::ClockSkew { peer, offset_ms } = events.next().await.expect("an event") {
            assert_eq!((peer, offset_ms), (a.engine.device_id(), HOUR));
            break;
        }
    }
    here.step(HOUR - 2 * MINUTE);
    add(&b, 2, "meanwhile").await;
    assert_eq!(held(&b).await, report.held, "not yet");
    here.step(MINUTE + 1_000);
    // Nobody calls: the engine sees by itself that the time has come.
    loop {
        match events.next().await.expect("an event") {
            Event::Remote { .. } if held(&b).await == 0 => break,
            _ => continue,
        }
    }
    assert_eq!((held(&b).await, title(&b, 1).await.as_deref()), (0, Some("early")));
}

#[tokio::test]
async fn a_device_a_day_behind_is_heard_at_once_and_hears_when_its_clock_is_right() {
    let (here, library) = (noon(), library());
    let behind = like(&here);
    behind.step(-DAY);
    let (a, b) = (device(library, &here).await, device(library, &behind).await);
    add(&a, 1, "of today").await;
    add(&b, 2, "of yesterday").await;
    b.sync(&a).await.expect("a round");
    assert_eq!((title(&a, 2).await.as_deref(), title(&b, 1).await), (Some("of yesterday"), None));
    assert!(held(&a).await == 0 && held(&b).await > 0);
    let peer = b.engine.status().await.expect("a status").peers.remove(0);
    assert_eq!(peer.clock_offset_ms, Some(DAY));
    behind.step(DAY);
    b.sync(&a).await.expect("a round");
    a.assert_equal(&b).await;
    assert_eq!((renewed(&a).await, renewed(&b).await), (None, None), "nobody was ahead of itself");
}

/// A device writes all kinds of things while its clock is a year ahead.
async fn write_a_year_ahead(a: &Device, clock: &ManualClock) {
    clock.step(YEAR);
    rename(a, 1, "of next year").await;
    add(a, 10, "new").await;
    add(a, 11, "gone again").await;
    a.db.execute_unprepared("UPDATE products SET stock = stock + 5, shelf = 9").await.expect("an update");
    a.db.execute_unprepared("UPDATE baskets SET tags = '[\"a\",\"c\"]'").await.expect("an update");
    item::Entity::delete_by_id(id(2)).exec(&a.db).await.expect("a delete");
    item::Entity::delete_by_id(id(11)).exec(&a.db).await.expect("a delete");
    a.engine.flush().await.expect("a flush");
    a.engine
        .transaction(async |txn| {
            author::ActiveModel { id: Set(id(20)), name: Set("Ann".into()) }.insert(txn).await?;
            let book = book::ActiveModel {
                id: Set(id(21)),
                author_id: Set(id(20)),
                title: Set("A year too early".into()),
            };
            book.insert(txn).await?;
            Ok::<_, sync_core::SyncError>(())
        })
        .await
        .expect("a transaction");
}

async fn stock_up(a: &Device) {
    for number in 1..=3 {
        add(a, number, "old").await;
    }
    let product = product::ActiveModel {
        id: Set(id(5)),
        name: Set("Lamp".into()),
        stock: Set(10),
        few: Set(1),
        seen_at: Set(DateTimeUtc::UNIX_EPOCH),
        lowest: Set(None),
        shelf: Set(1),
        slot: Set(2),
    };
    product.insert(&a.db).await.expect("a product");
    let basket = basket::ActiveModel { id: Set(id(6)), tags: Set(serde_json::json!(["a", "b"])) };
    basket.insert(&a.db).await.expect("a basket");
    a.engine.flush().await.expect("a flush");
}

#[tokio::test]
async fn what_a_year_ahead_wrote_comes_with_the_first_round_after_the_clock_is_right() {
    let (here, library) = (noon(), library());
    let wrong = like(&here);
    let (a, b, c) =
        (device(library, &wrong).await, device(library, &here).await, device(library, &here).await);
    stock_up(&a).await;
    rounds(&[&a, &b, &c]).await;
    all_equal(&[&a, &b, &c]).await;

    write_a_year_ahead(&a, &wrong).await;
    b.db.execute_unprepared("UPDATE products SET stock = stock - 3").await.expect("an update");
    a.sync(&b).await.expect("a round");
    c.sync(&a).await.expect("a round");
    assert!(held(&b).await > 0 && held(&c).await > 0);
    assert_eq!(title(&b, 1).await.as_deref(), Some("old"));
    let former = a.engine.device_id();

    wrong.step(-YEAR);
    let mut events = a.engine.events();
    a.sync(&b).await.expect("a round");
    assert_eq!(renewed(&a).await, Some(RenewalReason::ClockAhead));
    loop {
        match events.next().await.expect("an event") {
            Event::NewDevice { former: left, device, reason: RenewalReason::ClockAhead } => {
                assert_eq!((left, device), (former, a.engine.device_id()));
                break;
            }
            _ => continue,
        }
    }
    b.assert_equal(&a).await;
    assert_eq!(held(&b).await, 0, "what was held of it is void");
    b.sync(&c).await.expect("a round");
    all_equal(&[&a, &b, &c]).await;
    assert_eq!(held(&c).await, 0, "it heard so from b");
    let product = product::Entity::find_by_id(id(5)).one(&c.db).await.expect("a query").expect("the product");
    assert_eq!((product.stock, product.shelf, product.slot), (12, 9, 2), "both counts, and the group");
    let basket = basket::Entity::find_by_id(id(6)).one(&c.db).await.expect("a query").expect("the basket");
    assert_eq!(basket.tags, serde_json::json!(["a", "c"]));
    assert_eq!((title(&c, 2).await, title(&c, 11).await), (None, None));

    // What is written from now on stands above it, this year and next.
    rename(&c, 1, "of today").await;
    add(&c, 2, "back").await;
    rounds(&[&a, &b, &c]).await;
    all_equal(&[&a, &b, &c]).await;
    for clock in [&here, &wrong] {
        clock.step(YEAR + DAY);
    }
    rounds(&[&a, &b, &c]).await;
    all_equal(&[&a, &b, &c]).await;
    assert_eq!(title(&a, 1).await.as_deref(), Some("of today"));
    assert_eq!(title(&a, 2).await.as_deref(), Some("back"));
    let report = a.sync(&b).await.expect("a round");
    assert!(report.in_sync && !report.diverged, "{report:?}");
}

#[tokio::test]
async fn a_device_that_is_only_called_takes_back_too_and_its_log_can_be_replayed() {
    let (wrong, _, a, b) = wrong_and_right().await;
    add(&a, 1, "old").await;
    b.sync(&a).await.expect("a round");
    wrong.step(YEAR);
    rename(&a, 1, "of next year").await;
    b.sync(&a).await.expect("a round");
    assert!(held(&b).await > 0);
    wrong.step(-YEAR);
    b.sync(&a).await.expect("a round");
    b.sync(&a).await.expect("a round");
    a.assert_equal(&b).await;
    assert_eq!(title(&b, 1).await.as_deref(), Some("of next year"));
    a.engine.replay().await.expect("a replay");
    a.assert_equal(&b).await;
    let shown = a.text("SELECT group_concat(change_type) FROM sync_changes WHERE model_type = 'item'").await;
    assert_eq!(shown, "insert,taken back,update");
}

#[tokio::test]
async fn a_unique_value_that_was_taken_next_year_is_taken_today() {
    let (wrong, here, a, b) = wrong_and_right().await;
    let put = async |device: &Device, number: u128| {
        let row = shelf::ActiveModel {
            id: Set(id(number)),
            room: Set("attic".into()),
            slot: Set(Some(1)),
            code: Set(Some("X".into())),
            note: Set(String::new()),
        };
        row.insert(&device.db).await.expect("a shelf");
        device.engine.flush().await.expect("a flush");
    };
    wrong.step(YEAR);
    put(&a, 1).await;
    put(&b, 2).await;
    a.sync(&b).await.expect("a round");
    wrong.step(-YEAR);
    here.step(1_000);
    a.sync(&b).await.expect("a round");
    a.sync(&b).await.expect("a round");
    equal(&[&a, &b]).await;
    let pending =
        |found: Vec<sync_core::Pending>| found.into_iter().map(|one| one.record).collect::<Vec<_>>();
    let (of_a, of_b) = (a.engine.pending().await, b.engine.pending().await);
    assert_eq!(pending(of_a.expect("pending")), pending(of_b.expect("pending")), "the same one is hidden");
}

#[tokio::test]
async fn what_somebody_accepted_stays_and_comes_when_its_time_has_come() {
    let ([wrong, too, here], [a, also, b]) = three().await;
    wrong.step(DAY);
    too.step(DAY);
    rename(&a, 1, "of tomorrow").await;
    a.sync(&also).await.expect("a round");
    assert_eq!(title(&also, 1).await.as_deref(), Some("of tomorrow"));
    wrong.step(-DAY);
    let former = a.engine.device_id();
    a.sync(&b).await.expect("a round");
    assert_eq!(a.engine.device_id(), former, "another device has it: it counts");
    assert!(held(&b).await > 0);
    // The other one's clock was never set right: by now it is.
    equal_after(DAY, &[&here, &wrong], &[&a, &also, &b]).await;
    assert_eq!(title(&b, 1).await.as_deref(), Some("of tomorrow"));
}

#[tokio::test]
async fn what_somebody_accepted_without_anybody_knowing_is_not_lost() {
    let ([wrong, too, here], [a, also, b]) = three().await;
    wrong.step(HOUR);
    too.step(HOUR);
    rename(&a, 1, "of tomorrow").await;
    // Who is only asked does not learn what became of its answer.
    also.sync(&a).await.expect("a round");
    assert_eq!(title(&also, 1).await.as_deref(), Some("of tomorrow"));
    wrong.step(-HOUR);
    a.sync(&b).await.expect("a round");
    assert_eq!(renewed(&a).await, Some(RenewalReason::ClockAhead));
    too.step(-HOUR);
    rename(&b, 1, "of today").await;
    rounds(&[&a, &also, &b]).await;
    equal_after(2 * DAY, &[&here, &wrong, &too], &[&a, &also, &b]).await;
}

#[tokio::test]
async fn one_peer_with_a_wrong_clock_makes_nobody_doubt_its_own() {
    let (here, library) = (noon(), library());
    let wrong = like(&here);
    wrong.step(-YEAR);
    let (a, b) = (device(library, &here).await, device(library, &wrong).await);
    add(&a, 1, "of today").await;
    let mut events = a.engine.events();
    for _ in 0..3 {
        a.sync(&b).await.expect("a round");
        b.sync(&a).await.expect("a round");
    }
    assert_eq!((renewed(&a).await, renewed(&b).await), (None, None));
    assert!(held(&b).await > 0);
    wrong.step(YEAR);
    a.sync(&b).await.expect("a round");
    b.sync(&a).await.expect("a round");
    a.assert_equal(&b).await;
    add(&a, 2, "the end").await;
    let mut told = 0;
    loop {
        match events.next().await.expect("an event") {
            Event::ClockSkew { offset_ms, .. } => {
                assert_eq!(offset_ms, -YEAR);
                told += 1;
            }
            Event::Local { .. } => break,
            _ => {}
        }
    }
    assert_eq!(told, 1, "told once");
}

#[tokio::test]
async fn a_clock_that_steps_to_and_fro_loses_nothing() {
    let (wrong, here, a, b) = wrong_and_right().await;
    add(&a, 1, "0").await;
    add(&a, 2, "0").await;
    rounds(&[&a, &b]).await;
    for (turn, step) in
        [HOUR, -HOUR, -2 * HOUR, 2 * HOUR, 3 * DAY, -3 * DAY, -30_000, 30_000].into_iter().enumerate()
    {
        wrong.step(step);
        here.step(MINUTE);
        wrong.step(MINUTE);
        rename(&a, 1, &format!("a{turn}")).await;
        add(&a, 100 + turn as u128, "of a").await;
        add(&b, 200 + turn as u128, "of b").await;
        rename(&b, 2, &format!("b{turn}")).await;
        a.sync(&b).await.expect("a round");
        b.sync(&a).await.expect("a round");
        for device in [&a, &b] {
            let verified = device.engine.verify().await.expect("verify");
            assert!(verified.is_clean(), "turn {turn}: {:?}", verified.findings);
        }
    }
    rounds(&[&a, &b]).await;
    all_equal(&[&a, &b]).await;
    assert_eq!((title(&b, 1).await, title(&a, 2).await), (Some("a7".into()), Some("b7".into())));
    assert_eq!(item::Entity::find().all(&b.db).await.expect("items").len(), 18);
    for record in [1, 100, 104] {
        let history = b.engine.history::<item::Entity>(id(record)).await.expect("a history");
        let of_a =
            history.iter().filter(|entry| entry.values.iter().any(|(_, value)| *value != SyncValue::Null));
        assert!(of_a.count() > 0, "the log has item {record}");
    }
}

#[tokio::test]
async fn the_offset_to_a_peer_is_known_after_a_restart() {
    let (here, library) = (noon(), library());
    let ahead = like(&here);
    ahead.step(7_000);
    let (a, b) = (device(library, &here).await, device(library, &ahead).await);
    add(&b, 1, "x").await;
    a.sync(&b).await.expect("a round");
    let time = Arc::new(here.clone());
    let a = a.restart(|builder| builder.without_background().time(time)).await;
    let peer = a.engine.status().await.expect("a status").peers.remove(0);
    assert_eq!((peer.device, peer.clock_offset_ms), (b.engine.device_id(), Some(7_000)));
}
