//! Which record of several with one unique key is shown.
//!
//! Invariant: a record is hidden exactly if another alive object of its library, in its table or not, has an equal
//! unique key and a smaller (`born`, key). That is a function of the objects alone, so every replica hides the same
//! ones. Keys compare by their exact bytes; `NULL` equals nothing.

use std::collections::{HashMap, HashSet};

use super::{
    ApplyError,
    pending::{PendingReason, Wait},
    working::{Key, Working, WorkingSet},
};
use crate::{
    ids::{Name, RecordId},
    ledger::Head,
    merge::Object,
    stamp::Stamp,
    store::{Binding, Bindings, StoreError, Unique, Write, rows, sql},
    value::{SyncValue, decode_key, to_database},
};

/// What a record holds of a unique key: its values, none of them `NULL`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqueKey(pub(crate) Vec<SyncValue>);

impl UniqueKey {
    /// The canonical bytes, as they stand in `sync_keys`.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.iter().for_each(|value| value.encode_into(&mut bytes));
        bytes
    }
}

/// The keys that a record holds, one entry per unique index of its table; `None` for what cannot clash or compare.
pub(crate) fn keys(binding: &Binding, record: &RecordId, object: &Object) -> Vec<Option<UniqueKey>> {
    let uniques = &binding.table.uniques;
    if uniques.is_empty() || !object.is_alive() {
        return vec![None; uniques.len()];
    }
    uniques.iter().map(|unique| key(binding, record, object, unique)).collect()
}

fn key(binding: &Binding, record: &RecordId, object: &Object, unique: &Unique) -> Option<UniqueKey> {
    if unique.opaque {
        return None;
    }
    values_of(binding, record, object, &unique.columns).map(UniqueKey)
}

/// The object's values of these columns of its table; `None` if one is `NULL`, unknown or does not travel.
pub(crate) fn values_of(
    binding: &Binding,
    record: &RecordId,
    object: &Object,
    columns: &[String],
) -> Option<Vec<SyncValue>> {
    let spec = binding.spec();
    let mut key_parts = None;
    columns
        .iter()
        .map(|name| {
            let index = spec.columns.iter().position(|column| &column.name == name)?;
            if let Some(position) = spec.keys.iter().position(|key| *key == index) {
                let parts =
                    key_parts.get_or_insert_with(|| decode_key(record.as_bytes()).unwrap_or_default());
                return parts.get(position).cloned();
            }
            let value = object
                .cell_near(&spec.columns[index].wire, binding.places[index])
                .map(|cell| cell.shown().into_owned());
            value.filter(|value| !matches!(value, SyncValue::Null))
        })
        .collect()
}

type Slot = (i64, usize);

/// Decides for every record whose key may have been taken or let go whether it is hidden.
pub(crate) async fn decide(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
) -> Result<(), ApplyError> {
    let mut asked: HashSet<(Slot, UniqueKey)> = HashSet::new();
    // First the keys that change hands, then the other keys of the records that hold those.
    let mut wanted = moving(set);
    let moving: HashSet<(Slot, UniqueKey)> = wanted.iter().cloned().collect();
    wanted.extend(
        set.records.iter().filter(|(_, working)| working.candidate).flat_map(|(key, w)| held(key, w)),
    );
    for _ in 0..2 {
        wanted.retain(|key| asked.insert(key.clone()));
        if wanted.is_empty() {
            break;
        }
        load_contenders(write, bindings, head, set, &wanted).await?;
        wanted = set.records.iter().flat_map(|(key, working)| held(key, working)).collect();
    }
    let first = first_holders(set);
    for (key, working) in &mut set.records {
        let holds: Vec<(Slot, UniqueKey)> = held(key, working).collect();
        let concerned =
            working.changed || working.candidate || holds.iter().any(|held| moving.contains(held));
        if !concerned || !working.is_alive() || working.binding.is_none() {
            continue;
        }
        working.judged = true;
        // What was hidden is looked at as a whole when it is released.
        working.candidate |= !working.was_shown();
        let rank = rank(key, working);
        let winner = holds
            .iter()
            .filter_map(|held| first.get(held).map(|first| (held, first)))
            .find(|(_, first)| (first.0, &first.1) < (rank.0, &rank.1));
        working.wait = None;
        if let Some((held, (_, winner))) = winner {
            let detail = hidden_detail(working, held.0.1, winner);
            working.wait = Some(Wait::new(PendingReason::Hidden, detail));
        }
        working.show = working.wait.is_none();
    }
    Ok(())
}

fn hidden_detail(working: &Working, unique: usize, winner: &RecordId) -> String {
    let columns = working
        .binding
        .as_ref()
        .map(|binding| binding.table.uniques[unique].columns.join(", "))
        .unwrap_or_default();
    format!("the older record {winner} has the same ({columns})")
}

fn rank(key: &Key, working: &Working) -> (Stamp, RecordId) {
    (working.object.born, key.1.clone())
}

