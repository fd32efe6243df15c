//! A call of the engine whose future is dropped: it was done as a whole or not at all, what was done is told, and the
//! next call goes on.

use std::{cell::Cell, collections::BTreeSet};

use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, Set};
use sync_core::{EngineBuilder, Event, Events, Limits, RecordChange, SyncEngine, SyncError};
use sync_tests::{Device, device::library, entities::item, interrupt::Cut};
use uuid::Uuid;

use crate::{
    dropped_writes::no_transaction_is_left,
    ways::{begin, id, new_item},
};

const CALLS: [&str; 8] = [
    "flush",
    "transaction",
    "transaction_with_no_sync",
    "sync_with, as caller",
    "sync_with, as peer",
    "reconcile",
    "force_record",
    "verify",
];

/// Makes a call; `inside` is true while work of the application's runs in it.
async fn call(
    call: &str,
    device: &Device,
    other: &Device,
    n: i64,
    inside: &Cell<bool>,
) -> Result<(), SyncError> {
    let engine = &device.engine;
    let both = async |txn: &DatabaseTransaction| {
        inside.set(true);
        txn.execute_unprepared(&format!("UPDATE items SET qty = {n} WHERE title = 'one'")).await?;
        // A poll that ends here, however fast the database is.
        tokio::task::yield_now().await;
        txn.execute_unprepared(&format!("UPDATE items SET qty = {n} WHERE title = 'two'")).await?;
        inside.set(false);
        Ok::<_, SyncError>(())
    };
    match call {
        "flush" => _ = engine.flush().await?,
        "transaction" => engine.transaction(both).await?,
        "transaction_with_no_sync" => engine.transaction_with_no_sync(both).await?,
        "sync_with, as caller" => _ = engine.sync_with(&other.engine).await?,
        "sync_with, as peer" => _ = other.engine.sync_with(engine).await?,
        "reconcile" => _ = engine.reconcile().await?,
        "force_record" => {
            let one = item::Entity::find_by_id(id(1)).one(&device.db).await?.expect("item 1");
            engine.force_record(&one).await?;
        }
        "verify" => assert!(engine.verify().await?.is_clean()),
        other => panic!("no call is called {other}"),
    }
    Ok(())
}

/// The records of one table that have been told of since the last look. What is told comes in the order of commits,
/// so that whatever came before a flush is there when the flush has been told.
async fn told(
    device: &Device,
    events: &mut Events,
    sentinel: Uuid,
) -> (Vec<RecordChange>, Vec<RecordChange>) {
    let active = item::ActiveModel {
        id: Set(sentinel),
        title: Set("sentinel".into()),
        qty: Set(0),
        ..Default::default()
    };
    active.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    let last = format!("{}", sentinel.simple());
    loop {
        match events.next().await.expect("the engine lives") {
            Event::Local { changes, .. } => local.extend(changes),
            Event::Remote { changes, .. } => remote.extend(changes),
            other => panic!("{other:?}"),
        }
        if local.iter().any(|change| names(change, &last)) {
            return (local, remote);
        }
    }
}

fn names(change: &RecordChange, simple: &str) -> bool {
    change.record.to_string().replace('-', "").contains(simple)
}

fn count(changes: &[RecordChange], record: Uuid) -> usize {
    changes.iter().filter(|change| names(change, &record.simple().to_string())).count()
}

async fn qty(device: &Device, tail: u128) -> i64 {
    item::Entity::find_by_id(id(tail)).one(&device.db).await.expect("a query").expect("an item").qty
}

