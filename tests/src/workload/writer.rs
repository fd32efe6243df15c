//! What a writer waits for: autocommit inserts in a closed loop, with and without an engine, in turns.

use std::time::{Duration, Instant};

use sea_orm::{ActiveModelTrait, DatabaseConnection};
use sync_core::SyncEngine;

use super::{Outcome, Plan, data, meter::Meter, orm, seaorm, seasync};

/// How often the two take turns.
const TURNS: u64 = 5;

/// Runs it.
///
/// # Errors
/// What the database or the engine says.
pub async fn run(plan: &Plan) -> Outcome<()> {
    let inserts = (plan.auto / TURNS as usize).max(100);
    let (mut plain, mut synced) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let db = orm::open(&plan.file("writer", "plain")?).await?;
        plain.extend(waits(&db, turn, inserts).await?);
        db.close().await?;

        let db = orm::open(&plan.file("writer", "synced")?).await?;
        let engine = SyncEngine::builder(db.clone()).models(["workload"]).start().await?;
        synced.extend(waits(&db, turn, inserts).await?);
        engine.shutdown().await?;
        db.close().await?;
    }
    let (plain, synced) = (quantiles(plain), quantiles(synced));
    for (peer, (median, late)) in [(seaorm::PEER, plain), (seasync::PEER, synced)] {
        let meter = Meter::new(peer);
        meter.figure("writer_p50", median.as_secs_f64() * 1e6, "us");
        meter.figure("writer_p99", late.as_secs_f64() * 1e6, "us");
    }
    let meter = Meter::new(seasync::PEER);
    meter.figure("writer_p50_ratio", synced.0.as_secs_f64() / plain.0.as_secs_f64(), "times plain");
    meter.figure("writer_p99_ratio", synced.1.as_secs_f64() / plain.1.as_secs_f64(), "times plain");
    Ok(())
}

/// How long each insert took, after some to warm up.
async fn waits(db: &DatabaseConnection, turn: u64, inserts: usize) -> Outcome<Vec<Duration>> {
    let mut rows = data::rows(100 + turn, inserts + inserts / 10);
    let measured = rows.split_off(inserts / 10);
    orm::insert_auto(db, rows).await?;
    let mut waits = Vec::with_capacity(inserts);
    for row in measured {
        let began = Instant::now();
        data::active(row).insert(db).await?;
        waits.push(began.elapsed());
    }
    Ok(waits)
}

/// The median, and what one in a hundred exceeds.
fn quantiles(mut waits: Vec<Duration>) -> (Duration, Duration) {
    waits.sort_unstable();
    let at = |part: usize| waits.get(waits.len() * part / 100).copied().unwrap_or_default();
    (at(50), at(99))
}
