//! Devices that write, sync, lose their connections and their clocks at random show what their changes say, and in
//! the end all the same.
//!
//! `SIM_SEED` runs one seed and prints what it did; `SIM_SEEDS` says how many are run otherwise, beginning with
//! `SIM_FIRST`; `SIM_STEPS` how many operations each device does, `SIM_CHECKS` after how many percent of them a device is checked.

mod checks;
mod clocks;
mod copies;
mod counts;
mod crash;
mod faulty;
mod operations;
mod oracle;
mod random;
mod rules;
mod schema;
mod seeds;
mod settle;
mod topology;
mod versions;
mod world;

use std::sync::Mutex;

use counts::Counts;
use seeds::{number, run_all};
use world::World;

const SEEDS: u64 = 300;
/// How many operations each device does.
const STEPS: usize = 50;

/// Runs one seed.
fn run(seed: u64) -> Result<Counts, Vec<String>> {
    let steps = number("SIM_STEPS").map_or(STEPS, |steps| usize::try_from(steps).expect("a number of steps"));
    // Percent of the steps after which the device is checked.
    let checks = number("SIM_CHECKS").map_or(15, |checks| usize::try_from(checks).expect("a percentage"));
    seeds::run(move |trace| async move {
        let mut world = World::new(seed, trace).await;
        world.run(steps, checks).await;
        world.counts
    })
}

#[test]
fn devices_converge() {
    if let Some(seed) = number("SIM_SEED") {
        if let Err(trace) = run(seed) {
            panic!("seed {seed} failed after:\n{}", trace.join("\n"));
        }
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let seeds = first..first + number("SIM_SEEDS").unwrap_or(SEEDS);
    let counts = Mutex::new(Counts::default());
    run_all("SIM_SEED", seeds, run, |one| counts.lock().expect("counts").add(&one));
    for (what, count) in counts.into_inner().expect("counts").all() {
        println!("{what}: {count}");
        assert!(count > 0, "no seed got there: {what}");
    }
}
