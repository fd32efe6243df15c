//! Whatever way a row was written, what is committed is logged and what is not is not.

use std::process::Command;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::NotSet,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, Set,
    TransactionTrait,
    sea_query::{Expr, OnConflict},
};
use sync_core::{ChangeKind, SyncError};
use sync_tests::{
    Device,
    device::library,
    entities::{branch, item, label, leaf},
};
use uuid::Uuid;

fn id(tail: u128) -> Uuid {
    Uuid::from_u128(tail)
}

fn new_item(tail: u128, title: &str) -> item::ActiveModel {
    item::ActiveModel {
        id: Set(id(tail)),
        title: Set(title.into()),
        qty: Set(1),
        note: NotSet,
        local: NotSet,
    }
}

fn new_label(tail: u128, name: &str) -> label::ActiveModel {
    label::ActiveModel { id: Set(id(tail)), name: Set(name.into()), color: NotSet }
}

/// What every way of writing begins with: two items, two labels, a branch with two leaves.
async fn begin(device: &Device) {
    item::Entity::insert_many([new_item(1, "one"), new_item(2, "two")])
        .exec(&device.db)
        .await
        .expect("items");
    label::Entity::insert_many([new_label(1, "red"), new_label(2, "green")])
        .exec(&device.db)
        .await
        .expect("labels");
    branch::ActiveModel { id: Set(id(1)), name: Set("b".into()) }.insert(&device.db).await.expect("a branch");
    for tail in [1, 2] {
        let leaf = leaf::ActiveModel {
            id: Set(id(tail)),
            branch_id: Set(id(1)),
            name: Set("l".into()),
            seen: NotSet,
        };
        leaf.insert(&device.db).await.expect("a leaf");
    }
    device.engine.flush().await.expect("a flush");
}

const WAYS: [&str; 18] = [
    "insert",
    "update",
    "save",
    "delete",
    "insert_many",
    "update_many",
    "delete_many",
    "delete_by_id",
    "update_without_returning",
    "on_conflict",
    "raw insert",
    "raw update",
    "insert or replace by unique",
    "update or replace by unique",
    "key change",
    "cascade",
    "delete all",
    "several",
];

async fn write(way: &str, txn: &DatabaseTransaction) {
    let one =
        item::Entity::find_by_id(id(1)).one(txn).await.expect("a query").expect("item 1").into_active_model();
    let raw = async |statement: &str| {
        txn.execute_unprepared(statement).await.expect("a statement");
    };
    match way {
        "insert" => drop(new_item(9, "nine").insert(txn).await.expect("insert")),
        "update" => {
            let mut one = one;
            one.title = Set("changed".into());
            one.update(txn).await.expect("update");
        }
        "save" => {
            let mut one = one;
            one.qty = Set(5);
            one.save(txn).await.expect("save");
        }
        "delete" => drop(one.delete(txn).await.expect("delete")),
        "insert_many" => drop(
            item::Entity::insert_many((10..30).map(|n| new_item(n, "many"))).exec(txn).await.expect("many"),
        ),
        "update_many" => drop(
            item::Entity::update_many()
                .col_expr(item::Column::Qty, Expr::value(7))
                .exec(txn)
                .await
                .expect("many"),
        ),
        "delete_many" => drop(
            item::Entity::delete_many().filter(item::Column::Title.eq("two")).exec(txn).await.expect("many"),
        ),
        "delete_by_id" => drop(item::Entity::delete_by_id(id(2)).exec(txn).await.expect("delete")),
        "update_without_returning" => {
            let mut one = one;
            one.note = Set(Some("n".into()));
            item::Entity::update(one)
                .validate()
                .expect("valid")
                .exec_without_returning(txn)
                .await
                .expect("update");
        }
        "on_conflict" => {
            let upsert = OnConflict::column(item::Column::Id).update_column(item::Column::Title).to_owned();
            let rows = [new_item(1, "upserted"), new_item(8, "new")];
            item::Entity::insert_many(rows).on_conflict(upsert).exec(txn).await.expect("upsert");
        }
        "raw insert" => {
            raw("INSERT INTO items (id, title, qty) VALUES (x'000000000000000000000000000000aa', 'raw', 3)")
                .await
        }
        "raw update" => raw("UPDATE items SET title = title || '!', local = 'here'").await,
        "insert or replace by unique" => {
            raw("INSERT OR REPLACE INTO labels (id, name) VALUES (x'000000000000000000000000000000bb', 'red')").await;
        }
        "update or replace by unique" => {
            raw("UPDATE OR REPLACE labels SET name = 'red' WHERE name = 'green'").await
        }
        "key change" => {
            raw("UPDATE items SET id = x'000000000000000000000000000000cc' WHERE title = 'one'").await;
        }
        "cascade" => drop(branch::Entity::delete_by_id(id(1)).exec(txn).await.expect("delete")),
        "delete all" => raw("DELETE FROM items").await,
        "several" => {
            raw("UPDATE items SET qty = 2").await;
            raw("UPDATE items SET qty = 3").await;
            drop(new_label(7, "blue").insert(txn).await.expect("insert"));
        }
        other => panic!("no way is called {other}"),
    }
}

/// A fresh device that pulls from `device` shows the same, so the log holds what the tables do.
async fn log_is_exact(device: &Device, way: &str) {
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
        write(way, &txn).await;
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
        write(way, &txn).await;
        txn.rollback().await.expect("rollback");

        let txn = device.db.begin().await.expect("begin");
        let savepoint = txn.begin().await.expect("a savepoint");
        write(way, &savepoint).await;
        savepoint.rollback().await.expect("rollback");
        txn.commit().await.expect("commit");

        let txn = device.db.begin().await.expect("begin");
        write(way, &txn).await;
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
    let there = b.engine.status().await.expect("a status").latest_seq;
    assert_eq!(there, to);
    assert_eq!(b.engine.flush().await.expect("a flush"), there);
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
            write("update_many", txn).await;
            Err(SyncError::UnknownRecord("the closure fails".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!((device.dump().await, device.engine.flush().await.expect("a flush")), (dump, to));
    device
        .engine
        .transaction(async |txn| {
            write("several", txn).await;
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
