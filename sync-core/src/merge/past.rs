//! Records whose tombstones are gone: how a change that speaks of one is known for what it is. Pure.
//!
//! Invariant: what a replica merged it knows. There is an object, or there was one and its tombstone went. So a change of a record
//! that is unknown, whose generation was begun by something merged here before, speaks of a life that is over.

use super::{
    conflict::FieldConflict,
    join::join,
    object::{Object, is_alive},
    stored::StoredObject,
};
use crate::{
    change::{Change, ChangeKind},
    ids::{DeviceId, Name, RecordId},
    stamp::Stamp,
    vector::{Clock, Vector},
};

/// What was merged before now.
#[derive(Clone, Debug)]
pub(crate) struct Past(Clock);

impl Past {
    /// What a replica with this vector has merged. Of forked authors nothing is sure.
    pub(crate) fn of(vector: &Vector) -> Self {
        Self(vector.heads().map(|(_, head)| head).collect())
    }

    /// True if all that `clock` knows was merged.
    pub(crate) fn covers(&self, clock: &Clock) -> bool {
        self.0.includes(clock)
    }

    /// True if a life begun by `born`, of which `clock` knows, had begun here. A record that was adopted was begun by nobody: then
    /// somebody who touched it tells.
    fn saw(&self, born: Stamp, clock: &Clock) -> bool {
        match born.is_nil() {
            false => self.0.covers(born),
            true => clock.stamps().iter().any(|stamp| self.0.covers(*stamp)),
        }
    }

    /// True if `change`, of a record that is unknown here, speaks of a life that is over.
    pub(crate) fn is_over(&self, change: &Change) -> bool {
        if is_alive(change.generation) {
            self.saw(change.born, &change.context)
        } else {
            // A delete is news even of a record that nobody knows. A tombstone that went once need not come back.
            change.kind == ChangeKind::Repair && self.covers(&change.context)
        }
    }

    /// What is to be joined into `object`, which somebody with this past does not have any more: a tombstone that knows of it what
    /// that one knew. `None` if its life began later.
    pub(crate) fn end_of(
        &self,
        model: Name,
        record: RecordId,
        object: &StoredObject,
        device: DeviceId,
    ) -> Option<Change> {
        if !object.is_alive() || !self.saw(object.born, &object.clock) {
            return None;
        }
        let known: Clock =
            object.clock.stamps().iter().copied().filter(|stamp| self.0.covers(*stamp)).collect();
        let id = known.newest();
        Some(Change {
            id,
            device,
            previous: None,
            txn: id,
            more: false,
            kind: ChangeKind::Repair,
            model,
            record,
            generation: object.generation + 1,
            born: id,
            context: known,
            cells: Vec::new(),
        })
    }
}

/// What is lost of a change that speaks of a life that is over.
pub(crate) fn lost_with(change: &Change) -> Vec<FieldConflict> {
    if !is_alive(change.generation) {
        return Vec::new();
    }
    let mut gone = Object {
        generation: change.generation + 1,
        born: change.context.newest(),
        clock: change.context.clone(),
        cells: Vec::new(),
    };
    join(&mut gone, change).conflicts
}

/// True if `object` is deleted and `change` is of a life before that, which the delete knew nothing of: where the tombstone went
/// already, the record is alive again, unless the delete is said once more.
pub(crate) fn must_be_told(object: &Object, change: &Change) -> bool {
    let dead = object.generation > 0 && !object.is_alive();
    let began = if change.born.is_nil() { change.id } else { change.born };
    dead && is_alive(change.generation)
        && change.generation < object.generation
        && !object.clock.covers(began)
}
