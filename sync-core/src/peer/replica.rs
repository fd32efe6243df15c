//! One replica's store and models, and what is done with them first: flush.
//!
//! Invariant: each method is one or more whole write transactions. Whatever one did is reported after its commit, before the
//! next one begins, and whether or not the caller still waits.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::broadcast;

use super::{
    Limits, RepairReport, Retention, SnapshotProgress, SyncError,
    clocks::Clocks,
    heard::Callers,
    outcomes::LastRound,
    positions,
    repair::{LastLook, LastRepair},
    stage::Stage,
};
use crate::{
    apply::{self, Applied},
    capture::{self, Batch, Flushed, LocalChange, Models},
    ids::{DeviceId, RecordId, Seq},
    ledger::{Head, Identity, RenewalReason},
    runtime::Runtime,
    store::{Bindings, Store, Write, sqlite},
};

/// What a transaction did, told after its commit.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// Local writes were logged.
    Local { changes: Arc<[LocalChange]>, to: Seq },
    /// Changes of others were applied.
    Applied(Arc<Applied>),
    /// A group deleted more than [`Limits::report_deletes`].
    ManyDeletes(u64),
    /// Open conflicts were dropped: there were more than [`Limits::max_conflicts`].
    ConflictsDropped(u64),
    /// Groups are held until the clock has caught up; the furthest is this many milliseconds ahead.
    Held { changes: u64, ahead_ms: u64 },
    /// A peer's clock and this one differ by more than stamps may.
    ClockSkew { peer: DeviceId, offset_ms: i64 },
    /// Objects were compared with a peer's and mended.
    Repaired(Arc<RepairReport>),
    /// A page of a peer's state was taken in.
    Snapshot(SnapshotProgress),
    /// The database goes on under a new device id.
    NewDevice { former: DeviceId, device: DeviceId, reason: RenewalReason },
}

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlushReport {
    pub(crate) changes: u64,
    pub(crate) batches: u64,
    /// The end of the log.
    pub(crate) to: Seq,
}

/// What one batch of a flush did.
#[derive(Clone, Copy, Debug)]
struct BatchDone {
    changes: u64,
    /// True if more is dirty.
    left: bool,
    to: Seq,
    /// How long it worked under the write lock, the commit aside.
    took: Duration,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) store: Store,
    pub(crate) models: Models,
    pub(crate) limits: Limits,
    /// What people call this device.
    pub(super) device_name: Option<String>,
    identity: Arc<RwLock<Identity>>,
    pub(super) reports: broadcast::Sender<Report>,
    /// How many notes a batch takes: found out by what batches cost.
    batch: AtomicU32,
    /// The version of the schema at which what had been put aside was looked at again.
    known_at: Arc<AtomicI64>,
    pub(super) retention: Retention,
    /// What callers said since it was last saved.
    pub(super) callers: Arc<Mutex<Callers>>,
    /// How the last round with each peer ended.
    pub(super) rounds: Mutex<HashMap<DeviceId, LastRound>>,
    /// The last repair with each peer.
    pub(super) repairs: Mutex<HashMap<DeviceId, LastRepair>>,
    /// What a repair in progress goes by: at most one, about fifty bytes a record.
    pub(super) looked: Mutex<Option<Arc<LastLook>>>,
    pub(super) clocks: Clocks,
}

const FIRST_BATCH: u32 = 2_000;
const SMALLEST_BATCH: u32 = 100;

