//! One column of an object, and which of two stays.
//!
//! Invariant: [`settle`] picks the greater by one total order, so that joining cells is commutative, associative
//! and idempotent. A further kind of tag gets its own arm there.

use crate::{
    change::{Cell, Tag},
    ids::Name,
    stamp::Stamp,
    value::{SyncValue, ValueHash},
};

/// One column of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectCell {
    /// The column's name on the wire.
    pub column: Name,
    /// How it merges.
    pub tag: Tag,
    /// The change that wrote the value; nil if adopted.
    pub version: Stamp,
    /// The hash of `value`.
    pub hash: ValueHash,
    /// The author's value.
    pub value: SyncValue,
}

impl ObjectCell {
    /// The cell as a change carries it.
    pub fn to_cell(&self) -> Cell {
        Cell { column: self.column.clone(), tag: self.tag, version: self.version, value: self.value.clone() }
    }
}

impl From<&Cell> for ObjectCell {
    fn from(cell: &Cell) -> Self {
        Self {
            column: cell.column.clone(),
            tag: cell.tag,
            version: cell.version,
            hash: cell.value.hash64(),
            value: cell.value.clone(),
        }
    }
}

/// Which of two cells of one column stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// They are one and the same.
    Same,
    /// The one that was there.
    Local,
    /// The one that came.
    Incoming,
}

/// The greater by (rule, kind), version, author hash stays.
///
/// For last writer wins this is the rule itself. Cells of kinds that this program does not know are settled
/// alike: on the first difference, and whole.
pub(super) fn settle(local: &ObjectCell, incoming: &ObjectCell) -> Settled {
    match order(incoming).cmp(&order(local)) {
        std::cmp::Ordering::Less => Settled::Local,
        std::cmp::Ordering::Equal => Settled::Same,
        std::cmp::Ordering::Greater => Settled::Incoming,
    }
}

fn order(cell: &ObjectCell) -> (Tag, Stamp, ValueHash) {
    (cell.tag, cell.version, cell.hash)
}
