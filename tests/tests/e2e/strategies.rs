//! Columns that merge by a strategy: largest, smallest, counted.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set, prelude::*};
use sync_core::{ConflictReason, PendingReason};
use sync_tests::{Device, device::library, ruled::product};

const ID: Uuid = Uuid::from_u128(7);

fn at(second: i64) -> DateTimeUtc {
    DateTimeUtc::from_timestamp(1_700_000_000 + second, 0).expect("a time")
}

fn product(id: Uuid) -> product::ActiveModel {
    product::ActiveModel {
        id: Set(id),
        name: Set("bolt".into()),
        stock: Set(10),
        few: Set(0),
        seen_at: Set(at(0)),
        lowest: Set(None),
        shelf: Set(1),
        slot: Set(1),
    }
}

async fn row(device: &Device) -> product::Model {
    product::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("the product")
}

async fn edit(device: &Device, change: impl FnOnce(&mut product::ActiveModel)) {
    let mut active = row(device).await.into_active_model();
    change(&mut active);
    active.update(&device.db).await.expect("an update");
}

async fn add(device: &Device, number: i64) {
    let statement = format!("UPDATE products SET stock = stock + {number}");
    device.db.execute_unprepared(&statement).await.expect("an update");
}

/// Devices that have one product with a stock of ten.
async fn devices<const N: usize>() -> [Device; N] {
    let library = library();
    let mut devices = Vec::new();
    for _ in 0..N {
        devices.push(Device::new(library).await);
    }
    product(ID).insert(&devices[0].db).await.expect("a product");
    for other in &devices[1..] {
        devices[0].sync(other).await.expect("a round");
    }
    devices.try_into().expect("all of them")
}

/// Everybody with everybody, until nothing is new, and then alike.
async fn meet(devices: &[&Device]) {
    for _ in 0..2 {
        for (at, one) in devices.iter().enumerate() {
            for other in &devices[at + 1..] {
                one.sync(other).await.expect("a round");
            }
        }
    }
    for device in devices {
        assert_eq!(device.dump().await, devices[0].dump().await);
        assert_eq!(device.digest().await, devices[0].digest().await);
        let found = device.engine.verify().await.expect("a look");
        assert!(found.is_clean(), "{:?}", found.findings);
    }
}

#[tokio::test]
async fn what_three_devices_count_apart_adds_up() {
    let [a, b, c] = devices().await;
    add(&a, 5).await;
    a.engine.flush().await.expect("a flush");
    add(&a, 1).await;
    add(&b, -4).await;
    edit(&c, |row| row.stock = Set(30)).await;
    meet(&[&a, &b, &c]).await;
    assert_eq!(row(&a).await.stock, 10 + 6 - 4 + 20);
    add(&b, 1).await;
    add(&c, 1).await;
    meet(&[&c, &a, &b]).await;
    assert_eq!(row(&b).await.stock, 34);
    for device in [&a, &b, &c] {
        assert_eq!(device.engine.conflicts().await.expect("conflicts"), [], "nothing was lost");
    }
}

#[tokio::test]
async fn a_relay_without_the_model_loses_no_count() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let relay = Device::with(library, |builder| builder.without_background().models(["item"])).await;
    product(ID).insert(&a.db).await.expect("a product");
    a.sync(&relay).await.expect("a round");
    b.sync(&relay).await.expect("a round");
    add(&a, 2).await;
    add(&b, 3).await;
    for device in [&a, &b, &a] {
        device.sync(&relay).await.expect("a round");
    }
    assert_eq!((row(&a).await.stock, row(&b).await.stock), (15, 15));
    assert_eq!(relay.digest().await, a.digest().await);
    // From the state feed as well.
    let late = Device::new(library).await;
    late.sync(&relay).await.expect("a round");
    assert_eq!(row(&late).await.stock, 15);
    add(&late, 1).await;
    late.sync(&relay).await.expect("a round");
    b.sync(&relay).await.expect("a round");
    assert_eq!(row(&b).await.stock, 16);
}

#[tokio::test]
async fn two_inserts_of_one_key_count_together_and_adopted_rows_count_once() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    for device in [&a, &b] {
        product(ID).insert(&device.db).await.expect("a product");
    }
    meet(&[&a, &b]).await;
    assert_eq!(row(&a).await.stock, 20);

    let insert = "INSERT INTO products VALUES (x'00000000000000000000000000000007', 'nut', 10, 0, \
                  '2023-11-14 22:13:20+00:00', NULL, 1, 1)";
    let library = sync_tests::device::library();
    let adopted = async || {
        let prepare = async |db: &sea_orm::DatabaseConnection| {
            sync_tests::device::create_more_tables(db).await.expect("tables");
            db.execute_unprepared(insert).await.expect("a row");
        };
        Device::prepared(library, prepare, |builder| builder.without_background()).await
    };
    let (c, d) = (adopted().await, adopted().await);
    add(&c, 1).await;
    add(&d, 2).await;
    meet(&[&c, &d]).await;
    assert_eq!(row(&c).await.stock, 13);
}

