//! What waits while the log's beginning goes: changes from the future, groups of which a part has come, a clock that was wrong.

use std::sync::Arc;

use sync_core::{DeviceId, Retention, SyncValue, testing::ManualClock};
use sync_tests::{
    Device,
    wire::{Author, group},
};
use uuid::Uuid;

use super::{DAY_MS, Place, add, add_many, items, prune, ruthless, settle, status, title};

/// An author whose stamps are of the machine's own time, and devices whose clocks are behind that.
fn early() -> (Place, Author) {
    let place = Place::today();
    place.days(-300);
    let author = Author::new(place.library, 3);
    (place, author)
}

fn cells(title: &str) -> [(&'static str, SyncValue); 3] {
    [("title", SyncValue::Text(title.into())), ("qty", SyncValue::I64(1)), ("note", SyncValue::Null)]
}

/// What was merged later than it came is of a later time than all the log that went before.
#[tokio::test]
async fn a_change_from_the_future_outlasts_the_floor_here_and_the_state_of_another() {
    let (place, mut author) = early();
    let (hub, away) = (place.device(ruthless()).await, place.plain().await);
    settle(&away, &hub).await;
    let (of_hub, of_away) = (Uuid::new_v4(), Uuid::new_v4());
    let one = author.insert("item", &[SyncValue::Uuid(of_hub)], &cells("held at the hub"));
    let mut other = Author::new(place.library, 4);
    let two = other.insert("item", &[SyncValue::Uuid(of_away)], &cells("held away"));
    assert_eq!(author.push(&hub.engine, &[one]).await.expect("an answer").held, 1);
    assert_eq!(other.push(&away.engine, &[two]).await.expect("an answer").held, 1);
    add_many(&hub, 5).await;
    assert!(prune(&hub).await.removed >= 5);
    let report = away.sync(&hub).await.expect("a round");
    assert!(report.snapshot_records >= 5, "it lacks what went: {report:?}");
    for device in [&hub, &away] {
        assert_eq!((status(device).await.held, items(device).await), (1, 5), "still held");
    }
    prune(&hub).await;
    place.days(310);
    settle(&away, &hub).await;
    settle(&away, &hub).await;
    for device in [&hub, &away] {
        assert_eq!(title(device, of_hub).await.as_deref(), Some("held at the hub"));
        assert_eq!(title(device, of_away).await.as_deref(), Some("held away"));
    }
    away.assert_equal(&hub).await;
}

/// The rest of the group is in the state, or comes after it.
#[tokio::test]
async fn a_part_of_a_group_outlasts_the_state_of_one_that_has_none_and_ends_with_that_of_one_that_has_all() {
    for hub_has_it in [true, false] {
        let place = Place::today();
        let (hub, away) = (place.device(ruthless()).await, place.plain().await);
        settle(&away, &hub).await;
        let mut author = Author::new(place.library, 3);
        let ids = [Uuid::new_v4(), Uuid::new_v4()];
        let mut whole = ids.map(|id| author.insert("item", &[SyncValue::Uuid(id)], &cells("of a group")));
        group(&mut whole);
        assert_eq!(author.push(&away.engine, &whole[..1]).await.expect("an answer").staged, 1);
        if hub_has_it {
            author.merged(&hub.engine, &whole).await;
        }
        add_many(&hub, 5).await;
        assert!(prune(&hub).await.removed >= 5);
        let report = away.sync(&hub).await.expect("a round");
        assert!(report.snapshot_records >= 5, "{report:?}");
        let staged = status(&away).await.held;
        assert_eq!((staged, items(&away).await), if hub_has_it { (0, 7) } else { (1, 5) });
        if !hub_has_it {
            let answer = author.push(&away.engine, &whole[1..]).await.expect("an answer");
            assert_eq!(answer.merged, 2, "both at once");
        }
        settle(&away, &hub).await;
        settle(&away, &hub).await;
        assert_eq!((items(&hub).await, items(&away).await), (7, 7));
        away.assert_equal(&hub).await;
    }
}

/// What the log does not tell any more cannot be taken back; nor is it lost: it comes when its time has come.
#[tokio::test]
async fn a_clock_that_was_ahead_above_a_floor_loses_nothing() {
    for prunes_ahead in [false, true] {
        let place = Place::today();
        // Guards note the machine's own time, and no clock is to be ahead of that.
        place.days(-500);
        let ahead = ManualClock::at(sync_core::runtime::Time::now_ms(&place.clock));
        let time = Arc::new(ahead.clone());
        let wrong = Device::with(place.library, |builder| {
            builder.without_background().time(time).retention(ruthless())
        })
        .await;
        let right = place.device(Retention::default()).await;
        let before = add(&wrong, "of before").await;
        settle(&wrong, &right).await;
        assert!(prune(&wrong).await.removed > 0);
        ahead.step(200 * DAY_MS);
        super::retitle(&wrong, before, "of a day to come").await;
        let new = add(&wrong, "new on that day").await;
        let report = wrong.sync(&right).await.expect("a round");
        assert!(report.held > 0, "{report:?}");
        if prunes_ahead {
            prune(&wrong).await;
        }
        ahead.step(-200 * DAY_MS);
        let today = add(&right, "today").await;
        for _ in 0..3 {
            let round = wrong.sync(&right).await;
            // A state is not held in parts: until its time has come it waits as a whole.
            let waits = matches!(&round, Err(error) if error.is_retryable());
            assert!(if prunes_ahead { waits } else { round.is_ok() }, "{round:?}");
        }
        assert_eq!(title(&wrong, today).await.is_some(), !prunes_ahead);
        assert!(title(&wrong, new).await.is_some());
        let known: DeviceId = wrong.engine.device_id();
        for clock in [&ahead, &place.clock] {
            clock.step(201 * DAY_MS);
        }
        for _ in 0..2 {
            settle(&wrong, &right).await;
        }
        for device in [&wrong, &right] {
            assert_eq!(title(device, before).await.as_deref(), Some("of a day to come"));
            assert_eq!(title(device, new).await.as_deref(), Some("new on that day"));
            assert!(title(device, today).await.is_some());
        }
        wrong.assert_equal(&right).await;
        assert_eq!(wrong.engine.device_id(), known);
    }
}
