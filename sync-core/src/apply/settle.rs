//! After a flush: what local changes set free or pushed aside, and rows of which a rule made something else.
//!
//! Invariant: it runs in the transaction of the flush, so nobody sees a row that its object does not show.

use super::{
    ApplyError,
    group::{Applied, RemoteChange, bring_in_line},
    working::WorkingSet,
};
use crate::{
    capture::{Flushed, LocalChange},
    change::ChangeKind,
    ids::RecordId,
    ledger::{Commit, Head},
    store::{Bindings, NameKind, StoreError, Write, sql},
};

/// Looks again at what local changes may have set free or pushed aside: hidden records, children that wait; and brings
/// rows in line of which a rule made something else.
pub(crate) async fn settle(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    Flushed { changes: local, back, .. }: &Flushed,
    now_ms: u64,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied { to: head.seq, ..Applied::default() };
    let mut set = WorkingSet::default();
    if local.iter().any(|change| change.constrains) && any_kept_out(write).await? {
        set_free(write, bindings, head, &mut set, local).await?;
    }
    for (model, record) in back {
        set.load(write, bindings, head, model, [record.clone()]).await?;
        let key = (write.names.id(NameKind::Model, model.as_bytes()).unwrap_or_default(), record.clone());
        if let Some(working) = set.records.get_mut(&key).filter(|working| working.is_alive()) {
            working.changed = true;
            let (model, record) = (model.clone(), record.clone());
            applied.changes.push(RemoteChange { model, record, kind: ChangeKind::Edit });
        }
    }
    if !set.records.is_empty() {
        bring_in_line(write, bindings, head, &mut set, Commit::default(), &mut applied, now_ms).await?;
    }
    Ok(applied)
}

/// Loads what the local changes touched and what is kept out.
async fn set_free(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    local: &[LocalChange],
) -> Result<(), ApplyError> {
    for change in local.iter().filter(|change| change.constrains) {
        set.load(write, bindings, head, &change.model, [change.record.clone()]).await?;
    }
    for working in set.records.values_mut() {
        working.changed = working.is_alive();
    }
    let kept_out = sql::all(
        write.db,
        "SELECT DISTINCT o.model, o.record FROM sync_keys AS k JOIN sync_objects AS o ON o.id = k.object WHERE k.library = ?",
        [head.library.into()],
    )
    .await?;
    for row in &kept_out {
        let model: i64 = sql::column(row, 0)?;
        let record = RecordId::from_bytes(sql::column::<Vec<u8>>(row, 1)?);
        let Some(binding) = bindings.by_model(model) else { continue };
        set.load(write, bindings, head, binding.name(), [record.clone()]).await?;
        set.nominate(model, [record]);
    }
    Ok(())
}

/// True if a record is kept out of its table.
pub(super) async fn any_kept_out(write: &Write<'_>) -> Result<bool, StoreError> {
    let row = sql::one(write.db, "SELECT EXISTS (SELECT 1 FROM sync_keys)", []).await?;
    Ok(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0)
}
