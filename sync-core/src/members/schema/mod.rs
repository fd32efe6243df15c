//! Changes of the schema that travel: made by one author, carried out once on every device, in order.
//!
//! Invariant: whatever is carried out is remembered in the same transaction. A change is carried out where nothing of this
//! program contradicts it; where something does, it and all after it wait. No change touches a table that does not sync.
//!
//! * `change` the words, and what is checked of them
//! * `record` the changes as records of a model of the engine's own
//! * `statements` from words to statements
//! * `perform` one change carried out, or the reason why not
//! * `error` the reasons

mod change;
mod error;
mod perform;
mod record;
mod statements;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use change::{NewColumn, NewTable, SchemaChange, SchemaType, SchemaValue};
pub use error::SchemaError;
pub(crate) use record::{ActiveModel, MODEL, Record, Step, put};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    apply::ApplyError,
    ids::{DeviceId, LibraryId},
    ledger::{self, Head},
    model::Adapter,
    store::Write,
};

/// What of a library's schema is carried out in this database; kept in `sync_metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// All changes up to this number.
    pub(crate) applied: u64,
    /// Who makes the changes.
    pub(crate) author: Option<DeviceId>,
    /// Which record was carried out under which number.
    taken: BTreeMap<u64, Uuid>,
    /// Tables that changes made here, in lower case.
    tables: BTreeSet<String>,
    /// Why the next change waits.
    stopped: Option<String>,
}

impl State {
    fn key(library: LibraryId) -> String {
        format!("schema/{library}")
    }

    /// What is carried out of the schema of `library`.
    pub(crate) async fn load<C: ConnectionTrait>(db: &C, library: LibraryId) -> Result<Self, ApplyError> {
        Ok(ledger::kept(db, &Self::key(library)).await?.unwrap_or_default())
    }

    pub(crate) async fn save<C: ConnectionTrait>(
        &self,
        db: &C,
        library: LibraryId,
    ) -> Result<(), ApplyError> {
        Ok(ledger::keep(db, &Self::key(library), self).await?)
    }

    /// The record that comes next, if it is here. Of several with its number the oldest: which one is the same wherever
    /// they are all known.
    fn next<'a>(&self, records: &'a [Record]) -> Option<&'a Record> {
        let here = records.iter().filter(|record| record.number == self.applied + 1);
        here.filter(|record| self.may_write(record)).min_by_key(|record| record.id)
    }

    fn may_write(&self, record: &Record) -> bool {
        self.author.is_none_or(|author| author == record.author) || record.step() == Ok(Step::TakeOver)
    }

    /// Remembers that `record` was carried out.
    pub(crate) fn took(&mut self, record: &Record, step: &Step) {
        self.applied = record.number;
        self.author = Some(record.author);
        self.taken.insert(record.number, record.id);
        self.stopped = None;
        if let Step::Change(SchemaChange::CreateTable(table)) = step {
            self.tables.insert(table.name.to_ascii_lowercase());
        }
    }

    /// Why `record` is not carried out; `None` if it is.
    fn waits_for(&self, record: &Record, records: &[Record]) -> Option<String> {
        if self.taken.get(&record.number) == Some(&record.id) {
            return None;
        }
        let error = match self.author {
            _ if record.number <= self.applied => SchemaError::Outrun,
            _ if record.number > self.applied + 1 => SchemaError::Earlier { number: self.applied + 1 },
            _ if self.next(records) == Some(record) => return Some(self.stopped.clone().unwrap_or_default()),
            Some(author) if author != record.author => SchemaError::NotTheAuthor { author },
            _ => SchemaError::Outrun,
        };
        Some(error.to_string())
    }
}

/// A record and why it waits.
pub(crate) type Listed = (Record, Option<String>);

/// All changes of the library that are known here, in order, each with the reason if it is not carried out.
pub(crate) async fn list<C: ConnectionTrait>(db: &C, library: LibraryId) -> Result<Vec<Listed>, ApplyError> {
    let records = record::all(db).await?;
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let state = State::load(db, library).await?;
    Ok(records.iter().map(|record| (record.clone(), state.waits_for(record, &records))).collect())
}

/// Carries out what is due. True if anything was.
pub(crate) async fn carry_out(
    write: &mut Write<'_>,
    head: &mut Head,
    adapters: &[Arc<dyn Adapter>],
) -> Result<bool, ApplyError> {
    let records = record::all(write.db).await?;
    let library = head.identity.library;
    if records.is_empty() {
        return Ok(false);
    }
    let mut state = State::load(write.db, library).await?;
    let before = state.clone();
    while let Some(record) = state.next(&records) {
        let step = match record.step() {
            Ok(step) => match carry_out_step(write, head, adapters, &state, &step).await? {
                Ok(()) => Ok(step),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match step {
            Ok(step) => state.took(record, &step),
            Err(error) => {
                tracing::warn!(number = record.number, %error, "a change of the schema waits");
                state.stopped = Some(error.to_string());
                break;
            }
        }
    }
    if state != before {
        state.save(write.db, library).await?;
    }
    Ok(state.applied != before.applied)
}

/// Carries out one step. An error of the inner kind has changed nothing.
pub(crate) async fn carry_out_step(
    write: &mut Write<'_>,
    head: &mut Head,
    adapters: &[Arc<dyn Adapter>],
    state: &State,
    step: &Step,
) -> Result<Result<(), SchemaError>, ApplyError> {
    match step {
        Step::TakeOver => Ok(Ok(())),
        Step::Change(change) => perform::perform(write, head, adapters, &state.tables, change).await,
    }
}
