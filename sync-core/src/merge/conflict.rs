//! What a join loses, and to what.
//!
//! A conflict is a report: it never affects the object. It is judged by causality: two writes conflict if
//! neither author knew of the other's. A change knows its context and itself; an object knows its clock. What
//! was known already when a change comes is no conflict, so a duplicate reports nothing.

use super::{
    cell::{ObjectCell, Settled, can_lose},
    join::begun,
    object::{Object, is_alive},
    rule::shown,
};
use crate::{
    change::{Cell, Change},
    ids::{Name, RecordId},
    stamp::Stamp,
    value::SyncValue,
};

/// One column's value was lost to another write.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldConflict {
    /// The column.
    pub column: Name,
    /// What stands now.
    pub winner: Side,
    /// What was lost.
    pub loser: Side,
    /// Why.
    pub reason: ConflictReason,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// The change that wrote it.
    pub version: Stamp,
    /// The value; `None` where the winner has none for the column: a delete, or a generation that does not
    /// know it yet.
    pub value: Option<SyncValue>,
}

/// Why a value was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictReason {
    /// Two devices wrote the column, neither knowing of the other's write.
    ConcurrentWrite,
    /// The record was deleted by someone who did not know of the write.
    DeleteWins,
    /// The record was deleted and created again by someone who did not know of the write.
    HigherGeneration,
    /// A write under a newer merge rule, or another kind of it, stands above one under an older.
    HigherTag,
    /// Two adopted rows differ, neither of them ever written by a logged change.
    Baseline,
    /// Two values under one stamp: a cloned database, or a fault.
    SameStamp,
}

impl ConflictReason {
    const ALL: [Self; 6] = [
        Self::ConcurrentWrite,
        Self::DeleteWins,
        Self::HigherGeneration,
        Self::HigherTag,
        Self::Baseline,
        Self::SameStamp,
    ];

    /// The reason's name, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConcurrentWrite => "concurrent_write",
            Self::DeleteWins => "delete_wins",
            Self::HigherGeneration => "higher_generation",
            Self::HigherTag => "higher_tag",
            Self::Baseline => "baseline",
            Self::SameStamp => "same_stamp",
        }
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl std::fmt::Display for ConflictReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A conflict as it is kept for people and programs to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The model's name on the wire.
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// The column.
    pub column: Name,
    /// The change that stands.
    pub winner_id: Stamp,
    /// The change that lost.
    pub loser_id: Stamp,
    /// Why.
    pub reason: ConflictReason,
    /// What was lost.
    pub loser_value: SyncValue,
}

impl FieldConflict {
    /// The conflict as it is kept for `record` of `model`.
    pub fn into_conflict(self, model: Name, record: RecordId) -> Conflict {
        Conflict {
            model,
            record,
            column: self.column,
            winner_id: self.winner.version,
            loser_id: self.loser.version,
            reason: self.reason,
            loser_value: self.loser.value.unwrap_or(SyncValue::Null),
        }
    }
}

/// Judges two cells of one column and one generation; `object` is as it was before the change.
pub(super) fn judge(
    object: &Object,
    change: &Change,
    local: &ObjectCell,
    incoming: &ObjectCell,
    settled: &Settled,
) -> Option<FieldConflict> {
    let (winner, loser) = match settled {
        Settled::Incoming => (incoming, local),
        Settled::Local | Settled::Same => (local, incoming),
        Settled::Both(_) => return None,
    };
    if winner.hash == loser.hash || !can_lose(local, incoming) {
        return None;
    }
    let reason = reason(object, change, local, incoming, settled)?;
    Some(FieldConflict { column: winner.column.clone(), winner: winner.into(), loser: loser.into(), reason })
}

fn reason(
    object: &Object,
    change: &Change,
    local: &ObjectCell,
    incoming: &ObjectCell,
    settled: &Settled,
) -> Option<ConflictReason> {
    let (v, w) = (incoming.version, local.version);
    if v == w && !v.is_nil() {
        return Some(ConflictReason::SameStamp);
    }
    // A baseline has no stamp by which to know it. Who knows all of the other side's clock knows its baselines.
    let seen = if v.is_nil() { knows_all(object, change) } else { object.clock.covers(v) };
    let foreseen = if w.is_nil() { change.context.includes(&object.clock) } else { knows(change, w) };
    if seen {
        return None;
    }
    if v == w {
        return (!foreseen).then_some(ConflictReason::Baseline);
    }
    let (winner, loser) = if *settled == Settled::Incoming { (v, w) } else { (w, v) };
    if loser.is_nil() && !winner.is_nil() {
        return None;
    }
    match settled {
        Settled::Incoming if foreseen => None,
        _ if local.tag != incoming.tag => Some(ConflictReason::HigherTag),
        _ if foreseen => None,
        _ => Some(ConflictReason::ConcurrentWrite),
    }
}

/// What a change of a higher generation takes away without having known it.
pub(super) fn wiped(object: &Object, change: &Change, conflicts: &mut Vec<FieldConflict>) {
    for lost in &object.cells {
        if knows(change, lost.version) {
            continue;
        }
        let standing = change.cells.iter().find(|cell| cell.column == lost.column).map(Side::from);
        let winner = standing.filter(|_| is_alive(change.generation));
        conflicts.extend(lost_generation(
            lost.into(),
            &lost.column,
            winner,
            change.generation,
            begun(change),
        ));
    }
}

/// What a change of a lower generation brings too late, without its author having known that.
pub(super) fn outlived(object: &Object, change: &Change, conflicts: &mut Vec<FieldConflict>) {
    if !is_alive(change.generation) {
        return;
    }
    for lost in &change.cells {
        if object.clock.covers(lost.version) {
            continue;
        }
        let winner = object.cell(&lost.column).map(Side::from);
        conflicts.extend(lost_generation(lost.into(), &lost.column, winner, object.generation, object.born));
    }
}

fn lost_generation(
    loser: Side,
    column: &Name,
    winner: Option<Side>,
    generation: u64,
    begun: Stamp,
) -> Option<FieldConflict> {
    let reason = match is_alive(generation) {
        true => ConflictReason::HigherGeneration,
        false => ConflictReason::DeleteWins,
    };
    let winner = winner.unwrap_or(Side { version: begun, value: None });
    let differs = winner.value != loser.value;
    differs.then(|| FieldConflict { column: column.clone(), winner, loser, reason })
}

/// True if the author of `change` knew `stamp`, or it is its own: nobody conflicts with themselves.
fn knows(change: &Change, stamp: Stamp) -> bool {
    change.context.covers(stamp) || (stamp.node() == change.id.node() && stamp <= change.id)
}

/// True if `object` has everything that `change` knows.
fn knows_all(object: &Object, change: &Change) -> bool {
    object.clock.covers(change.id) && object.clock.includes(&change.context)
}

impl From<&ObjectCell> for Side {
    fn from(cell: &ObjectCell) -> Self {
        Self { version: cell.version, value: Some(cell.shown().into_owned()) }
    }
}

impl From<&Cell> for Side {
    fn from(cell: &Cell) -> Self {
        Self { version: cell.version, value: Some(shown(cell.tag, cell.version, &cell.value).into_owned()) }
    }
}
