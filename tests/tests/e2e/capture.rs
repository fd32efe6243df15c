//! Whatever way a row was written, what is committed is logged and what is not is not.

use std::process::Command;

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, TransactionTrait};
use sync_core::{ChangeKind, SyncError};
use sync_tests::{Device, device::library, entities::item};

use crate::ways::{WAYS, begin, id, new_item, write};

/// A fresh device that pulls from `device` shows the same, so the log holds what the tables do.
pub(crate) async fn log_is_exact(device: &Device, way: &str) {
    device.engine.flush().await.expect("a flush");
    let fresh = Device::new(device.engine.library_id()).await;
    fresh.sync(device).await.expect("a round");
    assert_eq!(fresh.dump().await, device.dump().await, "{way}");
    assert_eq!(fresh.digest().await, device.digest().await, "{way}");
    let verified = device.engine.verify().await.expect("verify");
    assert!(verified.is_clean(), "{way}: {:?}", verified.findings);
}

#[tokio::test]
async fn every_committed_write_is_logged() {
    for way in WAYS {
        let device = Device::new(library()).await;
        begin(&device).await;
        let before = (device.dump().await, device.engine.flush().await.expect("a flush"));
        let txn = device.db.begin().await.expect("begin");
        write(way, &txn).await.expect(way);
        txn.commit().await.expect("commit");
        let to = device.engine.flush().await.expect("a flush");
        assert_ne!(before.0, device.dump().await, "{way} writes something");
        assert!(to > before.1, "{way} is logged");
        log_is_exact(&device, way).await;
    }
}

#[tokio::test]
async fn nothing_uncommitted_is_logged() {
    for way in WAYS {
        let device = Device::new(library()).await;
        begin(&device).await;
        let (dump, to) = (device.dump().await, device.engine.flush().await.expect("a flush"));
        let txn = device.db.begin().await.expect("begin");
        write(way, &txn).await.expect(way);
        txn.rollback().await.expect("rollback");

        let txn = device.db.begin().await.expect("begin");
        let savepoint = txn.begin().await.expect("a savepoint");
        write(way, &savepoint).await.expect(way);
        savepoint.rollback().await.expect("rollback");
        txn.commit().await.expect("commit");

        let txn = device.db.begin().await.expect("begin");
        write(way, &txn).await.expect(way);
        drop(txn);

        assert_eq!(device.engine.flush().await.expect("a flush"), to, "{way}");
        assert_eq!(device.dump().await, dump, "{way}");
        log_is_exact(&device, way).await;
    }
}

#[tokio::test]
async fn another_process_is_heard() {
    let device = Device::new(library()).await;
    begin(&device).await;
    let status = Command::new("sqlite3")
        .arg(&device.path)
        .arg("UPDATE items SET qty = 99 WHERE title = 'one'; DELETE FROM labels WHERE name = 'red';")
        .status()
        .expect("the sqlite3 program");
    assert!(status.success());
    let to = device.engine.flush().await.expect("a flush");
    assert!(to.0 > 0);
    log_is_exact(&device, "sqlite3").await;
}

#[tokio::test]
async fn a_write_that_changes_nothing_logs_nothing_and_an_applied_one_does_not_echo() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    begin(&a).await;
    let to = a.engine.flush().await.expect("a flush");
    a.db.execute_unprepared("UPDATE items SET qty = qty, title = title, local = 'mine'")
        .await
        .expect("an update");
    assert_eq!(a.engine.flush().await.expect("a flush"), to);
    a.sync(&b).await.expect("a round");
    assert_eq!(b.logged().await, to.0);
    let again = a.sync(&b).await.expect("a round");
    assert_eq!((again.sent, again.received), (0, 0));
}

