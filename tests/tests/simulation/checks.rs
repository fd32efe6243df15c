//! What is checked of a device: its rows, digest and pending records are what its changes say.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use sync_core::{Change, DeviceId, Entry, Hello, Peer, PendingReason, PullRequest, Seq, Stamp, Vector};

use super::{
    oracle::Expected,
    schema::TABLES,
    versions::View,
    world::{BEGIN_MS, Part, World},
};

impl World {
    /// Everything of a device's log.
    pub(super) async fn log_of(&self, at: usize) -> Vec<Change> {
        self.log_beyond(at, Vector::new()).await
    }

    /// What of a device's log `have` does not cover.
    pub(super) async fn log_beyond(&self, at: usize, have: Vector) -> Vec<Change> {
        let engine = &self.devices[at].engine;
        let mut changes = Vec::new();
        let mut from_seq = Seq(0);
        loop {
            let request = PullRequest {
                library: self.library,
                device: DeviceId::from_bytes([9; 16]),
                log_id: None,
                from_seq,
                have: have.clone(),
                max_entries: 20_000,
                max_bytes: 16 << 20,
                takes_compacted: true,
            };
            let page = engine.pull(request).await.expect("a page");
            for entry in page.entries {
                match entry {
                    Entry::Change(bytes) => changes.push(Change::decode(&bytes).expect("a change")),
                    Entry::Digest(_) => {
                        let all = have == Vector::new() && self.retired(at).await.is_empty();
                        assert!(!all, "asked for everything");
                    }
                }
            }
            from_seq = page.next_seq;
            if from_seq >= page.latest_seq {
                return changes;
            }
        }
    }

    pub(super) async fn hello_of(&self, at: usize) -> Hello {
        let hello = Hello { wall_ms: BEGIN_MS, ..Hello::new(self.library, DeviceId::from_bytes([9; 16])) };
        self.devices[at].engine.hello(hello).await.expect("a hello")
    }

    /// A device's rows, digest and pending records are what its changes say.
    pub(super) async fn check(&mut self, at: usize) {
        self.note(format!("{at}: checked"));
        self.devices[at].engine.flush().await.expect("a flush");
        // Who says hello is met, and a device that meets one writes its own record.
        let vector = self.hello_of(at).await.vector;
        let log = self.log_of(at).await;
        let expected = Expected::of(&log);
        self.forget_taken_back(at, &log).await;
        self.check_vector(at, &vector, &log);
        self.changes.extend(log.into_iter().map(|change| (change.id, change)));
        self.check_state(at, &expected).await;
        if self.devices[at].part == Part::Writer {
            self.learn(at, expected).await;
        }
    }

    pub(super) async fn check_state(&self, at: usize, expected: &Expected) {
        let device = &self.devices[at];
        if device.part == Part::Relay {
            let status = device.engine.status().await.expect("a status");
            assert_eq!(status.digest, expected.digest, "the digest of the relay {at}");
            // The engine's own models it knows.
            let found = dump_of(&device.db, View::None).await;
            let shown: Vec<&String> = found.iter().filter(|line| !line.starts_with("sync_")).collect();
            assert!(shown.is_empty() && status.pending == 0, "a relay shows nothing: {shown:?}");
            let verified = device.engine.verify().await.expect("verify");
            assert!(verified.is_clean(), "the relay {at}: {:?}", verified.findings);
            return;
        }
        let view = View::of(&device.db, device.updated).await;
        let mut rows = expected.rows_for(view);
        rows.sort_unstable();
        let found = dump_of(&device.db, view).await;
        let pending: BTreeSet<String> = (device.engine.pending().await.expect("pending").iter())
            // A change of the schema may come before the one that it follows; in the end all are made.
            .filter(|one| {
                one.reason != PendingReason::Schema
                    || !one.detail.ends_with("comes first, and is not made here yet")
            })
            .map(|one| format!("{} {} {}", one.model, one.record, one.reason))
            .collect();
        let seen = expected.waiting.iter().filter(|((model, _), _)| view != View::None || *model != "grown");
        let waiting: BTreeSet<String> =
            seen.map(|((model, record), reason)| format!("{model} {record} {reason}")).collect();
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
    fn check_vector(&self, at: usize, vector: &Vector, log: &[Change]) {
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
        counts.in_a_cycle += expected.in_a_cycle();
        let written = expected.rows.keys().filter(|(model, _)| *model == "grown");
        let written = written.filter(|record| expected.objects[record].cell("stars").is_some()).count();
        counts.past_a_program += if device.updated { 0 } else { written as u64 };
        for (record, reason) in &expected.waiting {
            match reason {
                PendingReason::Hidden => counts.hidden += 1,
                PendingReason::MissingParent => {
                    counts.waited += 1;
                    counts.taken_out += u64::from(device.shown.contains(record));
                }
                _ => {}
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
}

/// Every row of every table, one line each, sorted.
pub(super) async fn dump(db: &DatabaseConnection) -> Vec<String> {
    dump_of(db, View::of(db, true).await).await
}

/// The same, as a program sees it.
async fn dump_of(db: &DatabaseConnection, view: View) -> Vec<String> {
    let mut lines = Vec::new();
    for table in TABLES.iter().filter(|table| view != View::None || table.table != "grown") {
        let columns: Vec<&str> = match table.table {
            "grown" => view.columns().to_vec(),
            _ => table.keys.iter().copied().chain(table.columns.iter().map(|(name, _)| *name)).collect(),
        };
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
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