/// The keys that records of the set took or let go.
fn moving(set: &WorkingSet) -> Vec<(Slot, UniqueKey)> {
    let mut moving = Vec::new();
    for (key, working) in set.records.iter().filter(|(_, working)| working.changed) {
        let old = working.old_keys.iter().enumerate();
        moving.extend(old.filter_map(|(at, held)| held.clone().map(|held| ((key.0, at), held))));
        moving.extend(held(key, working));
    }
    moving
}

/// The keys that a record holds now.
fn held<'a>(key: &'a Key, working: &'a Working) -> impl Iterator<Item = (Slot, UniqueKey)> + 'a {
    let keys =
        working.binding.as_deref().map(|binding| keys(binding, &key.1, &working.object)).unwrap_or_default();
    keys.into_iter().enumerate().filter_map(|(at, held)| held.map(|held| ((key.0, at), held)))
}

/// For each key the record of the set that holds it with the smallest rank.
fn first_holders(set: &WorkingSet) -> HashMap<(Slot, UniqueKey), (Stamp, RecordId)> {
    let mut first: HashMap<(Slot, UniqueKey), (Stamp, RecordId)> = HashMap::new();
    for (key, working) in &set.records {
        for held in held(key, working) {
            let rank = rank(key, working);
            first.entry(held).and_modify(|known| *known = known.clone().min(rank.clone())).or_insert(rank);
        }
    }
    first
}

/// Loads every record that holds one of the keys, from the tables and from those that are kept out of them.
async fn load_contenders(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    wanted: &[(Slot, UniqueKey)],
) -> Result<(), ApplyError> {
    let mut by_slot: HashMap<Slot, Vec<&UniqueKey>> = HashMap::new();
    for (slot, key) in wanted {
        by_slot.entry(*slot).or_default().push(key);
    }
    for ((model, at), keys) in by_slot {
        let Some(binding) = bindings.by_model(model).cloned() else { continue };
        let mut records = holders(write, &binding, &binding.table.uniques[at], &keys).await?;
        let name = &binding.table.uniques[at].name;
        records.extend(kept_out(write, head, model, name, keys.iter().map(|key| key.bytes())).await?);
        let model: &Name = binding.name();
        set.load(write, bindings, head, model, records).await?;
    }
    Ok(())
}

async fn holders(
    write: &Write<'_>,
    binding: &Binding,
    unique: &Unique,
    keys: &[&UniqueKey],
) -> Result<Vec<RecordId>, ApplyError> {
    select_records(write, binding, &unique.columns, keys.iter().map(|key| key.0.as_slice())).await
}

/// The records of a table whose columns hold one of these lists of values.
pub(crate) async fn select_records(
    write: &Write<'_>,
    binding: &Binding,
    columns: &[String],
    keys: impl Iterator<Item = &[SyncValue]>,
) -> Result<Vec<RecordId>, ApplyError> {
    let spec = binding.spec();
    let kinds: Vec<_> = columns
        .iter()
        .filter_map(|name| spec.columns.iter().find(|column| &column.name == name))
        .map(|column| column.kind)
        .collect();
    // A value that the column cannot hold is held by no row.
    let values: Vec<sea_orm::Value> = keys
        .filter_map(|key| {
            kinds
                .iter()
                .zip(key)
                .map(|(kind, value)| to_database(*kind, value).ok())
                .collect::<Option<Vec<_>>>()
        })
        .flatten()
        .collect();
    let tuple: Vec<String> = columns.iter().map(|name| format!("t.{}", sql::quote(name))).collect();
    let head = format!(
        "SELECT {} FROM {} AS t WHERE ({}) IN",
        binding.select,
        binding.quoted_table(),
        tuple.join(", ")
    );
    let found = sql::select_values(write.db, &head, columns.len(), "", values).await?;
    let mut records = Vec::with_capacity(found.len());
    for row in &found {
        records.extend(rows::record_of(binding, rows::sqlite_row(row)?, 0));
    }
    Ok(records)
}

/// The records of a model that are kept out of their table and listed under `constraint` with one of `keys`.
pub(crate) async fn kept_out(
    write: &Write<'_>,
    head: &Head,
    model: i64,
    constraint: &str,
    keys: impl Iterator<Item = Vec<u8>>,
) -> Result<Vec<RecordId>, StoreError> {
    let statement = format!(
        "SELECT o.record FROM sync_keys AS k JOIN sync_objects AS o ON o.id = k.object \
         WHERE k.library = {} AND k.model = {model} AND k.constraint_name = {} AND k.key IN",
        head.library,
        sql::literal(constraint),
    );
    let found = sql::select_in(write.db, &statement, "", keys.map(Into::into).collect()).await?;
    found.iter().map(|row| Ok(RecordId::from_bytes(sql::column::<Vec<u8>>(row, 0)?))).collect()
}
