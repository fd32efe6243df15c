//! What goes, and what stays.

use sync_core::{Retention, Standing, SyncError, SyncValue};
use sync_tests::{Device, wire::Author};

use super::{DAY, Place, add, add_many, delete, items, prune, retitle, ruthless, settle, status, title};

#[tokio::test]
async fn a_change_goes_when_it_is_old_and_every_known_member_has_it() {
    let place = Place::new();
    let (hub, near, far) = (place.plain().await, place.plain().await, place.plain().await);
    for device in [&near, &far] {
        settle(device, &hub).await;
    }
    add_many(&hub, 10).await;
    // What a caller has, it says in its next `hello`.
    for _ in 0..2 {
        near.sync(&hub).await.expect("a round");
    }
    assert_eq!(prune(&hub).await.removed, 0, "it is young");
    place.days(8);
    let report = prune(&hub).await;
    assert_eq!((report.removed, report.waits_for), (0, vec![far.engine.device_id()]), "one lacks it");

    for _ in 0..2 {
        far.sync(&hub).await.expect("a round");
    }
    let report = prune(&hub).await;
    assert!(report.removed >= 10 && report.forced == 0, "{report:?}");
    let after = status(&hub).await;
    assert!(after.entries < 10 && after.floor == report.floor, "what is left is young: {after:?}");
    assert_eq!(items(&hub).await, 10, "data is not history");

    let id = add(&hub, "after").await;
    for device in [&near, &far] {
        let report = device.sync(&hub).await.expect("a round");
        assert_eq!((report.received, report.snapshot_records), (1, 0), "members go on with the log");
        assert_eq!(title(device, id).await.as_deref(), Some("after"));
        device.assert_equal(&hub).await;
    }
}

#[tokio::test]
async fn a_change_that_everybody_has_stays_while_it_is_young() {
    let place = Place::new();
    let (hub, near) = (place.plain().await, place.plain().await);
    add_many(&hub, 10).await;
    for _ in 0..2 {
        settle(&near, &hub).await;
    }
    assert_eq!(prune(&hub).await.removed, 0);
    place.days(6);
    assert_eq!(prune(&hub).await.removed, 0);
    place.days(2);
    assert!(prune(&hub).await.removed >= 10);
}

#[tokio::test]
async fn nothing_goes_from_a_device_that_met_nobody() {
    let place = Place::new();
    let alone = place.plain().await;
    add_many(&alone, 5).await;
    place.days(1000);
    assert_eq!(prune(&alone).await.removed, 0);
    assert_eq!(status(&alone).await.entries, 5);
}

#[tokio::test]
async fn what_a_caller_keeps_for_the_peer_it_calls_is_what_that_peer_lacks() {
    let place = Place::new();
    let (phone, server) = (place.plain().await, place.plain().await);
    add_many(&phone, 5).await;
    settle(&phone, &server).await;
    add(&phone, "not sent yet").await;
    place.days(8);
    assert!(prune(&phone).await.removed >= 5, "the server has these, as it said in the round");
    assert!((1..=2).contains(&status(&phone).await.entries));
    let report = phone.sync(&server).await.expect("a round");
    assert_eq!((report.sent, report.snapshot_sent), (1, 0));
    phone.assert_equal(&server).await;
}

#[tokio::test]
async fn a_change_beyond_a_gap_stays_and_so_does_all_after_it() {
    let place = Place::today();
    let hub = place.device(ruthless()).await;
    let mut author = Author::new(place.library, 3);
    let [first, missing, beyond] = ["first", "missing", "beyond"].map(|title| {
        let cells =
            [("title", SyncValue::Text(title.into())), ("qty", SyncValue::I64(1)), ("note", SyncValue::Null)];
        author.insert("item", &[SyncValue::Uuid(uuid::Uuid::new_v4())], &cells)
    });
    author.merged(&hub.engine, &[first]).await;
    author.merged(&hub.engine, &[beyond]).await;
    let report = prune(&hub).await;
    assert_eq!((report.removed, report.gap), (1, Some(author.device)));
    author.merged(&hub.engine, &[missing]).await;
    assert_eq!(prune(&hub).await.removed, 2, "the gap has closed");
    let new = place.plain().await;
    settle(&new, &hub).await;
    assert_eq!(items(&new).await, 3);
    new.assert_equal(&hub).await;
}

#[tokio::test]
async fn above_a_floor_verify_history_and_repair_hold_and_replay_says_that_it_cannot() {
    let place = Place::new();
    let (a, b) = (place.plain().await, place.plain().await);
    let id = add(&a, "one").await;
    retitle(&a, id, "two").await;
    settle(&a, &b).await;
    place.days(8);
    assert!(prune(&a).await.removed >= 2);
    retitle(&a, id, "three").await;
    a.assert_sound().await;
    assert!(matches!(a.engine.replay().await, Err(SyncError::LogIncomplete(_))), "a part of the log is gone");
    settle(&a, &b).await;
    // Damage below the floor is mended from the peer.
    let raw = rusqlite::Connection::open(&a.path).expect("a database");
    raw.execute_batch("UPDATE sync_objects SET clock = x'00'").expect("damage");
    let report = a.engine.repair_with(&b.engine).await.expect("a repair");
    assert!(report.in_sync && report.unmended.is_empty(), "{report:?}");
    a.assert_equal(&b).await;
}

