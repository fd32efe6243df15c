//! `kill -9` of a process that writes, flushes and applies: nothing acknowledged is lost, nothing else appears.
//!
//! The writer is a real process on file databases; what it has committed is known here through a pipe. `CRASH_SEED`
//! repeats a run's choices (not its timing), `CRASH_KILLS` asks for more than the least number of kills of each kind.

mod compact;
mod join;
mod prune;
mod watch;

use std::{
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::EntityTrait;
use sync_core::LibraryId;
use sync_tests::{
    Device,
    device::library,
    entities::item,
    writes::{Dice, Expected},
};
use tokio::io::{AsyncBufReadExt, BufReader};
use watch::{Seen, run_and_kill};

/// How many kills of each kind there have to be.
const KILLS: u64 = 50;
/// Kills in the middle of a group, of those inside a flush or between its batches.
const KILLS_IN_GROUP: u64 = 10;
/// After so long the counters must have been reached.
const LONGEST: Duration = Duration::from_secs(300);
/// A database is killed so often before a new one is taken: its log grows.
const KILLS_PER_DATABASE: u32 = 10;
/// How many databases are worked on at once.
const LANES: u64 = 3;

#[derive(Debug, Default)]
struct Counters {
    kills: AtomicU64,
    before_flush: AtomicU64,
    inside_flush: AtomicU64,
    inside_apply: AtomicU64,
    inside_group: AtomicU64,
    /// Of writes whose acknowledgement was not read: they are there, or not.
    unacknowledged_there: AtomicU64,
    unacknowledged_gone: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, when: bool) {
        counter.fetch_add(u64::from(when), Ordering::SeqCst);
    }

    fn reached(&self, least: u64) -> bool {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        count(&self.before_flush) >= least
            && count(&self.inside_flush) + count(&self.inside_apply) >= least
            && count(&self.inside_flush) >= least / 3
            && count(&self.inside_apply) >= least / 3
            && count(&self.inside_group) >= KILLS_IN_GROUP
    }
}

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// A new database with so many items, all of them logged.
async fn filled(path: &Path, library: LibraryId, count: usize) -> Device {
    let device = Device::open(path.to_owned(), library, |builder| builder.without_background()).await;
    let rows = (0..count).map(|number| item::ActiveModel {
        id: sea_orm::Set(uuid::Uuid::new_v4()),
        title: sea_orm::Set(format!("item {number}")),
        qty: sea_orm::Set(1),
        ..Default::default()
    });
    for some in rows.collect::<Vec<_>>().chunks(5_000) {
        item::Entity::insert_many(some.to_vec()).exec_without_returning(&device.db).await.expect("rows");
        device.engine.flush().await.expect("a flush");
    }
    device
}

