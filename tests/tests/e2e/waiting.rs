//! What a table cannot take waits, alone: it stops nothing else, is listed, tried again, or given up.

use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, Schema, Set,
    prelude::{Date, Decimal, Uuid},
};
use sync_core::{PendingReason, SyncError};
use sync_tests::{
    Device,
    device::{ManualClock, library},
    entities::leaf,
    state::equal,
};

/// Runs statements on a device, each by itself, and logs them.
async fn run(device: &Device, statements: &[&str]) {
    for statement in statements {
        device.db.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    device.engine.flush().await.expect("a flush");
}

/// The `n`th key, as a literal of SQLite.
fn key(n: u8) -> String {
    format!("x'{}{n:02x}'", "00".repeat(15))
}

async fn reasons(device: &Device) -> Vec<PendingReason> {
    device.engine.pending().await.expect("pending").iter().map(|one| one.reason).collect()
}

async fn sync(a: &Device, b: &Device) {
    for _ in 0..2 {
        a.sync(b).await.expect("a round");
    }
}

async fn sound(device: &Device) {
    device.assert_sound().await;
    assert_eq!(device.texts("SELECT 'broken' FROM pragma_foreign_key_check").await, [] as [&str; 0]);
}

async fn both_equal(a: &Device, b: &Device) {
    equal(&[a, b]).await;
    sound(a).await;
    sound(b).await;
}

async fn two() -> (Device, Device) {
    let library = library();
    (Device::new(library).await, Device::new(library).await)
}

/// The table of a device refuses rows with this name.
async fn refuse(device: &Device, table: &str, name: &str) {
    for event in ["INSERT", "UPDATE"] {
        let trigger = format!(
            "CREATE TRIGGER refuse_{event} BEFORE {event} ON {table} WHEN NEW.name = '{name}' \
             BEGIN SELECT RAISE(ABORT, 'not this name'); END"
        );
        device.db.execute_unprepared(&trigger).await.expect("a trigger");
    }
}

async fn allow(device: &Device) {
    run(device, &["DROP TRIGGER refuse_INSERT", "DROP TRIGGER refuse_UPDATE"]).await;
}

const LEAVES: &str = "SELECT substr(hex(id), 31) || ' on ' || substr(hex(branch_id), 31) || ' ' || name FROM leaves ORDER BY id";

fn branch(n: u8) -> String {
    format!("INSERT INTO branches (id, name) VALUES ({}, 'b{n}')", key(n))
}

fn hang(n: u8, on: u8) -> String {
    format!("INSERT INTO leaves (id, branch_id, name) VALUES ({}, {}, 'l{n}')", key(n), key(on))
}

#[tokio::test]
async fn a_row_whose_newer_parent_was_refused_does_not_dangle_when_the_old_one_goes() {
    let (a, b) = two().await;
    run(&a, &[&branch(1), &branch(2), &hang(9, 1)]).await;
    sync(&a, &b).await;
    refuse(&b, "leaves", "bad").await;
    run(&a, &[&format!("UPDATE leaves SET branch_id = {}, name = 'bad'", key(2))]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts(LEAVES).await, ["09 on 01 l9"], "it stays as it was");
    assert_eq!(reasons(&b).await, [PendingReason::Invalid]);
    run(&a, &[&format!("DELETE FROM branches WHERE id = {}", key(1)), &branch(3)]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts("SELECT name FROM branches ORDER BY id").await, ["b2", "b3"], "the rest goes on");
    assert_eq!(b.texts(LEAVES).await, [] as [&str; 0], "neither as it was nor as it is");
    assert_eq!(reasons(&b).await, [PendingReason::Invalid]);
    sound(&b).await;
    assert_eq!(a.digest().await, b.digest().await);
    allow(&b).await;
    b.engine.pending().retry().await.expect("a look");
    assert_eq!(b.texts(LEAVES).await, ["09 on 02 bad"]);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn a_row_whose_newer_parent_was_refused_once_takes_it_when_the_old_one_goes() {
    let (a, b) = two().await;
    run(&a, &[&branch(1), &branch(2), &hang(9, 1)]).await;
    sync(&a, &b).await;
    let statements = [
        "CREATE TABLE refused (name TEXT)",
        "INSERT INTO refused VALUES ('bad')",
        "CREATE TRIGGER refuse BEFORE UPDATE ON leaves WHEN NEW.name IN (SELECT name FROM refused) \
         BEGIN SELECT RAISE(ABORT, 'not this name'); END",
    ];
    run(&b, &statements).await;
    run(&a, &[&format!("UPDATE leaves SET branch_id = {}, name = 'bad'", key(2))]).await;
    sync(&a, &b).await;
    assert_eq!(reasons(&b).await, [PendingReason::Invalid]);
    // The table takes it by now, but nothing has asked it again.
    run(&b, &["DELETE FROM refused"]).await;
    run(&a, &[&format!("DELETE FROM branches WHERE id = {}", key(1))]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts(LEAVES).await, ["09 on 02 bad"]);
    assert_eq!(reasons(&b).await, []);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn a_refused_row_loses_its_deleted_parent_and_nothing_else() {
    let (a, b) = two().await;
    let folder = |n: u8, parent: &str| {
        format!("INSERT INTO folders (id, parent_id, name) VALUES ({}, {parent}, 'f{n}')", key(n))
    };
    run(&a, &[&folder(1, "NULL"), &folder(2, &key(1))]).await;
    sync(&a, &b).await;
    refuse(&b, "folders", "bad").await;
    run(&a, &[&format!("UPDATE folders SET name = 'bad' WHERE id = {}", key(2))]).await;
    sync(&a, &b).await;
    run(&a, &[&format!("DELETE FROM folders WHERE id = {}", key(1))]).await;
    sync(&a, &b).await;
    let folders = "SELECT name || ' in ' || iif(parent_id IS NULL, 'none', hex(parent_id)) FROM folders";
    assert_eq!(b.texts(folders).await, ["f2 in none"], "it goes by the old name");
    assert_eq!(reasons(&b).await, [PendingReason::Invalid]);
    sound(&b).await;
    allow(&b).await;
    b.engine.pending().retry().await.expect("a look");
    assert_eq!(b.texts(folders).await, ["bad in none"]);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn a_parent_is_deleted_whose_children_its_author_never_saw() {
    let (a, b) = two().await;
    run(&a, &[&branch(1), &branch(2)]).await;
    sync(&a, &b).await;
    run(&b, &[&hang(8, 1), &hang(9, 2)]).await;
    run(&a, &[&format!("DELETE FROM branches WHERE id = {}", key(1))]).await;
    sync(&a, &b).await;
    for device in [&a, &b] {
        assert_eq!(device.texts(LEAVES).await, ["09 on 02 l9"]);
        assert_eq!(reasons(device).await, [PendingReason::MissingParent]);
    }
    both_equal(&a, &b).await;
    run(&a, &[&branch(1)]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts(LEAVES).await, ["08 on 01 l8", "09 on 02 l9"], "it comes back with its parent");
    both_equal(&a, &b).await;
}

/// A table whose unique columns have kinds that cannot be `NULL` and have few values.
mod seat {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "seats")]
    #[sync(id = "seat")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(unique)]
        pub window: bool,
        #[sea_orm(unique)]
        pub price: Decimal,
        #[sea_orm(unique)]
        pub day: Date,
        #[sea_orm(unique)]
        pub at: DateTimeUtc,
        #[sea_orm(unique)]
        pub small: i16,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

/// Seat `n`, with values of which no other has any but the `window`.
async fn put(device: &Device, n: u8, window: u8) {
    let day = Date::from_ymd_opt(2026, 1, 1 + u32::from(n)).expect("a day");
    let seat = seat::ActiveModel {
        id: Set(Uuid::from_u128(n.into())),
        window: Set(window == 1),
        price: Set(Decimal::new(50 + i64::from(n), 1)),
        day: Set(day),
        at: Set(day.and_hms_opt(10, 0, 0).expect("a time").and_utc()),
        small: Set(n.into()),
    };
    seat.insert(&device.db).await.expect("a seat");
    device.engine.flush().await.expect("a flush");
}

/// Two devices with a table of seats; the second one's has this constraint too.
async fn seats(also: &str) -> (Device, Device) {
    let library = library();
    let of = async |also: &str| {
        let make = async |db: &DatabaseConnection| {
            let schema = Schema::new(db.get_database_backend());
            let table = schema.create_table_from_entity(seat::Entity);
            let mut text = db.get_database_backend().build(&table).sql;
            if !also.is_empty() {
                text.insert_str(text.rfind(')').expect("its end"), &format!(", {also}"));
            }
            db.execute_unprepared(&text).await.expect("a table");
        };
        Device::prepared(library, make, |builder| builder.without_background().models(["seat"])).await
    };
    let (a, b) = (of("").await, of(also).await);
    put(&a, 0, 0).await;
    put(&a, 1, 1).await;
    sync(&a, &b).await;
    assert_eq!(reasons(&b).await, []);
    (a, b)
}

const SEATS: &str = "SELECT substr(hex(id), 31) || ' ' || window || ' ' || price || ' ' || day || ' ' || at || ' ' || small FROM seats ORDER BY id";

/// Both seats get what the other had, in one transaction.
async fn swap(device: &Device) {
    let swapped = device
        .engine
        .transaction(async |txn| {
            for column in ["price", "day", "at", "small"] {
                let statements = [
                    format!("CREATE TEMP TABLE old AS SELECT id, {column} AS v FROM seats"),
                    format!("UPDATE seats SET {column} = -1 WHERE id = {}", key(0)),
                    format!(
                        "UPDATE seats SET {column} = (SELECT v FROM old WHERE id = {0}) WHERE id = {1}",
                        key(0),
                        key(1)
                    ),
                    format!(
                        "UPDATE seats SET {column} = (SELECT v FROM old WHERE id = {1}) WHERE id = {0}",
                        key(0),
                        key(1)
                    ),
                    "DROP TABLE old".to_owned(),
                ];
                for statement in &statements {
                    txn.execute_unprepared(statement).await?;
                }
            }
            txn.execute_unprepared(&format!("UPDATE seats SET window = 7 WHERE id = {}", key(0))).await?;
            txn.execute_unprepared(&format!("UPDATE seats SET window = 0 WHERE id = {}", key(1))).await?;
            txn.execute_unprepared(&format!("UPDATE seats SET window = 1 WHERE id = {}", key(0))).await?;
            Ok::<_, SyncError>(())
        })
        .await;
    swapped.expect("a swap");
}

#[tokio::test]
async fn unique_values_of_every_kind_swap_without_a_clash() {
    let (a, b) = seats("").await;
    let before = a.texts(SEATS).await;
    swap(&a).await;
    let after = a.texts(SEATS).await;
    assert_eq!(after[0][3..], before[1][3..]);
    sync(&a, &b).await;
    assert_eq!(b.texts(SEATS).await, after);
    assert_eq!(reasons(&b).await, []);
    assert_eq!(a.digest().await, b.digest().await);
    b.assert_sound().await;
}

#[tokio::test]
async fn a_swap_that_no_other_value_can_stand_in_for_waits_and_stops_nothing() {
    let (a, b) = seats("CHECK (window IN (0, 1))").await;
    swap(&a).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(reasons(&b).await, [PendingReason::UniqueClash, PendingReason::UniqueClash]);
    assert_eq!(a.digest().await, b.digest().await);
    b.assert_sound().await;
    // One of the two lets go, and both are as they should be.
    run(&a, &[&format!("DELETE FROM seats WHERE id = {}", key(0))]).await;
    sync(&a, &b).await;
    b.engine.pending().retry().await.expect("a look");
    assert_eq!(b.texts(SEATS).await, a.texts(SEATS).await);
    assert_eq!(reasons(&b).await, []);
}

#[tokio::test]
async fn a_hidden_duplicate_that_is_given_up_is_deleted_everywhere() {
    let library = library();
    let clock = ManualClock::at(1_700_000_000_000);
    let of = async || {
        let time = Arc::new(clock.clone());
        Device::with(library, |builder| builder.without_background().time(time)).await
    };
    let (a, b) = (of().await, of().await);
    let label = |n: u8| format!("INSERT INTO labels (id, name) VALUES ({}, 'red')", key(n));
    run(&a, &[&label(1)]).await;
    clock.step(5);
    run(&b, &[&label(2)]).await;
    sync(&a, &b).await;
    assert_eq!(
        (reasons(&a).await, reasons(&b).await),
        (vec![PendingReason::Hidden], vec![PendingReason::Hidden])
    );
    let others = a.engine.pending().reason(PendingReason::MissingParent);
    assert_eq!(others.give_up().await.expect("none"), 0);
    let hidden = a.engine.pending().model("label").reason(PendingReason::Hidden);
    assert_eq!(hidden.give_up().await.expect("given up"), 1);
    sync(&a, &b).await;
    assert_eq!((reasons(&a).await, reasons(&b).await), (vec![], vec![]));
    run(&a, &["UPDATE labels SET name = 'blue'"]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts("SELECT name FROM labels").await, ["blue"], "nothing is left to appear");
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn values_that_are_given_up_give_way_to_those_of_the_row() {
    let (a, b) = two().await;
    run(&a, &[&branch(1), &hang(9, 1)]).await;
    sync(&a, &b).await;
    refuse(&b, "leaves", "bad").await;
    run(&a, &["UPDATE leaves SET name = 'bad'"]).await;
    sync(&a, &b).await;
    let waiting = b.engine.pending().await.expect("pending").remove(0);
    assert!(waiting.key::<leaf::Entity>().is_some(), "{waiting:?}");
    assert_eq!(b.engine.pending().record(waiting.record).give_up().await.expect("given up"), 1);
    assert_eq!(reasons(&b).await, []);
    sync(&a, &b).await;
    assert_eq!(a.texts(LEAVES).await, ["09 on 01 l9"], "a gets what b could take");
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn children_that_are_given_up_do_not_come_back() {
    let (a, b) = two().await;
    run(&a, &[&branch(1)]).await;
    sync(&a, &b).await;
    run(&b, &[&hang(8, 1), &hang(9, 1)]).await;
    run(&a, &["DELETE FROM branches"]).await;
    sync(&a, &b).await;
    let orphans = a.engine.pending().of::<leaf::Entity>().reason(PendingReason::MissingParent).limit(1);
    assert_eq!(orphans.give_up().await.expect("given up"), 1);
    sync(&a, &b).await;
    assert_eq!((reasons(&a).await.len(), reasons(&b).await.len()), (1, 1));
    run(&a, &[&branch(1)]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts(LEAVES).await.len(), 1);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn a_row_deleted_without_sync_that_is_given_up_is_deleted_everywhere() {
    let (a, b) = two().await;
    run(&a, &[&branch(1), &branch(2)]).await;
    sync(&a, &b).await;
    let deleted = b
        .engine
        .transaction_with_no_sync(async |txn| {
            txn.execute_unprepared(&format!("DELETE FROM branches WHERE id = {}", key(1))).await?;
            Ok::<_, SyncError>(())
        })
        .await;
    deleted.expect("a delete");
    assert_eq!(reasons(&b).await, [PendingReason::Absorbed]);
    assert_eq!(b.engine.pending().give_up().await.expect("given up"), 1);
    sync(&a, &b).await;
    assert_eq!(a.texts("SELECT name FROM branches").await, ["b2"]);
    assert_eq!(reasons(&b).await, []);
    both_equal(&a, &b).await;
}
