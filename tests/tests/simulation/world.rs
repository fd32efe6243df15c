//! Devices that write and sync at random, and what is checked of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, TransactionTrait};
use serde_bytes::ByteBuf;
use sync_core::{
    Change, LibraryId, Limits, Peer, PendingReason, PushRequest, Refused, Stamp, SyncEngine, SyncError,
    SyncReport, testing::ManualClock,
};
use sync_tests::device::{create_more_tables, create_tables};

use super::{
    counts::Counts,
    faulty::{Break, Connection},
    operations::{Operation, Way, operation},
    oracle::Record,
    random::{Rng, Seeded},
    seeds::Trace,
    topology::Topology,
    versions::{View, program},
};

/// What the devices' clocks begin with: before the databases' own clock, which stamps no write later than it was made.
pub(super) const BEGIN_MS: u64 = 1_700_000_000_000;

/// How many devices write; a relay comes on top of it.
const WRITERS: [usize; 10] = [3, 3, 3, 4, 4, 4, 5, 5, 6, 7];

/// The models of a device that knows none of the others: it only passes things on.
const OF_A_RELAY: [&str; 1] = ["tally"];

pub(crate) struct World {
    pub(super) rng: Rng,
    pub(super) library: LibraryId,
    topology: Topology,
    pub(crate) limits: Limits,
    pub(super) devices: Vec<Device>,
    trace: Trace,
    pushed: Vec<PushRequest>,
    /// Every change that any device has shown.
    pub(super) changes: BTreeMap<Stamp, Change>,
    pub(crate) counts: Counts,
}

pub(super) struct Device {
    pub(super) db: DatabaseConnection,
    pub(super) engine: SyncEngine,
    pub(super) part: Part,
    pub(super) clock: ManualClock,
    /// True once it has the second version of the program.
    pub(super) updated: bool,
    /// What was waiting, and what was shown, when last looked at.
    pub(super) waiting: BTreeMap<Record, PendingReason>,
    pub(super) shown: BTreeSet<Record>,
    pub(super) held: u64,
}

