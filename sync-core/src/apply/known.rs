//! Records that came before their model or one of their columns did: shown when the program or the database knows it.
//!
//! Invariant: which columns of a model are known is saved in the transaction that brings its rows in line, so none is
//! passed over when that is cut off.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, Value};

use super::{
    ApplyError,
    group::{Applied, RemoteChange, bring_in_line},
    working::WorkingSet,
};
use crate::{
    capture,
    change::ChangeKind,
    ids::{Name, RecordId},
    ledger::{self, Commit, Head},
    merge::StoredObject,
    store::{Binding, Bindings, StoreError, Write, rows, sql},
};

/// How many objects are looked at together.
const PAGE: u32 = 2_000;

/// Brings the rows of models that have become known, or have got columns, in line with their objects. Nothing may be
/// dirty.
pub(crate) async fn show_known(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    now_ms: u64,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied { to: head.seq, ..Applied::default() };
    let grown = changed(write.db, bindings).await?;
    if grown.is_empty() {
        return Ok(applied);
    }
    let models: HashSet<i64> = grown.iter().map(|binding| binding.model).collect();
    let known = kept(write.db).await?;
    let back = grown.iter().filter(|binding| known.get(&key(binding)).is_some_and(Vec::is_empty));
    let back: HashSet<i64> = back.map(|binding| binding.model).collect();
    let absorbed = absorbed(write.db, head).await?;
    let mut after = 0;
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let mut unshown: HashMap<i64, Vec<RecordId>> = HashMap::new();
        let mut lacking: HashMap<i64, Vec<RecordId>> = HashMap::new();
        let mut dead: HashMap<i64, Vec<RecordId>> = HashMap::new();
        for one in page.iter().filter(|one| back.contains(&one.model) && !one.object.is_alive()) {
            dead.entry(one.model).or_default().push(one.record.clone());
        }
        take_out(write, bindings, head, dead, &mut applied, now_ms).await?;
        for one in page.into_iter().filter(|one| models.contains(&one.model) && one.object.is_alive()) {
            let Some(binding) = bindings.by_model(one.model) else { continue };
            if one.object.shown && lacks(binding, &one.object) {
                lacking.entry(one.model).or_default().push(one.record);
            } else if !one.object.shown && !absorbed.contains(&(one.model, one.record.clone())) {
                unshown.entry(one.model).or_default().push(one.record);
            }
        }
        if unshown.is_empty() && lacking.is_empty() {
            continue;
        }
        let mut set = WorkingSet::default();
        for (model, records) in unshown {
            let Some(binding) = bindings.by_model(model) else { continue };
            set.load(write, bindings, head, binding.name(), records.iter().cloned()).await?;
            set.nominate(model, records);
        }
        for (model, records) in lacking {
            let Some(binding) = bindings.by_model(model) else { continue };
            let name: &Name = binding.name();
            set.load(write, bindings, head, name, records.iter().cloned()).await?;
            for record in records {
                let change = RemoteChange { model: name.clone(), record, kind: ChangeKind::Edit };
                if let Some(working) = set.records.get_mut(&(model, change.record.clone())) {
                    working.changed = true;
                    applied.changes.push(change);
                }
            }
        }
        bring_in_line(write, bindings, head, &mut set, Commit::default(), &mut applied, now_ms).await?;
    }
    remember(write.db, &grown).await?;
    Ok(applied)
}

/// Removes the rows of records that were deleted while the program had not got their model.
async fn take_out(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    dead: HashMap<i64, Vec<RecordId>>,
    applied: &mut Applied,
    now_ms: u64,
) -> Result<(), ApplyError> {
    let mut set = WorkingSet::default();
    for (model, records) in dead {
        let Some(binding) = bindings.by_model(model) else { continue };
        let standing: Vec<RecordId> =
            rows::by_record(write.db, binding, &records).await?.into_keys().collect();
        set.load(write, bindings, head, binding.name(), standing.iter().cloned()).await?;
        for record in standing {
            let Some(working) = set.records.get_mut(&(model, record.clone())) else { continue };
            // The row is that of the life before.
            if let Some(before) = &mut working.before {
                (before.generation, before.shown) = (before.generation.saturating_sub(1), true);
            }
            working.changed = true;
            applied.changes.push(RemoteChange {
                model: binding.name().clone(),
                record,
                kind: ChangeKind::Delete,
            });
        }
    }
    if set.records.is_empty() {
        return Ok(());
    }
    bring_in_line(write, bindings, head, &mut set, Commit::default(), applied, now_ms).await
}

