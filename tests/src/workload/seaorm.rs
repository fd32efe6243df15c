//! Plain SeaORM: the same entity and connect options, no engine.

use super::{Outcome, PAGE, Plan, data, meter::Meter, meter::Start, orm};

/// The peer's name.
pub const PEER: &str = "plain-seaorm";

/// Runs all of it.
///
/// # Errors
/// What the database says.
pub async fn run(plan: &Plan) -> Outcome<()> {
    let meter = Meter::new(PEER);
    let db = orm::open(&plan.file(PEER, "a")?).await?;
    let rows = data::rows(1, plan.rows);
    let keys = data::shuffled(&rows, 3);

    let start = Start::now();
    orm::insert_batch(&db, rows).await?;
    meter.rate("insert_batch", plan.rows as u64, start.took());
    meter.figure("size_after_insert", orm::size(&db).await?, "bytes");

    let start = Start::now();
    let copied = orm::all(&db).await?;
    meter.rate("extract_all", plan.rows as u64, start.took());
    let replica = orm::open(&plan.file(PEER, "b")?).await?;
    let start = Start::now();
    orm::insert_batch(&replica, copied).await?;
    meter.rate("apply_empty", plan.rows as u64, start.took());
    meter.figure("size_replica", orm::size(&replica).await?, "bytes");
    meter.holds("replica_equal", orm::equal(&db, &replica).await?);
    replica.close().await?;

    let rows = data::rows(2, plan.auto);
    let start = Start::now();
    orm::insert_auto(&db, rows).await?;
    meter.rate("insert_auto", plan.auto as u64, start.took());
    let start = Start::now();
    orm::update_qty(&db, &keys).await?;
    meter.rate("update_1col_keyed", keys.len() as u64, start.took());
    let start = Start::now();
    let updated = orm::update_bulk(&db).await?;
    meter.rate("update_1col_bulk_stmt", updated, start.took());
    let (gone, left) = keys.split_at(plan.deleted());
    let start = Start::now();
    orm::delete_keyed(&db, gone).await?;
    meter.rate("delete_keyed", gone.len() as u64, start.took());
    let read = &left[..left.len().min(PAGE as usize)];
    let start = Start::now();
    orm::point_read(&db, read).await?;
    meter.rate("point_read", read.len() as u64, start.took());
    meter.figure("size_after_updates", orm::size(&db).await?, "bytes");
    meter.peak_rss();
    Ok(())
}
