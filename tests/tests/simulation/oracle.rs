//! What the tables must hold: worked out from the changes alone, by rules written down a second time.
//!
//! A row is there exactly if its object is alive, complete, not hidden, and its parents' rows are there.

use std::collections::{BTreeMap, BTreeSet};

use sync_core::{
    Change, PendingReason, RecordId, Stamp, SyncValue, decode_key,
    merge::{Digest, Object, contribution, join},
};

use super::{
    rules,
    schema::{Orphan, TABLES, Table},
    versions::{View, default_of},
};

/// A record: its model and its key.
pub(crate) type Record = (&'static str, RecordId);

/// What follows from a set of changes.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) objects: BTreeMap<Record, Object>,
    /// The rows, one line each.
    pub(crate) rows: BTreeMap<Record, String>,
    /// The alive records without a row.
    pub(crate) waiting: BTreeMap<Record, PendingReason>,
    pub(crate) digest: [u8; 16],
    /// What columns with a rule of their own hold.
    ruled: BTreeMap<(Record, &'static str), SyncValue>,
}

impl Expected {
    /// What follows from `changes`.
    pub(crate) fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let changes: Vec<&Change> = changes.into_iter().collect();
        let mut expected = Self { ruled: rules::ruled(&changes), ..Self::default() };
        for change in changes {
            let table = table(&change.model);
            join(expected.objects.entry((table.model, change.record.clone())).or_default(), change);
        }
        let mut digest = Digest::default();
        for ((model, record), object) in &expected.objects {
            let cells = object.cells.iter().map(|cell| (cell.column.as_str(), cell.version, cell.hash));
            digest.add(contribution(model, record, object.generation, cells));
            rules::check_group(model, object);
        }
        expected.digest = digest.to_bytes();
        expected.decide();
        expected
    }

    fn decide(&mut self) {
        let mut shown: BTreeSet<Record> = BTreeSet::new();
        let first = self.first_holders();
        for (record, object) in self.objects.iter().filter(|(_, object)| object.is_alive()) {
            let table = table(record.0);
            let rank = (object.born, record.1.clone());
            let hidden = keys_of(table, &record.1, object).into_iter().any(|key| first[&key] < rank);
            let complete =
                table.columns.iter().all(|(name, nullable)| *nullable || object.cell(name).is_some());
            if hidden {
                self.waiting.insert(record.clone(), PendingReason::Hidden);
            } else if !complete {
                self.waiting.insert(record.clone(), PendingReason::Incomplete);
            } else {
                shown.insert(record.clone());
            }
        }
        loop {
            let lacking: Vec<Record> =
                shown.iter().filter(|record| self.lacks_parent(record, &shown)).cloned().collect();
            if lacking.is_empty() {
                break;
            }
            for record in lacking {
                shown.remove(&record);
                self.waiting.insert(record, PendingReason::MissingParent);
            }
        }
        self.rows = shown.into_iter().map(|record| (record.clone(), self.line(&record))).collect();
    }

    fn first_holders(&self) -> BTreeMap<(usize, Vec<u8>), (Stamp, RecordId)> {
        let mut first: BTreeMap<_, (Stamp, RecordId)> = BTreeMap::new();
        for ((model, record), object) in self.objects.iter().filter(|(_, object)| object.is_alive()) {
            for key in keys_of(table(model), record, object) {
                let rank = (object.born, record.clone());
                let known = first.entry(key).or_insert_with(|| rank.clone());
                *known = known.clone().min(rank);
            }
        }
        first
    }

    fn lacks_parent(&self, record: &Record, shown: &BTreeSet<Record>) -> bool {
        let object = &self.objects[record];
        table(record.0).foreign.iter().any(|foreign| {
            let value = value_of(table(record.0), &record.1, object, foreign.column);
            if value.is_null() {
                return false;
            }
            let parent = (foreign.parent, sync_core::encode_key(&[value]));
            let nulled = foreign.orphan == Orphan::Nulled && self.is_deleted(&parent);
            !nulled && !shown.contains(&parent)
        })
    }

    /// How many shown folders are in themselves, by others or directly.
    pub(crate) fn in_a_cycle(&self) -> u64 {
        let parent = |record: &Record| {
            let value = value_of(table("folder"), &record.1, &self.objects[record], "parent_id");
            Some(("folder", sync_core::encode_key(&[value]))).filter(|parent| self.rows.contains_key(parent))
        };
        let returns = |folder: &&Record| {
            let above = std::iter::successors(parent(folder), parent).take(self.rows.len());
            above.into_iter().any(|record| record == **folder)
        };
        self.rows.keys().filter(|record| record.0 == "folder").filter(returns).count() as u64
    }

    fn is_deleted(&self, record: &Record) -> bool {
        self.objects.get(record).is_some_and(|object| object.generation > 0 && !object.is_alive())
    }

    fn line(&self, record: &Record) -> String {
        let table = table(record.0);
        let columns = table.keys.iter().chain(table.columns.iter().map(|(name, _)| name));
        self.line_of(record, columns)
    }

    /// The rows as a program sees them.
    pub(crate) fn rows_for(&self, view: View) -> Vec<String> {
        let rows = self.rows.iter().filter(|((model, _), _)| view != View::None || *model != "grown");
        rows.map(|(record, line)| match record.0 {
            "grown" => self.line_of(record, view.columns().iter()),
            _ => line.clone(),
        })
        .collect()
    }

    fn line_of(&self, record: &Record, columns: impl Iterator<Item = &'static &'static str>) -> String {
        let table = table(record.0);
        let object = &self.objects[record];
        let values: Vec<String> = columns
            .map(|column| {
                let ruled = self.ruled.get(&(record.clone(), *column)).cloned();
                let value = ruled.unwrap_or_else(|| value_of(table, &record.1, object, column));
                let foreign = table.foreign.iter().find(|foreign| foreign.column == *column);
                let nulled = foreign.is_some_and(|foreign| {
                    foreign.orphan == Orphan::Nulled
                        && !value.is_null()
                        && self.is_deleted(&(
                            foreign.parent,
                            sync_core::encode_key(std::slice::from_ref(&value)),
                        ))
                });
                quoted(if nulled { &SyncValue::Null } else { &value })
            })
            .collect();
        format!("{}: {}", table.table, values.join(","))
    }
}