#[tokio::test]
async fn a_product_that_comes_again_counts_from_nothing() {
    let [a, b] = devices().await;
    add(&b, 7).await;
    b.engine.flush().await.expect("a flush");
    row(&a).await.into_active_model().delete(&a.db).await.expect("a delete");
    a.engine.flush().await.expect("a flush");
    product(ID).insert(&a.db).await.expect("a product");
    meet(&[&a, &b]).await;
    assert_eq!(row(&b).await.stock, 10);
    let lost = b.engine.conflicts().await.expect("conflicts");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!((lost[0].field.as_str(), lost[0].reason), ("stock", ConflictReason::DeleteWins));
    assert_eq!(lost[0].loser_value, sync_core::SyncValue::I64(17), "as it was shown");
}

#[tokio::test]
async fn a_count_beyond_the_column_waits_and_goes_on_by_differences() {
    let [a, b] = devices().await;
    edit(&a, |row| row.few = Set(200)).await;
    edit(&b, |row| row.few = Set(100)).await;
    a.sync(&b).await.expect("a round");
    for device in [&a, &b] {
        let pending = device.engine.pending().await.expect("pending");
        assert_eq!(pending.len(), 1, "{pending:?}");
        assert_eq!(pending[0].reason, PendingReason::Invalid, "{}", pending[0].detail);
    }
    assert_eq!((row(&a).await.few, row(&b).await.few), (200, 100), "each keeps its own");
    // 300 - 80 fits again: what counts is the difference to what the row held.
    edit(&a, |row| row.few = Set(120)).await;
    a.sync(&b).await.expect("a round");
    assert_eq!((row(&a).await.few, row(&b).await.few), (220, 220));
    meet(&[&a, &b]).await;
    assert_eq!(a.engine.pending().await.expect("pending"), []);
    assert_eq!(b.engine.pending().await.expect("pending"), []);
}

#[tokio::test]
async fn a_write_without_sync_is_not_counted_until_it_is_forced() {
    let [a, b] = devices().await;
    let quiet = async |txn: &sea_orm::DatabaseTransaction| -> Result<(), sync_core::SyncError> {
        txn.execute_unprepared("UPDATE products SET stock = 50").await?;
        Ok(())
    };
    a.engine.transaction_with_no_sync(quiet).await.expect("a quiet write");
    assert_eq!(row(&a).await.stock, 50);
    a.sync(&b).await.expect("a round");
    assert_eq!(row(&b).await.stock, 10);
    add(&a, 1).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(row(&b).await.stock, 11, "one was added with sync");
    meet(&[&a, &b]).await;
    a.engine.transaction_with_no_sync(quiet).await.expect("a quiet write");
    a.engine.force_record(&row(&a).await).await.expect("a forced record");
    meet(&[&a, &b]).await;
    assert_eq!((row(&a).await.stock, row(&b).await.stock), (50, 50));
}

#[tokio::test]
async fn the_largest_and_the_smallest_stand_whoever_wrote_last() {
    let [a, b, c] = devices().await;
    let write = async |device: &Device, second: i64, price: &str| {
        let price: Decimal = price.parse().expect("a price");
        edit(device, |row| {
            row.seen_at = Set(at(second));
            row.lowest = Set(Some(price));
        })
        .await;
        device.engine.flush().await.expect("a flush");
    };
    write(&a, 30, "9.5").await;
    write(&b, 20, "10").await;
    write(&c, 10, "9.75").await;
    meet(&[&a, &b, &c]).await;
    let stands = row(&b).await;
    assert_eq!((stands.seen_at, stands.lowest), (at(30), "9.5".parse().ok()));
    assert_eq!(a.engine.conflicts().await.expect("conflicts"), [], "nothing was lost that was to stay");
}

#[tokio::test]
async fn a_write_that_says_nothing_is_taken_back_and_not_sent() {
    let [a, b] = devices().await;
    edit(&a, |row| row.seen_at = Set(at(30))).await;
    a.sync(&b).await.expect("a round");
    let mut changed = b.engine.changed::<product::Entity>().expect("served");
    let before = b.engine.flush().await.expect("a flush");
    edit(&b, |row| row.seen_at = Set(at(20))).await;
    let after = b.engine.flush().await.expect("a flush");
    assert_eq!(after, before, "nothing was logged");
    assert_eq!(row(&b).await.seen_at, at(30), "the row shows what stands");
    assert_eq!(changed.next().await, Some(sync_core::Changed::Keys(vec![ID])));
    // With another column in one write, only that one is said.
    edit(&b, |row| {
        row.seen_at = Set(at(10));
        row.name = Set("screw".into());
    })
    .await;
    b.sync(&a).await.expect("a round");
    let (here, there) = (row(&b).await, row(&a).await);
    assert_eq!((here.seen_at, here.name.as_str()), (at(30), "screw"));
    assert_eq!(here, there);
    let history = a.engine.history::<product::Entity>(ID).await.expect("a history");
    let last: Vec<&str> =
        history.last().expect("a change").values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(last, ["name"]);
    meet(&[&a, &b]).await;
}
