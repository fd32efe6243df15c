//! What is kept out of its table is listed: what waits and why, and the keys by which it is found when one becomes free.

use super::{
    ApplyError, group::Applied, pending, relatives, rows, settle::any_kept_out, unique, working::WorkingSet,
};
use crate::{
    ledger::{Head, ObjectWrite},
    merge::Digest,
    store::{Bindings, NameKind, Write, sql},
};

/// Lists what waits, and takes off the list what waits no more.
pub(super) async fn list_pending(
    write: &Write<'_>,
    head: &Head,
    set: &WorkingSet,
    applied: &mut Applied,
    now_ms: u64,
) -> Result<(), ApplyError> {
    let listed = pending::any(write.db).await?;
    for (key, working) in &set.records {
        let Some(binding) = working.binding.as_deref() else { continue };
        if let Some(wait) = working.wait.as_ref().filter(|_| working.is_alive()) {
            let kept = rows::kept_columns(working);
            let kept = (!working.show && !kept.is_empty()).then(|| pending::encode_kept(&kept));
            pending::mark(write, head, key.0, &key.1, wait, kept, now_ms).await?;
            applied.pending.push((working.model.clone(), key.1.clone(), wait.reason));
        } else if listed && (working.changed || working.candidate || !working.is_alive()) {
            let kept = pending::clear(write, head, key.0, &key.1).await?;
            if let Some(kept) = kept.filter(|_| working.show && working.is_alive()) {
                rows::put_back(write, binding, &key.1, &pending::decode_kept(&kept)?).await?;
            }
        }
    }
    Ok(())
}

/// Lists the keys of records that are kept out of their tables, so that they are found when a key or a parent
/// becomes free.
pub(super) async fn keep_keys(
    write: &Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &WorkingSet,
    objects: &[ObjectWrite],
    dropped: &[(i64, Digest)],
) -> Result<(), ApplyError> {
    let mut rows = Vec::new();
    let mut gone: Vec<sea_orm::Value> = dropped.iter().map(|(id, _)| (*id).into()).collect();
    for object in objects {
        let Some(model) = write.names.id(NameKind::Model, object.model.as_bytes()) else {
            continue;
        };
        let key = (model, object.record.clone());
        let Some(working) = set.get(&key) else { continue };
        let id = object.id;
        let Some(binding) = working.binding.as_deref() else { continue };
        if working.before.is_some() {
            gone.push(id.into());
        }
        let out = working.is_alive()
            && (!working.show || !working.withheld.is_empty() || !working.nulled.is_empty());
        if !out {
            continue;
        }
        let mut list = |constraint: String, bytes: Vec<u8>| {
            rows.extend([head.library.into(), model.into(), constraint.into(), bytes.into(), id.into()]);
        };
        for (unique, held) in binding.table.uniques.iter().zip(unique::keys(binding, &key.1, &working.object))
        {
            if let Some(held) = held {
                list(unique.name.clone(), held.bytes());
            }
        }
        for (_, parent) in relatives::parents(bindings, &key, working) {
            list(parent.constraint(), parent.bytes());
        }
        // A record without a key of either kind is listed all the same: it is looked at again with the rest.
        list(String::new(), Vec::new());
    }
    if !gone.is_empty() && any_kept_out(write).await? {
        sql::select_in(write.db, "DELETE FROM sync_keys WHERE object IN", "", gone).await?;
    }
    let insert = "INSERT INTO sync_keys (library, model, constraint_name, key, object)";
    Ok(sql::insert_rows(write.db, insert, 5, "ON CONFLICT DO NOTHING", rows).await?)
}