/// Starts a program that says `ready` before it does one thing, and a line when that is done; kills it so long after the first.
/// True if it had done it.
async fn killed_after(wait: Duration, program: &str, arguments: &[&str]) -> bool {
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
    tokio::time::sleep(wait).await;
    child.kill().await.expect("killed");
    lines.next_line().await.expect("the end or a line").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kill_9() {
    let seed = environment("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let least = environment("CRASH_KILLS").unwrap_or(KILLS).max(KILLS);
    println!("CRASH_SEED={seed}");
    let counters = Arc::new(Counters::default());
    let began = Instant::now();
    let lanes = (0..LANES).map(|lane| {
        let counters = counters.clone();
        let mut dice = Dice::new(seed ^ (lane << 32));
        async move {
            while !counters.reached(least) {
                assert!(began.elapsed() < LONGEST, "not enough kills in time: {counters:?}");
                one_database(&counters, &mut dice, least).await;
            }
        }
    });
    futures_util::future::join_all(lanes).await;
    println!("{counters:?} in {:?}", began.elapsed());
    assert!(counters.reached(least), "{counters:?}");
}

async fn one_database(counters: &Counters, dice: &mut Dice, least: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let library = library();
    let mut expected = [Expected::default(), Expected::default()];
    for kill in 0..KILLS_PER_DATABASE {
        if counters.reached(least) {
            return;
        }
        // Three of four seeds are a calm writer, killed right after a commit.
        let seed = dice.below(u64::MAX);
        let seen = run_and_kill(folder.path(), library, seed, Duration::from_millis(20 + dice.below(250)));
        let seen = seen.await;
        let what = format!("kill {kill} of seed {seed}");
        let [zero, one] = [look(folder.path(), 0), look(folder.path(), 1)];
        counters.kills.fetch_add(1, Ordering::SeqCst);
        Counters::add(&counters.inside_flush, seen.inside("Flush"));
        Counters::add(&counters.inside_apply, seen.inside("Apply"));
        let quiet = !seen.inside("Flush") && !seen.inside("Apply");
        Counters::add(&counters.before_flush, quiet && (zero.dirty || one.dirty));
        Counters::add(&counters.inside_group, zero.inside_group || one.inside_group);
        check(folder.path(), library, &mut expected, &seen, counters, &what).await;
    }
    fresh_device_shows_the_same(folder.path(), library).await;
}

/// What the database says right after the kill, before any engine has opened it.
struct Look {
    /// Something is committed and not logged.
    dirty: bool,
    /// The log ends inside a group.
    inside_group: bool,
}

fn look(folder: &Path, number: usize) -> Look {
    let nothing = Look { dirty: false, inside_group: false };
    let Ok(db) = rusqlite::Connection::open(folder.join(format!("{number}.db"))) else { return nothing };
    let ask = |statement: &str| db.query_row(statement, [], |row| row.get::<_, bool>(0)).unwrap_or(false);
    Look {
        dirty: ask("SELECT EXISTS (SELECT 1 FROM sync_dirty)"),
        inside_group: ask("SELECT more FROM sync_log ORDER BY seq DESC LIMIT 1"),
    }
}

async fn open(folder: &Path, library: LibraryId, number: usize) -> Device {
    Device::open(folder.join(format!("{number}.db")), library, |builder| builder.without_background()).await
}

async fn check(
    folder: &Path,
    library: LibraryId,
    expected: &mut [Expected; 2],
    seen: &Seen,
    counters: &Counters,
    what: &str,
) {
    let mut devices = Vec::new();
    for (number, expected) in expected.iter_mut().enumerate() {
        let device = open(folder, library, number).await;
        for write in &seen.done[number] {
            expected.take(write);
        }
        let rows = rows(&device).await;
        let without = difference(number, expected, &rows);
        let mut with = expected.clone();
        if let Some(write) = &seen.tried[number] {
            with.take(write);
            if with != *expected {
                Counters::add(&counters.unacknowledged_gone, without.is_none());
                Counters::add(&counters.unacknowledged_there, without.is_some());
            }
        }
        if let Some(lost) = without {
            if let Some(differs) = difference(number, &with, &rows) {
                panic!(
                    "{what}, device {number}: {lost}; with what was in flight: {differs}; {:?}",
                    seen.tried[number]
                );
            }
            *expected = with;
        }
        verified(&device, what).await;
        devices.push(device);
    }
    let [zero, one] = <[Device; 2]>::try_from(devices).expect("two devices");
    let report = zero.sync(&one).await.expect("a round");
    assert!(report.refused.is_empty() && report.held == 0, "{what}: {report:?}");
    same(&zero, &one, what).await;
    for device in [&zero, &one] {
        let rows = rows(device).await;
        for (number, expected) in expected.iter().enumerate() {
            if let Some(lost) = difference(number, expected, &rows) {
                panic!("{what}, after the round: {lost}");
            }
        }
        verified(device, what).await;
    }
    zero.close().await;
    one.close().await;
}

async fn rows(device: &Device) -> Vec<item::Model> {
    item::Entity::find().all(&device.db).await.expect("the rows")
}

/// What of a device's writes is not, or not so, in `rows`.
fn difference(number: usize, expected: &Expected, rows: &[item::Model]) -> Option<String> {
    let mut own = 0;
    for row in rows {
        if usize::from(row.id.as_bytes()[0]) == number {
            own += 1;
            match expected.rows.get(&row.id) {
                None => return Some(format!("{row:?} was never committed")),
                Some((title, qty)) if (title, qty) != (&row.title, &row.qty) => {
                    return Some(format!("{row:?} should have {qty}"));
                }
                Some(_) => {}
            }
        } else if row.note.as_ref() != expected.notes.get(&row.id) {
            return Some(format!("{row:?} should have note {:?}", expected.notes.get(&row.id)));
        }
    }
    (own != expected.rows.len()).then(|| format!("{own} rows of {}", expected.rows.len()))
}

async fn verified(device: &Device, what: &str) {
    let verified = device.engine.verify().await.expect("a verification");
    assert!(verified.is_clean(), "{what}: {:?}", verified.findings);
}

async fn same(one: &Device, other: &Device, what: &str) {
    assert!(one.dump().await == other.dump().await, "{what}: other rows");
    assert_eq!(one.digest().await, other.digest().await, "{what}: other digests");
}

/// The log alone rebuilds the rows: a device that has nothing reads it from its beginning.
async fn fresh_device_shows_the_same(folder: &Path, library: LibraryId) {
    let zero = open(folder, library, 0).await;
    let fresh = Device::with(library, |builder| {
        let mut limits = sync_core::Limits::default();
        limits.snapshot_above = u64::MAX;
        builder.without_background().limits(limits)
    })
    .await;
    let report = fresh.sync(&zero).await.expect("a round");
    assert!(report.received > 0 && report.snapshot_records == 0, "{report:?}");
    same(&zero, &fresh, "a fresh device").await;
    verified(&fresh, "a fresh device").await;
    fresh.close().await;
    zero.close().await;
}
