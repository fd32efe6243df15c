//! What one change does to the object of its record.
//!
//! Invariant: an object changes by the join alone.

use super::{
    ApplyError,
    group::{Applied, RemoteChange},
    working::{Working, WorkingSet},
};
use crate::{
    change::Change,
    merge::{Changed, Object, join_taking, must_be_told},
    store::{NameKind, StoreError, Write},
};

/// Joins a change into its record, if that is one of the group's.
pub(super) fn join_one(
    write: &Write<'_>,
    set: &mut WorkingSet,
    change: Change,
    applied: &mut Applied,
) -> Result<(), ApplyError> {
    if let Some(working) = working_of(write, set, &change)? {
        join_into(working, change, applied);
    }
    Ok(())
}

/// The record that `change` is about.
pub(super) fn working_of<'a>(
    write: &Write<'_>,
    set: &'a mut WorkingSet,
    change: &Change,
) -> Result<Option<&'a mut Working>, ApplyError> {
    let model = write
        .names
        .id(NameKind::Model, change.model.as_bytes())
        .ok_or_else(|| StoreError::Corrupt(format!("model {} has no name", change.model)))?;
    Ok(set.records.get_mut(&(model, change.record.clone())))
}

pub(super) fn join_into(working: &mut Working, change: Change, applied: &mut Applied) {
    let (name, record, kind) = (change.model.clone(), change.record.clone(), change.kind);
    let joined = join_taking(&mut working.object, change);
    working.touched = true;
    working.changed |= !matches!(joined.changed, Changed::Nothing | Changed::ClockOnly);
    if !matches!(joined.changed, Changed::Nothing | Changed::ClockOnly) {
        applied.changes.push(RemoteChange { model: name.clone(), record: record.clone(), kind });
    }
    let conflicts = joined.conflicts.into_iter();
    applied.conflicts.extend(conflicts.map(|one| one.into_conflict(name.clone(), record.clone())));
}

/// A tombstone younger than this is still everywhere: nobody removes one before seven days have passed.
const TOLD_FOR_MS: u64 = 24 * 60 * 60 * 1_000;

/// True if `object` is deleted, and elsewhere `change` may bring it back because nothing is known of the delete any more.
fn may_be_forgotten(object: &Object, change: &Change, now_ms: u64) -> bool {
    must_be_told(object, change) && object.clock.newest().ms().saturating_add(TOLD_FOR_MS) < now_ms
}

/// Takes note of a deleted record that others may take for a new one.
pub(super) fn note_untold(object: &Object, change: &Change, applied: &mut Applied, now_ms: u64) {
    if may_be_forgotten(object, change, now_ms) {
        applied.untold.push((change.model.clone(), change.record.clone(), object.clock.clone()));
    }
}
