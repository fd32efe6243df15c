//! Devices that write, sync, prune, are restored from backups and joined by others at random lose nothing, bring back
//! nothing that was deleted, and end equal.
//!
//! `RETENTION_SEED` runs one seed and prints what it did; `RETENTION_SEEDS` says how many are run otherwise,
//! `RETENTION_STEPS` how many steps each has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use sync_core::{Limits, Retention};
use sync_tests::{Device, workload::data::Numbers};
use tempfile::TempDir;
use uuid::Uuid;

use super::{DAY, Place, add, delete, prune, retitle};

const SEEDS: u64 = 12;
const STEPS: u64 = 70;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// How often each situation came up.
const SITUATIONS: [&str; 11] = [
    "rounds",
    "entries pruned",
    "entries pruned that a member lacked",
    "records read as state",
    "records given as state",
    "restores",
    "records deleted",
    "records that stayed",
    "devices that joined late",
    "tombstones removed",
    "entries compacted",
];

struct World {
    place: Place,
    dir: TempDir,
    numbers: Numbers,
    devices: Vec<Option<Device>>,
    paths: Vec<(PathBuf, Retention)>,
    backups: Vec<(usize, PathBuf)>,
    /// Records whose tombstones some device removed.
    forgotten: BTreeSet<Uuid>,
    counts: BTreeMap<&'static str, u64>,
    trace: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn below(&mut self, n: usize) -> usize {
        (self.numbers.next().unwrap_or(0) % n as u64) as usize
    }

    fn note(&self, line: String) {
        self.trace.lock().expect("no panic under the lock").push(line);
    }