/// Notes every row of a model that has got columns: a write to one of them while the program did not know it was no news
/// then, and is an edit now. Once per change of the columns.
pub(crate) async fn note_grown(write: &Write<'_>, bindings: &Bindings) -> Result<(), ApplyError> {
    let kept = kept(write.db).await?;
    for binding in bindings.iter() {
        let now = columns(binding);
        // A model without a memory has no rows that were flushed by a program that lacked its columns.
        // Nor has one that comes back: what was written to it meanwhile is noted, and the rest is older than its objects.
        let Some(before) = kept.get(&key(binding)).filter(|before| !before.is_empty() && **before != now)
        else {
            continue;
        };
        let noted = format!("noted/{}", binding.model);
        if kept.get(&noted) == Some(&now) {
            continue;
        }
        let before: HashSet<&[u8]> = before.split(|byte| *byte == 0).collect();
        if now.split(|byte| *byte == 0).any(|column| !before.contains(column)) {
            capture::note_all(write, binding).await?;
        }
        save(write.db, vec![noted.into(), now.into()]).await?;
    }
    Ok(())
}

/// True if a value of the object belongs into a column that the row had not got.
fn lacks(binding: &Binding, object: &StoredObject) -> bool {
    object.cells.iter().any(|cell| cell.is_absent() && binding.column_of(&cell.column).is_some())
}

/// The bindings whose columns are not those that were remembered.
pub(super) async fn changed<'a, C: ConnectionTrait>(
    db: &C,
    bindings: &'a Bindings,
) -> Result<Vec<&'a Binding>, StoreError> {
    let known = kept(db).await?;
    let bindings = bindings.iter().map(AsRef::as_ref);
    Ok(bindings.filter(|binding| known.get(&key(binding)) != Some(&columns(binding))).collect())
}

/// Models that were bound and are not now: the program has them no more, or their tables are gone.
pub(super) async fn unbound<C: ConnectionTrait>(db: &C, bindings: &Bindings) -> Result<Vec<i64>, StoreError> {
    let known = kept(db).await?;
    let models = known.iter().filter(|(_, columns)| !columns.is_empty());
    let models = models.filter_map(|(key, _)| key.strip_prefix("known/")?.parse().ok());
    Ok(models.filter(|model| bindings.by_model(*model).is_none()).collect())
}

/// Remembers that nothing of these models is known now.
pub(super) async fn put_aside<C: ConnectionTrait>(db: &C, models: &[i64]) -> Result<(), StoreError> {
    let rows = models.iter().flat_map(|model| [format!("known/{model}").into(), Vec::<u8>::new().into()]);
    save(db, rows.collect()).await
}

/// What is remembered of columns: those that were known, and those that rows were noted for.
async fn kept<C: ConnectionTrait>(db: &C) -> Result<HashMap<String, Vec<u8>>, StoreError> {
    let statement = "SELECT key, value FROM sync_metadata WHERE key GLOB 'known/*' OR key GLOB 'noted/*'";
    let rows = sql::all(db, statement, []).await?;
    rows.iter().map(|row| Ok((sql::column(row, 0)?, sql::column(row, 1)?))).collect()
}

async fn remember<C: ConnectionTrait>(db: &C, bindings: &[&Binding]) -> Result<(), StoreError> {
    let rows = bindings.iter().flat_map(|binding| [key(binding).into(), columns(binding).into()]);
    save(db, rows.collect()).await
}

async fn save<C: ConnectionTrait>(db: &C, rows: Vec<Value>) -> Result<(), StoreError> {
    let tail = "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sql::insert_rows(db, "INSERT INTO sync_metadata (key, value)", 2, tail, rows).await
}

fn key(binding: &Binding) -> String {
    format!("known/{}", binding.model)
}

/// The names of the columns that travel, each with its end marked.
fn columns(binding: &Binding) -> Vec<u8> {
    let spec = binding.spec();
    binding.travelling().flat_map(|index| [spec.columns[index].wire.as_bytes(), &[0]].concat()).collect()
}

/// Records whose rows were deleted here without sync: they stay away.
async fn absorbed<C: ConnectionTrait>(db: &C, head: &Head) -> Result<HashSet<(i64, RecordId)>, StoreError> {
    let statement = "SELECT model, record FROM sync_pending WHERE library = ? AND reason = 'absorbed'";
    let rows = sql::all(db, statement, [head.library.into()]).await?;
    rows.iter()
        .map(|row| Ok((sql::column(row, 0)?, RecordId::from_bytes(sql::column::<Vec<u8>>(row, 1)?))))
        .collect()
}
