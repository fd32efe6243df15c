//! What columns with a rule of their own must hold: worked out from all that was said of them, by the rules written down a second
//! time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sync_core::{Change, SyncValue, merge::Object};

use super::oracle::Record;

/// The models with such columns.
const MODELS: [&str; 2] = ["gauge", "basket"];

/// The values of the columns with a rule of their own, in the last life of each record.
pub(crate) fn ruled(changes: &[&Change]) -> BTreeMap<(Record, &'static str), SyncValue> {
    let mut last: BTreeMap<Record, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        let Some(model) = MODELS.into_iter().find(|model| change.model == *model) else { continue };
        let life = last.entry((model, change.record.clone())).or_default();
        if life.first().is_some_and(|known| known.generation < change.generation) {
            life.clear();
        }
        if life.first().is_none_or(|known| known.generation == change.generation) {
            life.push(change);
        }
    }
    let mut ruled = BTreeMap::new();
    for (record, life) in last {
        let said = |column: &str| -> Vec<&SyncValue> {
            let cells = life.iter().flat_map(|change| &change.cells);
            cells.filter(|cell| cell.column == column).map(|cell| &cell.value).collect()
        };
        if record.0 == "basket" {
            ruled.insert((record.clone(), "tags"), filled(&said("tags")));
            continue;
        }
        let numbers = |column: &str| {
            let said = said(column);
            let number = |value: &SyncValue| match value {
                SyncValue::I64(number) => Some(*number),
                _ => None,
            };
            said.into_iter().filter_map(number).collect::<Vec<i64>>()
        };
        let value = |number: Option<i64>| number.map_or(SyncValue::Null, SyncValue::I64);
        ruled.insert((record.clone(), "count"), SyncValue::I64(counted(&said("count"))));
        ruled.insert((record.clone(), "peak"), value(numbers("peak").into_iter().max()));
        ruled.insert((record.clone(), "low"), value(numbers("low").into_iter().min()));
    }
    ruled
}

/// Of each device the last that it said.
fn parts(said: &[&SyncValue]) -> Vec<Value> {
    let mut last: BTreeMap<String, (String, Value)> = BTreeMap::new();
    for value in said {
        let SyncValue::Json(Value::Array(parts)) = value else { panic!("no parts: {value}") };
        for part in parts {
            let stamp = part[0].as_str().expect("a stamp");
            let known = last.entry(stamp[21..].to_owned()).or_default();
            if known.0.as_str() < stamp {
                *known = (stamp.to_owned(), part[1].clone());
            }
        }
    }
    last.into_values().map(|(_, part)| part).collect()
}

/// All that was counted, added up.
fn counted(said: &[&SyncValue]) -> i64 {
    parts(said).iter().map(|part| part.as_i64().expect("a number")).sum()
}

/// What was added and not taken out, each once, in the order of the additions.
fn filled(said: &[&SyncValue]) -> SyncValue {
    let parts = parts(said);
    let list = |name: &str| -> Vec<(&str, usize, &str)> {
        let lists = parts.iter().flat_map(|part| part[name].as_array().into_iter());
        let pairs = lists.flat_map(|list| list.iter().enumerate());
        pairs
            .map(|(at, pair)| (pair[0].as_str().expect("a stamp"), at, pair[1].as_str().expect("a tag")))
            .collect()
    };
    let out: BTreeSet<(&str, &str)> = list("out").into_iter().map(|(stamp, _, tag)| (stamp, tag)).collect();
    let mut added = list("add");
    added.sort_unstable();
    let mut seen = BTreeSet::new();
    added.retain(|(stamp, _, tag)| !out.contains(&(*stamp, *tag)) && seen.insert(*tag));
    SyncValue::Json(added.into_iter().map(|(_, _, tag)| Value::from(tag)).collect())
}

/// A place is of one device, and so is a card.
pub(crate) fn check_group(model: &str, object: &Object) {
    let group: &[&str] = match model {
        "gauge" => &["x", "y"],
        "card" => &["front", "back", "hint"],
        _ => return,
    };
    let versions: BTreeSet<_> =
        group.iter().map(|column| object.cell(column).map(|cell| cell.version)).collect();
    assert!(!object.is_alive() || versions.len() == 1, "parts of a group: {object:?}");
}