/// What a device does in its library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It writes, and shows what others wrote.
    Writer,
    /// Its program lacks the models: it passes on what it gets.
    Relay,
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
    pub(crate) async fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let topology = Topology::any(&mut rng);
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
        let writers = *world.rng.pick(&WRITERS);
        for _ in 0..writers {
            world.join(Part::Writer).await;
        }
        if world.rng.chance(30) {
            // In the middle of a star, a line or a bridge.
            let at = if world.topology == Topology::Star { 0 } else { world.devices.len() / 2 };
            world.join(Part::Relay).await;
            let relay = world.devices.pop().expect("the one that joined");
            world.devices.insert(at, relay);
            world.counts.relays += 1;
        }
        world.change_schema().await;
        world
    }

    /// One more device.
    pub(super) async fn join(&mut self, part: Part) {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.sqlx_logging(false).map_sqlx_sqlite_opts(|sqlite| sqlite.statement_cache_capacity(500));
        let db = Database::connect(options).await.expect("a database");
        create_tables(&db).await.expect("tables");
        create_more_tables(&db).await.expect("tables");
        let clock = ManualClock::at(BEGIN_MS);
        let engine = self.start(&db, part, false, &clock).await;
        let (waiting, shown) = (BTreeMap::new(), BTreeSet::new());
        self.devices.push(Device { db, engine, part, clock, updated: false, waiting, shown, held: 0 });
    }

    /// Starts an engine.
    async fn start(
        &mut self,
        db: &DatabaseConnection,
        part: Part,
        updated: bool,
        clock: &ManualClock,
    ) -> SyncEngine {
        let builder = SyncEngine::builder(db.clone()).library(self.library);
        let builder = match part {
            Part::Writer => program(builder, updated),
            Part::Relay => builder.models(OF_A_RELAY),
        };
        builder
            .limits(self.limits.clone())
            .time(Arc::new(clock.clone()))
            .random(Arc::new(Seeded::new(self.rng.next())))
            .without_background()
            .start()
            .await
            .expect("an engine")
    }

    /// Starts an engine on a device's database instead of the one that it has.
    pub(super) async fn start_again(&mut self, at: usize) {
        let device = &self.devices[at];
        let (db, part, updated, clock) =
            (device.db.clone(), device.part, device.updated, device.clock.clone());
        self.devices[at].engine = self.start(&db, part, updated, &clock).await;
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        let line = line.into();
        if std::env::var_os("SIM_TRACE").is_some() {
            eprintln!("{line}");
        }
        self.trace.lock().expect("no thread panicked with it").push(line);
    }

    /// Each device does `steps` operations, in any order; it is checked after `every` percent of them.
    pub(crate) async fn run(&mut self, steps: usize, every: usize) {
        self.note(format!(
            "{} devices, {:?}, pages of {}",
            self.devices.len(),
            self.topology,
            self.limits.page_entries
        ));
        let mut turns: Vec<usize> = (0..self.devices.len() * steps).map(|turn| turn / steps).collect();
        while !turns.is_empty() {
            let at = turns.swap_remove(self.rng.below(turns.len()));
            self.devices[at].clock.step(i64::try_from(self.rng.below(2_000)).expect("small"));
            match self.rng.below(100) {
                0..=63 if self.devices[at].part == Part::Writer => self.write(at).await,
                64 => self.rewire(),
                0..=91 => self.sync().await,
                92..=93 => self.clock(at).await,
                94..=98 => self.replay(at).await,
                _ => self.check(at).await,
            }
            match self.rng.below(100) {
                0 => drop(self.change_schema().await),
                1..=3 => self.update(at).await,
                4..=6 => self.crash(at).await,
                _ => {}
            }
            if self.rng.chance(every) {
                self.check(at).await;
            }
        }
        self.settle().await;
    }

    pub(super) async fn write(&mut self, at: usize) {
        let device = &self.devices[at];
        let view = View::of(&device.db, device.updated).await;
        let Operation { way, statements } = operation(&mut self.rng, &device.db, view).await;
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
        if done
            && let [statement] = statements.as_slice()
            && let Some(id) = statement.strip_prefix("DELETE FROM items WHERE id = ")
            && self.rng.chance(60)
        {
            // Deleted and inserted again, with others who may not know of either.
            self.devices[at].engine.flush().await.expect("a flush");
            let again = format!("INSERT INTO items (id, title, qty) VALUES ({id}, 'again', 1)");
            self.devices[at].db.execute_unprepared(&again).await.expect("the key is free");
            self.note(format!("{at}: {again}"));
        }
        if self.rng.chance(30) {
            self.devices[at].engine.flush().await.expect("a flush");
        }
    }

    async fn clock(&mut self, at: usize) {
        let step = match self.rng.below(5) {
            0 if self.devices[at].part == Part::Writer => return self.ahead(at).await,
            0 | 1 => -i64::try_from(self.rng.below(30_000)).expect("small"),
            2 => 100_000 + i64::try_from(self.rng.below(300_000)).expect("small"),
            3 => i64::try_from(self.rng.below(50_000)).expect("small"),
            _ => {
                self.devices.iter().for_each(|device| device.clock.step(200_000));
                0
            }
        };
        self.devices[at].clock.step(step);
        self.note(format!("{at}: clock {step}"));
    }

    /// Who syncs with whom is another from now on.
    fn rewire(&mut self) {
        let before = self.topology;
        self.topology = Topology::any(&mut self.rng);
        self.counts.rewired += u64::from(self.topology != before);
        self.note(format!("{:?} from now on", self.topology));
    }

    async fn sync(&mut self) {
        let (from, to) = self.topology.pair(&mut self.rng, self.devices.len());
        let breaks =
            self.rng.chance(15).then(|| Break { call: self.rng.below(4), delivered: self.rng.chance(50) });
        self.round(from, to, breaks).await;
    }

    pub(super) async fn round(
        &mut self,
        from: usize,
        to: usize,
        breaks: Option<Break>,
    ) -> Option<SyncReport> {
        match self.attempt(from, to, breaks).await {
            (Ok(report), _) => Some(report),
            (Err(error), broke) => {
                assert!(broke, "a round fails only with its connection: {error}");
                None
            }
        }
    }

    /// A round that may fail; true if its connection broke.
    pub(super) async fn attempt(
        &mut self,
        from: usize,
        to: usize,
        breaks: Option<Break>,
    ) -> (Result<SyncReport, SyncError>, bool) {
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
        if let Ok(report) = &result {
            self.counts.duplicates += report.duplicates;
            self.counts.held += report.held;
            let back = |one: &&Refused| !one.reason.contains("its author took it back");
            assert_eq!(report.refused.iter().filter(back).count(), 0, "nothing else is refused");
        }
        (result, broke)
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
}

async fn in_transaction(db: &DatabaseConnection, statements: &[String]) -> Result<(), DbErr> {
    let txn = db.begin().await?;
    for statement in statements {
        txn.execute_unprepared(statement).await?;
    }
    txn.commit().await
}
