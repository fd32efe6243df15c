//! What a replica knows of a record: the truth, of which the row is the materialisation.
//!
//! Invariants: cells are sorted by column in byte order, each column once; an even generation has no cells; the
//! clock covers every cell's version. [`join()`] keeps them; only it changes an object.

use super::{cell::ObjectCell, join::join};
use crate::{
    change::{Change, ChangeKind},
    ids::{DeviceId, Name, RecordId},
    stamp::Stamp,
    vector::Clock,
};

/// What is known of a record, complete with values. The default is a record that was never heard of.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Causal length: odd = alive, even = deleted, 0 = never existed.
    pub generation: u64,
    /// The stamp that began the generation, of concurrent ones the smallest: of an insert (nil if adopted), or,
    /// in an even generation, of the delete.
    pub born: Stamp,
    /// The newest stamp per device that touched the record.
    pub clock: Clock,
    /// What is known of the columns. A column without a cell is not known yet.
    pub cells: Vec<ObjectCell>,
}

impl Default for Object {
    fn default() -> Self {
        Self { generation: 0, born: Stamp::NIL, clock: Clock::new(), cells: Vec::new() }
    }
}

impl Object {
    /// The object that knows this change only.
    pub fn from_change(change: &Change) -> Self {
        let mut object = Self::default();
        join(&mut object, change);
        object
    }

    /// True if the record exists.
    pub fn is_alive(&self) -> bool {
        is_alive(self.generation)
    }

    /// What is known of `column`.
    pub fn cell(&self, column: &str) -> Option<&ObjectCell> {
        self.cell_near(column, 0)
    }

    /// As [`cell`](Self::cell), for a caller who knows where the column mostly is.
    pub fn cell_near(&self, column: &str, hint: usize) -> Option<&ObjectCell> {
        self.position(column, hint).ok().map(|at| &self.cells[at])
    }

    /// The whole object as one change: a row of the state feed. Joining it teaches all that is known here.
    ///
    /// Its id is the newest stamp in the clock and its context the whole clock, so it says nothing that its
    /// reader could not have learned from others; `device` is who passes it on.
    pub fn to_change(&self, model: Name, record: RecordId, device: DeviceId) -> Change {
        let id = self.clock.newest();
        Change {
            id,
            device,
            previous: None,
            txn: id,
            more: false,
            kind: ChangeKind::Repair,
            model,
            record,
            generation: self.generation,
            born: self.born,
            context: self.clock.clone(),
            cells: self.cells.iter().map(ObjectCell::to_cell).collect(),
        }
    }

    /// Where `column` is, or where it belongs. `hint` is looked at first: columns mostly come in order.
    pub(super) fn position(&self, column: &str, hint: usize) -> Result<usize, usize> {
        position(&self.cells, |cell| &cell.column, column, hint)
    }
}

/// Where `column` is in `cells`, or where it belongs; `hint` is looked at first.
pub(super) fn position<C>(
    cells: &[C],
    name: impl Fn(&C) -> &Name,
    column: &str,
    hint: usize,
) -> Result<usize, usize> {
    match cells.get(hint) {
        Some(cell) if name(cell) == column => Ok(hint),
        None if cells.last().is_none_or(|last| name(last).as_str() < column) => Err(cells.len()),
        _ => cells.binary_search_by(|cell| name(cell).as_str().cmp(column)),
    }
}

/// What two replicas know of one record, together.
pub fn merge_objects(a: &Object, b: &Object) -> Object {
    let nobody = DeviceId::from_bytes([0; 16]);
    let mut merged = a.clone();
    join(&mut merged, &b.to_change(Name::default(), RecordId::from_bytes([]), nobody));
    merged
}

/// True for the generations in which a record exists.
pub(crate) fn is_alive(generation: u64) -> bool {
    generation % 2 == 1
}
