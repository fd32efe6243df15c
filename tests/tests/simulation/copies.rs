//! Devices whose databases are copied, restored, moved and opened again at random, between random writes and rounds, lose
//! nothing and end equal.
//!
//! What counts as written is what the databases hold that are left when the schedule ends: a restore takes with it
//! what was written since the backup and never sent. `COPIES_SEED` runs one seed and prints what it did; `COPIES_SEEDS` says how
//! many are run otherwise, `COPIES_STEPS` how many steps each has.

mod places;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use sync_core::{Change, RenewalReason, Stamp};

use super::{
    checks::dump,
    oracle::Expected,
    seeds::{self, number, run_all},
};
use places::{Places, Shape};

const SEEDS: u64 = 50;
const STEPS: u64 = 60;

/// How often each situation really happened.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }
}

const SITUATIONS: [&str; 17] = [
    "copies of closed files",
    "copies by VACUUM INTO",
    "copies by VACUUM INTO with writes not logged yet",
    "copies that look like the original",
    "restores",
    "restores that look like the original",
    "restores that were written to before their engine ran",
    "copies that were written to before their engine ran",
    "renames",
    "ids left as copied",
    "ids left as restored",
    "ids left as the same device",
    "ids left as forked",
    "devices with one id at the same time",
    "forked authors",
    "changes compared",
    "rows by raw SQL compared",
];

impl Places {
    /// Everybody syncs until nothing moves any more: nothing is lost, and all are equal.
    async fn settle(&mut self) {
        self.note("settles");
        self.open_all().await;
        let mut written: BTreeSet<Stamp> = BTreeSet::new();
        let mut marked: BTreeSet<String> = BTreeSet::new();
        for at in 0..self.places.len() {
            self.engine(at).flush().await.expect("a flush");
            written.extend(self.log_of(at).await.into_keys());
            marked.extend(self.marks(at).await);
        }
        let mut quiet = 0;
        for mesh in 0.. {
            quiet = if self.mesh().await { 0 } else { quiet + 1 };
            if quiet == 2 {
                break;
            }
            assert!(
                mesh < 6 * self.places.len(),
                "still not quiet after {mesh} times everybody with everybody"
            );
        }
        let mut all: BTreeMap<Stamp, Change> = BTreeMap::new();
        let mut logs = Vec::new();
        for at in 0..self.places.len() {
            let log = self.log_of(at).await;
            logs.push(log.keys().copied().collect::<BTreeSet<_>>());
            all.extend(log);
        }
        let expected = Expected::of(all.values());
        let mut rows: Vec<String> = expected.rows.values().cloned().collect();
        rows.sort_unstable();
        for (at, log) in logs.iter().enumerate() {
            let lost: Vec<&Stamp> = written.difference(log).collect();
            assert!(lost.is_empty(), "{at} lacks {lost:?}");
            let marks = self.marks(at).await;
            assert_eq!(marked.difference(&marks).count(), 0, "rows written to {at} are lost");
            let status = self.engine(at).status().await.expect("a status");
            assert_eq!(status.digest, expected.digest, "the digest of {at}");
            assert_eq!(dump(self.db(at)).await, rows, "the rows of {at}");
            let verified = self.engine(at).verify().await.expect("verify");
            assert!(verified.is_clean(), "{at}: {:?}", verified.findings);
            self.count_renewals(&status.renewals);
        }
        self.counts.add("changes compared", written.len() as u64);
        self.counts.add("rows by raw SQL compared", marked.len() as u64);
        let ids: BTreeSet<_> = (0..self.places.len()).map(|at| self.engine(at).device_id()).collect();
        let told = self.shape == Shape::Any;
        assert!(!told || ids.len() == self.places.len(), "two that met have one id");
    }

    fn count_renewals(&mut self, renewals: &[sync_core::Renewal]) {
        for renewal in renewals {
            let what = match renewal.reason {
                RenewalReason::Copied => "ids left as copied",
                RenewalReason::Restored => "ids left as restored",
                RenewalReason::SameDevice => "ids left as the same device",
                RenewalReason::Forked => "ids left as forked",
                _ => continue,
            };
            self.counts.add(what, 1);
        }
    }
}

/// Runs one seed.
fn run(seed: u64) -> Result<Counts, Vec<String>> {
    let steps = number("COPIES_STEPS").unwrap_or(STEPS);
    seeds::run(move |trace| async move {
        let mut places = Places::new(seed, trace).await;
        for _ in 0..steps {
            places.step().await;
        }
        places.settle().await;
        places.close_all().await;
        places.counts
    })
}

#[test]
fn copies_and_restores_lose_nothing() {
    if let Some(seed) = number("COPIES_SEED") {
        if let Err(trace) = run(seed) {
            panic!("seed {seed} failed after:\n{}", trace.join("\n"));
        }
        return;
    }
    let seeds = number("COPIES_SEEDS").unwrap_or(SEEDS);
    let counts = Mutex::new(Counts::default());
    run_all("COPIES_SEED", 0..seeds, run, |one| {
        let mut counts = counts.lock().expect("counts");
        one.0.into_iter().for_each(|(what, count)| counts.add(what, count));
    });
    println!("{seeds} schedules, none lost a change, none ended unequal");
    let counts = counts.into_inner().expect("counts");
    for what in SITUATIONS {
        let count = counts.0.get(what).copied().unwrap_or(0);
        println!("{what}: {count}");
        assert!(count > 0, "no seed got there: {what}");
    }
}
