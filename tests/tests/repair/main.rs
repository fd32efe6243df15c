//! Damage that nobody wrote is found and mended, at a cost that follows the damage; no edit is ever lost to it.

use sea_orm::ConnectionTrait;
use sync_core::{Event, Limits, PeerError, SyncError, SyncValue, encode_key};
use sync_tests::{
    Device,
    damage::{ALL, Damage, First, add, damage, mend_ten, pair, rename, some_items},
    faulty::{Fault, Faulty},
    state::equal,
};

#[tokio::test]
async fn ten_of_ten_thousand_are_mended_for_less_than_a_hundredth() {
    let items = std::env::var("REPAIR_ITEMS").ok().and_then(|items| items.parse().ok()).unwrap_or(10_000);
    for first in [First::Log, First::Feed] {
        let cost = mend_ten(items, first).await;
        println!("{}", cost.line(items, first));
        assert!(cost.share() < 0.01, "{first:?}: {}", cost.share());
    }
}

#[tokio::test]
async fn each_kind_of_damage_is_mended_on_either_side() {
    for first in [First::Log, First::Feed] {
        for kind in ALL {
            for there in [true, false] {
                let (a, b, _) = pair(50, first).await;
                let id = some_items(&a, 3).await[1];
                let good = a.dump().await;
                damage(if there { &a } else { &b }, id, kind).await;
                let repair = b.engine.repair_with(&a.engine).await.expect("a repair");
                let (mended, other) = match there {
                    true => (&repair.mended_there, &repair.mended_here),
                    false => (&repair.mended_here, &repair.mended_there),
                };
                let what = format!("{first:?} {kind:?} there: {there}: {repair:?}");
                assert!(other.is_empty() && mended.len() == 1, "{what}");
                assert_eq!(mended[0].record, encode_key(&[SyncValue::Uuid(id)]), "{what}");
                assert!(repair.in_sync && repair.complete && repair.unmended.is_empty(), "{what}");
                assert_eq!(a.dump().await, good, "{what}");
                equal(&[&a, &b]).await;
                let again = b.engine.repair_with(&a.engine).await.expect("a repair");
                assert!(again.mended_here.is_empty() && again.mended_there.is_empty(), "{what}");
            }
        }
    }
}

