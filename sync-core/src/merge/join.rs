//! An object learns a change.
//!
//! Invariant: the higher generation wins and resets all cells; within one, cells join; clocks always merge.
//! That is a lexicographic product beside a product of semilattices, hence commutative, associative and
//! idempotent; `laws` tests it.

use std::cmp::Ordering;

use super::{
    cell::{ObjectCell, Settled, settle},
    conflict::{self, FieldConflict},
    object::{Object, is_alive},
};
use crate::{
    change::{Change, ChangeKind},
    ids::Name,
    stamp::Stamp,
};

/// What a join did.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// What of the object is another now.
    pub changed: Changed,
    /// What was lost, and to what. Never affects the object.
    pub conflicts: Vec<FieldConflict>,
}

/// What of an object a join changed. The clock may have moved with any of them but `Nothing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing: all of the change was known.
    Nothing,
    /// The clock only; neither row nor digest is touched.
    ClockOnly,
    /// The generation's birth moved to an earlier stamp (which can change whom a unique key hides), no cell did.
    Birth,
    /// The cells of these columns, and perhaps `born`. A value may be what it was, under a newer version.
    Cells(Vec<Name>),
    /// The generation, and with it everything.
    NewGeneration,
}

/// Joins `change` into `object`.
pub fn join(object: &mut Object, change: &Change) -> Joined {
    let mut conflicts = Vec::new();
    let changed = match change.generation.cmp(&object.generation) {
        Ordering::Less => {
            conflict::outlived(object, change, &mut conflicts);
            Changed::Nothing
        }
        Ordering::Equal => join_cells(object, change, &mut conflicts),
        Ordering::Greater => {
            conflict::wiped(object, change, &mut conflicts);
            begin_generation(object, change, change.cells.iter().map(ObjectCell::from));
            Changed::NewGeneration
        }
    };
    // Conflicts are judged by what was known before, so the clock learns last.
    let learned = learn(object, change);
    match changed {
        Changed::Nothing if learned => Joined { changed: Changed::ClockOnly, conflicts },
        changed => Joined { changed, conflicts },
    }
}

/// As [`join()`]: an object that has no values yet takes those of the change.
pub(crate) fn join_taking(object: &mut Object, mut change: Change) -> Joined {
    if change.generation <= object.generation || !object.cells.is_empty() {
        return join(object, &change);
    }
    learn(object, &change);
    let cells = std::mem::take(&mut change.cells);
    begin_generation(object, &change, cells.into_iter().map(ObjectCell::from));
    Joined { changed: Changed::NewGeneration, conflicts: Vec::new() }
}

fn begin_generation(object: &mut Object, change: &Change, cells: impl ExactSizeIterator<Item = ObjectCell>) {
    object.generation = change.generation;
    object.born = begun(change);
    object.cells.clear();
    if is_alive(change.generation) {
        object.cells.reserve_exact(cells.len());
        for incoming in cells {
            match object.position(&incoming.column, object.cells.len()) {
                Err(at) => object.cells.insert(at, incoming),
                Ok(at) => match settle(&object.cells[at], &incoming) {
                    Settled::Same | Settled::Local => {}
                    Settled::Incoming => object.cells[at] = incoming,
                    Settled::Both(both) => object.cells[at] = *both,
                },
            }
        }
    }
}

fn join_cells(object: &mut Object, change: &Change, conflicts: &mut Vec<FieldConflict>) -> Changed {
    let begun = begun(change);
    let earlier = begun < object.born;
    if earlier {
        object.born = begun;
    }
    let mut columns = Vec::new();
    if object.is_alive() {
        let mut hint = 0;
        for cell in &change.cells {
            let at = match object.position(&cell.column, hint) {
                Ok(at) => at,
                Err(at) => {
                    object.cells.insert(at, ObjectCell::from(cell));
                    columns.push(cell.column.clone());
                    hint = at + 1;
                    continue;
                }
            };
            hint = at + 1;
            let local = &object.cells[at];
            let superseded = cell.tag == local.tag && cell.tag.is_lww() && cell.version < local.version;
            if superseded && object.clock.covers(cell.version) {
                // Old news, which can neither win nor conflict: its hash is not worth computing.
                continue;
            }
            let incoming = ObjectCell::from(cell);
            let settled = settle(local, &incoming);
            conflicts.extend(conflict::judge(object, change, local, &incoming, &settled));
            let joined = match settled {
                Settled::Same | Settled::Local => continue,
                Settled::Incoming => incoming,
                Settled::Both(both) => *both,
            };
            object.cells[at] = joined;
            columns.push(cell.column.clone());
        }
    }
    match (columns.is_empty(), earlier) {
        (false, _) => Changed::Cells(columns),
        (true, true) => Changed::Birth,
        (true, false) => Changed::Nothing,
    }
}

/// The stamp that began the change's generation. A delete's is its own id, whoever wrote what into `born`; a
/// fragment passes on the one it has.
pub(super) fn begun(change: &Change) -> Stamp {
    match change.kind {
        ChangeKind::Repair => change.born,
        _ if is_alive(change.generation) => change.born,
        _ => change.id,
    }
}

/// True if any of it was new.
fn learn(object: &mut Object, change: &Change) -> bool {
    let versions = change.cells.iter().map(|cell| cell.version);
    let mut learned = false;
    let mut before = Stamp::NIL;
    for stamp in change.context.stamps().iter().copied().chain(versions).chain([change.id]) {
        // Cells mostly share their version.
        if std::mem::replace(&mut before, stamp) != stamp && !object.clock.covers(stamp) {
            object.clock.observe(stamp);
            learned = true;
        }
    }
    learned
}