/// The table of a model.
pub(crate) fn table(model: &str) -> &'static Table {
    TABLES.iter().find(|table| table.model == model).expect("a model of the harness")
}

fn keys_of(table: &'static Table, record: &RecordId, object: &Object) -> Vec<(usize, Vec<u8>)> {
    let place = TABLES.iter().position(|one| one.model == table.model).expect("a table");
    let key = |(at, columns): (usize, &&[&str])| {
        let mut bytes = Vec::new();
        for column in *columns {
            let value = value_of(table, record, object, column);
            if value.is_null() {
                return None;
            }
            value.encode_into(&mut bytes);
        }
        Some((place * 10 + at, bytes))
    };
    table.uniques.iter().enumerate().filter_map(key).collect()
}

fn value_of(table: &Table, record: &RecordId, object: &Object, column: &str) -> SyncValue {
    match table.keys.iter().position(|key| *key == column) {
        Some(at) => decode_key(record.as_bytes()).expect("a key")[at].clone(),
        None => {
            object.cell(column).map_or_else(|| default_of(table.model, column), |cell| cell.value.clone())
        }
    }
}

/// A value as SQLite's `quote` writes it.
fn quoted(value: &SyncValue) -> String {
    match value {
        SyncValue::Null => "NULL".to_owned(),
        SyncValue::I64(number) => number.to_string(),
        SyncValue::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("X'{digits}'")
        }
        SyncValue::Text(text) => format!("'{text}'"),
        SyncValue::Json(json) => format!("'{json}'"),
        SyncValue::Uuid(uuid) => format!("X'{}'", uuid.simple().to_string().to_uppercase()),
        other => panic!("no column of the harness holds {other:?}"),
    }
}
