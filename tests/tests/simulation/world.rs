//! Devices that write and sync at random, and what is checked of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr, TransactionTrait};
use serde_bytes::ByteBuf;
use sync_core::{
    Change, DeviceId, Entry, Hello, LibraryId, Limits, LogId, PROTOCOL, Peer, PendingReason, PullRequest,
    PushRequest, Seq, Stamp, StateHash, SyncEngine, SyncError, SyncReport, Vector, testing::ManualClock,
};
use sync_tests::device::{MODELS, create_tables};

use super::{
    counts::Counts,
    faulty::{Break, Connection},
    operations::{Operation, Way, operation},
    oracle::{Expected, Record},
    random::{Rng, Seeded},
    schema::TABLES,
};

/// What the devices' clocks begin with: before the databases' own clock, which stamps no write later than it was made.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// Who syncs with whom.
#[derive(Clone, Copy, Debug)]
enum Topology {
    Any,
    Star,
    Line,
}

pub(crate) struct World {
    rng: Rng,
    library: LibraryId,
    topology: Topology,
    pub(crate) limits: Limits,
    devices: Vec<Device>,
    trace: Arc<Mutex<Vec<String>>>,
    pushed: Vec<PushRequest>,
    /// Every change that any device has shown.
    changes: BTreeMap<Stamp, Change>,
    pub(crate) counts: Counts,
}

struct Device {
    db: DatabaseConnection,
    engine: SyncEngine,
    clock: ManualClock,
    /// What was waiting, and what was shown, when last looked at.
    waiting: BTreeMap<Record, PendingReason>,
    shown: BTreeSet<Record>,
    held: u64,
}

/// A transaction that the database or the engine refused.
struct Failed;

impl From<SyncError> for Failed {
    fn from(_: SyncError) -> Self {
        Self
    }
}

impl From<DbErr> for Failed {
    fn from(_: DbErr) -> Self {
        Self
    }
}

impl World {
    pub(crate) async fn new(seed: u64, trace: Arc<Mutex<Vec<String>>>) -> Self {
        let mut rng = Rng::new(seed);
        let topology = *rng.pick(&[Topology::Any, Topology::Any, Topology::Star, Topology::Line]);
        let mut limits = Limits::default();
        if rng.chance(50) {
            limits.page_entries = 1 + u32::try_from(rng.below(12)).expect("small");
        }
        limits.snapshot_above = u64::MAX;
        let library = LibraryId::random(&Seeded::new(seed));
        let counts = Counts::default();
        let mut world = Self {
            rng,
            library,
            topology,
            limits,
            devices: Vec::new(),
            trace,
            pushed: Vec::new(),
            changes: BTreeMap::new(),
            counts,
        };
        for _ in 0..3 + world.rng.below(3) {
            world.join().await;
        }
        world
    }

    /// One more device.
    async fn join(&mut self) {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        create_tables(&db).await.expect("tables");
        let clock = ManualClock::at(BEGIN_MS);
        let engine = SyncEngine::builder(db.clone())
            .library(self.library)
            .models(MODELS)
            .limits(self.limits.clone())
            .time(Arc::new(clock.clone()))
            .random(Arc::new(Seeded::new(self.rng.next())))
            .without_background()
            .start()
            .await
            .expect("an engine");
        let (waiting, shown) = (BTreeMap::new(), BTreeSet::new());
        self.devices.push(Device { db, engine, clock, waiting, shown, held: 0 });
    }

    fn note(&self, line: impl Into<String>) {
        let line = line.into();
        if std::env::var_os("SIM_TRACE").is_some() {
            eprintln!("{line}");
        }
        self.trace.lock().expect("no thread panicked with it").push(line);
    }

    pub(crate) async fn run(&mut self, steps: usize, every: usize) {
        self.note(format!(
            "{} devices, {:?}, pages of {}",
            self.devices.len(),
            self.topology,
            self.limits.page_entries
        ));
        for _ in 0..steps {
            let at = self.rng.below(self.devices.len());
            self.devices[at].clock.step(i64::try_from(self.rng.below(2_000)).expect("small"));
            match self.rng.below(100) {
                0..=64 => self.write(at).await,
                65..=91 => self.sync().await,
                92..=93 => self.clock(at),
                94..=98 => self.replay(at).await,
                _ => self.check(at).await,
            }
            if self.rng.chance(every) {
                self.check(at).await;
            }
        }
        self.settle().await;
    }

