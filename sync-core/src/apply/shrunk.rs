//! Objects whose rows have lost a column: a migration dropped it, or the program is an older one.
//!
//! Invariant: no object relies on its row for a value that the row does not hold. Such an object could be neither served
//! nor joined, and one of them would stop every round.

use super::{ApplyError, known};
use crate::{
    ledger::{self, Commit, Head, ObjectWrite},
    store::{Bindings, Write},
};

/// How many objects are looked at together.
const PAGE: u32 = 2_000;

/// Keeps beside their objects the values of columns that are gone, as the log tells them. What it no longer tells, the object
/// forgets: then the result is true, and the peers' state is to be read again, which brings it back.
///
/// Call it before anything is flushed or applied.
pub(crate) async fn keep_values(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
) -> Result<bool, ApplyError> {
    let changed = known::changed(write.db, bindings).await?;
    if changed.is_empty() {
        return Ok(false);
    }
    let (mut forgotten, mut after) = (0_u64, 0);
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let mut commit = Commit::default();
        for mut one in page.into_iter().filter(|one| one.object.shown && one.object.is_alive()) {
            let Some(binding) = changed.iter().find(|binding| binding.model == one.model) else { continue };
            let gone = |column: &str| binding.column_of(column).is_none();
            if !one.object.cells.iter().any(|cell| cell.payload.is_none() && gone(&cell.column)) {
                continue;
            }
            let before = one.object.digest(binding.name(), &one.record);
            for cell in one.object.cells.iter_mut().filter(|cell| gone(&cell.column)) {
                cell.shadow = None;
                cell.row = None;
                if cell.payload.is_none() {
                    let column = &cell.column;
                    cell.payload =
                        ledger::logged_value(write.db, one.model, &one.record, cell.version, column).await?;
                }
            }
            let count = one.object.cells.len();
            one.object.cells.retain(|cell| cell.payload.is_some() || !gone(&cell.column));
            forgotten += (count - one.object.cells.len()) as u64;
            commit.objects.push(ObjectWrite {
                id: one.id,
                is_new: false,
                model: binding.name().clone(),
                record: one.record,
                object: one.object,
                before,
            });
        }
        if !commit.objects.is_empty() {
            commit.write(write, head).await?;
        }
    }
    if forgotten > 0 {
        tracing::warn!(forgotten, "values of columns that are gone are read again from the peers");
    }
    Ok(forgotten > 0)
}
