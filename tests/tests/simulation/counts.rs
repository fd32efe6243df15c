//! How often each situation really happened: a random test that never gets there proves nothing.

use std::collections::BTreeMap;

use sync_core::{Change, ChangeKind, Name, RecordId, Stamp};

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) delete_against_update: u64,
    pub(crate) creation_against_delete: u64,
    pub(crate) hidden: u64,
    pub(crate) hidden_released: u64,
    pub(crate) waited: u64,
    pub(crate) child_released: u64,
    pub(crate) taken_out: u64,
    pub(crate) user_merges: u64,
    pub(crate) duplicates: u64,
    pub(crate) held: u64,
    pub(crate) released: u64,
    pub(crate) interrupted: u64,
    pub(crate) counted_apart: u64,
    pub(crate) raised_apart: u64,
    pub(crate) lowered_apart: u64,
    pub(crate) placed_apart: u64,
    pub(crate) filled_apart: u64,
    pub(crate) written_apart: u64,
    pub(crate) in_a_cycle: u64,
    pub(crate) updated: u64,
    pub(crate) past_a_program: u64,
    pub(crate) relays: u64,
    pub(crate) rewired: u64,
    pub(crate) taken_back: u64,
    pub(crate) crashed: u64,
    pub(crate) crashed_in_apply: u64,
}

impl Counts {
    /// Counts what stands in the changes of a run.
    pub(crate) fn look_at(&mut self, changes: &BTreeMap<Stamp, Change>) {
        let mut records: BTreeMap<(&Name, &RecordId), Vec<&Change>> = BTreeMap::new();
        for change in changes.values() {
            self.user_merges += u64::from(change.kind == ChangeKind::Merge);
            records.entry((&change.model, &change.record)).or_default().push(change);
        }
        for changes in records.values() {
            let apart = |column: &str| {
                let says = |change: &&&Change| change.cells.iter().any(|cell| cell.column == column);
                let said: Vec<_> = changes.iter().filter(says).collect();
                said.iter().enumerate().fold(0, |sum, (at, one)| {
                    let apart = |other: &&&&Change| {
                        !one.context.covers(other.id)
                            && !other.context.covers(one.id)
                            && one.generation == other.generation
                    };
                    sum + said[at + 1..].iter().filter(apart).count() as u64
                })
            };
            match changes[0].model.as_str() {
                "gauge" => {
                    self.counted_apart += apart("count");
                    self.raised_apart += apart("peak");
                    self.lowered_apart += apart("low");
                    self.placed_apart += apart("x");
                }
                "basket" => self.filled_apart += apart("tags"),
                "card" => self.written_apart += apart("front"),
                _ => {}
            }
            let deletes = changes.iter().filter(|change| change.kind == ChangeKind::Delete);
            for delete in deletes {
                let apart =
                    |other: &&&Change| !delete.context.covers(other.id) && !other.context.covers(delete.id);
                let before = |other: &&&Change| other.generation + 1 == delete.generation;
                let after = |other: &&&Change| other.generation == delete.generation + 1;
                self.delete_against_update += changes.iter().filter(apart).filter(before).count() as u64;
                self.creation_against_delete += changes.iter().filter(apart).filter(after).count() as u64;
            }
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, (_, theirs)) in self.all_mut().into_iter().zip(other.all()) {
            *mine += theirs;
        }
    }

    pub(crate) fn all(&self) -> [(&'static str, u64); 26] {
        [
            ("delete against update", self.delete_against_update),
            ("creation against delete", self.creation_against_delete),
            ("hidden by a unique key", self.hidden),
            ("hidden and released", self.hidden_released),
            ("waited for its parent", self.waited),
            ("waited and released", self.child_released),
            ("taken out with its parent", self.taken_out),
            ("merged by the user's function", self.user_merges),
            ("duplicate", self.duplicates),
            ("held", self.held),
            ("held and released", self.released),
            ("interrupted round", self.interrupted),
            ("counted apart", self.counted_apart),
            ("raised a maximum apart", self.raised_apart),
            ("lowered a minimum apart", self.lowered_apart),
            ("wrote a group apart", self.placed_apart),
            ("filled a set apart", self.filled_apart),
            ("wrote a whole record apart", self.written_apart),
            ("shown in a cycle", self.in_a_cycle),
            ("updated to another program", self.updated),
            ("column written that a program lacked", self.past_a_program),
            ("a relay without the models", self.relays),
            ("other topology while running", self.rewired),
            ("taken back what a clock ahead had stamped", self.taken_back),
            ("crashed in the middle of a write", self.crashed),
            ("crashed inside apply", self.crashed_in_apply),
        ]
    }

    fn all_mut(&mut self) -> [&mut u64; 26] {
        [
            &mut self.delete_against_update,
            &mut self.creation_against_delete,
            &mut self.hidden,
            &mut self.hidden_released,
            &mut self.waited,
            &mut self.child_released,
            &mut self.taken_out,
            &mut self.user_merges,
            &mut self.duplicates,
            &mut self.held,
            &mut self.released,
            &mut self.interrupted,
            &mut self.counted_apart,
            &mut self.raised_apart,
            &mut self.lowered_apart,
            &mut self.placed_apart,
            &mut self.filled_apart,
            &mut self.written_apart,
            &mut self.in_a_cycle,
            &mut self.updated,
            &mut self.past_a_program,
            &mut self.relays,
            &mut self.rewired,
            &mut self.taken_back,
            &mut self.crashed,
            &mut self.crashed_in_apply,
        ]
    }
}
