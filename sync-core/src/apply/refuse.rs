//! What a peer says of records in a repair, and is not taken.
//!
//! Invariant: what was merged here before stands. A peer that says otherwise is told so, and nothing of the record is changed by that.

use std::collections::HashSet;

use super::{
    ApplyError,
    mend::{Joined, Means, Named, came_with_state},
    working::WorkingSet,
};
use crate::{
    change::Change,
    ledger::{self, Head},
    merge::Past,
    store::{NameKind, Write, sql},
};

/// Takes out of `incoming` what speaks of records that were deleted and forgotten here. A sender who merged all that was merged
/// here would know: what that one has was lost here.
pub(crate) async fn refuse_past(
    write: &Write<'_>,
    head: &Head,
    incoming: Vec<Change>,
    means: &Means,
) -> Result<(Vec<Change>, Vec<(Named, String)>), ApplyError> {
    if head.forgotten.is_nothing() || incoming.is_empty() {
        return Ok((incoming, Vec::new()));
    }
    let mine = ledger::vector(write.db, &write.names, head.library).await?;
    if means.theirs.includes(&mine) {
        return Ok((incoming, Vec::new()));
    }
    let past = Past::of(&mine);
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for change in incoming {
        let model = write.names.id(NameKind::Model, change.model.as_bytes());
        let known = match model {
            Some(model) => {
                let records = [&change.record];
                let found = ledger::found_of(write.db, &write.names, head.library, model, records).await?;
                !found.is_empty()
            }
            None => false,
        };
        if known || !past.is_over(&change) {
            taken.push(change);
        } else {
            let why = "it was deleted, and the peer has not heard of that: a round tells it".to_owned();
            refused.push(((change.model, change.record), why));
        }
    }
    Ok((taken, refused))
}

/// Takes out of `change` what it says of a version of which the log here says something else.
pub(super) async fn refuse_lies(
    write: &Write<'_>,
    set: &WorkingSet,
    change: &mut Change,
    joined: &mut Joined,
) -> Result<(), ApplyError> {
    let Some(model) = write.names.id(NameKind::Model, change.model.as_bytes()) else { return Ok(()) };
    let key = (model, change.record.clone());
    let Some(working) = set.get(&key).filter(|working| working.object.generation == change.generation) else {
        return Ok(());
    };
    let mut lies = Vec::new();
    for cell in &change.cells {
        let Some(here) = working.object.cell(&cell.column) else { continue };
        if here.version == cell.version && here.hash != cell.value.hash64() {
            let told =
                ledger::logged_value(write.db, model, &change.record, cell.version, &cell.column).await?;
            if told.is_some_and(|told| told.hash64() == here.hash) {
                lies.push(cell.column.clone());
            }
        }
    }
    for column in lies {
        change.cells.retain(|cell| cell.column != column);
        let why = format!("the peer's value of `{column}` is not the one that its author logged");
        joined.refused.push(((change.model.clone(), change.record.clone()), why));
    }
    Ok(())
}

/// Takes out of `change` what was written by changes that would be in the log here, which is whole, and are not.
pub(super) async fn refuse_unheard_of(
    write: &Write<'_>,
    head: &Head,
    change: &mut Change,
    joined: &mut Joined,
) -> Result<(), ApplyError> {
    let vector = ledger::vector(write.db, &write.names, head.library).await?;
    if vector.forked().next().is_some() {
        return Ok(());
    }
    let known = |version| came_with_state(version, &vector);
    let ids: HashSet<Vec<u8>> = change
        .cells
        .iter()
        .filter(|cell| !cell.version.is_nil() && known(cell.version))
        .map(|cell| cell.version.as_bytes().to_vec())
        .collect();
    let select = "SELECT change_id FROM sync_log WHERE change_id IN";
    let found = sql::select_in(write.db, select, "", ids.iter().cloned().map(Into::into).collect()).await?;
    let found: HashSet<Vec<u8>> = found.iter().map(|row| sql::column(row, 0)).collect::<Result<_, _>>()?;
    let mut unheard: HashSet<Vec<u8>> = ids.difference(&found).cloned().collect();
    if !unheard.is_empty() {
        // A change may pass on what its author wrote in changes before it that nobody has seen.
        for version in
            ledger::logged_versions(write.db, head, &change.model, &change.record, &write.names).await?
        {
            unheard.remove(version.as_bytes().as_slice());
        }
    }
    let unheard = |version: crate::stamp::Stamp| unheard.contains(version.as_bytes().as_slice());
    if change.cells.iter().any(|cell| unheard(cell.version)) {
        change.cells.retain(|cell| !unheard(cell.version));
        let why = "the peer's object names a change that nobody made";
        tracing::warn!(model = %change.model, record = %change.record, why);
        joined.strange.push((change.model.clone(), change.record.clone()));
    }
    Ok(())
}
