//! Which part of a library a replica keeps: as an application says it, and as it travels.
//!
//! Invariant: a scope names models, records and tags, and says nothing of how they are found. A selection is a scope that the
//! asking program has resolved to columns, so that a server without the entities can serve it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{ids::RecordId, value::SyncValue};

/// The part of a library that a replica keeps: whole models, single records, records with a tag. A record is in scope if
/// one of them names it.
///
/// ```
/// use sync_core::{Scope, encode_key, SyncValue};
///
/// let scope = Scope::none().model_id("user").record_id("album", &encode_key(&[SyncValue::I64(7)])).tag("project-7");
/// assert!(!scope.is_everything());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    everything: bool,
    models: BTreeSet<String>,
    records: BTreeMap<String, BTreeSet<ByteBuf>>,
    /// The canonical bytes of values.
    tags: BTreeSet<ByteBuf>,
    /// Why something that was said cannot be meant.
    #[serde(skip)]
    fault: Option<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self::everything()
    }
}

impl Scope {
    /// How many records and tags a scope may name: it travels with each page that is asked for.
    pub const MOST: usize = 10_000;

    /// The whole library: what a replica keeps of which nothing is said.
    pub const fn everything() -> Self {
        Self {
            everything: true,
            models: BTreeSet::new(),
            records: BTreeMap::new(),
            tags: BTreeSet::new(),
            fault: None,
        }
    }

    /// Nothing, to be added to.
    pub const fn none() -> Self {
        Self {
            everything: false,
            models: BTreeSet::new(),
            records: BTreeMap::new(),
            tags: BTreeSet::new(),
            fault: None,
        }
    }

    /// All records of the model with this `SYNC_ID`, which the program need not have.
    #[must_use]
    pub fn model_id(mut self, id: impl Into<String>) -> Self {
        self.models.insert(id.into());
        self
    }

    /// A record, as events name it.
    #[must_use]
    pub fn record_id(mut self, model: impl Into<String>, record: &RecordId) -> Self {
        let record = ByteBuf::from(record.as_bytes().to_vec());
        self.records.entry(model.into()).or_default().insert(record);
        self
    }

    /// The records of all models that hold this value in a column marked `#[sync(tag)]`, or in a set marked so. The value is of
    /// the column's type: a text, a number, a UUID, an enum.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<sea_orm::Value>) -> Self {
        let tag = tag.into();
        match crate::value::from_database(&tag) {
            Some(value) if !value.is_null() => drop(self.tags.insert(ByteBuf::from(value.encode()))),
            _ => self.fault = Some(format!("{tag:?} cannot be a tag: no column that syncs holds it")),
        }
        self
    }

    /// True for the whole library.
    pub const fn is_everything(&self) -> bool {
        self.everything
    }

    pub(crate) fn with_fault(mut self, fault: String) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Why the scope cannot be meant, if it cannot.
    pub(crate) fn fault(&self) -> Option<String> {
        let named = self.tags.len() + self.records.values().map(BTreeSet::len).sum::<usize>();
        let many = format!(
            "it names {named} records and tags, and at most {} may be named: name a model, or mark a column as tag",
            Self::MOST
        );
        self.fault.clone().or((named > Self::MOST).then_some(many))
    }

    /// The tags.
    pub(crate) fn tags(&self) -> impl Iterator<Item = SyncValue> + '_ {
        self.tags.iter().filter_map(|tag| SyncValue::decode(tag).ok())
    }

    /// The scope as it travels; `columns` are the columns that may hold tags, each with those of the tags that it can hold.
    pub(crate) fn select(&self, columns: Vec<SelectedTag>) -> Selection {
        let records = self.records.iter().flat_map(|(model, records)| {
            records.iter().map(|record| RecordName { model: model.clone(), record: record.clone() })
        });
        Selection { models: self.models.iter().cloned().collect(), records: records.collect(), tags: columns }
    }
}

/// A scope as it travels. The engine's own models are in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Models of which every record is meant.
    #[serde(default)]
    pub models: Vec<String>,
    /// Single records.
    #[serde(default)]
    pub records: Vec<RecordName>,
    /// Records with a tag.
    #[serde(default)]
    pub tags: Vec<SelectedTag>,
}

/// A record by its names on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordName {
    /// The model.
    pub model: String,
    /// The canonical bytes of the record's key.
    pub record: ByteBuf,
}

/// The records of a model that hold one of some values in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectedTag {
    /// The model.
    pub model: String,
    /// The column's name on the wire.
    pub column: String,
    /// The canonical bytes of the values. Of a column whose value is a set, one element that is equal to one of them counts.
    pub values: Vec<ByteBuf>,
}
