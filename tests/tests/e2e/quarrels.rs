//! Whatever a user's merge function does: a conflict is put before it at most twice, then there is silence, and all
//! devices have the same.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Set};
use sync_core::LibraryId;
use sync_tests::{
    Device,
    device::library,
    quarrel::{self, MANNERS},
};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);

async fn device(library: LibraryId) -> Device {
    Device::prepared(
        library,
        async |db| {
            db.execute_unprepared(quarrel::CREATE_TABLE).await.expect("a table");
        },
        |builder| builder.without_background().models(["quarrel"]),
    )
    .await
}

async fn write(device: &Device, manner: &str, words: &str) {
    let row = quarrel::ActiveModel { id: Set(ID), manner: Set(manner.into()), words: Set(words.into()) };
    let known = quarrel::Entity::find_by_id(ID).one(&device.db).await.expect("a query").is_some();
    let written = if known { row.update(&device.db).await } else { row.insert(&device.db).await };
    written.expect("a write");
    device.engine.flush().await.expect("a flush");
}

async fn words(device: &Device) -> String {
    quarrel::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("a row").words
}

/// The merge changes that a device has in its log.
async fn answers(device: &Device) -> usize {
    let count = "SELECT CAST(count(*) AS TEXT) FROM sync_changes WHERE change_type = 'merge'";
    device.text(count).await.parse().expect("a number")
}

/// Rounds with `relays` in which no device sees another's answer before it has given its own, again and again.
async fn quarrel(devices: &[Device], relays: &[Device], times: usize) {
    for _ in 0..times {
        for (device, relay) in devices.iter().zip(relays) {
            device.sync(relay).await.expect("a round");
        }
        for pair in relays.windows(2) {
            pair[0].sync(&pair[1]).await.expect("a round");
        }
        relays[relays.len() - 1].sync(&relays[0]).await.expect("a round");
    }
}

/// Three devices that write one column apart, each with a relay of its own.
async fn three(manner: &str) -> (Vec<Device>, Vec<Device>) {
    let library = library();
    let (mut devices, mut relays) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        devices.push(device(library).await);
        relays.push(Device::new(library).await);
    }
    write(&devices[0], manner, "peace").await;
    quarrel(&devices, &relays, 3).await;
    for (device, said) in devices.iter().zip(["one", "two", "three"]) {
        write(device, manner, said).await;
    }
    (devices, relays)
}

#[tokio::test]
async fn a_conflict_has_few_answers_and_then_there_is_silence() {
    for manner in MANNERS {
        let (devices, relays) = three(manner).await;
        quarrel(&devices, &relays, 6).await;
        let given = answers(&devices[0]).await;
        // Three writes make three pairs that conflict, and each has two authors.
        assert!(given <= 6, "{manner}: {given} answers");
        assert_eq!(given == 0, manner == "panicking", "{manner}: {given} answers");
        quarrel(&devices, &relays, 4).await;
        for device in &devices {
            assert_eq!(answers(device).await, given, "{manner}: silence");
            assert_eq!(words(device).await, words(&devices[0]).await, "{manner}");
            assert_eq!(device.digest().await, devices[0].digest().await, "{manner}");
            assert!(device.engine.verify().await.expect("a look").is_clean(), "{manner}");
        }
    }
}

#[tokio::test]
async fn who_joins_later_and_reads_all_of_it_answers_nothing() {
    let (devices, relays) = three("growing").await;
    quarrel(&devices, &relays, 6).await;
    let given = answers(&devices[0]).await;
    let late = device(devices[0].engine.library_id()).await;
    let report = late.sync(&devices[1]).await.expect("a round");
    assert_eq!((report.merges, report.in_sync), (0, true));
    assert_eq!(answers(&late).await, given);
    assert_eq!(words(&late).await, words(&devices[0]).await);
}

#[tokio::test]
async fn a_write_after_an_answer_is_put_before_the_function_again() {
    let (devices, relays) = three("growing").await;
    // The first two settle theirs before the third is heard of.
    devices[0].sync(&devices[1]).await.expect("a round");
    let given = answers(&devices[0]).await;
    assert_eq!(given, 1);
    quarrel(&devices, &relays, 6).await;
    assert!(answers(&devices[2]).await > given, "an answer and an edit conflict like two edits");
    for said in ["one", "two", "three"] {
        assert!(words(&devices[2]).await.contains(said), "{}", words(&devices[2]).await);
    }
}

/// More than are judged under one lock.
const MANY: usize = 1_200;

#[tokio::test]
async fn many_conflicts_are_each_put_before_the_function_once() {
    let library = library();
    let (one, other) = (device(library).await, device(library).await);
    let rows = (0..MANY).map(|n| quarrel::ActiveModel {
        id: Set(Uuid::from_u128(n as u128)),
        manner: Set("growing".into()),
        words: Set("peace".into()),
    });
    quarrel::Entity::insert_many(rows).exec(&one.db).await.expect("rows");
    one.sync(&other).await.expect("a round");
    for (device, said) in [(&one, "one"), (&other, "two")] {
        let all = format!("UPDATE quarrels SET words = '{said}'");
        device.db.execute_unprepared(&all).await.expect("an update");
    }
    let report = one.sync(&other).await.expect("a round");
    assert_eq!((report.conflicts, report.merges), (MANY as u64, MANY as u64));
    other.sync(&one).await.expect("a round");
    assert_eq!(answers(&other).await, MANY, "the other knows the answers and gives none");
    let rows = quarrel::Entity::find().all(&other.db).await.expect("rows");
    assert!(rows.iter().all(|row| row.words.contains("one") && row.words.contains("two")), "{:?}", rows[0]);
    assert_eq!(one.digest().await, other.digest().await);
}
