//! Every limit in `docs/limits.md` is there, and reaching it loses nothing.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Schema, Set};
use sync_core::{
    BindError, Change, Event, Limits, ModelError, ObjectsRequest, Peer, PeerError, PullRequest, SyncEngine,
    SyncError, SyncValue,
    runtime::{SystemClock, Time},
};
use sync_tests::{
    Device,
    device::{ManualClock, library},
    entities::item,
    wire::{self, Author},
};
use uuid::Uuid;

const MINUTE: u64 = 60_000;

async fn limited(library: sync_core::LibraryId, change: impl FnOnce(&mut Limits)) -> Device {
    let mut limits = Limits::default();
    change(&mut limits);
    Device::with(library, |builder| builder.without_background().limits(limits)).await
}

async fn fill(device: &Device, rows: usize) {
    let statement = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) \
         INSERT INTO items (id, title, qty) SELECT randomblob(16), 'item ' || n, 1 FROM c"
    );
    device.db.execute_unprepared(&statement).await.expect("rows");
}

async fn count(device: &Device) -> usize {
    item::Entity::find().all(&device.db).await.expect("items").len()
}

fn items(author: &mut Author, rows: usize) -> Vec<Change> {
    let cells = [("title", SyncValue::Text("t".into())), ("qty", SyncValue::I64(1))];
    (0..rows).map(|_| author.insert("item", &[SyncValue::Uuid(Uuid::new_v4())], &cells)).collect()
}

