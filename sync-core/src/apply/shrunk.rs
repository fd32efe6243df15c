//! Objects whose rows have lost a column, or are out of sight: a migration dropped it, or the program is another one.
//!
//! Invariant: no object relies on its row for a value that the row does not hold. Such an object could be neither served
//! nor joined, and one of them would stop every round.

use std::collections::HashMap;

use super::{ApplyError, known};
use crate::{
    ledger::{self, Commit, Head, ObjectWrite},
    merge::StoredCell,
    store::{Binding, Bindings, Write},
};

/// How many objects are looked at together.
const PAGE: u32 = 2_000;

/// Keeps beside their objects the values of columns that are gone, and of models that the program has no more, as the log tells
/// them. What it no longer tells, the object forgets: then the result is true, and the peers' state is to be read again, which
/// brings it back.
///
/// Call it before anything is flushed or applied.
pub(crate) async fn keep_values(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
) -> Result<bool, ApplyError> {
    let changed = known::changed(write.db, bindings).await?;
    let unbound = known::unbound(write.db, bindings).await?;
    let mut gone: HashMap<i64, Gone<'_>> =
        changed.into_iter().map(|binding| (binding.model, Gone::Columns(binding))).collect();
    gone.extend(unbound.iter().map(|model| (*model, Gone::Model)));
    let forgotten = keep(write, head, &gone).await?;
    known::put_aside(write.db, &unbound).await?;
    Ok(forgotten)
}

/// Keeps the values of a model whose table is gone: its records are out of their rows. What the log no longer tells comes again from the
/// peers.
pub(crate) async fn take_off(write: &mut Write<'_>, head: &mut Head, model: i64) -> Result<(), ApplyError> {
    if keep(write, head, &HashMap::from([(model, Gone::Table)])).await? {
        tracing::warn!(
            "values of a table that was dropped are not in the log any more, and are kept by other devices only"
        );
    }
    Ok(())
}

/// What is gone of a model.
enum Gone<'a> {
    /// The columns that its table has not got.
    Columns(&'a Binding),
    /// The program has it no more; its table is as it was.
    Model,
    /// Its table.
    Table,
}

impl Gone<'_> {
    fn has(&self, column: &str) -> bool {
        match self {
            Self::Columns(binding) => binding.column_of(column).is_none(),
            Self::Model | Self::Table => true,
        }
    }
}

async fn keep(
    write: &mut Write<'_>,
    head: &mut Head,
    models: &HashMap<i64, Gone<'_>>,
) -> Result<bool, ApplyError> {
    if models.is_empty() {
        return Ok(false);
    }
    let (mut forgotten, mut after) = (0_u64, 0);
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let mut commit = Commit::default();
        for mut one in page.into_iter().filter(|one| one.object.shown && one.object.is_alive()) {
            let Some(gone) = models.get(&one.model) else { continue };
            let taken_off = matches!(gone, Gone::Table);
            let lacking = |cell: &StoredCell| cell.payload.is_none() && gone.has(&cell.column);
            if !taken_off && !one.object.cells.iter().any(lacking) {
                continue;
            }
            let name = write.names.text(one.model)?;
            let before = one.object.digest(&name, &one.record);
            for cell in one.object.cells.iter_mut().filter(|cell| gone.has(&cell.column)) {
                // A row that stands out of sight is compared again when the model comes back.
                cell.shadow = matches!(gone, Gone::Model).then(|| cell.row_hash());
                cell.row = None;
                if cell.payload.is_none() {
                    let column = &cell.column;
                    cell.payload =
                        ledger::logged_value(write.db, one.model, &one.record, cell.version, column).await?;
                }
            }
            let count = one.object.cells.len();
            one.object.cells.retain(|cell| cell.payload.is_some() || !gone.has(&cell.column));
            one.object.shown = !taken_off;
            forgotten += (count - one.object.cells.len()) as u64;
            commit.objects.push(ObjectWrite {
                id: one.id,
                is_new: false,
                model: name,
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
