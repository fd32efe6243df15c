//! A whole database that becomes part of another library: its records are given to it, or make room for it.
//!
//! Invariant: all of it is one transaction, so a database is of one library at any moment, with all of its records or none.
//! The caller has flushed what was dirty in the same transaction.

use std::collections::HashMap;

use super::{
    ApplyError,
    group::{Applied, RemoteChange, bring_in_line},
    working::WorkingSet,
};
use crate::{
    change::{Change, ChangeKind},
    ids::{LibraryId, Name, RecordId},
    ledger::{self, Commit, Entry, Head, LedgerError, ObjectWrite, Placed, assemble},
    merge::{Digest, StoredObject},
    model::is_system,
    runtime::Runtime,
    store::{Bindings, Write, rows, sql},
};

/// How many objects are looked at together.
const PAGE: u32 = 2_000;

/// Gives every alive record to `library`: each begins its first life there as it is, with the stamps that its columns have. Gives
/// the number of records.
pub(crate) async fn give_to(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    library: LibraryId,
    runtime: &Runtime,
) -> Result<u64, ApplyError> {
    forget_system(write, bindings).await?;
    ledger::move_to(write, head, library, runtime).await?;
    let (mut after, mut records) = (0, 0);
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(records) };
        after = last.id;
        records += page.len() as u64;
        let mut found = rows_of(write, bindings, &page).await?;
        let mut commit = Commit::default();
        for Placed { id, model, record, object } in page {
            let row = found.remove(&(model, record.clone()));
            let binding = bindings.by_model(model);
            let name = write.names.text(model).map_err(LedgerError::from)?;
            let whole = assemble(object.clone(), binding.map(AsRef::as_ref), row.as_ref())?;
            let Some(whole) = whole else {
                return Err(LedgerError::Corrupt(format!(
                    "the row of {name} {record} cannot be read, or is not what is known of it: repair it and run `reconcile`"
                ))
                .into());
            };
            let change = announce(head, runtime, name.clone(), record.clone(), whole);
            let object =
                StoredObject { generation: change.generation, clock: whole_clock(&change), ..object };
            let bytes = change.encode().into_bytes();
            commit.entries.push(Entry::new(&change, bytes));
            let before = Digest::default();
            commit.objects.push(ObjectWrite { id, is_new: false, model: name, record, object, before });
        }
        commit.write(write, head).await?;
    }
}

/// The record as a change of this device: what is known of it, under the stamps of those who wrote it.
fn announce(
    head: &mut Head,
    runtime: &Runtime,
    model: Name,
    record: RecordId,
    object: crate::merge::Object,
) -> Change {
    let id = head.clock.tick(runtime.time.now_ms(), runtime.random.as_ref());
    Change {
        id,
        device: head.identity.device,
        previous: head.previous.replace(id),
        txn: id,
        more: false,
        kind: ChangeKind::Adopt,
        model,
        record,
        generation: 1,
        born: object.born,
        context: object.clock,
        cells: object.cells.iter().map(crate::merge::ObjectCell::to_cell).collect(),
    }
}

fn whole_clock(change: &Change) -> crate::vector::Clock {
    let mut clock = change.context.clone();
    clock.observe(change.id);
    clock
}

/// What the engine's own models say is said of the library that is left: none of it comes along, and nobody is told.
async fn forget_system(write: &Write<'_>, bindings: &Bindings) -> Result<(), ApplyError> {
    for (model, _) in write.names.models().filter(|(_, name)| is_system(name)) {
        if let Some(binding) = bindings.by_model(model) {
            sql::execute(write.db, &format!("DELETE FROM {}", binding.quoted_table()), []).await?;
        }
        for table in ["sync_dirty", "sync_objects"] {
            sql::execute(write.db, &format!("DELETE FROM {table} WHERE model = ?"), [model.into()]).await?;
        }
    }
    Ok(())
}

async fn rows_of(
    write: &Write<'_>,
    bindings: &Bindings,
    page: &[Placed],
) -> Result<HashMap<(i64, RecordId), rows::RowState>, ApplyError> {
    let mut found = HashMap::new();
    for binding in bindings.iter() {
        let shown = page.iter().filter(|one| one.model == binding.model && one.object.shown);
        for (record, row) in rows::by_record(write.db, binding, shown.map(|one| &one.record)).await? {
            found.insert((binding.model, record), row);
        }
    }
    Ok(found)
}

/// Removes every record of the library that the database is of, and its row, and makes it one of `library`, of which it has
/// nothing yet. Rows that never synced stay.
pub(crate) async fn make_room_for(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    library: LibraryId,
    runtime: &Runtime,
) -> Result<Applied, ApplyError> {
    forget_system(write, bindings).await?;
    let mut removed = Applied::default();
    let mut after = 0;
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let mut alive: HashMap<i64, Vec<RecordId>> = HashMap::new();
        for one in page.into_iter().filter(|one| one.object.is_alive()) {
            alive.entry(one.model).or_default().push(one.record);
        }
        let mut set = WorkingSet::default();
        for (model, records) in alive {
            let name = write.names.text(model).map_err(LedgerError::from)?;
            set.load(write, bindings, head, &name, records).await?;
        }
        for ((_, record), working) in &mut set.records {
            working.object.generation += 1;
            working.object.cells.clear();
            (working.changed, working.touched) = (true, true);
            let (model, record) = (working.model.clone(), record.clone());
            removed.changes.push(RemoteChange { model, record, kind: ChangeKind::Delete });
        }
        let mut applied = Applied::default();
        let now_ms = runtime.time.now_ms();
        bring_in_line(write, bindings, head, &mut set, Commit::default(), &mut applied, now_ms).await?;
    }
    // Nothing of it is alive any more, so nothing is taken along.
    ledger::move_to(write, head, library, runtime).await?;
    removed.merged = removed.changes.len() as u64;
    removed.to = head.seq;
    Ok(removed)
}
