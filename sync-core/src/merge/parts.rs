//! A value that several devices make together: of each device the last that it said of its part.
//!
//! ```text
//! [["<stamp>", part], ["<stamp>", part], ..]      by the device in the stamp, each device once
//! ```
//!
//! Invariant: of each device the newest part stays, which is a join whatever the parts mean. So cells of every kind in this
//! form join alike, and a program that does not know the kind loses nothing of it. A part holds all that its device
//! ever said of the column, so no older one is needed. Parts are JSON, because the log is for people too.

use std::cmp::Ordering;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    stamp::{Node, Stamp},
    value::SyncValue,
};

/// The parts of a value, by device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parts(Vec<(Stamp, Value)>);

impl Parts {
    /// The parts that make `value`; `None` if it is a value of another form. No part is newer than `version`.
    pub(super) fn parse(value: &SyncValue, version: Stamp) -> Option<Self> {
        let SyncValue::Json(Value::Array(list)) = value else { return None };
        let mut parts: Vec<(Stamp, Value)> = Vec::with_capacity(list.len());
        for part in list {
            let [Value::String(stamp), value] = part.as_array()?.as_slice() else { return None };
            let stamp = parse_stamp(stamp).filter(|stamp| *stamp <= version)?;
            if parts.last().is_some_and(|(last, _)| last.node() >= stamp.node()) {
                return None;
            }
            parts.push((stamp, value.clone()));
        }
        (!parts.is_empty()).then_some(Self(parts))
    }

    /// The value that is made of these parts.
    pub(super) fn to_value(&self) -> SyncValue {
        let part = |(stamp, value): &(Stamp, Value)| {
            Value::Array(vec![Value::String(stamp.uuid().to_string()), value.clone()])
        };
        SyncValue::Json(Value::Array(self.0.iter().map(part).collect()))
    }

    /// The parts.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// What this device said.
    pub(super) fn of(&self, node: Node) -> Option<&Value> {
        self.place(node).ok().map(|at| &self.0[at].1)
    }

    /// What the other devices said.
    pub(super) fn others(&self, node: Node) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(stamp, _)| stamp.node() != node).map(|(_, value)| value)
    }

    /// Takes a device's part in, unless a newer one of it is here.
    pub(super) fn take(&mut self, stamp: Stamp, value: Value) {
        match self.place(stamp.node()) {
            Err(at) => self.0.insert(at, (stamp, value)),
            Ok(at) => {
                let (known, here) = &self.0[at];
                // One stamp with two values: a copied database, or two adopted rows that differ.
                let newer = stamp.cmp(known).then_with(|| text(&value).cmp(&text(here)));
                if newer == Ordering::Greater {
                    self.0[at] = (stamp, value);
                }
            }
        }
    }

    /// Takes all parts of `other` in.
    pub(super) fn join(&mut self, other: Self) {
        for (stamp, value) in other.0 {
            self.take(stamp, value);
        }
    }

    fn place(&self, node: Node) -> Result<usize, usize> {
        self.0.binary_search_by(|(stamp, _)| stamp.node().cmp(&node))
    }
}

fn text(value: &Value) -> Vec<u8> {
    SyncValue::Json(value.clone()).encode()
}

/// The stamp with this text, in the one form that [`Parts::to_value`] writes.
fn parse_stamp(text: &str) -> Option<Stamp> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut form = [0; uuid::fmt::Hyphenated::LENGTH];
    let same = uuid.hyphenated().encode_lower(&mut form) == text;
    Stamp::from_bytes(uuid.into_bytes()).filter(|_| same)
}