/// How many changes each batch of the next flush logs.
async fn batches(device: &Device) -> Vec<usize> {
    let mut events = device.engine.events();
    device.engine.flush().await.expect("a flush");
    let mut sizes = Vec::new();
    let end = device.engine.status().await.expect("a status").latest_seq;
    while let Some(event) = events.next().await {
        let Event::Local { changes, to } = event else { panic!("{event:?}") };
        sizes.push(changes.len());
        if to == end {
            break;
        }
    }
    sizes
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed() {
    let device = limited(library(), |limits| limits.event_buffer = 4).await;
    let mut slow = device.engine.events();
    for _ in 0..10 {
        fill(&device, 1).await;
        device.engine.flush().await.expect("a flush");
    }
    let Some(Event::Missed(missed)) = slow.next().await else { panic!("nothing was missed") };
    assert_eq!(missed, 6);
    for seq in 7..=10 {
        let Some(Event::Local { to, .. }) = slow.next().await else { panic!("no event {seq}") };
        assert_eq!(to.0, seq);
    }
    assert_eq!(device.engine.status().await.expect("a status").latest_seq.0, 10, "nothing is lost");
}

/// Hints that find the queue full are gone; what was written is not.
#[tokio::test]
async fn a_full_queue_of_hints_loses_no_write() {
    const WRITES: usize = 200;
    let mut limits = Limits::default();
    limits.hook_queue = 1;
    let device = Device::with(library(), |builder| builder.limits(limits)).await;
    let mut events = device.engine.events();
    for _ in 0..WRITES {
        let row = item::ActiveModel { title: Set("t".into()), qty: Set(1), ..Default::default() };
        row.insert(&device.db).await.expect("an item");
    }
    let mut logged = 0;
    while logged < WRITES {
        let wait = tokio::time::timeout(std::time::Duration::from_secs(30), events.next());
        let Some(Event::Local { changes, .. }) = wait.await.expect("all is logged") else {
            panic!("no event")
        };
        logged += changes.len();
    }
    assert_eq!(logged, WRITES);
}

#[tokio::test]
async fn a_flush_takes_batches_of_one_group_and_ends_it_where_the_group_is_full() {
    let device = limited(library(), |limits| {
        limits.flush_batch = 100;
        limits.max_group = 300;
        limits.flush_group_ms = 600_000;
    })
    .await;
    fill(&device, 1_000).await;
    assert_eq!(batches(&device).await, [100, 100, 100, 700]);
    let log = wire::log_of(&device.engine).await;
    assert!(log.iter().all(|change| change.txn == log[0].id), "one group");
    assert_eq!(log.iter().filter(|change| !change.more).count(), 1);
    assert!(!log[999].more);
}

#[tokio::test]
async fn a_group_that_grew_too_long_ends_with_one_batch() {
    let device = limited(library(), |limits| {
        limits.flush_batch = 100;
        limits.flush_group_ms = 0;
    })
    .await;
    fill(&device, 1_000).await;
    assert_eq!(batches(&device).await, [1_000]);
}

#[tokio::test]
async fn batches_shrink_where_they_hold_the_lock_too_long_and_grow_where_they_do_not() {
    let none = limited(library(), |limits| limits.flush_lock_ms = 0).await;
    fill(&none, 4_000).await;
    assert_eq!(batches(&none).await, [2_000, 1_000, 500, 250, 125, 100, 25]);
    let much = limited(library(), |limits| limits.flush_lock_ms = 600_000).await;
    fill(&much, 10_000).await;
    assert_eq!(batches(&much).await, [2_000, 4_000, 4_000]);
}

#[tokio::test]
async fn a_group_arrives_at_once_up_to_its_limit_and_in_parts_beyond() {
    let library = library();
    let device = limited(library, |limits| limits.max_group = 10).await;
    let mut author = Author::new(library, 3);
    let mut changes = items(&mut author, 25);
    wire::group(&mut changes);
    let answer = author.push(&device.engine, &changes[..9]).await.expect("an answer");
    assert_eq!((answer.staged, answer.merged, count(&device).await), (9, 0, 0));
    let answer = author.push(&device.engine, &changes[9..10]).await.expect("an answer");
    assert_eq!((answer.staged, answer.merged, count(&device).await), (0, 10, 10));
    author.push(&device.engine, &changes[10..]).await.expect("an answer");
    assert_eq!(count(&device).await, 25);
    // A group below the limit is not seen in parts.
    let mut small = items(&mut author, 8);
    wire::group(&mut small);
    author.push(&device.engine, &small[..7]).await.expect("an answer");
    assert_eq!(count(&device).await, 25);
    author.push(&device.engine, &small[7..]).await.expect("an answer");
    assert_eq!(count(&device).await, 33);
}

#[tokio::test]
async fn pages_are_no_larger_than_asked_for_nor_than_the_fixed_limits() {
    let library = library();
    let device = limited(library, |_| {}).await;
    fill(&device, 20_500).await;
    let row = item::ActiveModel { title: Set("x".repeat(2 << 20)), qty: Set(1), ..Default::default() };
    for _ in 0..10 {
        device.engine.flush().await.expect("a flush");
        let one = item::ActiveModel { id: Set(Uuid::new_v4()), ..row.clone() };
        one.insert(&device.db).await.expect("a large item");
    }
    device.engine.flush().await.expect("a flush");
    let pull = |from: u64, entries: u32, bytes: u64| PullRequest {
        from_seq: sync_core::Seq(from),
        max_entries: entries,
        max_bytes: bytes,
        ..wire::first_pull(&device.engine)
    };
    let page = async |request| device.engine.pull(request).await.expect("a page");
    assert_eq!(page(pull(20_500, 3, u64::MAX)).await.entries.len(), 3);
    assert_eq!(page(pull(20_500, 0, 0)).await.entries.len(), 1, "one change always fits");
    assert_eq!(page(pull(20_500, u32::MAX, 5 << 20)).await.entries.len(), 2);
    assert_eq!(page(pull(20_500, u32::MAX, u64::MAX)).await.entries.len(), 7, "16 MiB");
    assert_eq!(page(pull(0, u32::MAX, u64::MAX)).await.entries.len(), 20_000);
    let objects = async |max_objects, max_bytes| {
        let reader = sync_core::DeviceId::from_bytes([9; 16]);
        let request = ObjectsRequest { max_objects, max_bytes, ..ObjectsRequest::new(library, reader) };
        device.engine.objects(request).await.expect("a page").objects.len()
    };
    assert_eq!(objects(3, u64::MAX).await, 3);
    assert_eq!(objects(u32::MAX, 0).await, 1, "one record always fits");
    assert_eq!(objects(u32::MAX, u64::MAX).await, 20_000);
}

/// A reader with small pages gets all of it, and in as many pages as that takes.
#[tokio::test]
async fn small_pages_bring_everything() {
    let library = library();
    for (entries, bytes) in [(7, 4 << 20), (20_000, 500)] {
        let small = |limits: &mut Limits| {
            limits.page_entries = entries;
            limits.page_bytes = bytes;
        };
        let (a, b) = (limited(library, small).await, limited(library, small).await);
        for _ in 0..10 {
            fill(&a, 10).await;
            fill(&b, 10).await;
            a.engine.flush().await.expect("a flush");
            b.engine.flush().await.expect("a flush");
        }
        a.sync(&b).await.expect("a round");
        assert_eq!((count(&a).await, a.dump().await), (200, b.dump().await));
    }
}

#[tokio::test]
async fn many_deletes_in_one_group_are_reported() {
    let device = limited(library(), |limits| limits.report_deletes = 5).await;
    fill(&device, 11).await;
    device.engine.flush().await.expect("a flush");
    let mut events = device.engine.events();
    let five = "DELETE FROM items WHERE id IN (SELECT id FROM items LIMIT 5)";
    device.db.execute_unprepared(five).await.expect("deletes");
    device.engine.flush().await.expect("a flush");
    assert!(matches!(events.next().await, Some(Event::Local { .. })), "five are not remarkable");
    device.db.execute_unprepared("DELETE FROM items").await.expect("deletes");
    device.engine.flush().await.expect("a flush");
    assert!(matches!(events.next().await, Some(Event::ManyDeletes(6))));
}

/// A full store of held changes takes nothing more, says so, and what it did not take comes again.
#[tokio::test]
async fn what_does_not_fit_among_the_held_is_refused_and_comes_again() {
    const HELD: usize = 100_000;
    let library = library();
    let clock = ManualClock::at(SystemClock.now_ms());
    let time = std::sync::Arc::new(clock.clone());
    let device = Device::with(library, |builder| builder.without_background().time(time)).await;
    let mut author = Author::new(library, 3);
    author.ahead_ms = 10 * MINUTE;
    let mut changes = items(&mut author, HELD + 10);
    changes.chunks_mut(1_000).for_each(wire::group);
    for page in changes[..HELD].chunks(20_000) {
        let answer = author.push(&device.engine, page).await.expect("an answer");
        assert_eq!((answer.held, answer.merged), (20_000, 0));
    }
    let error = author.push(&device.engine, &changes[HELD..]).await.expect_err("no room");
    assert!(matches!(&error, PeerError::Busy(_)) && error.is_retryable(), "{error}");
    assert_eq!(
        (device.engine.status().await.expect("a status").held, count(&device).await),
        (HELD as u64, 0)
    );
    // What is not held still gets through.
    let now = |time: &dyn Time| time.now_ms();
    clock.step(now(&SystemClock) as i64 - now(&clock) as i64);
    let mut punctual = Author::new(library, 4);
    let now = items(&mut punctual, 1);
    punctual.merged(&device.engine, &now).await;
    clock.step(11 * MINUTE as i64);
    let answer = author.push(&device.engine, &changes[HELD..]).await.expect("an answer");
    assert_eq!(answer.held, 0);
    assert_eq!((device.engine.status().await.expect("a status").held, count(&device).await), (0, HELD + 11));
}

#[tokio::test]
async fn names_and_generations_have_bounds() {
    let library = library();
    let device = limited(library, |_| {}).await;
    let mut author = Author::new(library, 3);
    let longest = "m".repeat(sync_core::MAX_NAME);
    let fits = author.insert(&longest, &[SyncValue::I64(1)], &[(&longest, SyncValue::Null)]);
    let long = "m".repeat(sync_core::MAX_NAME + 1);
    let model = author.insert(&long, &[SyncValue::I64(1)], &[]);
    let column = author.insert("item", &[SyncValue::I64(1)], &[(&long, SyncValue::Null)]);
    let mut old = author.insert("item", &[SyncValue::I64(1)], &[]);
    old.generation = (1 << 32) + 1;
    let answer = author.push(&device.engine, &[fits, model, column, old]).await.expect("an answer");
    assert_eq!((answer.merged, answer.refused.len()), (1, 3), "{answer:?}");
    for refused in &answer.refused {
        assert!(!refused.reason.is_empty());
    }
}

/// A key of more parts than a guard can note.
mod five {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "fives")]
    #[sync(id = "five")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub a: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub b: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub c: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub d: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub e: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

#[tokio::test]
async fn a_key_of_five_columns_and_an_unknown_model_are_refused_at_the_start() {
    let db = sea_orm::Database::connect("sqlite::memory:").await.expect("a database");
    let table = Schema::new(db.get_database_backend()).create_table_from_entity(five::Entity);
    db.execute(&table).await.expect("a table");
    let start = SyncEngine::builder(db.clone()).models(["five"]).start().await;
    let error = start.expect_err("too wide");
    assert!(matches!(error, SyncError::Bind(BindError::WideKey { columns: 5, most: 4, .. })), "{error}");
    let error = SyncEngine::builder(db).models(["nobody"]).start().await.expect_err("unknown");
    assert!(matches!(error, SyncError::Model(ModelError::Unknown { .. })), "{error}");
}
