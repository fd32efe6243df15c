//! Who is whose parent: what foreign keys name, and who offers it.

use std::collections::{HashMap, HashSet};

use super::{
    ApplyError, pending, unique,
    working::{Key, Working, WorkingSet},
};
use crate::{
    ids::RecordId,
    ledger::Head,
    store::{Binding, Bindings, ForeignKey, Write},
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

/// The parents that a record's row names, as the row is to be: those of its object, but where the table refused newer values and
/// the row keeps what it has. Tells which of them are of that kind.
pub(super) fn named<'a>(
    bindings: &'a Bindings,
    key: &'a Key,
    working: &'a Working,
) -> impl Iterator<Item = (&'a ForeignKey, ParentKey, Standing)> + 'a {
    parents(bindings, key, working)
        .map(|(foreign, parent)| (foreign, parent.values))
        .map(move |(foreign, values)| match old_values(working, foreign, &values) {
            Some(old) => (foreign, old, Standing::Old),
            None => (foreign, values, Standing::Current),
        })
        .filter_map(move |(foreign, values, standing)| {
            let parent = bindings.by_table(&foreign.parent)?;
            let columns = columns(foreign, parent);
            Some((foreign, ParentKey { table: foreign.parent.clone(), columns, values }, standing))
        })
}

/// Whether a row names the parent that its object names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    Current,
    /// It names another one: newer values were refused.
    Old,
}

/// What the row keeps in the columns of a foreign key, if that is not what the object says. A row that was nulled is to have
/// its object's values again.
fn old_values(working: &Working, foreign: &ForeignKey, now: &[SyncValue]) -> Option<Vec<SyncValue>> {
    let binding = working.binding.as_deref()?;
    let row = working.row_of_this_life().filter(|_| working.was_shown())?;
    let written = working.changed || working.candidate;
    let columns = &binding.spec().columns;
    let kept = |name: &String, value: &SyncValue| {
        let index = columns.iter().position(|column| &column.name == name)?;
        let stays = (!written || working.withheld.contains(&index)) && !row[index].is_null();
        Some(if stays { row[index].clone() } else { value.clone() })
    };
    let old: Vec<SyncValue> =
        foreign.columns.iter().zip(now).map(|(name, value)| kept(name, value)).collect::<Option<_>>()?;
    (old != now).then_some(old)
}

/// The columns that a foreign key refers to: its parent's primary key if it names none.
fn columns(foreign: &ForeignKey, parent: &Binding) -> Vec<String> {
    if foreign.parent_columns.is_empty() {
        parent.key_columns().map(|column| column.name.clone()).collect()
    } else {
        foreign.parent_columns.clone()
    }
}

/// The record that the parent's columns name, if they are its primary key.
pub(super) fn record_of(binding: &Binding, parent: &ParentKey) -> Option<RecordId> {
    let values: Option<Vec<SyncValue>> = binding
        .key_columns()
        .map(|key| {
            parent.columns.iter().position(|column| column == &key.name).map(|at| parent.values[at].clone())
        })
        .collect();
    values.filter(|values| values.len() == parent.columns.len()).map(|values| encode_key(&values))
}

