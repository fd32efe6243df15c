//! Database files, some with an engine on them, and what happens to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use sync_core::{
    Change, DeviceId, Entry, LibraryId, Limits, Peer, PullRequest, Seq, Stamp, SyncEngine, Vector,
    testing::ManualClock,
};
use sync_tests::device::{MODELS, create_more_tables, create_tables};
use tempfile::TempDir;

use super::{
    super::{
        operations::{Operation, Way, operation},
        random::{Rng, Seeded},
        seeds::Trace,
        versions::View,
        world::BEGIN_MS,
    },
    Counts,
};

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anybody anybody.
    Any,
    /// All the first one, which calls nobody.
    Star,
    /// Each the next one.
    Line,
}

/// The most databases in a schedule.
const MOST: usize = 6;

/// Rows of items with at least this quantity are written once and never touched again.
const MARK: u32 = 1_000;

pub(super) struct Place {
    path: PathBuf,
    open: Option<(DatabaseConnection, SyncEngine)>,
    clock: ManualClock,
    backups: Vec<PathBuf>,
}

pub(super) struct Places {
    rng: Rng,
    library: LibraryId,
    limits: Limits,
    dir: TempDir,
    files: usize,
    marks: u32,
    pub(super) shape: Shape,
    pub(super) places: Vec<Place>,
    trace: Trace,
    pub(super) counts: Counts,
}

