//! One column of an object, and what two of them make.
//!
//! Invariant: [`settle`] is commutative, associative and idempotent: by tag it is a total order, and under one tag either
//! a total order or the join of parts, with every value of another form below those.

use std::cmp::Ordering;

use super::{parts::Parts, rule::extreme};
use crate::{
    change::{Cell, Strategy, Tag},
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

impl From<Cell> for ObjectCell {
    fn from(cell: Cell) -> Self {
        let hash = cell.value.hash64();
        Self { column: cell.column, tag: cell.tag, version: cell.version, hash, value: cell.value }
    }
}

/// What two cells of one column make.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Settled {
    /// They are one and the same.
    Same,
    /// The one that was there stays.
    Local,
    /// The one that came stays.
    Incoming,
    /// Both are in this one.
    Both(Box<ObjectCell>),
}

/// The higher (rule, kind) stays; of equal ones the kind decides.
pub(super) fn settle(local: &ObjectCell, incoming: &ObjectCell) -> Settled {
    if local.tag != incoming.tag || local.tag.is_lww() {
        return of_order(order(local).cmp(&order(incoming)));
    }
    match local.tag.strategy() {
        Some(strategy @ (Strategy::Max | Strategy::Min)) => of_order(
            extreme(strategy, &local.value, &incoming.value)
                .then_with(|| local.version.cmp(&incoming.version)),
        ),
        _ => join_parts(local, incoming),
    }
}

fn of_order(order: Ordering) -> Settled {
    match order {
        Ordering::Greater => Settled::Local,
        Ordering::Equal => Settled::Same,
        Ordering::Less => Settled::Incoming,
    }
}

/// Last writer wins: the later version, of one version the larger hash.
fn order(cell: &ObjectCell) -> (Tag, Stamp, ValueHash) {
    (cell.tag, cell.version, cell.hash)
}

/// Parts join. A value of another form is below all that are made of parts; of two such the later one stays, whole.
fn join_parts(local: &ObjectCell, incoming: &ObjectCell) -> Settled {
    let parse = |cell: &ObjectCell| Parts::parse(&cell.value, cell.version);
    match (parse(local), parse(incoming)) {
        (None, None) => of_order(order(local).cmp(&order(incoming))),
        (Some(_), None) => Settled::Local,
        (None, Some(_)) => Settled::Incoming,
        (Some(ours), Some(theirs)) => {
            let mut parts = ours.clone();
            parts.join(theirs.clone());
            let version = local.version.max(incoming.version);
            match (parts == ours && version == local.version, parts == theirs && version == incoming.version)
            {
                (true, true) => Settled::Same,
                (true, false) => Settled::Local,
                (false, true) => Settled::Incoming,
                (false, false) => {
                    let value = parts.to_value();
                    let (column, tag) = (local.column.clone(), local.tag);
                    Settled::Both(Box::new(ObjectCell { column, tag, version, hash: value.hash64(), value }))
                }
            }
        }
    }
}

/// What two cells of one column make, as a cell.
pub fn merge_cells(local: &ObjectCell, incoming: ObjectCell) -> ObjectCell {
    match settle(local, &incoming) {
        Settled::Same | Settled::Local => local.clone(),
        Settled::Incoming => incoming,
        Settled::Both(both) => *both,
    }
}

/// True if a cell that does not stay leaves nothing behind: of the other kinds all that was said stays, or is
/// meant to go.
pub(super) fn can_lose(local: &ObjectCell, incoming: &ObjectCell) -> bool {
    local.tag != incoming.tag
        || match local.tag.strategy() {
            Some(Strategy::Lww) => true,
            Some(_) => false,
            None => Parts::parse(&local.value, local.version).is_none(),
        }
}
