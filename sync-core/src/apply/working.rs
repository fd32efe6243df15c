//! The records of a group while they change: object, row, and what is to become of the row.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::{
    ApplyError,
    pending::Wait,
    unique::{self, UniqueKey},
};
use crate::{
    ids::{Name, RecordId},
    ledger::{self, Head, LedgerError, Loaded, assemble},
    merge::{Digest, Object, ObjectCell, StoredObject},
    store::{Binding, Bindings, NameKind, Write, rows},
    value::SyncValue,
};

/// A record, by its model's integer.
pub(crate) type Key = (i64, RecordId);

/// A record of a group.
#[derive(Debug)]
pub(crate) struct Working {
    pub(crate) model: Name,
    pub(crate) binding: Option<Arc<Binding>>,
    /// Its place in `sync_objects`; new records get one when they are first needed.
    pub(crate) id: Option<i64>,
    /// The object as it was, to compare with.
    pub(crate) before: Option<StoredObject>,
    /// The object as it is now, complete with values.
    pub(crate) object: Object,
    /// The row as it is in the table now; all columns of the spec.
    pub(crate) row: Option<Vec<SyncValue>>,
    /// What the object added to the digest before.
    pub(crate) digest: Digest,
    /// Per unique key of the table: what the object held of it before.
    pub(crate) old_keys: Vec<Option<UniqueKey>>,
    /// True if the object is another than before, if only in its clock.
    pub(crate) touched: bool,
    /// True if a column's value, the generation or the birth changed.
    pub(crate) changed: bool,
    /// True if the record leaves this replica: then it is as if nothing had ever come of it.
    pub(crate) dropped: bool,
    /// True if the record is not shown and what kept it out may have ended.
    pub(crate) candidate: bool,
    /// True if it was decided whether the record is hidden.
    pub(crate) judged: bool,
    /// Why there is to be no row, or none that holds all of the object.
    pub(crate) wait: Option<Wait>,
    /// True if the row is to be there. Decided by `unique` and `foreign`.
    pub(crate) show: bool,
    /// What the database said when the row was tried.
    pub(crate) denied: Option<Wait>,
    /// The table cannot take the row, or the database denied it: it stays away, or as it is.
    pub(crate) refused: Option<Wait>,
    /// Columns, by index into the spec, that keep what the row holds although the object says otherwise.
    pub(crate) withheld: Vec<usize>,
    /// Columns to be `NULL` in the row only, because a deleted parent says so.
    pub(crate) nulled: Vec<usize>,
}

impl Working {
    /// True if the row was there before.
    pub(crate) fn was_shown(&self) -> bool {
        self.before.as_ref().is_some_and(|object| object.shown && object.is_alive())
    }

    /// True if the record exists.
    pub(crate) fn is_alive(&self) -> bool {
        self.object.is_alive()
    }

    /// True if the record existed once and does not any more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.object.generation > 0 && !self.is_alive()
    }

    /// The row, if it is one of the generation that the object is in: of an earlier life nothing stays.
    pub(crate) fn row_of_this_life(&self) -> Option<&[SyncValue]> {
        let generation = self.before.as_ref()?.generation;
        self.row.as_deref().filter(|_| generation == self.object.generation)
    }

    /// What the object knows of the column with this index of the spec.
    pub(crate) fn cell(&self, column: usize) -> Option<&ObjectCell> {
        let binding = self.binding.as_ref()?;
        let wire = &binding.spec().columns[column].wire;
        self.object.cell_near(wire, binding.places[column])
    }

    /// The value that the column with this index of the spec is to have; `None` if the object has no cell for it.
    pub(crate) fn value(&self, column: usize) -> Option<Cow<'_, SyncValue>> {
        self.cell(column).map(ObjectCell::shown)
    }
}

/// The records of a group.
#[derive(Debug, Default)]
pub(crate) struct WorkingSet {
    pub(crate) records: HashMap<Key, Working>,
}

impl WorkingSet {
    /// Loads those of `records` that are not here yet: objects and the rows of those that are shown.
    pub(crate) async fn load(
        &mut self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &Head,
        model: &Name,
        records: impl IntoIterator<Item = RecordId>,
    ) -> Result<(), ApplyError> {
        let id = write.names.intern(write.db, NameKind::Model, model.as_bytes()).await?;
        let mut records: Vec<RecordId> =
            records.into_iter().filter(|record| !self.records.contains_key(&(id, record.clone()))).collect();
        records.sort_unstable();
        records.dedup();
        if records.is_empty() {
            return Ok(());
        }
        let binding = bindings.by_model(id).cloned();
        let mut objects = ledger::by_records(write.db, &write.names, head.library, id, &records).await?;
        let mut table_rows = match &binding {
            Some(binding) => {
                let shown =
                    objects.iter().filter(|(_, loaded)| loaded.object.shown).map(|(record, _)| record);
                rows::by_record(write.db, binding, shown).await?
            }
            None => HashMap::new(),
        };
        self.records.reserve(records.len());
        for record in records {
            let loaded = objects.remove(&record);
            let row = table_rows.remove(&record);
            let working = working(model, binding.clone(), &record, loaded, row)?;
            self.records.insert((id, record), working);
        }
        Ok(())
    }

    /// The record of the model `model`.
    pub(crate) fn get(&self, key: &Key) -> Option<&Working> {
        self.records.get(key)
    }

    /// Looks at those of `records` again that are not shown. True if one of them was not to be looked at before.
    pub(crate) fn nominate(&mut self, model: i64, records: impl IntoIterator<Item = RecordId>) -> bool {
        let mut new = false;
        for record in records {
            if let Some(working) = self.records.get_mut(&(model, record)) {
                let candidate = working.is_alive() && !working.was_shown();
                new |= candidate && !working.candidate;
                working.candidate |= candidate;
            }
        }
        new
    }

    /// The keys of the records for which `wanted` holds, in one order on every replica.
    pub(crate) fn keys(&self, wanted: impl Fn(&Working) -> bool) -> Vec<Key> {
        let mut keys: Vec<Key> =
            self.records.iter().filter(|(_, working)| wanted(working)).map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys
    }
}

fn working(
    model: &Name,
    binding: Option<Arc<Binding>>,
    record: &RecordId,
    loaded: Option<Loaded>,
    row: Option<rows::RowState>,
) -> Result<Working, ApplyError> {
    let (id, before) = match loaded {
        Some(Loaded { id, object }) => (Some(id), Some(object)),
        None => (None, None),
    };
    let digest = before.as_ref().map_or_else(Digest::default, |object| object.digest(model, record));
    let object = match before.clone() {
        Some(stored) => assemble(stored, binding.as_deref(), row.as_ref())?.ok_or_else(|| {
            LedgerError::Corrupt(format!(
                "the row of {model} {record} is not what its object says, and no guard noted it: run `reconcile`"
            ))
        })?,
        None => Object::default(),
    };
    Ok(Working {
        model: model.clone(),
        id,
        show: before.as_ref().is_some_and(|object| object.shown && object.is_alive()),
        before,
        row: row.and_then(Result::ok),
        old_keys: binding
            .as_deref()
            .map(|binding| unique::keys(binding, record, &object))
            .unwrap_or_default(),
        binding,
        object,
        digest,
        touched: false,
        changed: false,
        dropped: false,
        candidate: false,
        judged: false,
        wait: None,
        denied: None,
        refused: None,
        withheld: Vec::new(),
        nulled: Vec::new(),
    })
}