impl Places {
    pub(super) async fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let mut limits = Limits::default();
        limits.snapshot_above = u64::MAX;
        if rng.chance(50) {
            limits.page_entries = 1 + u32::try_from(rng.below(12)).expect("small");
        }
        let shape = *rng.pick(&[Shape::Any, Shape::Any, Shape::Star, Shape::Line]);
        let library = LibraryId::random(&Seeded::new(seed));
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (places, counts) = (Vec::new(), Counts::default());
        let mut places =
            Self { rng, library, limits, dir, files: 0, marks: MARK, shape, places, trace, counts };
        for _ in 0..2 + places.rng.below(2) {
            let path = places.file();
            places.add(path);
            places.open(places.places.len() - 1).await;
        }
        places.note(format!("{shape:?}, {} places", places.places.len()));
        places
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        self.trace.lock().expect("no thread panicked with it").push(line.into());
    }

    fn file(&mut self) -> PathBuf {
        self.files += 1;
        self.dir.path().join(format!("{}.db", self.files))
    }

    fn add(&mut self, path: PathBuf) {
        let clock = ManualClock::at(BEGIN_MS);
        if let Some(first) = self.places.first() {
            let now = sync_core::runtime::Time::now_ms(&first.clock) - BEGIN_MS;
            clock.step(i64::try_from(now).expect("small"));
        }
        self.places.push(Place { path, open: None, clock, backups: Vec::new() });
    }

    async fn open(&mut self, at: usize) {
        if self.places[at].open.is_some() {
            return;
        }
        let db = Database::connect(sync_core::sqlite(&self.places[at].path)).await.expect("a database");
        create_tables(&db).await.expect("tables");
        create_more_tables(&db).await.expect("tables");
        let engine = SyncEngine::builder(db.clone())
            .library(self.library)
            .models(MODELS.into_iter().chain(["basket", "card"]))
            .limits(self.limits.clone())
            .time(Arc::new(self.places[at].clock.clone()))
            .random(Arc::new(Seeded::new(self.rng.next())))
            .without_background()
            .start()
            .await
            .expect("an engine");
        self.note(format!("{at} opens as {}", engine.device_id()));
        let ids = self.places.iter().filter_map(|place| Some(place.open.as_ref()?.1.device_id()));
        let same = ids.filter(|id| *id == engine.device_id()).count() as u64;
        self.counts.add("devices with one id at the same time", same);
        self.places[at].open = Some((db, engine));
    }

    async fn close(&mut self, at: usize) {
        if let Some((db, engine)) = self.places[at].open.take() {
            engine.shutdown().await.expect("a shutdown");
            db.close().await.expect("a closed database");
            if self.rng.chance(30) {
                self.mark(at);
            }
            checkpoint(&self.places[at].path);
        }
    }

    pub(super) async fn open_all(&mut self) {
        for at in 0..self.places.len() {
            self.open(at).await;
        }
    }

    pub(super) async fn close_all(&mut self) {
        for at in 0..self.places.len() {
            self.close(at).await;
        }
    }

    pub(super) fn engine(&self, at: usize) -> &SyncEngine {
        &self.places[at].open.as_ref().expect("it is open").1
    }

    pub(super) fn db(&self, at: usize) -> &DatabaseConnection {
        &self.places[at].open.as_ref().expect("it is open").0
    }

    pub(super) async fn step(&mut self) {
        let step = i64::try_from(self.rng.below(1_000)).expect("small");
        self.places.iter().for_each(|place| place.clock.step(step));
        let at = self.rng.below(self.places.len());
        match self.rng.below(100) {
            0..=44 => self.write(at).await,
            45..=72 => self.sync().await,
            73..=76 => {
                self.close(at).await;
                self.note(format!("{at} closes"));
            }
            77..=81 => self.copy(at).await,
            82..=85 => self.vacuum(at).await,
            86..=90 => self.back_up(at).await,
            91..=96 => self.restore(at).await,
            _ => self.rename(at).await,
        }
    }

    async fn write(&mut self, at: usize) {
        self.open(at).await;
        let db = self.db(at).clone();
        let Operation { way, statements } = operation(&mut self.rng, &db, View::None).await;
        let done = if way == Way::Plain {
            let mut done = true;
            for statement in &statements {
                done &= db.execute_unprepared(statement).await.is_ok();
            }
            done
        } else {
            let txn = db.begin().await.expect("a transaction");
            let mut done = true;
            for statement in &statements {
                done = done && txn.execute_unprepared(statement).await.is_ok();
            }
            done && txn.commit().await.is_ok()
        };
        if done {
            self.note(format!("{at}: {}", statements.join("; ")));
        }
        if self.rng.chance(40) {
            self.mark(at);
        }
        if self.rng.chance(50) {
            self.engine(at).flush().await.expect("a flush");
        }
    }

    /// A row by another program, whether or not an engine runs.
    fn mark(&mut self, at: usize) {
        self.marks += 1;
        let id = uuid::Uuid::from_u128(u128::from(self.marks));
        let db = rusqlite::Connection::open(&self.places[at].path).expect("a database");
        db.busy_timeout(std::time::Duration::from_secs(5)).expect("a timeout");
        db.execute(
            "INSERT INTO items (id, title, qty) VALUES (?, 'mark', ?)",
            (id.as_bytes().as_slice(), self.marks),
        )
        .expect("a row");
        drop(db);
        self.note(format!("{at}: mark {}", self.marks));
    }

    /// A file that was put somewhere is opened, perhaps after it was written to; it may be on a machine that is itself a copy.
    async fn begin(&mut self, at: usize, [written, alike]: [&'static str; 2]) {
        if self.rng.chance(50) {
            forget_file(&self.places[at].path);
            self.note(format!("{at} looks like the original"));
            self.counts.add(alike, 1);
        }
        if self.rng.chance(50) {
            self.mark(at);
            self.counts.add(written, 1);
        }
        if self.rng.chance(70) {
            self.open(at).await;
        }
    }

    async fn copy(&mut self, at: usize) {
        if self.places.len() == MOST {
            return;
        }
        self.close(at).await;
        let path = self.file();
        fs::copy(&self.places[at].path, &path).expect("a copy");
        self.add(path);
        let new = self.places.len() - 1;
        self.note(format!("{new} is a copy of {at}"));
        self.counts.add("copies of closed files", 1);
        self.begin_copy(new).await;
    }

    /// A copy of a database that is in use.
    async fn vacuum(&mut self, at: usize) {
        if self.places.len() == MOST {
            return;
        }
        self.open(at).await;
        let path = self.file();
        let dirty = self.engine(at).status().await.expect("a status").dirty;
        vacuum_into(&self.places[at].path, &path);
        self.add(path);
        let new = self.places.len() - 1;
        self.note(format!("{new} is a copy of {at} in use"));
        self.counts.add("copies by VACUUM INTO", 1);
        self.counts.add("copies by VACUUM INTO with writes not logged yet", u64::from(dirty));
        self.begin_copy(new).await;
    }

    async fn begin_copy(&mut self, at: usize) {
        let counted =
            ["copies that were written to before their engine ran", "copies that look like the original"];
        self.begin(at, counted).await;
    }

    async fn back_up(&mut self, at: usize) {
        let path = self.file();
        if self.rng.chance(50) {
            self.open(at).await;
            vacuum_into(&self.places[at].path, &path);
        } else {
            self.close(at).await;
            fs::copy(&self.places[at].path, &path).expect("a backup");
        }
        self.note(format!("{at} is backed up"));
        self.places[at].backups.push(path);
    }

    async fn restore(&mut self, at: usize) {
        if self.places[at].backups.is_empty() {
            return;
        }
        let backup = self.rng.pick(&self.places[at].backups).clone();
        self.close(at).await;
        let place = &self.places[at].path;
        if self.rng.chance(50) {
            // As `cp` does: the same file with other contents.
            fs::copy(&backup, place).expect("a restore");
        } else {
            fs::remove_file(place).expect("a file");
            fs::copy(&backup, place).expect("a restore");
        }
        self.note(format!("{at} is restored"));
        self.counts.add("restores", 1);
        let counted =
            ["restores that were written to before their engine ran", "restores that look like the original"];
        self.begin(at, counted).await;
    }

    async fn rename(&mut self, at: usize) {
        self.open(at).await;
        let id = self.engine(at).device_id();
        self.close(at).await;
        let path = self.file();
        fs::rename(&self.places[at].path, &path).expect("a rename");
        self.places[at].path = path;
        self.open(at).await;
        assert_eq!(self.engine(at).device_id(), id, "a renamed file is the same one");
        self.counts.add("renames", 1);
    }

    fn pair(&mut self) -> (usize, usize) {
        let count = self.places.len();
        match self.shape {
            Shape::Any => {
                let a = self.rng.below(count);
                (a, (a + 1 + self.rng.below(count - 1)) % count)
            }
            Shape::Star => (1 + self.rng.below(count - 1), 0),
            Shape::Line => {
                let a = self.rng.below(count - 1);
                (a, a + 1)
            }
        }
    }

    async fn sync(&mut self) {
        let (from, to) = self.pair();
        self.round(from, to).await;
    }

    /// One round. True if anything moved.
    async fn round(&mut self, from: usize, to: usize) -> bool {
        self.open(from).await;
        self.open(to).await;
        let report = self.engine(from).sync_with(self.engine(to)).await.expect("a round");
        self.note(format!("{from} syncs with {to}: sent {} received {}", report.sent, report.received));
        assert_eq!(report.refused, [], "nothing is refused");
        assert!(!report.diverged, "{from} and {to} diverged");
        // A device's own record travels too, a device further with each time.
        report.sent + report.received + report.system + report.merges > 0 || !report.in_sync
    }

    /// One round of each pair. True if anything moved.
    pub(super) async fn mesh(&mut self) -> bool {
        let count = self.places.len();
        let pairs: Vec<(usize, usize)> = match self.shape {
            Shape::Any => {
                (0..count).flat_map(|a| (0..count).filter(move |b| *b != a).map(move |b| (a, b))).collect()
            }
            Shape::Star => (1..count).map(|a| (a, 0)).collect(),
            Shape::Line => (1..count).map(|b| (b - 1, b)).collect(),
        };
        let mut moved = false;
        for (from, to) in pairs {
            moved |= self.round(from, to).await;
        }
        moved
    }

    /// The changes in a log, by id.
    pub(super) async fn log_of(&mut self, at: usize) -> BTreeMap<Stamp, Change> {
        let mut request = PullRequest {
            library: self.library,
            device: DeviceId::from_bytes([9; 16]),
            log_id: None,
            from_seq: Seq(0),
            have: Vector::new(),
            max_entries: 20_000,
            max_bytes: 16 << 20,
            takes_compacted: true,
        };
        let mut found = BTreeMap::new();
        loop {
            let page = self.engine(at).pull(request.clone()).await.expect("a page");
            self.counts.add("forked authors", page.vector.forked().count() as u64);
            for entry in page.entries {
                let Entry::Change(bytes) = entry else { panic!("asked for everything") };
                let change = Change::decode(&bytes).expect("a change");
                found.insert(change.id, change);
            }
            request.from_seq = page.next_seq;
            if page.next_seq >= page.latest_seq {
                return found;
            }
        }
    }

    /// The rows that other programs wrote.
    pub(super) async fn marks(&self, at: usize) -> BTreeSet<String> {
        let statement = format!("SELECT hex(id) || qty FROM items WHERE qty > {MARK}");
        let statement = sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Sqlite, statement);
        let rows = self.db(at).query_all_raw(statement).await.expect("rows");
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }
}

/// Brings everything into the file itself.
fn checkpoint(path: &Path) {
    let db = rusqlite::Connection::open(path).expect("a database");
    db.busy_timeout(std::time::Duration::from_secs(5)).expect("a timeout");
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).expect("nobody else has it open");
}

fn vacuum_into(from: &Path, to: &Path) {
    let db = rusqlite::Connection::open(from).expect("a database");
    db.busy_timeout(std::time::Duration::from_secs(5)).expect("a timeout");
    db.execute("VACUUM INTO ?", [to.to_str().expect("a path")]).expect("a copy");
}

/// As on a machine that was copied as a whole: nothing tells the file from the original.
fn forget_file(path: &Path) {
    let db = rusqlite::Connection::open(path).expect("a database");
    db.execute("DELETE FROM sync_metadata WHERE key = 'fingerprint'", []).expect("its own tables");
}
