//! The flusher at work: what is committed is logged by itself, soon, and what is rolled back is never told.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, TransactionTrait, sea_query::Expr};
use sync_core::{ChangeKind, Event, Events, RecordChange};
use sync_tests::{Device, device::library, entities::item};

use crate::{
    capture::log_is_exact,
    ways::{begin, new_item, write},
};

/// A write is logged within this, whoever made it, on a machine that has time.
const SOON: Duration = Duration::from_millis(250);

/// What a busy machine may add.
const ALLOWANCE: Duration = Duration::from_millis(250);

/// What is logged next.
pub(crate) async fn next_local(events: &mut Events) -> Vec<RecordChange> {
    let next = tokio::time::timeout(Duration::from_secs(30), events.next());
    match next.await.expect("something is logged by itself").expect("the engine lives") {
        Event::Local { changes, .. } => changes,
        other => panic!("{other:?}"),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long it takes until what `write` does is logged: the median of some.
async fn latency(device: &Device, mut write: impl AsyncFnMut(i64)) -> Duration {
    let mut events = device.engine.events();
    let mut times = Vec::new();
    for n in 0..15 {
        write(1_000 + n).await;
        let committed = Instant::now();
        next_local(&mut events).await;
        times.push(committed.elapsed());
    }
    median(times)
}

async fn running() -> Device {
    let device = Device::with(library(), |builder| builder).await;
    begin(&device).await;
    device
}

#[tokio::test]
async fn what_no_hook_tells_of_is_logged_within_a_quarter_of_a_second() {
    let device = running().await;
    let bulk = latency(&device, async |n| {
        let update = item::Entity::update_many().col_expr(item::Column::Qty, Expr::value(n));
        update.exec(&device.db).await.expect("an update");
    });
    assert!(bulk.await <= SOON + ALLOWANCE, "update_many");
    let raw = latency(&device, async |n| {
        let update = format!("UPDATE items SET qty = {} WHERE title = 'one'", 2 * n);
        device.db.execute_unprepared(&update).await.expect("an update");
    });
    assert!(raw.await <= SOON + ALLOWANCE, "raw SQL");
    let foreign = latency(&device, async |n| {
        let update = format!("UPDATE items SET qty = {} WHERE title = 'two'", 3 * n);
        let status = Command::new("sqlite3").arg(&device.path).arg(".timeout 5000").arg(update).status();
        assert!(status.expect("the sqlite3 program").success());
    });
    assert!(foreign.await <= SOON + ALLOWANCE, "another process");
    log_is_exact(&device, "in the background").await;
}

/// A busy machine delays both, and not evenly: that the hook makes the difference once is enough, for nothing else can.
#[tokio::test]
async fn what_a_hook_tells_of_is_logged_sooner_than_the_rest() {
    let device = running().await;
    let mut seen = Vec::new();
    for attempt in 1..=5 {
        let hooked = latency(&device, async |n| {
            let tail = u128::try_from(attempt * 10_000 + n).expect("not negative");
            new_item(tail, "hooked").insert(&device.db).await.expect("an item");
        });
        let hooked = hooked.await;
        let bulk = latency(&device, async |n| {
            let value = Expr::value(attempt * 10_000 + n);
            let update = item::Entity::update_many().col_expr(item::Column::Qty, value);
            update.exec(&device.db).await.expect("an update");
        });
        let bulk = bulk.await;
        if hooked * 2 < bulk {
            return;
        }
        seen.push((hooked, bulk));
    }
    panic!("a hooked write took as long as an unhooked one: {seen:?}");
}

#[tokio::test]
async fn a_hint_before_the_commit_does_not_log_what_is_not_committed() {
    let device = running().await;
    let mut events = device.engine.events();
    for (n, way) in
        ["insert", "update_many", "raw insert", "cascade", "nested insert"].into_iter().enumerate()
    {
        let txn = device.db.begin().await.expect("begin");
        write(way, &txn).await.expect(way);
        // The flusher runs meanwhile: it has been woken, and what it looks for is not there.
        device.engine.flush().await.expect("a flush");
        txn.rollback().await.expect("rollback");
        let txn = device.db.begin().await.expect("begin");
        let savepoint = txn.begin().await.expect("a savepoint");
        write(way, &savepoint).await.expect(way);
        savepoint.rollback().await.expect("rollback");
        txn.commit().await.expect("commit");

        let tail = 100 + u128::try_from(n).expect("small");
        new_item(tail, "committed").insert(&device.db).await.expect("an item");
        let told = next_local(&mut events).await;
        assert_eq!(told.len(), 1, "{way}: {told:?}");
        assert!(told[0].is::<item::Entity>() && told[0].kind == ChangeKind::Edit, "{way}: {told:?}");
    }
    log_is_exact(&device, "after rollbacks").await;
}