impl Replica {
    pub(crate) fn new(
        store: Store,
        models: Models,
        limits: Limits,
        retention: Retention,
        device_name: Option<String>,
        identity: Identity,
    ) -> Self {
        let (reports, _) = broadcast::channel(limits.event_buffer.max(1));
        let most = limits.flush_batch.max(1);
        Self {
            store,
            models,
            limits,
            device_name,
            identity: Arc::new(RwLock::new(identity)),
            reports,
            batch: AtomicU32::new(FIRST_BATCH.min(most)),
            known_at: Arc::new(AtomicI64::new(i64::MIN)),
            retention,
            callers: Arc::default(),
            rounds: Mutex::default(),
            repairs: Mutex::default(),
            looked: Mutex::default(),
            clocks: Clocks::default(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        *self.identity.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `head` says of this replica is what it is when the transaction is committed.
    pub(super) fn identify(&self, write: &Write<'_>, head: &Head) {
        let now = head.identity;
        if now != self.identity() {
            let identity = self.identity.clone();
            write.after_commit(move || *identity.write().unwrap_or_else(PoisonError::into_inner) = now);
        }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.store.runtime()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.runtime().time.now_ms()
    }

    /// Listens to what is done from now on.
    pub(crate) fn reports(&self) -> broadcast::Receiver<Report> {
        self.reports.subscribe()
    }

    pub(super) fn report(&self, write: &Write<'_>, report: Report) {
        let reports = self.reports.clone();
        // Nobody listening is no fault.
        write.after_commit(move || drop(reports.send(report)));
    }

    /// Tells what no transaction is needed for.
    pub(super) fn tell(&self, report: Report) {
        // Nobody listening is no fault.
        drop(self.reports.send(report));
    }

    /// True if there is anything to flush: a look that takes no lock.
    pub(crate) async fn is_dirty(&self) -> Result<bool, SyncError> {
        let db = self.store.db();
        Ok(capture::any_dirty(db).await?
            || sqlite::schema_version(db).await? != self.models.bound().schema_version)
    }

    /// Logs all that is committed now.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<FlushReport, SyncError> {
        let mut report = FlushReport::default();
        if !self.is_dirty().await? {
            report.to = self.position().await?;
            return Ok(report);
        }
        self.flush_open(&mut report).await?;
        Ok(report)
    }

    /// Flushes although nothing may be dirty: ends a group that a flush before had left open.
    pub(crate) async fn flush_all(self: &Arc<Self>) -> Result<(), SyncError> {
        self.flush_open(&mut FlushReport::default()).await
    }

    /// Logs a record again, as a whole.
    pub(crate) async fn force(self: &Arc<Self>, model: &str, record: RecordId) -> Result<(), SyncError> {
        let replica = self.clone();
        let model = model.to_owned();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let binding = bindings.by_name(&model).ok_or_else(|| {
                        SyncError::UnknownRecord(format!("model {model} has no table here"))
                    })?;
                    let runtime = replica.runtime();
                    let forced = capture::log_whole(write, binding, &mut head, runtime, &record).await?;
                    let forced = forced
                        .ok_or_else(|| SyncError::UnknownRecord(format!("{model} {record} has no row")))?;
                    replica.report(write, Report::Local { changes: [forced].into(), to: head.seq });
                    Ok(())
                })
            })
            .await
    }

    /// Takes batch after batch until nothing is dirty.
    async fn flush_open(self: &Arc<Self>, report: &mut FlushReport) -> Result<(), SyncError> {
        let began = Instant::now();
        loop {
            let over = began.elapsed() >= Duration::from_millis(self.limits.flush_group_ms)
                || report.changes >= u64::from(self.limits.max_group);
            let size = self.batch.load(Ordering::Relaxed);
            let batch = if over { Batch::All } else { Batch::Notes(size) };
            let done = self.flush_batch(batch).await?;
            if matches!(batch, Batch::Notes(_)) && done.left {
                self.tune(size, done.took);
            }
            report.changes += done.changes;
            report.batches += 1;
            report.to = done.to;
            if !done.left {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// A batch of `size` notes held the write lock for so long: the next one is to hold it for as long as it may, or less.
    fn tune(&self, size: u32, took: Duration) {
        let limit = Duration::from_millis(self.limits.flush_lock_ms).as_secs_f64();
        let wanted = f64::from(size) * (limit / took.as_secs_f64().max(1e-6)).clamp(0.5, 2.0);
        let most = self.limits.flush_batch.max(1);
        self.batch.store((wanted as u32).max(SMALLEST_BATCH).min(most), Ordering::Relaxed);
    }

    async fn flush_batch(self: &Arc<Self>, batch: Batch) -> Result<BatchDone, SyncError> {
        let replica = self.clone();
        let stage = Stage::Flush;
        self.store
            .write(move |write| {
                Box::pin(async move {
                    stage.begins();
                    let began = Instant::now();
                    let (_, head, flushed) = replica.begin(write, batch).await?;
                    let changes = flushed.changes.len() as u64;
                    Ok(BatchDone { changes, left: flushed.left, to: head.seq, took: began.elapsed() })
                })
            })
            .await
            .inspect(|_| stage.committed())
            .inspect_err(|_| stage.failed())
    }

    /// Begins a write: the tables as they are now, where the library stands, and everything dirty (or one batch of
    /// it) logged in the same transaction, to be reported when that is committed.
    pub(crate) async fn begin(
        &self,
        write: &mut Write<'_>,
        batch: Batch,
    ) -> Result<(Arc<Bindings>, Head, Flushed), SyncError> {
        let bindings = self.models.refresh(write).await?;
        let mut head = Head::load(write.db, &write.names).await?;
        // Another process may have joined a library or left an id.
        self.identify(write, &head);
        let now_ms = self.now_ms();
        let asks = self.known_at.load(Ordering::Acquire) != bindings.schema_version;
        if asks {
            apply::note_grown(write, &bindings).await?;
            if apply::keep_values(write, &bindings, &mut head).await? {
                positions::read_states_again(write.db, head.library).await?;
            }
        }
        if asks && head.seq == Seq(0) {
            // Nothing has come yet: what is adopted now need not be looked at.
            apply::show_known(write, &bindings, &mut head, now_ms).await?;
        }
        let flushed = capture::flush_batch(write, &bindings, &mut head, self.runtime(), batch).await?;
        let settled = apply::settle(write, &bindings, &mut head, &flushed, now_ms).await?;
        if flushed.deletes > self.limits.report_deletes {
            tracing::warn!(deletes = flushed.deletes, "one group deletes many records: was a table rebuilt?");
            self.report(write, Report::ManyDeletes(flushed.deletes));
        }
        if !flushed.changes.is_empty() {
            let changes = flushed.changes.clone().into();
            self.report(write, Report::Local { changes, to: head.seq });
        }
        self.report_applied(write, settled);
        if asks && !flushed.left {
            // The program or the tables are others than before: they may take what those could not.
            let shown = apply::show_known(write, &bindings, &mut head, now_ms).await?;
            self.report_applied(write, shown);
            let retried = apply::retry_all(write, &bindings, &mut head, now_ms).await?;
            self.report_applied(write, retried);
            let (known_at, version) = (self.known_at.clone(), bindings.schema_version);
            write.after_commit(move || known_at.store(version, Ordering::Release));
        }
        Ok((bindings, head, flushed))
    }

    /// Reports what was applied when the transaction is committed.
    pub(crate) fn report_applied(&self, write: &Write<'_>, applied: Applied) {
        if !applied.changes.is_empty() || !applied.conflicts.is_empty() || !applied.pending.is_empty() {
            self.report(write, Report::Applied(Arc::new(applied)));
        }
    }

    /// The end of the log.
    pub(crate) async fn position(&self) -> Result<Seq, SyncError> {
        let (db, names) = self.store.read().await?;
        Ok(Head::load(&db, &names).await?.seq)
    }
}
