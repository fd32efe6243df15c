//! A set, as an array of JSON: what its parts show, and what a device says when it writes one.
//!
//! ```text
//! part: {"add": [["<stamp>", element], ..], "out": [["<stamp>", element], ..]}
//! ```
//!
//! Invariant: an element is in the set while somebody's addition of it stands. Whoever takes it out takes out the additions that
//! it knows, and no others: so an element that is added while another device takes it out stays. A part names its
//! device's own additions and those of others that it took out.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::parts::Parts;
use crate::{stamp::Stamp, value::SyncValue};

/// The deepest nesting of an array that can be a set: parts stand around it, and must stay within what values may have.
const MAX_DEPTH: usize = 100;

/// One addition: its stamp and its element, each as text.
type Addition<'a> = (&'a str, Vec<u8>);

/// The elements, in the order in which they were first added.
pub(super) fn shown(parts: &Parts) -> SyncValue {
    let out: HashSet<Addition<'_>> =
        parts.values().flat_map(|part| list(part, "out")).map(addition).collect();
    let mut standing: Vec<(&str, usize, Vec<u8>, &Value)> = parts
        .values()
        .flat_map(|part| list(part, "add").enumerate())
        .map(|(place, (stamp, element))| (stamp, place, text(element), element))
        .filter(|(stamp, _, text, _)| !out.contains(&(*stamp, text.clone())))
        .collect();
    standing.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
    let mut seen = HashSet::new();
    let elements = standing.into_iter().filter(|(_, _, text, _)| seen.insert(text.clone()));
    SyncValue::Json(elements.map(|(.., element)| element.clone()).collect())
}

/// What a device says that wrote `now` over `before`; `None` if nothing came or went, or `now` is no array.
pub(super) fn said(
    parts: Option<&Parts>,
    before: Option<&SyncValue>,
    now: &SyncValue,
    version: Stamp,
) -> Option<Parts> {
    let mut said = Parts::default();
    let before = elements(before);
    let now = elements(Some(now)).or(parts.is_none().then(Vec::new))?;
    let before = match (parts, before) {
        // Two devices that make a set of one value say the same of it.
        (None, Some(before)) if !version.is_nil() => {
            let base: Vec<Value> = before.iter().map(|element| added(Stamp::NIL, element)).collect();
            said.take(Stamp::NIL, json!({ "add": base, "out": [] }));
            before
        }
        (None, _) => Vec::new(),
        (Some(_), before) => before.unwrap_or_default(),
    };
    let texts = |elements: &[&Value]| elements.iter().map(|element| text(element)).collect::<HashSet<_>>();
    let (had, has) = (texts(&before), texts(&now));
    let mut new = HashSet::new();
    let came: Vec<&Value> = now
        .into_iter()
        .filter(|element| !had.contains(&text(element)) && new.insert(text(element)))
        .collect();
    let went: HashSet<Vec<u8>> = had.difference(&has).cloned().collect();
    if came.is_empty() && went.is_empty() && parts.is_some() {
        return None;
    }
    let mut known = parts.cloned().unwrap_or_default();
    known.join(said.clone());
    let mine = known.of(version.node()).cloned().unwrap_or(Value::Null);
    let others = known.others(version.node());
    let out: HashSet<Addition<'_>> =
        known.values().flat_map(|part| list(part, "out")).map(addition).collect();
    let kept =
        list(&mine, "add").filter(|one| !went.contains(&text(one.1)) && !out.contains(&addition(*one)));
    let stamp = version.uuid().to_string();
    let add: Vec<Value> = kept
        .map(|(stamp, element)| json!([stamp, element]))
        .chain(came.into_iter().map(|element| json!([stamp, element])))
        .collect();
    // What others took back themselves need not be named any more.
    let taken: HashSet<Addition<'_>> = list(&mine, "out").map(addition).collect();
    let out: Vec<Value> = others
        .flat_map(|part| list(part, "add"))
        .filter(|one| went.contains(&text(one.1)) || taken.contains(&addition(*one)))
        .map(|(stamp, element)| json!([stamp, element]))
        .collect();
    said.take(version, json!({ "add": add, "out": out }));
    Some(said)
}

fn added(stamp: Stamp, element: &Value) -> Value {
    json!([stamp.uuid().to_string(), element])
}

fn elements(value: Option<&SyncValue>) -> Option<Vec<&Value>> {
    match value {
        Some(SyncValue::Json(array @ Value::Array(elements))) if depth(array) <= MAX_DEPTH => {
            Some(elements.iter().collect())
        }
        _ => None,
    }
}

/// The additions that a part lists under `name`; what is not one is passed over.
fn list<'a>(part: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let list = part.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|one| match one.as_array().map(Vec::as_slice) {
        Some([Value::String(stamp), element]) => Some((stamp.as_str(), element)),
        _ => None,
    })
}

fn addition<'a>((stamp, element): (&'a str, &Value)) -> Addition<'a> {
    (stamp, text(element))
}

/// The element in its canonical form.
fn text(element: &Value) -> Vec<u8> {
    SyncValue::Json(element.clone()).encode()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