    async fn write(&mut self, at: usize) {
        let device = &self.devices[at];
        let Operation { way, statements } = operation(&mut self.rng, &device.db).await;
        let done = match way {
            Way::Plain => {
                let mut done = true;
                for statement in &statements {
                    done &= device.db.execute_unprepared(statement).await.is_ok();
                }
                done
            }
            Way::Transaction => in_transaction(&device.db, &statements).await.is_ok(),
            Way::Engine => {
                let work = async |txn: &sea_orm::DatabaseTransaction| {
                    for statement in &statements {
                        txn.execute_unprepared(statement).await?;
                    }
                    Ok::<_, Failed>(())
                };
                device.engine.transaction(work).await.is_ok()
            }
        };
        if done {
            self.note(format!("{at}: {way:?} {}", statements.join("; ")));
        }
        if self.rng.chance(30) {
            self.devices[at].engine.flush().await.expect("a flush");
        }
    }

    fn clock(&mut self, at: usize) {
        let step = match self.rng.below(4) {
            0 => -i64::try_from(self.rng.below(30_000)).expect("small"),
            1 => 100_000 + i64::try_from(self.rng.below(300_000)).expect("small"),
            2 => i64::try_from(self.rng.below(50_000)).expect("small"),
            _ => {
                self.devices.iter().for_each(|device| device.clock.step(200_000));
                0
            }
        };
        self.devices[at].clock.step(step);
        self.note(format!("{at}: clock {step}"));
    }

    fn pair(&mut self) -> (usize, usize) {
        let count = self.devices.len();
        let (a, b) = match self.topology {
            Topology::Any => {
                let a = self.rng.below(count);
                (a, (a + 1 + self.rng.below(count - 1)) % count)
            }
            Topology::Star => (0, 1 + self.rng.below(count - 1)),
            Topology::Line => {
                let a = self.rng.below(count - 1);
                (a, a + 1)
            }
        };
        if self.rng.chance(50) { (a, b) } else { (b, a) }
    }

    async fn sync(&mut self) {
        let (from, to) = self.pair();
        let breaks =
            self.rng.chance(15).then(|| Break { call: self.rng.below(4), delivered: self.rng.chance(50) });
        self.round(from, to, breaks).await;
    }

    async fn round(&mut self, from: usize, to: usize, breaks: Option<Break>) -> Option<SyncReport> {
        let connection = Connection::new(&self.devices[to].engine, breaks);
        let result = self.devices[from].engine.sync_with(&connection).await;
        let (broke, pushed) = connection.end();
        self.note(format!(
            "{from} syncs with {to}: {}",
            match &result {
                Ok(report) => format!(
                    "sent {} received {} held {} merges {}",
                    report.sent, report.received, report.held, report.merges
                ),
                Err(error) => format!("{breaks:?}: {error}"),
            }
        ));
        self.pushed.extend(pushed);
        self.counts.interrupted += u64::from(broke);
        match result {
            Ok(report) => {
                self.counts.duplicates += report.duplicates;
                self.counts.held += report.held;
                assert_eq!(report.refused, [], "nothing is refused");
                Some(report)
            }
            Err(error) => {
                assert!(broke, "a round fails only with its connection: {error}");
                None
            }
        }
    }

    /// Something that was pushed once is pushed again, to anybody.
    async fn replay(&mut self, at: usize) {
        if self.pushed.is_empty() {
            return;
        }
        let mut request = self.rng.pick(&self.pushed).clone();
        if self.rng.chance(60) {
            request.changes = self.piece_of_a_log(at).await;
        }
        let answer = self.devices[at].engine.push(request).await.expect("a push");
        self.note(format!(
            "{at}: gets an old push: merged {} duplicates {} held {} staged {}",
            answer.merged, answer.duplicates, answer.held, answer.staged
        ));
        self.counts.duplicates += answer.duplicates;
        if answer.merged > 0 {
            self.check(at).await;
        }
    }

