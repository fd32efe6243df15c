//! What objects here say beyond what this replica has merged, passed on as changes of its own.
//!
//! Invariant: what a vector says to be here is in the log, or came with the state that the log begins with, and objects say no more
//! than that. States of several peers that were read in part bring more than the state that is read to the end has. That is logged
//! with the stamps of those who wrote it, so it joins as their own changes do, and nobody takes it for damage.

use std::collections::HashMap;

use super::{
    SyncError,
    judge::{author, write_changes},
    positions::{self, CALLED, Position},
    replica::Replica,
};
use crate::{
    change::{Change, ChangeKind},
    ids::{DeviceId, RecordId},
    ledger::{self, Extent, Head},
    merge::Past,
    store::{Bindings, Write, rows},
};

/// How many objects are looked at together.
const SLICE: u32 = 2_000;

impl Replica {
    /// Logs what is known here beyond the vector, if there may be any: the state of a peer, which is complete now, was not the only
    /// one that was read. `from` is that peer, if this replica called it.
    pub(super) async fn pass_on(
        &self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &mut Head,
        from: Option<DeviceId>,
    ) -> Result<(), SyncError> {
        if head.extent != Extent::Widening && !others_are_being_read(write, head, from).await? {
            return Ok(());
        }
        let past = Past::of(&ledger::vector(write.db, &write.names, head.library).await?);
        let mut after = 0;
        loop {
            let slice = ledger::objects_after(write.db, &write.names, head.library, after, SLICE).await?;
            let Some(last) = slice.last() else { return Ok(()) };
            after = last.id;
            let beyond: Vec<_> = slice.into_iter().filter(|one| !past.covers(&one.object.clock)).collect();
            let mut by_model: HashMap<i64, Vec<&RecordId>> = HashMap::new();
            for one in beyond.iter().filter(|one| one.object.shown) {
                by_model.entry(one.model).or_default().push(&one.record);
            }
            let mut table = HashMap::new();
            for (model, records) in by_model {
                if let Some(binding) = bindings.by_model(model) {
                    let found = rows::by_record(write.db, binding, records).await?;
                    table.extend(found.into_iter().map(|(record, row)| ((model, record), row)));
                }
            }
            let mut changes: Vec<Change> = Vec::new();
            for one in beyond {
                let model = write.names.text(one.model)?;
                let row = table.get(&(one.model, one.record.clone()));
                let binding = bindings.by_model(one.model).map(AsRef::as_ref);
                let Some(object) = ledger::assemble(one.object.clone(), binding, row)? else {
                    // Its row was damaged: a repair finds that.
                    continue;
                };
                let said = object.to_change(model.clone(), one.record.clone(), head.identity.device);
                let mut change = author(self, head, model, one.record, &one.object, |_| said.cells);
                change.kind = ChangeKind::Repair;
                changes.push(change);
            }
            if !changes.is_empty() {
                let applied = write_changes(write, self, bindings, head, changes).await?;
                self.report_applied(write, applied);
            }
        }
    }
}

/// True if the state of a peer other than `from` was read in part and not to its end.
async fn others_are_being_read(
    write: &Write<'_>,
    head: &Head,
    from: Option<DeviceId>,
) -> Result<bool, SyncError> {
    let positions = positions::all::<_, Position>(write.db, head.library, CALLED).await?;
    let is_read = |position: &Position| position.feed.as_ref().is_some_and(|cursor| !cursor.is_empty());
    Ok(positions.iter().any(|(device, position)| Some(*device) != from && is_read(position)))
}