    fn count(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    async fn join(&mut self) {
        let at = self.devices.len();
        let retention = match self.below(4) {
            0 => Retention { max_entries: Some(self.below(12) as u64), ..Retention::default() },
            1 => Retention { min_age: Duration::ZERO, ..Retention::default() },
            2 => Retention { max_age: Some(5 * DAY), min_age: DAY, ..Retention::default() },
            _ => Retention::own(),
        };
        self.note(format!("{at} joins with {retention:?}"));
        self.paths.push((self.dir.path().join(format!("{at}.db")), retention));
        self.devices.push(None);
        self.open(at).await;
    }

    async fn open(&mut self, at: usize) {
        let (path, retention) = self.paths[at].clone();
        let mut limits = Limits::default();
        limits.page_entries = 1 + self.below(9) as u32;
        limits.snapshot_above = if self.below(3) == 0 { u64::MAX } else { 10 };
        let clock = Arc::new(self.place.clock.clone());
        let device = Device::open(path, self.place.library, |builder| {
            builder.without_background().time(clock).retention(retention).limits(limits)
        });
        self.devices[at] = Some(device.await);
    }

    fn device(&self, at: usize) -> &Device {
        self.devices[at].as_ref().expect("it is open")
    }

    async fn step(&mut self) {
        let step = 1 + self.below(1_000) as i64;
        self.place.clock.step(step);
        let at = self.below(self.devices.len());
        match self.below(100) {
            0..=24 => {
                let id = add(self.device(at), "new").await;
                self.note(format!("{at} adds {id}"));
            }
            25..=44 => self.edit(at).await,
            45..=69 => {
                let other = (at + 1 + self.below(self.devices.len() - 1)) % self.devices.len();
                self.round(at, other).await;
            }
            70..=84 => {
                let before = tombstones(self.device(at));
                let report = prune(self.device(at)).await;
                let after = tombstones(self.device(at));
                self.forgotten.extend(before.difference(&after));
                self.count("tombstones removed", report.forgotten);
                self.note(format!("{at} prunes: {report:?}"));
                self.count("entries pruned", report.removed);
                self.count("entries pruned that a member lacked", report.forced);
            }
            85..=88 => self.place.days(6),
            89..=91 => {
                let report = self.device(at).engine.compact().await.expect("a compaction");
                self.note(format!("{at} compacts: {report:?}"));
                self.count("entries compacted", report.compacted);
            }
            92..=94 => self.back_up(at).await,
            95..=97 => self.restore().await,
            _ if self.devices.len() < 5 => {
                self.join().await;
                self.count("devices that joined late", 1);
            }
            _ => {}
        }
    }

    async fn edit(&mut self, at: usize) {
        let mut ids: Vec<Uuid> = shown(self.device(at)).into_iter().collect();
        if self.below(3) > 0 {
            // Some are written more often.
            ids.truncate(2);
        }
        if ids.is_empty() {
            return;
        }
        let id = ids[self.below(ids.len())];
        if self.below(5) == 0 {
            self.note(format!("{at} deletes {id}"));
            delete(self.device(at), id).await;
            self.count("records deleted", 1);
        } else {
            self.note(format!("{at} edits {id}"));
            // So long that there is something to save.
            let title = format!("edited {} {}", self.below(1_000), "again ".repeat(20));
            retitle(self.device(at), id, &title).await;
        }
    }

    /// True if anything moved.
    async fn round(&mut self, at: usize, other: usize) -> bool {
        let report = self.device(at).sync(self.device(other)).await.expect("a round");
        self.note(format!(
            "{at} calls {other}: sent {} received {} read {} gave {} in sync {}",
            report.sent, report.received, report.snapshot_records, report.snapshot_sent, report.in_sync
        ));
        self.count("rounds", 1);
        self.count("records read as state", report.snapshot_records);
        self.count("records given as state", report.snapshot_sent);
        report.sent + report.received + report.snapshot_records + report.snapshot_sent > 0
            || report.repair.is_some()
    }

    async fn back_up(&mut self, at: usize) {
        let (path, _) = self.paths[at].clone();
        self.devices[at].take().expect("it is open").close().await;
        let backup = self.dir.path().join(format!("{at}-{}.backup", self.backups.len()));
        fs::copy(&path, &backup).expect("a backup");
        self.backups.push((at, backup));
        self.open(at).await;
    }

    /// Into the same file, which then looks like the original.
    async fn restore(&mut self) {
        if self.backups.is_empty() {
            return;
        }
        let chosen = self.below(self.backups.len());
        let (at, backup) = self.backups[chosen].clone();
        let (path, _) = self.paths[at].clone();
        self.devices[at].take().expect("it is open").close().await;
        fs::write(&path, fs::read(&backup).expect("the backup")).expect("a restore");
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
        self.open(at).await;
        self.note(format!("{at} is restored from {}", backup.display()));
        self.count("restores", 1);
    }

    /// Everybody calls everybody until nothing moves: all are equal, what was there is there, what was gone is gone.
    async fn settle(&mut self) {
        let (mut there, mut gone) = (BTreeSet::new(), self.forgotten.clone());
        for at in 0..self.devices.len() {
            there.extend(shown(self.device(at)));
            gone.extend(tombstones(self.device(at)));
        }
        self.note("settles".into());
        for mesh in 0.. {
            let mut moved = false;
            for at in 0..self.devices.len() {
                for other in (0..self.devices.len()).filter(|other| *other != at) {
                    moved |= self.round(at, other).await;
                }
            }
            if !moved {
                break;
            }
            assert!(mesh < 12, "still not quiet");
        }
        let kept: BTreeSet<Uuid> = there.difference(&gone).copied().collect();
        let first = self.device(0).state().await;
        for at in 0..self.devices.len() {
            let state = self.device(at).state().await;
            assert_eq!(state.rows, first.rows, "rows of {at}");
            assert_eq!(state.digest, first.digest, "objects of {at}");
            assert_eq!(state.held, 0);
            assert_eq!(shown(self.device(at)), kept, "records of {at}");
        }
        self.count("records that stayed", kept.len() as u64);
    }
}

fn ids(device: &Device, statement: &str) -> BTreeSet<Uuid> {
    let raw = rusqlite::Connection::open(&device.path).expect("a database");
    let mut query = raw.prepare(statement).expect("a statement");
    let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
    rows.map(|row| {
        let bytes = row.expect("a row");
        Uuid::from_slice(&bytes[bytes.len() - 16..]).expect("a key")
    })
    .collect()
}

fn shown(device: &Device) -> BTreeSet<Uuid> {
    ids(device, "SELECT id FROM items")
}

fn tombstones(device: &Device) -> BTreeSet<Uuid> {
    ids(device, "SELECT record FROM sync_objects WHERE generation % 2 = 0")
}

fn run(seed: u64, trace: Arc<Mutex<Vec<String>>>) -> BTreeMap<&'static str, u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a folder");
        let mut world = World {
            place: Place::new(),
            dir,
            numbers: Numbers(seed),
            devices: Vec::new(),
            paths: Vec::new(),
            backups: Vec::new(),
            forgotten: BTreeSet::new(),
            counts: BTreeMap::new(),
            trace,
        };
        for _ in 0..3 {
            world.join().await;
        }
        for _ in 0..number("RETENTION_STEPS").unwrap_or(STEPS) {
            world.step().await;
        }
        world.settle().await;
        world.counts
    })
}

#[test]
fn devices_that_prune_and_are_restored_lose_nothing() {
    let seeds = match number("RETENTION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RETENTION_SEEDS").unwrap_or(SEEDS),
    };
    let one = seeds.end - seeds.start == 1;
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in seeds {
        let trace = Arc::new(Mutex::new(Vec::new()));
        let kept = trace.clone();
        match std::thread::spawn(move || run(seed, trace)).join() {
            Ok(done) => done.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count),
            Err(_) if one => {
                let lines =
                    kept.lock().map_or_else(|error| error.into_inner().clone(), |lines| lines.clone());
                panic!("seed {seed} failed after:\n{}", lines.join("\n"));
            }
            Err(_) => failed.push(seed),
        }
    }
    assert!(failed.is_empty(), "run again with RETENTION_SEED= one of {failed:?}");
    for what in SITUATIONS {
        let count = counts.get(what).copied().unwrap_or(0);
        println!("{what}: {count}");
        assert!(one || count > 0, "no seed got there: {what}");
    }
}