    /// Some groups of another device's log, mostly without those before.
    async fn piece_of_a_log(&mut self, at: usize) -> Vec<ByteBuf> {
        let other = (at + 1 + self.rng.below(self.devices.len() - 1)) % self.devices.len();
        let mut groups: Vec<Vec<ByteBuf>> = Vec::new();
        for change in self.log_of(other).await {
            let begins = change.txn == change.id;
            let bytes = ByteBuf::from(change.encode().into_bytes());
            match groups.last_mut() {
                Some(group) if !begins => group.push(bytes),
                _ => groups.push(vec![bytes]),
            }
        }
        let skipped = groups.len().saturating_sub(1 + self.rng.below(20));
        let taken = 1 + self.rng.below(4);
        groups.into_iter().skip(skipped).take(taken).flatten().collect()
    }

    /// Everything of a device's log.
    async fn log_of(&self, at: usize) -> Vec<Change> {
        let engine = &self.devices[at].engine;
        let mut changes = Vec::new();
        let mut from_seq = Seq(0);
        loop {
            let request = PullRequest {
                library: self.library,
                device: DeviceId::from_bytes([9; 16]),
                log_id: None,
                from_seq,
                have: Vector::new(),
                max_entries: 20_000,
                max_bytes: 16 << 20,
            };
            let page = engine.pull(request).await.expect("a page");
            for entry in page.entries {
                let Entry::Change(bytes) = entry else { panic!("asked for everything") };
                changes.push(Change::decode(&bytes).expect("a change"));
            }
            from_seq = page.next_seq;
            if from_seq >= page.latest_seq {
                return changes;
            }
        }
    }

    async fn hello_of(&self, at: usize) -> Hello {
        let hello = Hello {
            protocol: PROTOCOL,
            device: DeviceId::from_bytes([9; 16]),
            library: self.library,
            log_id: LogId::from_bytes([9; 16]),
            schema: 0,
            wall_ms: BEGIN_MS,
            vector: Vector::new(),
            latest_seq: Seq(0),
            state_hash: StateHash::default(),
            digest: [0; 16],
            newest_of_yours: None,
        };
        self.devices[at].engine.hello(hello).await.expect("a hello")
    }

    /// A device's rows, digest and pending records are what its changes say.
    async fn check(&mut self, at: usize) {
        self.note(format!("{at}: checked"));
        self.devices[at].engine.flush().await.expect("a flush");
        let log = self.log_of(at).await;
        let expected = Expected::of(&log);
        self.check_vector(at, &log).await;
        self.changes.extend(log.into_iter().map(|change| (change.id, change)));
        self.check_state(at, &expected).await;
        self.learn(at, expected).await;
    }