#[tokio::test]
async fn devices_that_prune_at_different_points_stay_equal_through_a_third() {
    let place = Place::new();
    let (a, b, c) = (place.plain().await, place.plain().await, place.plain().await);
    for round in 0..6 {
        let device = [&a, &b, &c][round % 3];
        let id = add(device, &format!("round {round}")).await;
        if round % 2 == 0 {
            delete(device, id).await;
        }
        settle(&a, &b).await;
        if round % 2 == 1 {
            settle(&c, &b).await;
        }
        if round == 3 {
            settle(&c, &a).await;
        }
        place.days(5);
        prune([&a, &b, &c][(round + 1) % 3]).await;
    }
    settle(&c, &a).await;
    settle(&b, &c).await;
    settle(&a, &b).await;
    a.assert_equal(&b).await;
    b.assert_equal(&c).await;
}

#[tokio::test]
async fn members_who_are_silent_are_told_of_and_expire_and_come_back() {
    let place = Place::new();
    let (hub, guest) = (place.plain().await, place.plain().await);
    let other = place.plain().await;
    for device in [&guest, &other] {
        settle(device, &hub).await;
    }
    add_many(&hub, 3).await;
    let mine = add(&guest, "written while away").await;
    place.days(31);
    for _ in 0..2 {
        other.sync(&hub).await.expect("a round");
    }
    let member = |status: sync_core::Status| {
        let id = guest.engine.device_id();
        let member = status.members.into_iter().find(|member| member.device == id);
        member.map(|member| member.standing)
    };
    assert_eq!(prune(&hub).await.removed, 0);
    assert_eq!(member(status(&hub).await), Some(Standing::Silent), "warned");
    place.days(150);
    for _ in 0..2 {
        other.sync(&hub).await.expect("a round");
    }
    let report = prune(&hub).await;
    assert!(report.removed >= 3, "{report:?}");
    assert_eq!(report.expired, [guest.engine.device_id()]);
    assert_eq!(member(status(&hub).await), Some(Standing::Expired));

    let report = guest.sync(&hub).await.expect("a round");
    assert!(report.snapshot_records >= 3, "it reads the state: {report:?}");
    assert_eq!(report.sent, 1, "what it wrote while it was away is not lost");
    settle(&guest, &hub).await;
    assert_eq!(title(&hub, mine).await.as_deref(), Some("written while away"));
    guest.assert_equal(&hub).await;
    assert_eq!(member(status(&hub).await), Some(Standing::Active), "it is a member again");

    assert!(hub.engine.remove_member(guest.engine.device_id()).await.expect("an answer"));
    assert_eq!(member(status(&hub).await), Some(Standing::Gone));
}

#[tokio::test]
async fn a_prune_that_is_cut_off_leaves_a_whole_ledger_and_the_next_one_goes_on() {
    let place = Place::new();
    let hub = place.device(ruthless()).await;
    add_many(&hub, 12_000).await;
    {
        let pruning = hub.engine.prune();
        tokio::pin!(pruning);
        // The first part is on its way, and the caller goes.
        assert!(futures_util::poll!(pruning.as_mut()).is_pending());
    }
    hub.assert_sound().await;
    prune(&hub).await;
    assert_eq!(status(&hub).await.entries, 0);
    let new = place.plain().await;
    settle(&new, &hub).await;
    assert_eq!(items(&new).await, 12_000);
    new.assert_equal(&hub).await;
}

#[tokio::test]
async fn followers_keep_only_what_is_not_confirmed_and_archives_keep_all() {
    let place = Place::new();
    let leader: Device = place.device(Retention::forever()).await;
    let follower = place.device(Retention::own()).await;
    add_many(&leader, 20).await;
    settle(&follower, &leader).await;
    let own = status(&follower).await.entries;
    assert!(own < 2, "all of it is the leader's");
    let id = add(&follower, "mine").await;
    retitle(&follower, id, "mine, again").await;
    assert_eq!(status(&follower).await.entries, own + 2, "nobody else has it");
    assert_eq!(prune(&follower).await.removed, 0);
    settle(&follower, &leader).await;
    assert!(status(&follower).await.entries <= own, "the leader has it");
    follower.assert_equal(&leader).await;
    place.days(4000);
    assert_eq!(prune(&leader).await.removed, 0);
    assert!(status(&leader).await.entries >= 22);
    // Whoever meets the follower first reads its state.
    let guest = place.device(Retention { min_age: DAY, ..Retention::default() }).await;
    settle(&guest, &follower).await;
    settle(&follower, &leader).await;
    settle(&guest, &follower).await;
    guest.assert_equal(&leader).await;
}
