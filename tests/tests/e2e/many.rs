//! Many engines in one process, each on a database of its own, all with the same entities.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::future::{BoxFuture, join_all};
use sea_orm::{ActiveModelTrait, EntityTrait};
use sync_core::{
    LibraryId,
    runtime::{Spawn, TokioSpawn},
};
use sync_tests::{Device, device::library, entities::item};

use crate::{
    background::next_local,
    ways::{id, new_item},
};

const ENGINES: usize = 20;

/// Counts what an engine spawns: its flusher, and from then on each write transaction.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Counting {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Spawn for Counting {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        TokioSpawn.spawn(task);
    }
}

struct One {
    device: Device,
    spawned: Arc<Counting>,
}

/// Twenty devices, two of each library, with their flushers running.
async fn many() -> Vec<One> {
    let libraries: Vec<LibraryId> = (0..ENGINES / 2).map(|_| library()).collect();
    join_all((0..ENGINES).map(|n| {
        let library = libraries[n / 2];
        async move {
            let spawned = Arc::<Counting>::default();
            let device = Device::with(library, |builder| builder.spawn(spawned.clone())).await;
            One { device, spawned }
        }
    }))
    .await
}

fn tail(engine: usize, n: usize) -> u128 {
    u128::try_from(engine * 1_000 + n + 1).expect("small")
}

async fn titles(device: &Device) -> Vec<String> {
    let items = item::Entity::find().all(&device.db).await.expect("items");
    let mut titles: Vec<String> = items.into_iter().map(|item| item.title).collect();
    titles.sort_unstable();
    titles
}

/// A write through hooks is logged by the flusher, and by no call.
async fn flusher_works(device: &Device, tail: u128) {
    let mut events = device.engine.events();
    new_item(tail, "by itself").insert(&device.db).await.expect("an item");
    let told = next_local(&mut events).await;
    assert_eq!(told.len(), 1);
    assert_eq!(device.engine.history::<item::Entity>(id(tail)).await.expect("a history").len(), 1);
}

#[tokio::test]
async fn each_database_holds_its_own_records_and_log() {
    const WRITES: usize = 15;
    let all = many().await;
    join_all(all.iter().enumerate().map(async |(engine, one)| {
        for n in 0..WRITES {
            let new = new_item(tail(engine, n), &format!("{engine:02} {n:02}"));
            new.insert(&one.device.db).await.expect("an item");
        }
        one.device.engine.flush().await.expect("a flush");
    }))
    .await;
    for (engine, one) in all.iter().enumerate() {
        let own: Vec<String> = (0..WRITES).map(|n| format!("{engine:02} {n:02}")).collect();
        assert_eq!(titles(&one.device).await, own);
        let status = one.device.engine.status().await.expect("a status");
        assert_eq!((status.latest_seq.0, status.dirty), (WRITES as u64, false), "engine {engine}");
        let verified = one.device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "engine {engine}: {:?}", verified.findings);
        assert_eq!((verified.entries, verified.objects), (WRITES as u64, WRITES as u64), "engine {engine}");
        for other in 0..ENGINES {
            let record = id(tail(other, 0));
            let history = one.device.engine.history::<item::Entity>(record).await.expect("a history");
            assert_eq!(history.len(), usize::from(other == engine), "of engine {other} in {engine}");
        }
    }
    let mut devices: Vec<_> = all.iter().map(|one| one.device.engine.device_id()).collect();
    devices.sort_unstable();
    devices.dedup();
    assert_eq!(devices.len(), ENGINES);
}

#[tokio::test]
async fn a_busy_writer_starts_nobody_elses_flush() {
    let all = many().await;
    let (busy, quiet) = all.split_first().expect("engines");
    let before: Vec<u64> = quiet.iter().map(|one| one.spawned.count()).collect();
    let began = busy.spawned.count();
    for n in 0..300 {
        let new = new_item(tail(0, n), "busy");
        new.insert(&busy.device.db).await.expect("an item");
        if n % 50 == 0 {
            busy.device.engine.flush().await.expect("a flush");
        }
    }
    assert!(busy.spawned.count() > began, "what is counted is flushes");
    // A flusher that has logged a write of its own has had its turn since.
    for ((engine, one), before) in quiet.iter().enumerate().zip(before) {
        flusher_works(&one.device, tail(engine + 1, 0)).await;
        assert_eq!(one.spawned.count(), before + 1, "engine {} flushed its own write only", engine + 1);
    }
}

#[tokio::test]
async fn an_engine_that_goes_takes_no_other_with_it() {
    let mut all = many().await;
    for (engine, one) in all.iter().enumerate() {
        flusher_works(&one.device, tail(engine, 0)).await;
    }
    let dropped = all.remove(0).device;
    let (dropped_db, dropped_path, library) =
        (dropped.db.clone(), dropped.path.clone(), dropped.engine.library_id());
    drop(dropped.engine);
    let closed = all.remove(1).device;
    closed.engine.shutdown().await.expect("a shutdown");
    let (left_by_dropped, left_by_closed) = (all.remove(0), all.remove(0));

    new_item(tail(0, 1), "nobody listens").insert(&dropped_db).await.expect("an item");
    new_item(tail(2, 1), "nobody listens").insert(&closed.db).await.expect("an item");
    for (n, one) in all.iter().chain([&left_by_dropped, &left_by_closed]).enumerate() {
        flusher_works(&one.device, tail(n, 500)).await;
    }
    for pair in all.chunks_exact(2) {
        pair[0].device.sync(&pair[1].device).await.expect("a round");
        assert_eq!(pair[0].device.dump().await, pair[1].device.dump().await);
        assert_eq!(titles(&pair[0].device).await.len(), 4);
    }
    assert!(left_by_closed.device.sync(&closed).await.is_err(), "an engine that is shut down serves nobody");

    // What the dropped one did not log, the next one does.
    let again = Device::open(dropped_path, library, |builder| builder).await;
    left_by_dropped.device.sync(&again).await.expect("a round");
    assert_eq!(titles(&again).await.len(), 4);
    assert_eq!(left_by_dropped.device.dump().await, again.dump().await);
}