#[tokio::test]
async fn several_writes_between_two_flushes_are_one_change() {
    let device = Device::new(library()).await;
    begin(&device).await;
    for qty in 0..5 {
        device
            .db
            .execute_unprepared(&format!("UPDATE items SET qty = {}", 10 + qty))
            .await
            .expect("an update");
    }
    device.engine.flush().await.expect("a flush");
    let history = device.engine.history::<item::Entity>(id(1)).await.expect("a history");
    let kinds: Vec<ChangeKind> = history.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [ChangeKind::Edit, ChangeKind::Edit]);
    assert_eq!(history[1].values.len(), 1);
}

#[tokio::test]
async fn a_transaction_of_the_engine_is_one_unit_with_its_log() {
    let device = Device::new(library()).await;
    begin(&device).await;
    let (dump, to) = (device.dump().await, device.engine.flush().await.expect("a flush"));
    let failed: Result<(), SyncError> = device
        .engine
        .transaction(async |txn| {
            write("update_many", txn).await?;
            Err(SyncError::UnknownRecord("the closure fails".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!((device.dump().await, device.engine.flush().await.expect("a flush")), (dump, to));
    device
        .engine
        .transaction(async |txn| {
            write("several", txn).await?;
            Ok::<_, SyncError>(())
        })
        .await
        .expect("a transaction");
    let logged = device.engine.status().await.expect("a status");
    assert!(logged.latest_seq > to && !logged.dirty, "{logged:?}");
    log_is_exact(&device, "transaction").await;
}

#[tokio::test]
async fn a_write_without_sync_stays_here_until_the_column_is_written_again() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    begin(&a).await;
    a.sync(&b).await.expect("a round");
    let to = a.engine.flush().await.expect("a flush");
    a.engine
        .transaction_with_no_sync(async |txn| {
            txn.execute_unprepared("UPDATE items SET title = 'only here'").await?;
            Ok::<_, SyncError>(())
        })
        .await
        .expect("a transaction");
    assert_eq!(a.engine.flush().await.expect("a flush"), to);
    a.db.execute_unprepared("UPDATE items SET qty = 44").await.expect("an update");
    a.sync(&b).await.expect("a round");
    let there = item::Entity::find_by_id(id(1)).one(&b.db).await.expect("a query").expect("the item");
    assert_eq!((there.title.as_str(), there.qty), ("one", 44));
    let here = item::Entity::find_by_id(id(1)).one(&a.db).await.expect("a query").expect("the item");
    assert_eq!(here.title, "only here");
    a.engine.force_record(&here).await.expect("a forced record");
    a.sync(&b).await.expect("a round");
    let there = item::Entity::find_by_id(id(1)).one(&b.db).await.expect("a query").expect("the item");
    assert_eq!(there.title, "only here");
}

#[tokio::test]
async fn a_rebuilt_table_is_guarded_and_compared_at_once() {
    let device = Device::new(library()).await;
    begin(&device).await;
    device
        .db
        .execute_unprepared(
            "CREATE TABLE rebuilt AS SELECT * FROM items; DROP TABLE items; \
             CREATE TABLE items (id uuid_text NOT NULL PRIMARY KEY, title varchar NOT NULL, qty bigint NOT NULL, \
             note varchar, local varchar); INSERT INTO items SELECT * FROM rebuilt; DROP TABLE rebuilt; \
             UPDATE items SET qty = 1234 WHERE title = 'two'",
        )
        .await
        .expect("a migration");
    log_is_exact(&device, "rebuilt").await;
    device.db.execute_unprepared("UPDATE items SET qty = 4321 WHERE title = 'one'").await.expect("an update");
    log_is_exact(&device, "after the rebuild").await;
    let history = device.engine.history::<item::Entity>(id(1)).await.expect("a history");
    assert_eq!(history.len(), 2, "what did not change was not logged again");
}

#[tokio::test]
async fn uninstalling_leaves_the_application_as_it_was() {
    let device = Device::new(library()).await;
    begin(&device).await;
    let dump = device.dump().await;
    device.engine.uninstall().await.expect("uninstalled");
    assert_eq!(device.dump().await, dump);
    new_item(77, "later").insert(&device.db).await.expect("a write without guards");
    assert!(matches!(device.engine.flush().await, Err(SyncError::Shutdown)));
}
