//! Devices that write, sync, lose their connections and their clocks at random show what their changes say, and in
//! the end all the same.
//!
//! `SIM_SEED` runs one seed and prints what it did; `SIM_SEEDS` says how many are run otherwise, beginning with
//! `SIM_FIRST`; `SIM_STEPS` how many steps each has, `SIM_CHECKS` after how many percent of them a device is checked.

mod checks;
mod copies;
mod counts;
mod faulty;
mod operations;
mod oracle;
mod random;
mod rules;
mod schema;
mod versions;
mod world;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use counts::Counts;
use world::World;

const SEEDS: u64 = 100;
const STEPS: usize = 160;
const THREADS: usize = 4;

/// Runs one seed; what it did, if it failed.
fn run(seed: u64) -> Result<Counts, Vec<String>> {
    let trace = Arc::new(Mutex::new(Vec::new()));
    let kept = trace.clone();
    let steps = number("SIM_STEPS").map_or(STEPS, |steps| usize::try_from(steps).expect("a number of steps"));
    // Percent of the steps after which the device is checked.
    let checks = number("SIM_CHECKS").map_or(15, |checks| usize::try_from(checks).expect("a percentage"));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new(seed, trace).await;
            world.run(steps, checks).await;
            world.counts
        })
    });
    thread
        .join()
        .map_err(|_| kept.lock().map_or_else(|error| error.into_inner().clone(), |lines| lines.clone()))
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn devices_converge() {
    if let Some(seed) = number("SIM_SEED") {
        if let Err(trace) = run(seed) {
            panic!("seed {seed} failed after:\n{}", trace.join("\n"));
        }
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let first = number("SIM_FIRST").unwrap_or(0);
    let next = AtomicU64::new(0);
    let counts = Mutex::new(Counts::default());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    match run(first + seed) {
                        Ok(one) => counts.lock().expect("counts").add(&one),
                        Err(_) => failed.lock().expect("a list").push(first + seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("a list");
    assert!(failed.is_empty(), "run again with SIM_SEED= one of {failed:?}");
    for (what, count) in counts.into_inner().expect("counts").all() {
        println!("{what}: {count}");
        assert!(count > 0, "no seed got there: {what}");
    }
}
