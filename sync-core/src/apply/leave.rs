//! Records that leave this replica because they left its scope.
//!
//! Invariant: a record goes only if somebody else has all that is known of it here. It goes without a change in the log, for it
//! was not deleted: it is as if nothing of it had ever come. Children that stay wait for it as for any parent that is not here.

use std::collections::HashMap;

use super::{
    ApplyError, Named,
    group::{Applied, RemoteChange, bring_in_line},
    working::WorkingSet,
};
use crate::{
    change::ChangeKind,
    ids::{Name, RecordId},
    ledger::{Commit, Head, Place, Selected},
    store::{Bindings, NameKind, Write, sql},
    vector::Vector,
};

/// What became of records that were to leave.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) applied: Applied,
    /// Records that stay, because `known` does not have all of them.
    pub(crate) kept: Vec<Named>,
}

/// Lets go of those of `records` of which `known`, the vector of a replica that keeps them, has everything. With `selected`, only
/// of those that are out of it by what is known here. Nothing may be dirty.
pub(crate) async fn leave(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    records: Vec<Named>,
    known: &Vector,
    selected: Option<&Selected>,
    now_ms: u64,
) -> Result<Left, ApplyError> {
    let mut left = Left { applied: Applied { to: head.seq, ..Applied::default() }, kept: Vec::new() };
    let mut by_model: HashMap<Name, Vec<RecordId>> = HashMap::new();
    for (model, record) in records {
        by_model.entry(model).or_default().push(record);
    }
    let mut set = WorkingSet::default();
    for (model, records) in by_model {
        if write.names.id(NameKind::Model, model.as_bytes()).is_some() {
            set.load(write, bindings, head, &model, records).await?;
        }
    }
    let mut gone = Vec::new();
    for ((id, record), working) in &mut set.records {
        let Some(before) = working.before.as_ref().filter(|before| before.is_alive()) else { continue };
        let stays = |selected: &Selected| selected.place(&working.model, record, before) == Place::Inside;
        if selected.is_some_and(stays) {
            continue;
        }
        if !known.covers_clock(&before.clock) {
            left.kept.push((working.model.clone(), record.clone()));
            continue;
        }
        working.object = Default::default();
        (working.changed, working.dropped) = (true, true);
        if working.was_shown() {
            let (model, record) = (working.model.clone(), record.clone());
            left.applied.changes.push(RemoteChange { model, record, kind: ChangeKind::Delete });
        }
        gone.push((*id, record.clone()));
    }
    if gone.is_empty() {
        return Ok(left);
    }
    bring_in_line(write, bindings, head, &mut set, Commit::default(), &mut left.applied, now_ms).await?;
    for (model, record) in gone {
        // Whoever keeps the record found them too.
        let statement = "DELETE FROM sync_conflicts WHERE library = ? AND model = ? AND record = ?";
        let values = [head.library.into(), model.into(), record.as_bytes().to_vec().into()];
        sql::execute(write.db, statement, values).await?;
    }
    left.applied.to = head.seq;
    Ok(left)
}