#[tokio::test]
async fn a_call_that_is_dropped_is_done_or_not_and_told_if_it_is() {
    for name in CALLS {
        let library = library();
        let (device, other) = (Device::new(library).await, Device::new(library).await);
        begin(&device).await;
        device.sync(&other).await.expect("a round");
        let (mut here, mut there) = (device.engine.events(), other.engine.events());
        let (mut ends, mut cut_inside) = (0, 0);
        let mut cuts = Cut::all();
        for n in 1_000.. {
            assert!(n < 3_000, "{name} does not end, or was never cut while its work ran");
            let cut = cuts.next().expect("there is no last one");
            let at = format!("{name}, {cut:?}");
            // Something to log here, and something to bring from there.
            let (mine, yours) = (id(n), id(n + 10_000));
            new_item(n, "mine").insert(&device.db).await.expect("an item");
            new_item(n + 10_000, "yours").insert(&other.db).await.expect("an item");
            let number = i64::try_from(n).expect("small");
            let inside = Cell::new(false);
            let ended = match cut.run(call(name, &device, &other, number, &inside)).await {
                Some(result) => {
                    result.expect(&at);
                    true
                }
                None => false,
            };
            cut_inside += u32::from(inside.get());
            no_transaction_is_left(&device, &at).await;
            no_transaction_is_left(&other, &at).await;
            let done = qty(&device, 1).await == number;
            assert_eq!(qty(&device, 2).await == number, done, "{at}: a transaction is whole");
            assert!(done || !ended || !name.starts_with("transaction"), "{at}");

            let (local, first) = told(&device, &mut here, id(n + 20_000)).await;
            assert_eq!(count(&local, mine), 1, "{at}: what was logged is told once");
            if name == "transaction" {
                assert_eq!(count(&local, id(2)), usize::from(done), "{at}: logged exactly if done");
            }
            if name == "transaction_with_no_sync" {
                assert_eq!(count(&local, id(2)), 0, "{at}: not logged");
            }
            device.sync(&other).await.expect("a round");
            let (local, remote) = told(&other, &mut there, id(n + 30_000)).await;
            assert_eq!(count(&local, yours), 1, "{at}: what was logged there is told once");
            assert_eq!(count(&remote, mine), 1, "{at}: what was applied there is told once");
            device.sync(&other).await.expect("a round");
            let (_, remote) = told(&device, &mut here, id(n + 40_000)).await;
            assert_eq!(
                count(&first, yours) + count(&remote, yours),
                1,
                "{at}: what was applied here is told once"
            );
            device.sync(&other).await.expect("a round");
            for one in [&device, &other] {
                let verified = one.engine.verify().await.expect("verify");
                assert!(verified.is_clean(), "{at}: {:?}", verified.findings);
            }
            assert_eq!(device.digest().await, other.digest().await, "{at}");
            if name != "transaction_with_no_sync" {
                assert_eq!(device.dump().await, other.dump().await, "{at}");
            } else {
                assert_eq!(qty(&other, 2).await, 1, "{at}: it stayed where it was written");
            }
            ends = if ended { ends + 1 } else { 0 };
            if ends == 2 {
                if cut_inside > 0 || !name.starts_with("transaction") {
                    break;
                }
                // The database was faster than the polls this time: from the beginning.
                (cuts, ends) = (Cut::all(), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_start_that_is_dropped_can_be_begun_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let library = library();
    let mut ends = 0;
    for (n, cut) in Cut::all().enumerate() {
        assert!(n < 2_000, "a start does not end");
        let at = format!("start, {cut:?}");
        let made =
            Device::open(dir.path().join(format!("{n}.db")), library, |builder| builder.without_background())
                .await;
        begin(&made).await;
        made.engine.shutdown().await.expect("a shutdown");
        // Written while no engine runs; the guards are gone, as after a migration.
        made.db.execute_unprepared("DROP TRIGGER sync_guard_update_items").await.expect("no guard");
        made.db.execute_unprepared("UPDATE items SET qty = 5").await.expect("an update");
        let start = || {
            SyncEngine::builder(made.db.clone())
                .library(library)
                .models(["item", "label"])
                .without_background()
                .start()
        };
        let ended = cut.run(start()).await.map(|engine| engine.expect(&at)).is_some();
        no_transaction_is_left(&made, &at).await;
        let engine = start().await.expect(&at);
        let history = engine.history::<item::Entity>(id(1)).await.expect("a history");
        assert_eq!(history.len(), 2, "{at}: logged once");
        assert_eq!(history.iter().map(|entry| entry.device).collect::<BTreeSet<_>>().len(), 1, "{at}");
        assert!(engine.verify().await.expect("verify").is_clean(), "{at}");
        made.db.execute_unprepared("UPDATE items SET qty = 6 WHERE title = 'two'").await.expect("an update");
        let before = engine.status().await.expect("a status").latest_seq;
        assert!(engine.flush().await.expect("a flush") > before, "{at}: the guard stands again");
        ends = if ended { ends + 1 } else { 0 };
        if ends == 2 {
            break;
        }
    }
}

#[tokio::test]
async fn a_shutdown_that_is_dropped_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let library = library();
    let mut ends = 0;
    for (n, cut) in Cut::all().enumerate() {
        assert!(n < 2_000, "a shutdown does not end");
        let at = format!("shutdown, {cut:?}");
        let path = dir.path().join(format!("{n}.db"));
        let device = Device::open(path.clone(), library, |builder| builder).await;
        new_item(1, "last words").insert(&device.db).await.expect("an item");
        let ended = cut.run(device.engine.shutdown()).await.map(|end| end.expect(&at)).is_some();
        drop(device);
        let again = Device::open(path, library, |builder| builder.without_background()).await;
        let history = again.engine.history::<item::Entity>(id(1)).await.expect("a history");
        assert_eq!(history.len(), 1, "{at}: logged once");
        assert!(again.engine.verify().await.expect("verify").is_clean(), "{at}");
        ends = if ended { ends + 1 } else { 0 };
        if ends == 2 {
            break;
        }
    }
}

#[tokio::test]
async fn a_shutdown_makes_up_for_one_that_was_dropped() {
    const ROWS: u128 = 60;
    let mut limits = Limits::default();
    limits.flush_batch = 10;
    let configure = |builder: EngineBuilder| builder.without_background().limits(limits);
    let device = Device::with(library(), configure).await;
    for n in 1..=ROWS {
        new_item(n, "last words").insert(&device.db).await.expect("an item");
    }
    assert!(Cut::After(1).run(device.engine.shutdown()).await.is_none(), "it takes longer than that");
    device.engine.shutdown().await.expect("a shutdown");
    let noted = device.text("SELECT CAST(count(*) AS TEXT) FROM sync_dirty").await;
    let logged = device.text("SELECT CAST(count(*) AS TEXT) FROM sync_log").await;
    assert_eq!((noted.as_str(), logged), ("0", ROWS.to_string()), "all is logged when it says so");
    device.engine.shutdown().await.expect("once more is no error");
}