/// Beside its object stands what no row holds, as of a model that the program lacks. The hash says whether it is the author's.
#[tokio::test]
async fn a_kept_value_that_is_not_its_authors_is_mended() {
    for first in [First::Log, First::Feed] {
        let (a, _, _) = pair(5, first).await;
        let mut limits = Limits::default();
        limits.snapshot_above = if first == First::Feed { 0 } else { u64::MAX };
        let library = a.engine.library_id();
        let relay =
            Device::with(library, |builder| builder.without_background().models(["label"]).limits(limits));
        let relay = relay.await;
        relay.sync(&a).await.expect("a first sync");
        let raw = rusqlite::Connection::open(&relay.path).expect("a database");
        let select = "SELECT id, payload FROM sync_objects WHERE instr(payload, CAST('item 3,' AS BLOB)) > 0";
        let found = raw.query_row(select, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let (id, mut payload) = found.expect("an object");
        let at = payload.windows(7).position(|bytes| bytes == b"item 3,").expect("the title");
        payload[at + 5] = b'4';
        raw.execute("UPDATE sync_objects SET payload = ? WHERE id = ?", (payload, id)).expect("damage");
        let repair = relay.engine.repair_with(&a.engine).await.expect("a repair");
        assert!(repair.mended_here.len() == 1 && repair.mended_there.is_empty(), "{first:?}: {repair:?}");
        assert!(repair.in_sync && repair.unmended.is_empty(), "{first:?}: {repair:?}");
        let other = Device::new(library).await;
        other.sync(&relay).await.expect("a round");
        assert_eq!(other.dump().await, a.dump().await, "{first:?}");
    }
}

#[tokio::test]
async fn an_edit_of_a_damaged_record_is_kept() {
    for first in [First::Log, First::Feed] {
        let (a, b, _) = pair(20, first).await;
        let id = some_items(&b, 1).await[0];
        damage(&b, id, Damage::Cut).await;
        rename(&b, id, "edited since").await;
        let repair = b.engine.repair_with(&a.engine).await.expect("a repair");
        assert_eq!(repair.mended_here.len(), 1, "{repair:?}");
        b.sync(&a).await.expect("a round");
        equal(&[&a, &b]).await;
        assert!(a.dump().await.contains("edited since"));
    }
}

#[tokio::test]
async fn replay_rebuilds_from_a_whole_log_only() {
    let (a, b, _) = pair(50, First::Feed).await;
    let good = a.dump().await;
    for (id, kind) in some_items(&a, 6).await.into_iter().zip(ALL) {
        // An object that is gone has left its entries.
        damage(&a, id, kind).await;
    }
    let report = a.engine.replay().await.expect("a replay");
    assert_eq!((report.rebuilt.len(), report.records), (6, 52), "two are those of the devices: {report:?}");
    assert_eq!(a.dump().await, good);
    equal(&[&a, &b]).await;
    assert!(a.engine.replay().await.expect("a replay").rebuilt.is_empty());

    add(&b, 1).await;
    let error = b.engine.replay().await.expect_err("a log that begins with a state");
    assert!(matches!(error, SyncError::LogIncomplete(_)), "{error}");

    // An entry that holds another one's change: nothing of the log is believed.
    let other = "UPDATE sync_log SET data = (SELECT data FROM sync_log WHERE seq = 10) WHERE seq = 20";
    a.db.execute_unprepared(other).await.expect("damage");
    let error = a.engine.replay().await.expect_err("a broken chain");
    assert!(error.to_string().contains("its chain is broken"), "{error}");
    assert_eq!(a.dump().await, good);
}

/// A repair that breaks off anywhere leaves nothing half done, and the next one mends the rest.
#[tokio::test]
async fn a_peer_that_goes_in_the_middle_harms_nothing() {
    for first in [First::Log, First::Feed] {
        for at in 0..8 {
            for fault in [Fault::RepairLost(at), Fault::RepairAnswerLost(at)] {
                let (a, b, _) = pair(300, first).await;
                let good = a.dump().await;
                let some = some_items(&a, 6).await;
                for (n, (id, kind)) in some.iter().zip(ALL).enumerate() {
                    damage(if n % 2 == 0 { &a } else { &b }, *id, kind).await;
                }
                let faulty = Faulty::new(a.engine.clone(), fault);
                match b.engine.repair_with(&faulty).await {
                    Ok(report) => assert!(report.in_sync, "{fault:?}: {report:?}"),
                    Err(error) => assert!(error.is_retryable(), "{fault:?}: {error}"),
                }
                faulty.set(Fault::None);
                let report = b.engine.repair_with(&faulty).await.expect("a repair");
                assert!(report.in_sync && report.unmended.is_empty(), "{fault:?}: {report:?}");
                assert_eq!(a.dump().await, good, "{fault:?}");
                equal(&[&a, &b]).await;
            }
        }
    }
}

/// Edits made while a repair is under way, at both ends, are kept.
#[tokio::test]
async fn edits_made_meanwhile_are_kept() {
    let (a, b, _) = pair(500, First::Feed).await;
    let some = some_items(&a, 20).await;
    for (n, id) in some.iter().enumerate() {
        damage(if n % 2 == 0 { &a } else { &b }, *id, ALL[n % 4]).await;
    }
    let edits = async {
        for (n, id) in some_items(&a, 40).await.into_iter().enumerate().filter(|(n, _)| n % 2 == 1) {
            rename(if n % 4 == 1 { &a } else { &b }, id, &format!("edit {n}")).await;
            if n % 3 == 0 {
                a.engine.flush().await.expect("a flush");
            }
        }
    };
    let (report, ()) = tokio::join!(b.engine.repair_with(&a.engine), edits);
    report.expect("a repair");
    let report = b.engine.repair_with(&a.engine).await.expect("a repair");
    assert!(report.in_sync, "{report:?}");
    equal(&[&a, &b]).await;
    let dump = a.dump().await;
    for n in (0..40).filter(|n| n % 2 == 1) {
        assert!(dump.contains(&format!("edit {n}'")), "edit {n} is lost");
    }
}

/// A peer that says of every range that it differs, and never agrees, is given up after a bounded number of calls.
#[tokio::test]
async fn a_peer_that_lies_is_given_up() {
    let (a, b, _) = pair(500, First::Log).await;
    let id = some_items(&b, 1).await[0];
    rename(&b, id, "an edit").await;
    let liar = Faulty::new(a.engine.clone(), Fault::Lies);
    let report = b.engine.repair_with(&liar).await.expect("a repair");
    assert!(!report.in_sync, "{report:?}");
    assert!(report.calls < 20 && liar.repairs_asked() == report.calls, "{report:?}");
    b.assert_sound().await;
    assert!(b.dump().await.contains("an edit"));
    equal(&[&a, &b]).await;
}

/// A round that ends with other objects repairs by itself, tells of it, and does not do so again at once.
#[tokio::test]
async fn a_round_that_ends_diverged_repairs() {
    let (a, b, _) = pair(50, First::Log).await;
    let faulty = Faulty::new(a.engine.clone(), Fault::OtherObjects);
    let mut events = b.engine.events();
    let report = b.engine.sync_with(&faulty).await.expect("a round");
    let repair = report.repair.expect("a repair");
    assert!(repair.in_sync && !report.diverged, "the objects were equal after all: {repair:?}");
    assert!(matches!(events.next().await, Some(Event::Repaired(told)) if told == repair));
    let status = b.engine.status().await.expect("a status");
    assert_eq!(status.peers[0].last_repair.as_ref(), Some(&*repair));
    let report = b.engine.sync_with(&faulty).await.expect("a round");
    assert!(report.diverged && report.repair.is_none());
    assert!(b.engine.status().await.expect("a status").peers[0].diverged);
}

/// With a peer that cannot repair, rounds go on as before.
#[tokio::test]
async fn an_older_peer_is_told_apart() {
    let (a, b, _) = pair(5, First::Log).await;
    let older = Faulty::new(a.engine.clone(), Fault::NoRepair);
    let error = b.engine.repair_with(&older).await.expect_err("a peer without repair");
    assert!(matches!(error, SyncError::Peer(PeerError::Unsupported(_))), "{error}");
    add(&b, 1).await;
    assert!(b.engine.sync_with(&older).await.expect("a round").in_sync);
}
