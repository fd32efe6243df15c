//! Following a server: live both ways, through its absence, by many at once. All by waiting for what happens.

use std::time::Duration;

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use sync_core::{Event, Seq, SyncError};
use sync_tests::{Device, Served, device::library, entities::item};

use crate::{add, items};

/// Long enough for any wait that ends at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for changes of others on `device` until `done` says that it is enough.
async fn until(device: &Device, events: &mut sync_core::Events, done: impl AsyncFn(&Device) -> bool) {
    let waiting = async {
        while !done(device).await {
            while !matches!(events.next().await.expect("the engine runs"), Event::Remote { .. }) {}
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what was awaited happens");
}

async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("what was awaited happens")
}

async fn live(library: sync_core::LibraryId) -> Device {
    Device::with(library, |builder| builder).await
}

#[tokio::test]
async fn what_either_side_writes_arrives_at_once() {
    let library = library();
    let (here, there) = (live(library).await, live(library).await);
    add(&there, "before", 2).await;
    let served = Served::new(there.engine.clone(), library).await;
    let (mut arrives_here, mut arrives_there) = (here.engine.events(), there.engine.events());
    let follow = here.engine.follow(served.client());
    until(&here, &mut arrives_here, async |device| items(device).await == 2).await;

    // Nothing but the notice can bring it within the time that a poll takes.
    add(&there, "there", 1).await;
    let notice = until(&here, &mut arrives_here, async |device| items(device).await == 3);
    tokio::time::timeout(Duration::from_secs(20), notice).await.expect("a notice, not the poll");

    add(&here, "here", 1).await;
    let position = here.engine.flush().await.expect("a flush");
    within(follow.reached(position)).await.expect("it was sent");
    until(&there, &mut arrives_there, async |device| items(device).await == 4).await;
    assert!(follow.status().sent >= position);
    assert_eq!(follow.status().last_error, None);

    let before = follow.status().rounds;
    follow.sync_now();
    let state = within(follow.next_round()).await.expect("a round");
    assert!(state.rounds > before && state.last_report.expect("a report").in_sync);
    here.assert_equal(&there).await;

    within(follow.stop()).await;
    add(&here, "unsent", 1).await;
    here.engine.flush().await.expect("a flush");
    assert_eq!(items(&there).await, 4, "a stopped follow sends nothing");
}

#[tokio::test]
async fn a_server_that_goes_away_and_comes_back_has_missed_nothing() {
    let library = library();
    let (here, there) = (live(library).await, live(library).await);
    let mut served = Served::new(there.engine.clone(), library).await;
    let mut arrives_here = here.engine.events();
    let follow = here.engine.follow(served.client());
    add(&here, "first", 1).await;
    within(follow.reached(here.engine.flush().await.expect("a flush"))).await.expect("it was sent");

    served.stop().await;
    add(&here, "here, alone", 3).await;
    add(&there, "there, alone", 3).await;
    let position = here.engine.flush().await.expect("a flush");
    let failed = within(async {
        loop {
            let state = follow.next_round().await.expect("a round");
            if state.failures > 0 {
                break state;
            }
        }
    })
    .await;
    assert!(failed.last_error.expect("an error").contains("cannot be reached"));
    assert!(follow.status().sent < position, "nothing says that it was sent");

    served.start(there.engine.clone()).await;
    within(follow.reached(position)).await.expect("it was sent");
    until(&here, &mut arrives_here, async |device| items(device).await == 7).await;
    assert_eq!(follow.status().failures, 0);
    assert_eq!(follow.status().last_error, None);
    here.assert_equal(&there).await;

    // It listens again, too.
    add(&there, "live again", 1).await;
    let notice = until(&here, &mut arrives_here, async |device| items(device).await == 8);
    tokio::time::timeout(Duration::from_secs(20), notice).await.expect("a notice, not the poll");
    within(follow.stop()).await;
}

#[tokio::test]
async fn a_wait_ends_with_the_engine() {
    let library = library();
    let (here, there) = (live(library).await, Device::new(library).await);
    let served = Served::new(there.engine.clone(), library).await;
    let follow = here.engine.follow(served.client());
    let never = follow.reached(Seq(1 << 40));
    let shutdown = async { here.engine.shutdown().await.expect("a shutdown") };
    let (ended, ()) = within(async { tokio::join!(never, shutdown) }).await;
    assert!(matches!(ended, Err(SyncError::Shutdown)), "{ended:?}");
    assert!(follow.status().stopped);
}

/// Writes to a record of its own and to the one that all share.
async fn write(device: &Device, shared: uuid::Uuid, name: &str) {
    for number in 0..10 {
        add(device, &format!("{name} {number}"), 1).await;
        let row =
            item::Entity::find_by_id(shared).one(&device.db).await.expect("a row").expect("the shared one");
        let mut row = row.into_active_model();
        row.note = Set(Some(format!("{name} {number}")));
        row.update(&device.db).await.expect("an update");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_followers_of_one_server_converge_while_all_write() {
    let library = library();
    let there = live(library).await;
    let shared = item::ActiveModel { title: Set("shared".into()), qty: Set(0), ..Default::default() };
    let shared = shared.insert(&there.db).await.expect("an item").id;
    let served = Served::new(there.engine.clone(), library).await;
    let mut followers = Vec::new();
    for _ in 0..3 {
        let device = live(library).await;
        let mut events = device.engine.events();
        let follow = device.engine.follow(served.client());
        until(&device, &mut events, async |device| items(device).await == 1).await;
        followers.push((device, events, follow));
    }
    let [one, two, three] = &followers[..] else { panic!("three followers") };
    within(async {
        tokio::join!(
            write(&there, shared, "server"),
            write(&one.0, shared, "one"),
            write(&two.0, shared, "two"),
            write(&three.0, shared, "three"),
        )
    })
    .await;
    there.engine.flush().await.expect("a flush");
    for (device, _, follow) in &followers {
        within(follow.reached(device.engine.flush().await.expect("a flush"))).await.expect("it was sent");
    }
    // All is at the server now; it reaches the others by notices.
    let digest = there.digest().await;
    assert_eq!(items(&there).await, 41);
    for (device, events, _) in &mut followers {
        until(device, events, async |device| device.digest().await == digest).await;
    }
    for (device, _, follow) in followers {
        device.assert_equal(&there).await;
        assert_eq!(items(&device).await, 41);
        within(follow.stop()).await;
    }
}
