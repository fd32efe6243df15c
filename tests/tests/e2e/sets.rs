//! JSON arrays that merge as sets.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set, prelude::*};
use sync_tests::{Device, device::library, ruled::basket};

const ID: Uuid = Uuid::from_u128(7);

async fn tags(device: &Device) -> String {
    let basket = basket::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("a basket");
    basket.tags.to_string()
}

async fn write(device: &Device, tags: &str) {
    let basket = basket::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("a basket");
    let mut basket = basket.into_active_model();
    basket.tags = Set(tags.parse().expect("JSON"));
    basket.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

async fn devices<const N: usize>(first: &str) -> [Device; N] {
    let library = library();
    let mut devices = Vec::new();
    for _ in 0..N {
        devices.push(Device::new(library).await);
    }
    let basket = basket::ActiveModel { id: Set(ID), tags: Set(first.parse().expect("JSON")) };
    basket.insert(&devices[0].db).await.expect("a basket");
    for other in &devices[1..] {
        devices[0].sync(other).await.expect("a round");
    }
    devices.try_into().expect("all of them")
}

/// Everybody with everybody, until nothing is new, and then alike.
async fn meet(devices: &[&Device]) -> String {
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
        assert_eq!(device.engine.conflicts().await.expect("conflicts"), [], "nothing was lost");
        let found = device.engine.verify().await.expect("a look");
        assert!(found.is_clean(), "{:?}", found.findings);
    }
    tags(devices[0]).await
}

#[tokio::test]
async fn what_three_devices_put_in_and_take_out_apart_all_happens() {
    let [a, b, c] = devices(r#"["red","blue"]"#).await;
    write(&a, r#"["red","blue","green"]"#).await;
    write(&b, r#"["blue"]"#).await;
    write(&c, r#"["blue","red",{"n":1}]"#).await;
    assert_eq!(meet(&[&a, &b, &c]).await, r#"["blue","green",{"n":1}]"#);
    write(&c, r#"["blue"]"#).await;
    write(&a, r#"["blue","green",{"n":1},"red"]"#).await;
    assert_eq!(meet(&[&c, &b, &a]).await, r#"["blue","red"]"#);
}

#[tokio::test]
async fn what_is_put_in_stays_although_another_device_takes_it_out() {
    let [a, b] = devices(r#"["red"]"#).await;
    write(&a, "[]").await;
    a.sync(&b).await.expect("a round");
    write(&a, r#"["red"]"#).await;
    write(&b, r#"["red"]"#).await;
    b.engine.flush().await.expect("a flush");
    write(&b, "[]").await;
    assert_eq!(meet(&[&a, &b]).await, r#"["red"]"#, "b knew only of its own");
    write(&b, "[]").await;
    assert_eq!(meet(&[&a, &b]).await, "[]", "now it knows both");
}

#[tokio::test]
async fn a_set_has_each_element_once_and_an_order_of_its_own() {
    let [a, b] = devices(r#"["b","a","b"]"#).await;
    a.engine.flush().await.expect("a flush");
    assert_eq!(tags(&a).await, r#"["b","a"]"#);
    let before = a.engine.flush().await.expect("a flush");
    write(&a, r#"["a","b"]"#).await;
    assert_eq!(tags(&a).await, r#"["b","a"]"#, "turning it around says nothing");
    a.db.execute_unprepared("UPDATE baskets SET tags = '\"text\"'").await.expect("an update");
    assert_eq!(a.engine.flush().await.expect("a flush"), before, "nor does what is no array");
    assert_eq!(meet(&[&a, &b]).await, r#"["b","a"]"#);
}

#[tokio::test]
async fn sets_of_one_key_and_of_adopted_rows_come_together() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    for (device, tags) in [(&a, r#"["red","blue"]"#), (&b, r#"["blue","green"]"#)] {
        let basket = basket::ActiveModel { id: Set(ID), tags: Set(tags.parse().expect("JSON")) };
        basket.insert(&device.db).await.expect("a basket");
        device.engine.flush().await.expect("a flush");
    }
    assert_eq!(meet(&[&a, &b]).await, r#"["red","blue","green"]"#);

    let adopted = async |library| {
        let prepare = async |db: &sea_orm::DatabaseConnection| {
            sync_tests::device::create_more_tables(db).await.expect("tables");
            let insert =
                r#"INSERT INTO baskets VALUES (x'00000000000000000000000000000007', '["red","blue"]')"#;
            db.execute_unprepared(insert).await.expect("a row");
        };
        Device::prepared(library, prepare, |builder| builder.without_background()).await
    };
    let library = sync_tests::device::library();
    let (c, d) = (adopted(library).await, adopted(library).await);
    write(&c, r#"["red"]"#).await;
    write(&d, r#"["red","blue","green"]"#).await;
    assert_eq!(meet(&[&c, &d]).await, r#"["red","green"]"#);
}