    async fn check_state(&self, at: usize, expected: &Expected) {
        let device = &self.devices[at];
        let mut rows: Vec<String> = expected.rows.values().cloned().collect();
        rows.sort_unstable();
        let found = dump(&device.db).await;
        let pending: BTreeSet<String> = (device.engine.pending().await.expect("pending").iter())
            .map(|one| format!("{} {} {}", one.model, one.record, one.reason))
            .collect();
        let waiting: BTreeSet<String> = (expected.waiting.iter())
            .map(|((model, record), reason)| format!("{model} {record} {reason}"))
            .collect();
        if rows != found || pending != waiting {
            let only = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|line| !b.contains(line)).cloned().collect()
            };
            panic!(
                "device {at}:\nrows missing: {:#?}\nrows too many: {:#?}\npending missing: {:#?}\npending too many: {:#?}",
                only(&rows, &found),
                only(&found, &rows),
                waiting.difference(&pending).collect::<Vec<_>>(),
                pending.difference(&waiting).collect::<Vec<_>>(),
            );
        }
        let status = device.engine.status().await.expect("a status");
        assert_eq!(status.digest, expected.digest, "the digest of device {at}");
        let verified = device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "device {at}: {:?}", verified.findings);
    }

    /// Whatever a device's vector covers is in its log.
    async fn check_vector(&self, at: usize, log: &[Change]) {
        let vector = self.hello_of(at).await.vector;
        let ids: BTreeSet<Stamp> = log.iter().map(|change| change.id).collect();
        for change in self.changes.values() {
            let covered = vector.covers(change.device, change.id);
            assert!(!covered || ids.contains(&change.id), "device {at} lacks {} and claims it", change.id);
        }
    }

    /// Counts what became of records since the device was last looked at.
    async fn learn(&mut self, at: usize, expected: Expected) {
        let held = self.devices[at].engine.status().await.expect("a status").held;
        let device = &mut self.devices[at];
        let counts = &mut self.counts;
        counts.released += u64::from(held < device.held);
        device.held = held;
        for (record, reason) in &expected.waiting {
            match reason {
                PendingReason::Hidden => counts.hidden += 1,
                PendingReason::MissingParent => {
                    counts.waited += 1;
                    counts.taken_out += u64::from(device.shown.contains(record));
                }
                _ => counts.incomplete += 1,
            }
        }
        for (record, reason) in &device.waiting {
            if expected.rows.contains_key(record) {
                match reason {
                    PendingReason::Hidden => counts.hidden_released += 1,
                    PendingReason::MissingParent => counts.child_released += 1,
                    _ => {}
                }
            }
        }
        device.shown = expected.rows.into_keys().collect();
        device.waiting = expected.waiting;
    }

    /// Everybody syncs with everybody until nothing moves any more; then all are equal.
    async fn settle(&mut self) {
        self.note("settles");
        let latest = self.devices.iter().map(|device| sync_core::runtime::Time::now_ms(&device.clock)).max();
        for device in &self.devices {
            device.clock.step(
                i64::try_from(latest.unwrap_or(0) - sync_core::runtime::Time::now_ms(&device.clock))
                    .expect("small")
                    + 1_000_000,
            );
        }
        let most = 2 * self.devices.len() + 4;
        let mut meshes = 0;
        while self.mesh().await {
            meshes += 1;
            assert!(meshes < most, "still not quiet after {meshes} times everybody with everybody");
        }
        for at in 0..self.devices.len() {
            self.check(at).await;
        }
        let hello = self.hello_of(0).await;
        for at in 1..self.devices.len() {
            let other = self.hello_of(at).await;
            assert_eq!(hello.vector, other.vector, "vectors of 0 and {at}");
            assert_eq!(hello.digest, other.digest, "digests of 0 and {at}");
            assert_eq!(self.devices[0].waiting, self.devices[at].waiting, "pending of 0 and {at}");
            assert_eq!(
                dump(&self.devices[0].db).await,
                dump(&self.devices[at].db).await,
                "rows of 0 and {at}"
            );
        }
        assert!(!self.mesh().await, "silence after all are equal");
        self.late_joiner().await;
        self.counts.look_at(&self.changes);
    }

    /// One round of each with each. True if anything moved.
    async fn mesh(&mut self) -> bool {
        let mut moved = false;
        for from in 0..self.devices.len() {
            for to in (0..self.devices.len()).filter(|to| *to != from) {
                let report = self.round(from, to, None).await.expect("a round");
                moved |= report.sent + report.received + report.merges + report.held > 0;
            }
        }
        moved
    }

    /// A new device that reads the state instead of the log gets the same.
    async fn late_joiner(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        self.note("a device joins by snapshot");
        self.limits.snapshot_above = 0;
        self.join().await;
        let at = self.devices.len() - 1;
        self.devices[at].clock.step(1 << 40);
        let report = self.round(at, 0, None).await.expect("a round");
        assert!(report.snapshot_records > 0, "a snapshot");
        let expected = Expected::of(self.changes.values());
        self.check_state(at, &expected).await;
        self.devices.pop();
    }
}

async fn in_transaction(db: &DatabaseConnection, statements: &[String]) -> Result<(), DbErr> {
    let txn = db.begin().await?;
    for statement in statements {
        txn.execute_unprepared(statement).await?;
    }
    txn.commit().await
}

/// Every row of every table, one line each, sorted.
async fn dump(db: &DatabaseConnection) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &TABLES {
        let columns = table.keys.iter().chain(table.columns.iter().map(|(name, _)| name));
        let quoted: Vec<String> = columns.map(|column| format!("quote({column})")).collect();
        let statement =
            format!("SELECT '{}: ' || {} FROM {}", table.table, quoted.join(" || ',' || "), table.table);
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), statement);
        for row in db.query_all_raw(statement).await.expect("rows") {
            lines.push(row.try_get_by_index(0).expect("a line"));
        }
    }
    lines.sort_unstable();
    lines
}
