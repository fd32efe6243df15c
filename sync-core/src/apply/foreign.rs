//! Whose parents are there, and whose children must step back.
//!
//! Invariant: of the records that could be shown, the largest set is shown in which nobody lacks a parent: a record waits only if
//! one that it descends from is absent. So records that name one another in a cycle are shown together, in whatever order
//! they came. It is worked out over all that a group may move: parents are followed up to the ones that are shown or absent,
//! children down from each record that comes or goes. No cascade of the database decides anything: the children of a
//! parent that goes are found first, their values kept, and they come back with it.

use std::collections::HashSet;

use super::{
    ApplyError,
    pending::{PendingReason, Wait},
    relatives::{
        ParentKey, Present, Referred, Standing, differs, load_children, load_parents, named, record_of,
        referred, shown_in,
    },
    rows, unique,
    working::{Key, Working, WorkingSet},
};
use crate::{
    ledger::Head,
    store::{Bindings, ForeignKey, OnDelete, Write},
};

/// Decides for every record that is to be shown whether its parents let it.
pub(crate) async fn decide(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
) -> Result<(), ApplyError> {
    let referred = referred(bindings);
    if referred.is_empty() {
        return Ok(());
    }
    let mut followed: HashSet<ParentKey> = HashSet::new();
    let mut looked: HashSet<Key> = HashSet::new();
    let mut there = Present::default();
    loop {
        let mut stale = Vec::new();
        let mut lacking = settle(write, bindings, &referred, set, &mut there, &mut stale).await?;
        if !stale.is_empty() {
            // What keeps these rows out is found out anew, with the values that their objects have now.
            for key in stale {
                if let Some(working) = set.records.get_mut(&key) {
                    (working.changed, working.judged, working.wait) = (true, true, None);
                }
            }
            unique::decide(write, bindings, head, set).await?;
            rows::judge(set);
            continue;
        }
        lacking.retain(|parent| followed.insert(parent.clone()));
        lacking
            .sort_unstable_by(|one, other| (&one.table, &one.columns).cmp(&(&other.table, &other.columns)));
        // Only once all parents are known is it certain who comes and who goes.
        let mut more = load_parents(write, bindings, head, set, &lacking).await?;
        if !more {
            let mut moved: Vec<Key> = set
                .records
                .iter()
                .filter(|(key, working)| differs(bindings, &referred, key, working))
                .map(|(key, _)| key.clone())
                .collect();
            moved.retain(|key| looked.insert(key.clone()));
            if moved.is_empty() {
                return Ok(());
            }
            more = load_children(write, bindings, head, set, &moved).await?;
        }
        if more {
            unique::decide(write, bindings, head, set).await?;
            rows::judge(set);
        }
    }
}

/// Shows all that may be shown, then takes back what lacks a parent until nothing more is taken back. Gives the parents that
/// were lacking, and rows whose old parent goes while a newer one was refused.
async fn settle(
    write: &mut Write<'_>,
    bindings: &Bindings,
    referred: &Referred,
    set: &mut WorkingSet,
    there: &mut Present,
    stale: &mut Vec<Key>,
) -> Result<Vec<ParentKey>, ApplyError> {
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
    let mut all = Vec::new();
    loop {
        let in_set = shown_in(referred, set);
        let lacking: Vec<(Key, ForeignKey, ParentKey, Standing)> = set
            .records
            .iter()
            .filter(|(_, working)| working.show && working.is_alive())
            .filter_map(|(key, working)| {
                named(bindings, key, working)
                    .filter(|(foreign, ..)| !is_nulled(working, foreign))
                    .find(|(_, parent, _)| !in_set.contains(parent) && !there.has(parent, set))
                    .map(|(foreign, parent, standing)| (key.clone(), foreign.clone(), parent, standing))
            })
            .collect();
        if lacking.is_empty() {
            return Ok(all);
        }
        for (key, foreign, parent, standing) in lacking {
            let nulled = nullable(set, &key, &foreign) && is_deleted(bindings, set, &parent);
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
            } else if standing == Standing::Old {
                working.show = false;
                match working.refused.clone() {
                    // The newer values were tried once more: the row can be neither as it is nor as it was.
                    Some(refused) => working.wait = Some(refused),
                    None => stale.push(key),
                }
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
            all.push(parent);
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
fn is_deleted(bindings: &Bindings, set: &WorkingSet, parent: &ParentKey) -> bool {
    let record = |binding| record_of(binding, parent).map(|record| (binding.model, record));
    let key = bindings.by_table(&parent.table).map(|binding| binding.as_ref()).and_then(record);
    key.and_then(|key| set.get(&key)).is_some_and(Working::is_deleted)
}
