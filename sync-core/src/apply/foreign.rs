//! Whose parents are there, and whose children must step back.
//!
//! Invariant: a row is shown only if the rows that its foreign keys name are shown. No cascade of the database
//! decides anything: the children of a parent that goes are found first, their values kept, and they come back with
//! it. Of records that wait for one another (a cycle) all are shown.

use std::collections::{HashMap, HashSet};

use super::{
    ApplyError,
    pending::{PendingReason, Wait},
    rows, unique,
    working::{Key, Working, WorkingSet},
};
use crate::{
    ids::RecordId,
    ledger::Head,
    store::{Binding, Bindings, ForeignKey, OnDelete, Write},
    value::{SyncValue, decode_key, encode_key},
};

/// What a child's foreign key names: a table, columns of it, their values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParentKey {
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
    pub(crate) values: Vec<SyncValue>,
}

impl ParentKey {
    /// The name under which children that wait for it are listed in `sync_keys`.
    pub(crate) fn constraint(&self) -> String {
        format!("parent {} ({})", self.table, self.columns.join(", "))
    }

    /// The canonical bytes of its values.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.values.iter().for_each(|value| value.encode_into(&mut bytes));
        bytes
    }
}

/// The parents that a record names, with the foreign key that does; a key with a `NULL` names none.
pub(crate) fn parents<'a>(
    bindings: &'a Bindings,
    key: &'a Key,
    working: &'a Working,
) -> impl Iterator<Item = (&'a ForeignKey, ParentKey)> + 'a {
    let binding = working.binding.as_deref();
    let keys = binding.map(|binding| binding.table.foreign_keys.as_slice()).unwrap_or_default();
    keys.iter().filter_map(move |foreign| {
        let parent = bindings.by_table(&foreign.parent)?;
        let values = unique::values_of(binding?, &key.1, &working.object, &foreign.columns)?;
        Some((
            foreign,
            ParentKey { table: foreign.parent.clone(), columns: columns(foreign, parent), values },
        ))
    })
}

/// The columns that a foreign key refers to: its parent's primary key if it names none.
fn columns(foreign: &ForeignKey, parent: &Binding) -> Vec<String> {
    if foreign.parent_columns.is_empty() {
        parent.key_columns().map(|column| column.name.clone()).collect()
    } else {
        foreign.parent_columns.clone()
    }
}

/// Decides for every record that is to be shown whether its parents let it.
pub(crate) async fn decide(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
) -> Result<(), ApplyError> {
    if bindings.iter().all(|binding| binding.table.foreign_keys.is_empty()) {
        return Ok(());
    }
    let mut looked: HashSet<(Key, bool)> = HashSet::new();
    let mut there = Present::default();
    loop {
        settle(write, bindings, head, set, &mut there).await?;
        let mut moved = set.keys(|working| working.show != working.was_shown());
        moved.retain(|key| set.get(key).is_some_and(|working| looked.insert((key.clone(), working.show))));
        if moved.is_empty() {
            return Ok(());
        }
        let known = set.records.len();
        load_children(write, bindings, head, set, &moved).await?;
        if set.records.len() > known {
            unique::decide(write, bindings, head, set).await?;
        }
        rows::judge(set);
    }
}

/// Shows all that may be shown, then takes back what lacks a parent until nothing more is taken back.
async fn settle(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    there: &mut Present,
) -> Result<(), ApplyError> {
    let candidate = |working: &Working| {
        let kept_back = working.wait.as_ref().is_some_and(|wait| wait.reason != PendingReason::MissingParent);
        let judged = working.judged || working.was_shown();
        judged && working.is_alive() && working.binding.is_some() && !kept_back && working.refused.is_none()
    };
    for key in set.keys(candidate) {
        if let Some(working) = set.records.get_mut(&key) {
            working.wait = None;
            working.show = true;
            working.nulled.clear();
        }
    }
    there.load(write, bindings, set).await?;
    loop {
        let in_set = shown_in(bindings, set);
        let lacking: Vec<(Key, ForeignKey, ParentKey)> = set
            .records
            .iter()
            .filter(|(_, working)| working.show && working.is_alive())
            .filter_map(|(key, working)| {
                parents(bindings, key, working)
                    .filter(|(foreign, _)| !is_nulled(working, foreign))
                    .find(|(_, parent)| !in_set.contains(parent) && !there.has(parent, set))
                    .map(|(foreign, parent)| (key.clone(), foreign.clone(), parent))
            })
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        for (key, foreign, parent) in lacking {
            let nulled =
                nullable(set, &key, &foreign) && deleted(write, bindings, head, set, &parent).await?;
            let Some(working) = set.records.get_mut(&key) else { continue };
            if nulled {
                let spec = working
                    .binding
                    .as_ref()
                    .map(|binding| binding.spec().columns.clone())
                    .unwrap_or_default();
                let indexes =
                    foreign.columns.iter().filter_map(|name| spec.iter().position(|c| &c.name == name));
                working.nulled.extend(indexes);
            } else {
                working.show = false;
                let values: Vec<String> = parent.values.iter().map(ToString::to_string).collect();
                let detail = format!(
                    "no row of `{}` has ({}) = ({})",
                    parent.table,
                    parent.columns.join(", "),
                    values.join(", ")
                );
                working.wait = Some(Wait::new(PendingReason::MissingParent, detail));
            }
        }
    }
}

fn is_nulled(working: &Working, foreign: &ForeignKey) -> bool {
    let Some(binding) = working.binding.as_ref() else { return false };
    let columns = &binding.spec().columns;
    working.nulled.iter().any(|index| foreign.columns.contains(&columns[*index].name))
}

/// True if the foreign key says that a child outlives its parent with `NULL` in its columns, and they can be.
fn nullable(set: &WorkingSet, key: &Key, foreign: &ForeignKey) -> bool {
    if !matches!(foreign.on_delete, OnDelete::SetNull | OnDelete::SetDefault) {
        return false;
    }
    let Some(binding) = set.get(key).and_then(|working| working.binding.as_ref()) else { return false };
    foreign.columns.iter().all(|name| {
        let in_key = binding.key_columns().any(|column| &column.name == name);
        !in_key && binding.table.column(name).is_some_and(|column| !column.not_null)
    })
}

/// True if the parent is known to be deleted, rather than not here yet.
async fn deleted(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    parent: &ParentKey,
) -> Result<bool, ApplyError> {
    let Some(binding) = bindings.by_table(&parent.table).cloned() else { return Ok(false) };
    let Some(record) = record_of(&binding, parent) else { return Ok(false) };
    set.load(write, bindings, head, binding.name(), [record.clone()]).await?;
    let key = (binding.model, record);
    Ok(set.get(&key).is_some_and(|working| working.object.generation > 0 && !working.is_alive()))
}

/// The record that the parent's columns name, if they are its primary key.
fn record_of(binding: &Binding, parent: &ParentKey) -> Option<RecordId> {
    let values: Option<Vec<SyncValue>> = binding
        .key_columns()
        .map(|key| {
            parent.columns.iter().position(|column| column == &key.name).map(|at| parent.values[at].clone())
        })
        .collect();
    values.filter(|values| values.len() == parent.columns.len()).map(|values| encode_key(&values))
}

/// What the records of the set that are shown offer to children.
fn shown_in(bindings: &Bindings, set: &WorkingSet) -> HashSet<ParentKey> {
    let referred = referred(bindings);
    let mut shown = HashSet::new();
    for (key, working) in set.records.iter().filter(|(_, working)| working.show && working.is_alive()) {
        let Some(binding) = working.binding.as_deref() else { continue };
        for columns in referred.get(&binding.spec().table).into_iter().flatten() {
            if let Some(values) = unique::values_of(binding, &key.1, &working.object, columns) {
                shown.insert(ParentKey {
                    table: binding.spec().table.clone(),
                    columns: columns.clone(),
                    values,
                });
            }
        }
    }
    shown
}

/// For each table the lists of columns that foreign keys refer to.
fn referred(bindings: &Bindings) -> HashMap<String, HashSet<Vec<String>>> {
    let mut referred: HashMap<String, HashSet<Vec<String>>> = HashMap::new();
    for foreign in bindings.iter().flat_map(|binding| &binding.table.foreign_keys) {
        if let Some(parent) = bindings.by_table(&foreign.parent) {
            referred.entry(foreign.parent.clone()).or_default().insert(columns(foreign, parent));
        }
    }
    referred
}

/// Parents that stand in their tables: who holds each key that was asked for.
#[derive(Debug, Default)]
struct Present {
    holders: HashMap<ParentKey, Vec<Key>>,
}

impl Present {
    /// True if a row outside the set has the key. What is in the set is as the set says.
    fn has(&self, parent: &ParentKey, set: &WorkingSet) -> bool {
        self.holders.get(parent).is_some_and(|holders| holders.iter().any(|key| set.get(key).is_none()))
    }

    async fn load(
        &mut self,
        write: &Write<'_>,
        bindings: &Bindings,
        set: &WorkingSet,
    ) -> Result<(), ApplyError> {
        let mut wanted: HashMap<(String, Vec<String>), Vec<ParentKey>> = HashMap::new();
        for (key, working) in set.records.iter().filter(|(_, working)| working.show) {
            for (_, parent) in parents(bindings, key, working) {
                if !self.holders.contains_key(&parent) {
                    self.holders.insert(parent.clone(), Vec::new());
                    wanted.entry((parent.table.clone(), parent.columns.clone())).or_default().push(parent);
                }
            }
        }
        for ((table, columns), parents) in wanted {
            let Some(binding) = bindings.by_table(&table) else { continue };
            // A primary key names its record, so the rows found need not be read again to know which key they have.
            let records = unique::select_records(
                write,
                binding,
                &columns,
                parents.iter().map(|parent| parent.values.as_slice()),
            )
            .await?;
            let by_key = record_of(binding, &parents[0]).is_some();
            let found: HashSet<RecordId> = records.into_iter().collect();
            for parent in parents {
                if by_key {
                    let record = record_of(binding, &parent).filter(|record| found.contains(record));
                    self.holders
                        .entry(parent)
                        .or_default()
                        .extend(record.map(|record| (binding.model, record)));
                } else {
                    let one = unique::select_records(
                        write,
                        binding,
                        &columns,
                        [parent.values.as_slice()].into_iter(),
                    );
                    let holders = one.await?.into_iter().map(|record| (binding.model, record));
                    self.holders.entry(parent).or_default().extend(holders);
                }
            }
        }
        Ok(())
    }
}

/// Loads the children of records that come or go: those in the tables, and those that wait.
async fn load_children(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    moved: &[Key],
) -> Result<(), ApplyError> {
    for child in bindings.iter() {
        for foreign in &child.table.foreign_keys {
            let Some(parent) = bindings.by_table(&foreign.parent) else { continue };
            let columns = columns(foreign, parent);
            let mut keys = Vec::new();
            for key in moved.iter().filter(|key| key.0 == parent.model) {
                keys.extend(set.get(key).and_then(|working| offered(parent, key, working, &columns)));
            }
            if keys.is_empty() {
                continue;
            }
            let by_value = keys.iter().map(|key| key.values.as_slice());
            let mut records = unique::select_records(write, child, &foreign.columns, by_value).await?;
            let constraint = keys[0].constraint();
            let waiting = keys.iter().map(ParentKey::bytes);
            records.extend(unique::kept_out(write, head, child.model, &constraint, waiting).await?);
            set.load(write, bindings, head, child.name(), records.iter().cloned()).await?;
            set.nominate(child.model, records);
        }
    }
    Ok(())
}

/// What a record offered or offers to children under these columns.
fn offered(binding: &Binding, key: &Key, working: &Working, columns: &[String]) -> Option<ParentKey> {
    let spec = binding.spec();
    let is_key = binding.key_columns().map(|column| &column.name).eq(columns.iter());
    let values = if is_key {
        decode_key(key.1.as_bytes()).ok()?
    } else if let Some(row) = &working.row {
        let index = |name: &String| spec.columns.iter().position(|column| &column.name == name);
        columns.iter().map(|name| index(name).map(|at| row[at].clone())).collect::<Option<_>>()?
    } else {
        unique::values_of(binding, &key.1, &working.object, columns)?
    };
    Some(ParentKey { table: spec.table.clone(), columns: columns.to_vec(), values })
}
