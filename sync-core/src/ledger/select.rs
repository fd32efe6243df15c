//! A selection put to work: which records are in it, judged by what the ledger has of them.
//!
//! Invariant: no row is read. A stored cell has the hash of its author's value, which is compared with those of the tags; of a set
//! the ledger keeps the value itself.

use std::collections::{HashMap, HashSet};

use super::LedgerError;
use crate::{
    change::{Change, Strategy, Tag},
    ids::RecordId,
    merge::{StoredObject, shown},
    model::is_system,
    scope::Selection,
    stamp::Stamp,
    store::Names,
    value::{SyncValue, ValueHash},
};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Selected {
    /// As it travels.
    pub(crate) selection: Selection,
    /// Equal for equal selections.
    pub(crate) fingerprint: [u8; 16],
    models: HashSet<String>,
    records: HashMap<String, HashSet<RecordId>>,
    tags: HashMap<String, Vec<TagColumn>>,
}

#[derive(Debug)]
struct TagColumn {
    column: String,
    hashes: HashSet<ValueHash>,
    /// The same as elements of a set.
    elements: Vec<SyncValue>,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the selection; also a tombstone of a model in it, because a later life of the record goes by it.
    Inside,
    /// Out of it, and in it with another tag.
    Untagged,
    /// Out of it, whatever it holds.
    Outside,
}

impl Selected {
    /// Reads a selection.
    pub(crate) fn new(selection: Selection) -> Result<Self, LedgerError> {
        let bytes = rmp_serde::to_vec(&selection).map_err(|error| LedgerError::Corrupt(error.to_string()))?;
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        let models = selection.models.iter().cloned().collect();
        let mut records: HashMap<String, HashSet<RecordId>> = HashMap::new();
        for one in &selection.records {
            records.entry(one.model.clone()).or_default().insert(RecordId::from_bytes(&one.record));
        }
        let mut tags: HashMap<String, Vec<TagColumn>> = HashMap::new();
        for one in &selection.tags {
            // A value that this version does not know is one that nothing here has.
            let values: Vec<SyncValue> =
                one.values.iter().filter_map(|bytes| SyncValue::decode(bytes).ok()).collect();
            tags.entry(one.model.clone()).or_default().push(TagColumn {
                column: one.column.clone(),
                hashes: values.iter().map(SyncValue::hash64).collect(),
                elements: values.iter().map(|value| SyncValue::Json(value.to_json())).collect(),
            });
        }
        Ok(Self { selection, fingerprint, models, records, tags })
    }

    /// The models of which a record or a tombstone may be in it, by their integers.
    pub(super) fn known_models(&self, names: &Names) -> Vec<i64> {
        let named = |model: &str| {
            is_system(model)
                || self.models.contains(model)
                || self.records.contains_key(model)
                || self.tags.contains_key(model)
        };
        names.models().filter(|(_, model)| named(model)).map(|(id, _)| id).collect()
    }

    /// Where a record is by what is stored of it.
    pub(crate) fn place(&self, model: &str, record: &RecordId, object: &StoredObject) -> Place {
        self.judge(model, record, object.is_alive(), |column| {
            let cell = object.cell(&column.column)?;
            Some(column.has(cell.hash, cell.tag, cell.version, cell.payload.as_ref()))
        })
    }

    /// Where a record of a state feed is.
    pub(crate) fn place_of_change(&self, change: &Change) -> Place {
        self.judge(&change.model, &change.record, change.generation % 2 == 1, |column| {
            let cell = change.cells.iter().find(|cell| cell.column == column.column)?;
            Some(column.has(cell.value.hash64(), cell.tag, cell.version, Some(&cell.value)))
        })
    }

    fn judge(
        &self,
        model: &str,
        record: &RecordId,
        alive: bool,
        has: impl Fn(&TagColumn) -> Option<bool>,
    ) -> Place {
        let records = self.records.get(model);
        let tags = self.tags.get(model);
        if is_system(model)
            || self.models.contains(model)
            || records.is_some_and(|records| records.contains(record))
            || (!alive && (records.is_some() || tags.is_some()))
        {
            return Place::Inside;
        }
        match tags {
            Some(columns) if columns.iter().any(|column| has(column) == Some(true)) => Place::Inside,
            Some(_) => Place::Untagged,
            None => Place::Outside,
        }
    }
}

impl TagColumn {
    fn has(&self, hash: ValueHash, tag: Tag, version: Stamp, value: Option<&SyncValue>) -> bool {
        if tag.strategy() != Some(Strategy::Set) {
            return self.hashes.contains(&hash);
        }
        let Some(SyncValue::Json(serde_json::Value::Array(elements))) =
            value.map(|value| shown(tag, version, value).into_owned())
        else {
            return false;
        };
        elements.into_iter().any(|element| self.elements.contains(&SyncValue::Json(element)))
    }
}