/// What the records of the set that are shown offer to children.
pub(super) fn shown_in(referred: &Referred, set: &WorkingSet) -> HashSet<ParentKey> {
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

/// The lists of columns that foreign keys refer to, by table.
pub(super) type Referred = HashMap<String, HashSet<Vec<String>>>;

/// For each table the lists of columns that foreign keys refer to.
pub(super) fn referred(bindings: &Bindings) -> Referred {
    let mut referred = Referred::new();
    for foreign in bindings.iter().flat_map(|binding| &binding.table.foreign_keys) {
        if let Some(parent) = bindings.by_table(&foreign.parent) {
            referred.entry(foreign.parent.clone()).or_default().insert(columns(foreign, parent));
        }
    }
    referred
}

/// Parents that stand in their tables: who holds each key that was asked for.
#[derive(Debug, Default)]
pub(super) struct Present {
    holders: HashMap<ParentKey, Vec<Key>>,
}

impl Present {
    /// True if a row outside the set has the key. What is in the set is as the set says.
    pub(super) fn has(&self, parent: &ParentKey, set: &WorkingSet) -> bool {
        self.holders.get(parent).is_some_and(|holders| holders.iter().any(|key| set.get(key).is_none()))
    }

    pub(super) async fn load(
        &mut self,
        write: &Write<'_>,
        bindings: &Bindings,
        set: &WorkingSet,
    ) -> Result<(), ApplyError> {
        let mut wanted: HashMap<(String, Vec<String>), Vec<ParentKey>> = HashMap::new();
        for (key, working) in set.records.iter().filter(|(_, working)| working.show) {
            for (_, parent, _) in named(bindings, key, working) {
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

/// Loads the children of `records`: those in the tables, and those that wait. True if one of them is to be looked at that was
/// not before.
pub(super) async fn load_children(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    records: &[Key],
) -> Result<bool, ApplyError> {
    let known = set.records.len();
    let mut nominated = false;
    for child in bindings.iter() {
        for foreign in &child.table.foreign_keys {
            let Some(parent) = bindings.by_table(&foreign.parent) else { continue };
            let columns = columns(foreign, parent);
            let mut keys = Vec::new();
            for key in records.iter().filter(|key| key.0 == parent.model) {
                keys.extend(set.get(key).into_iter().flat_map(|one| offered(parent, key, one, &columns)));
            }
            if keys.is_empty() {
                continue;
            }
            let by_value = keys.iter().map(|key| key.values.as_slice());
            let mut children = unique::select_records(write, child, &foreign.columns, by_value).await?;
            let constraint = keys[0].constraint();
            let waiting = keys.iter().map(ParentKey::bytes);
            children.extend(unique::kept_out(write, head, child.model, &constraint, waiting).await?);
            set.load(write, bindings, head, child.name(), children.iter().cloned()).await?;
            nominated |= set.nominate(child.model, children);
        }
    }
    Ok(nominated || set.records.len() > known)
}

/// Loads the parents that shown records lack, whatever became of them. A parent that itself lacks one is looked at again: the two
/// may wait for each other. True if there is something new to look at.
pub(super) async fn load_parents(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    lacking: &[ParentKey],
) -> Result<bool, ApplyError> {
    let known = set.records.len();
    let mut nominated = false;
    for of_key in lacking.chunk_by(|one, other| (&one.table, &one.columns) == (&other.table, &other.columns))
    {
        let Some(binding) = bindings.by_table(&of_key[0].table) else { continue };
        let records = match of_key.iter().map(|parent| record_of(binding, parent)).collect() {
            Some(records) => records,
            None => kept_out(write, head, binding, of_key).await?,
        };
        set.load(write, bindings, head, binding.name(), records.iter().cloned()).await?;
        let asleep = |record: &RecordId| {
            let working = set.get(&(binding.model, record.clone()));
            working.is_some_and(|one| one.is_alive() && !one.was_shown() && !(one.candidate || one.changed))
        };
        let asleep: Vec<RecordId> = records.into_iter().filter(asleep).collect();
        if asleep.is_empty() {
            continue;
        }
        let waiting = pending::lack_parents(write, head, binding.model, asleep).await?;
        nominated |= set.nominate(binding.model, waiting);
    }
    Ok(nominated || set.records.len() > known)
}

/// The records without a row that would offer `keys`, all of the same columns. Foreign keys name unique ones.
async fn kept_out(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    keys: &[ParentKey],
) -> Result<Vec<RecordId>, ApplyError> {
    let columns = &keys[0].columns;
    for unique in binding.table.uniques.iter().filter(|unique| unique.columns.len() == columns.len()) {
        let places: Option<Vec<usize>> =
            unique.columns.iter().map(|name| columns.iter().position(|column| column == name)).collect();
        if let Some(places) = places {
            let key = |key: &ParentKey| {
                unique::UniqueKey(places.iter().map(|at| key.values[*at].clone()).collect()).bytes()
            };
            let keys = keys.iter().map(key);
            return Ok(unique::kept_out(write, head, binding.model, &unique.name, keys).await?);
        }
    }
    Ok(Vec::new())
}

/// True if the record may now mean something else to its children: it comes, goes, was deleted or is known not to be, or
/// offers other values.
pub(super) fn differs(bindings: &Bindings, referred: &Referred, key: &Key, working: &Working) -> bool {
    let was_deleted = working.before.as_ref().is_some_and(|one| one.generation > 0 && !one.is_alive());
    if working.show != working.was_shown() || working.is_deleted() != was_deleted {
        return true;
    }
    if !working.show || !working.changed {
        return false;
    }
    let Some(binding) = bindings.by_model(key.0) else { return false };
    let lists = referred.get(&binding.spec().table).into_iter().flatten();
    lists.filter(|columns| !is_key(binding, columns)).any(|columns| {
        in_row(binding, working, columns) != unique::values_of(binding, &key.1, &working.object, columns)
    })
}

fn is_key(binding: &Binding, columns: &[String]) -> bool {
    binding.key_columns().map(|column| &column.name).eq(columns.iter())
}

/// What a record's row as it is holds in these columns.
fn in_row(binding: &Binding, working: &Working, columns: &[String]) -> Option<Vec<SyncValue>> {
    let (spec, row) = (binding.spec(), working.row.as_ref()?);
    let value = |name: &String| {
        let at = spec.columns.iter().position(|column| &column.name == name)?;
        Some(row[at].clone()).filter(|value| !value.is_null())
    };
    columns.iter().map(value).collect()
}

/// What a record offered and offers to children under these columns.
fn offered(
    binding: &Binding,
    key: &Key,
    working: &Working,
    columns: &[String],
) -> impl Iterator<Item = ParentKey> {
    let (before, now) = if is_key(binding, columns) {
        (decode_key(key.1.as_bytes()).ok(), None)
    } else {
        let now = unique::values_of(binding, &key.1, &working.object, columns);
        (in_row(binding, working, columns), now)
    };
    let now = now.filter(|now| before.as_ref() != Some(now));
    let (table, columns) = (binding.spec().table.clone(), columns.to_vec());
    before.into_iter().chain(now).map(move |values| ParentKey {
        table: table.clone(),
        columns: columns.clone(),
        values,
    })
}
