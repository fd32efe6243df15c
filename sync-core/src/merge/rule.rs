//! What the rules mean: which value a cell shows, and what a device says when it writes one.
//!
//! Invariant: whatever a device says of a column is a value that joins with what is known, and the value shown is a function
//! of the joined one. Last writer wins says and shows the value itself.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;

use super::{cell::ObjectCell, parts::Parts, set};
use crate::{
    change::{Strategy, Tag},
    stamp::Stamp,
    value::SyncValue,
};

impl ObjectCell {
    /// The value that the column is to have.
    pub fn shown(&self) -> Cow<'_, SyncValue> {
        shown(self.tag, self.version, &self.value)
    }
}

/// The value that a cell with this tag, version and value shows.
pub fn shown(tag: Tag, version: Stamp, value: &SyncValue) -> Cow<'_, SyncValue> {
    let parts = || Parts::parse(value, version);
    match tag.strategy() {
        Some(Strategy::Counter) => parts().map_or(Cow::Borrowed(value), |parts| Cow::Owned(sum(&parts))),
        Some(Strategy::Set) => parts().map_or(Cow::Borrowed(value), |parts| Cow::Owned(set::shown(&parts))),
        Some(Strategy::Lww | Strategy::Max | Strategy::Min) | None => Cow::Borrowed(value),
    }
}

/// True if the engine keeps a cell's value itself, because the row alone would not tell it after a write.
pub const fn keeps_value(tag: Tag) -> bool {
    !tag.is_lww()
}

/// A write to a column whose cells have a rule.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The rule.
    pub tag: Tag,
    /// The change that is to carry it, or nil for an adopted row.
    pub version: Stamp,
    /// What is known of the column under the same rule.
    pub known: Option<&'a ObjectCell>,
    /// What the row held before.
    pub before: Option<&'a SyncValue>,
    /// What the row holds now.
    pub now: &'a SyncValue,
}

impl Write<'_> {
    /// What the device says of the column; `None` if the write says nothing: another value stands above it, or nothing
    /// was added.
    pub fn said(&self) -> Option<SyncValue> {
        match self.tag.strategy() {
            Some(strategy @ (Strategy::Max | Strategy::Min)) => {
                let stands =
                    |known: &&ObjectCell| extreme(strategy, self.now, &known.value) != Ordering::Greater;
                self.known.filter(stands).is_none().then(|| self.now.clone())
            }
            Some(Strategy::Counter) => self.added().map(|parts| parts.to_value()),
            Some(Strategy::Set) => set::said(self.parts().as_ref(), self.before, self.now, self.version)
                .map(|parts| parts.to_value()),
            Some(Strategy::Lww) | None => Some(self.now.clone()),
        }
    }

    fn parts(&self) -> Option<Parts> {
        self.known.and_then(|known| Parts::parse(&known.value, known.version))
    }

    /// This device's part of a counter, and what the counter stood at before it became one.
    fn added(&self) -> Option<Parts> {
        let parts = self.parts();
        let mut said = Parts::default();
        let mut before = number(self.before);
        if parts.is_none() && self.before.is_some() && !self.version.is_nil() {
            // Two devices that make a counter of one value say the same of it.
            said.take(Stamp::NIL, before.into());
        } else if parts.is_none() {
            before = 0;
        }
        let added = i128::from(number(Some(self.now))) - i128::from(before);
        if added == 0 && self.known.is_some() {
            return None;
        }
        let mine = parts.as_ref().and_then(|parts| parts.of(self.version.node())).map_or(0, part);
        said.take(self.version, clamped(i128::from(mine) + added).into());
        Some(said)
    }
}

/// Which of two values is above the other; what says nothing is below all.
pub(super) fn extreme(strategy: Strategy, a: &SyncValue, b: &SyncValue) -> Ordering {
    let by_value = || match strategy {
        Strategy::Min if !a.is_blank() => b.compare(a),
        _ => a.compare(b),
    };
    b.is_blank().cmp(&a.is_blank()).then_with(by_value)
}

fn sum(parts: &Parts) -> SyncValue {
    SyncValue::I64(clamped(parts.values().map(|value| i128::from(part(value))).sum()))
}

fn part(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn number(value: Option<&SyncValue>) -> i64 {
    match value {
        Some(SyncValue::I64(number)) => *number,
        _ => 0,
    }
}

fn clamped(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}
