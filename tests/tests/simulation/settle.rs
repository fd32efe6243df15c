//! The end of a run: everybody syncs until nothing moves, then all are equal, and one that joins then is too.

use super::{
    checks::dump,
    oracle::Expected,
    world::{Part, World},
};

impl World {
    /// Everybody syncs with everybody until nothing moves any more; then all are equal.
    pub(super) async fn settle(&mut self) {
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
        // Everybody gets the last of the programs, and what was kept for it is there.
        while self.change_schema().await {}
        self.spread().await;
        for at in 0..self.devices.len() {
            self.update(at).await;
            let device = &self.devices[at];
            assert!(device.updated || device.part == Part::Relay, "{at} has the columns");
        }
        self.spread().await;
        for at in 0..self.devices.len() {
            self.check(at).await;
        }
        let hello = self.hello_of(0).await;
        for at in 1..self.devices.len() {
            let other = self.hello_of(at).await;
            assert_eq!(hello.vector, other.vector, "vectors of 0 and {at}");
            assert_eq!(hello.digest, other.digest, "digests of 0 and {at}");
        }
        let writers: Vec<usize> =
            (0..self.devices.len()).filter(|at| self.devices[*at].part == Part::Writer).collect();
        for at in writers[1..].iter().copied() {
            let first = &self.devices[writers[0]];
            assert_eq!(
                first.waiting, self.devices[at].waiting,
                "pending of two that write, one of them {at}"
            );
            assert_eq!(
                dump(&first.db).await,
                dump(&self.devices[at].db).await,
                "rows of two that write, one of them {at}"
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
                moved |= self.moves(from, to).await;
            }
        }
        moved
    }

    /// Everybody syncs with the first one until nothing moves any more.
    async fn spread(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for at in 1..self.devices.len() {
                moved |= self.moves(at, 0).await;
            }
        }
    }

    /// A whole round. True if it moved anything.
    async fn moves(&mut self, from: usize, to: usize) -> bool {
        let report = self.round(from, to, None).await.expect("a round");
        report.sent + report.received + report.system + report.merges + report.held > 0
    }

    /// A new device that reads the state instead of the log gets the same.
    async fn late_joiner(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        self.note("a device joins by snapshot");
        self.limits.snapshot_above = 0;
        self.join(Part::Writer).await;
        let at = self.devices.len() - 1;
        self.devices[at].clock.step(1 << 40);
        let report = self.round(at, 0, None).await.expect("a round");
        assert!(report.snapshot_records > 0, "a snapshot");
        // What it said of itself is beyond the state that it began with. Its clock is far ahead, so nobody else merged it.
        let state = self.hello_of(0).await.vector;
        let log = self.log_beyond(at, state).await;
        self.changes.extend(log.into_iter().map(|change| (change.id, change)));
        let expected = Expected::of(self.changes.values());
        self.check_state(at, &expected).await;
        self.devices.pop();
    }
}
