//! A device whose clock was ahead and is right again: it takes back what nobody accepted, and goes on showing it.

use std::collections::BTreeSet;

use sync_core::{Change, DeviceId, RenewalReason};

use super::{checks::dump, faulty::Break, world::World};

impl World {
    /// A device writes while its clock is ahead, perhaps meets somebody, and its clock is set right.
    pub(super) async fn ahead(&mut self, at: usize) {
        let step = 100_000 + i64::try_from(self.rng.below(300_000)).expect("small");
        self.note(format!("{at}: clock {step}, for a while"));
        self.devices[at].clock.step(step);
        for _ in 0..1 + self.rng.below(4) {
            self.write(at).await;
        }
        let to = (at + 1 + self.rng.below(self.devices.len() - 1)) % self.devices.len();
        if self.rng.chance(50) {
            self.round(at, to, None).await;
        }
        self.devices[at].clock.step(-step);
        self.note(format!("{at}: clock {}", -step));
        let engine = self.devices[at].engine.clone();
        engine.flush().await.expect("a flush");
        let (former, rows) = (engine.device_id(), dump(&self.devices[at].db).await);
        // Its second call would be a `hello` under the new id: what it does, it does before it hears of anything.
        self.round(at, to, Some(Break { call: 1, delivered: false })).await;
        if engine.device_id() != former {
            self.note(format!("{at}: takes back what it wrote"));
            assert_eq!(dump(&self.devices[at].db).await, rows, "what {at} showed it shows");
            self.counts.taken_back += 1;
            self.check(at).await;
        }
    }

    /// The ids that a device left because its clock had been ahead.
    pub(super) async fn retired(&self, at: usize) -> BTreeSet<DeviceId> {
        let renewals = self.devices[at].engine.status().await.expect("a status").renewals;
        let ahead = renewals.iter().filter(|renewal| renewal.reason == RenewalReason::ClockAhead);
        ahead.map(|renewal| renewal.former).collect()
    }

    /// What a device took back counts no more, unless it came back to it from somebody who had accepted it.
    pub(super) async fn forget_taken_back(&mut self, at: usize, log: &[Change]) {
        let retired = self.retired(at).await;
        if retired.is_empty() {
            return;
        }
        let ids: BTreeSet<_> = log.iter().map(|change| change.id).collect();
        self.changes.retain(|id, change| !retired.contains(&change.device) || ids.contains(id));
    }
}
