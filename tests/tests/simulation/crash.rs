//! A device dies in the middle of a write and comes back: nothing of that write is there, and nothing else is lost.

use sea_orm::ConnectionTrait;

use super::world::World;

/// Where a write is cut off: before which row of which table. Those of the first kind are written by nothing but the merging of what
/// others wrote; by then its rows are in the tables of the application.
const CUTS: [(&str, &str); 4] = [
    (
        "INSERT ON sync_log",
        "WHEN NEW.device <> (SELECT id FROM sync_names WHERE kind = 2 AND name = x'{device}')",
    ),
    ("INSERT ON sync_objects", ""),
    ("INSERT ON sync_metadata", "WHEN NEW.key LIKE 'head/%'"),
    ("INSERT ON sync_positions", ""),
];

const CUT: &str = "the test cut the power";

impl World {
    /// A device meets another one, dies where it writes something, and is started again.
    pub(super) async fn crash(&mut self, at: usize) {
        let other = (at + 1 + self.rng.below(self.devices.len() - 1)) % self.devices.len();
        let (from, to) = if self.rng.chance(50) { (at, other) } else { (other, at) };
        let cut = self.rng.below(CUTS.len());
        let (place, when) = CUTS[cut];
        let device = &self.devices[at];
        let id: String =
            device.engine.device_id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let when = when.replace("{device}", &id);
        let trigger = format!(
            "CREATE TEMP TRIGGER power BEFORE {place} {when} BEGIN SELECT RAISE(ABORT, '{CUT}'); END"
        );
        device.db.execute_unprepared(&trigger).await.expect("a trigger");
        self.note(format!("{at}: dies before {place}"));
        let (result, _) = self.attempt(from, to, None).await;
        if let Err(error) = result {
            // One that is called keeps to itself what its database said.
            let told = if from == at { CUT } else { "internal error" };
            assert!(error.to_string().contains(told), "a round fails only where the power is cut: {error}");
            self.counts.crashed += 1;
            self.counts.crashed_in_apply += u64::from(cut == 0);
        }
        self.devices[at].db.execute_unprepared("DROP TRIGGER power").await.expect("no trigger");
        self.start_again(at).await;
        self.check(at).await;
    }
}
