//! Damage that nobody wrote is found and mended, at a cost that follows the damage; no edit is ever lost to it.

use sync_core::{SyncError, SyncValue, encode_key};
use sync_tests::{
    Device,
    damage::{ALL, Damage, First, add, damage, mend_ten, pair, rename, some_items},
};

async fn clean(device: &Device) {
    let verified = device.engine.verify().await.expect("verify");
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

async fn equal(a: &Device, b: &Device) {
    clean(a).await;
    clean(b).await;
    assert_eq!((a.dump().await, a.digest().await), (b.dump().await, b.digest().await));
}

#[tokio::test]
async fn ten_of_ten_thousand_are_mended_for_less_than_a_hundredth() {
    for first in [First::Log, First::Feed] {
        let cost = mend_ten(10_000, first).await;
        println!("{first:?}: {:.3} %, {:?}", 100.0 * cost.share(), cost.repair);
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
                equal(&a, &b).await;
                let again = b.engine.repair_with(&a.engine).await.expect("a repair");
                assert!(again.mended_here.is_empty() && again.mended_there.is_empty(), "{what}");
            }
        }
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
        equal(&a, &b).await;
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
    assert_eq!((report.rebuilt.len(), report.records), (6, 50), "{report:?}");
    assert_eq!(a.dump().await, good);
    equal(&a, &b).await;
    assert!(a.engine.replay().await.expect("a replay").rebuilt.is_empty());

    add(&b, 1).await;
    let error = b.engine.replay().await.expect_err("a log that begins with a state");
    assert!(matches!(error, SyncError::LogIncomplete(_)), "{error}");
}
