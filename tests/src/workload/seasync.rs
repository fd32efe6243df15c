//! SeaORM with an engine: flusher running, flush included in every write.

mod replay;

use sea_orm::DatabaseConnection;
use sync_core::{LibraryId, Limits, SyncEngine};
use uuid::Uuid;

use self::replay::{Pages, Replay};
use super::{
    Outcome, PAGE, Plan, data,
    data::Model,
    meter::{Meter, Start},
    orm,
};

/// The peer's name.
pub const PEER: &str = "seasync";

/// A replica: the application's connection and the engine.
struct Side {
    db: DatabaseConnection,
    engine: SyncEngine,
}

/// Whether a new replica begins with the peer's log or with its state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Log,
    State,
}

impl Side {
    async fn open(plan: &Plan, name: &str, library: LibraryId, first: First) -> Outcome<Self> {
        let db = orm::open(&plan.file(PEER, name)?).await?;
        let mut limits = Limits::default();
        limits.page_entries = PAGE;
        limits.page_bytes = 16 << 20;
        limits.snapshot_above = if first == First::Log { u64::MAX } else { 0 };
        let engine = SyncEngine::builder(db.clone())
            .library(library)
            .models(["workload"])
            .limits(limits)
            .start()
            .await?;
        Ok(Self { db, engine })
    }

    async fn close(self) -> Outcome<()> {
        self.engine.shutdown().await?;
        Ok(self.db.close().await?)
    }

    async fn equals(&self, other: &Self) -> Outcome<bool> {
        let digests = (self.engine.status().await?.digest, other.engine.status().await?.digest);
        Ok(digests.0 == digests.1 && orm::equal(&self.db, &other.db).await?)
    }
}

/// Runs all of it.
///
/// # Errors
/// What the database or the engine says.
pub async fn run(plan: &Plan) -> Outcome<()> {
    let meter = Meter::new(PEER);
    let library = LibraryId::from(Uuid::from_u128(7));
    let a = Side::open(plan, "a", library, First::Log).await?;
    let b = Side::open(plan, "b", library, First::Log).await?;
    // Each device is a record of the library: what follows is about the rows alone.
    for _ in 0..2 {
        b.engine.sync_with(&a.engine).await?;
    }
    let introduced = a.engine.status().await?.latest_seq;
    let rows = data::rows(1, plan.rows);
    let keys = data::shuffled(&rows, 3);

    let start = Start::now();
    orm::insert_batch(&a.db, rows).await?;
    a.engine.flush().await?;
    meter.rate("insert_batch", plan.rows as u64, start.took());
    meter.figure("size_after_insert", orm::size(&a.db).await?, "bytes");

    let start = Start::now();
    let pages = Pages::after(&a.engine, introduced).await?;
    meter.rate("extract_all", pages.changes(), start.took());
    meter.figure("extract_all_changes", pages.changes() as f64, "changes");
    meter.figure("extract_all_bytes", pages.bytes() as f64, "bytes");
    let replay = Replay::new(&a.engine, pages.clone());
    let start = Start::now();
    b.engine.sync_with(&replay).await?;
    meter.rate("apply_empty", plan.rows as u64, start.took());
    meter.figure("size_replica", orm::size(&b.db).await?, "bytes");
    meter.holds("replica_equal", a.equals(&b).await?);

    feed(plan, &meter, library, &a).await?;
    writes(plan, &meter, &a, &keys).await?;

    let start = Start::now();
    let newer = Pages::after(&a.engine, pages.end()).await?;
    meter.rate("extract_incr", newer.changes(), start.took());
    meter.figure("extract_incr_changes", newer.changes() as f64, "changes");
    meter.figure("extract_incr_bytes", newer.bytes() as f64, "bytes");
    let changes = newer.changes();
    let replay = Replay::new(&a.engine, newer);
    let start = Start::now();
    b.engine.sync_with(&replay).await?;
    meter.rate("apply_incr", changes, start.took());
    meter.holds("incr_equal", a.equals(&b).await?);

    let both = &keys[keys.len() - plan.merged()..];
    orm::update_qty(&a.db, both).await?;
    orm::update_title(&b.db, both, "title of b").await?;
    merge(&meter, "merge_diff_cols", &a, &b, both.len()).await?;
    let merged = orm::all(&a.db).await?;
    let edited = |row: &&Model| row.title == "title of b" && row.qty >= 1_000_000;
    meter.holds("merge_diff_cols_both_kept", merged.iter().filter(edited).count() == both.len());

    orm::update_title(&a.db, both, "again by a").await?;
    orm::update_title(&b.db, both, "again by b").await?;
    merge(&meter, "merge_same_col", &a, &b, both.len()).await?;
    a.close().await?;
    b.close().await?;
    meter.peak_rss();
    Ok(())
}

/// The state feed: read, and applied by a replica that has nothing.
async fn feed(plan: &Plan, meter: &Meter, library: LibraryId, a: &Side) -> Outcome<()> {
    let start = Start::now();
    let pages = Pages::state(&a.engine).await?;
    meter.rate("extract_feed", plan.rows as u64, start.took());
    meter.figure("extract_feed_bytes", pages.bytes() as f64, "bytes");
    let c = Side::open(plan, "c", library, First::State).await?;
    let replay = Replay::new(&a.engine, pages);
    let start = Start::now();
    c.engine.sync_with(&replay).await?;
    meter.rate("apply_feed", plan.rows as u64, start.took());
    meter.figure("size_replica_feed", orm::size(&c.db).await?, "bytes");
    meter.holds("feed_equal", a.equals(&c).await?);
    c.close().await
}

async fn writes(plan: &Plan, meter: &Meter, a: &Side, keys: &[Uuid]) -> Outcome<()> {
    let rows = data::rows(2, plan.auto);
    let start = Start::now();
    orm::insert_auto(&a.db, rows).await?;
    a.engine.flush().await?;
    meter.rate("insert_auto", plan.auto as u64, start.took());
    let start = Start::now();
    orm::update_qty(&a.db, keys).await?;
    a.engine.flush().await?;
    meter.rate("update_1col_keyed", keys.len() as u64, start.took());
    let start = Start::now();
    let updated = orm::update_bulk(&a.db).await?;
    a.engine.flush().await?;
    meter.rate("update_1col_bulk_stmt", updated, start.took());
    let (gone, left) = keys.split_at(plan.deleted());
    let start = Start::now();
    orm::delete_keyed(&a.db, gone).await?;
    a.engine.flush().await?;
    meter.rate("delete_keyed", gone.len() as u64, start.took());
    let read = &left[..left.len().min(PAGE as usize)];
    let start = Start::now();
    orm::point_read(&a.db, read).await?;
    meter.rate("point_read", read.len() as u64, start.took());
    meter.figure("size_after_updates", orm::size(&a.db).await?, "bytes");
    Ok(())
}

/// One round after both sides wrote the same rows: each side's changes are read, sent and merged.
async fn merge(meter: &Meter, metric: &str, a: &Side, b: &Side, rows: usize) -> Outcome<()> {
    a.engine.flush().await?;
    b.engine.flush().await?;
    let count = 2 * rows as u64;
    let start = Start::now();
    let report = a.engine.sync_with(&b.engine).await?;
    meter.rate(metric, count, start.took());
    meter.figure(&format!("{metric}_bytes"), (report.bytes_sent + report.bytes_received) as f64, "bytes");
    meter.figure(&format!("{metric}_conflicts"), report.conflicts as f64, "conflicts");
    meter.holds(&format!("{metric}_converged"), a.equals(b).await?);
    Ok(())
}
