//! From notes to one batch of changes in the ledger.
//!
//! Invariant: a flush group is a union of whole transactions. What is dirty when the write lock is held is one
//! group; where that is too much for one batch, its batches share one `txn` and all changes but the last are marked
//! `more`, until nothing is dirty any more: a later batch may read rows that a later transaction touched again.

use super::{
    CaptureError,
    diff::{self, Difference},
    notes::{self, Noted, Span},
};
use crate::{
    change::{Change, ChangeKind},
    ids::{Name, RecordId},
    ledger::{self, Commit, Entry, Head, Loaded, ObjectWrite},
    merge::{Digest, StoredCell, StoredObject},
    runtime::Runtime,
    stamp::Stamp,
    store::{Binding, Bindings, Write, rows, sql},
    value::{SyncValue, ValueHash},
    vector::Clock,
};

/// How much a batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// At most this many notes; the group stays open if there are more.
    Notes(u32),
    /// Everything that is dirty, whatever the lock costs: this ends the group.
    All,
}

/// A change that this device made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalChange {
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    pub(crate) kind: ChangeKind,
    /// True if a row came or went, or a unique column was written: constraints are to be looked at again.
    pub(crate) constrains: bool,
}

/// What a batch did.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    /// The changes logged.
    pub(crate) changes: Vec<LocalChange>,
    /// True if notes remain.
    pub(crate) left: bool,
    /// How many changes were deletes.
    pub(crate) deletes: u64,
    /// Records that could not be read.
    pub(crate) unreadable: u64,
}

/// Takes a batch of notes and logs what they are about.
pub(crate) async fn flush_batch(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    runtime: &Runtime,
    batch: Batch,
) -> Result<Flushed, CaptureError> {
    let most = match batch {
        Batch::Notes(most) => Some(most),
        Batch::All => None,
    };
    let span = notes::span(write.db, bindings, most).await?;
    let mut flushed = Flushed { left: span.is_some_and(|span| span.left), ..Flushed::default() };
    let drafts = match span {
        Some(span) => drafts(write, bindings, head, span, &mut flushed).await?,
        None => Vec::new(),
    };
    if drafts.is_empty() && (flushed.left || head.open_txn.is_none()) {
        if let Some(span) = span {
            notes::clear(write.db, bindings, span).await?;
        }
        return Ok(flushed);
    }
    let mut group = Group::begin(head, runtime, flushed.left);
    let mut drafts = drafts.into_iter().peekable();
    if drafts.peek().is_none() {
        group.end(write).await?;
    }
    while let Some(draft) = drafts.next() {
        let last = drafts.peek().is_none();
        flushed.deletes += u64::from(draft.difference == Difference::Delete);
        flushed.changes.push(draft.local_change());
        group.log(draft, last);
    }
    let shown_again = group.shown_again;
    let commit = group.commit;
    forget_pending(write, head, &shown_again, &commit).await?;
    commit.write(write, head).await?;
    if let Some(span) = span {
        notes::clear(write.db, bindings, span).await?;
    }
    Ok(flushed)
}

/// A change in the making.
pub(super) struct Draft<'a> {
    pub(super) binding: &'a Binding,
    pub(super) noted: Noted,
    pub(super) row: Vec<SyncValue>,
    pub(super) hashes: Vec<ValueHash>,
    pub(super) object: Option<Loaded>,
    pub(super) difference: Difference,
}

/// What the records noted in `span` say that the ledger does not know, in the order of their last notes.
pub(super) async fn drafts<'a>(
    write: &Write<'_>,
    bindings: &'a Bindings,
    head: &Head,
    span: Span,
    flushed: &mut Flushed,
) -> Result<Vec<Draft<'a>>, CaptureError> {
    let mut drafts = Vec::new();
    for binding in bindings.iter() {
        let noted = notes::read(write.db, binding, span).await?;
        if noted.is_empty() {
            continue;
        }
        let records = noted.iter().map(|noted| &noted.record);
        let mut objects =
            ledger::by_records(write.db, &write.names, head.library, binding.model, records).await?;
        for mut noted in noted {
            let row = match noted.row.take() {
                Some(Ok(row)) => Some(row),
                Some(Err(error)) => {
                    flushed.unreadable += 1;
                    mark_unreadable(write, head, binding, &noted.record, &error.to_string()).await?;
                    continue;
                }
                None => None,
            };
            if row.as_deref().is_some_and(|row| !binding.adapter.should_sync(row)) {
                continue;
            }
            let object = objects.remove(&noted.record);
            let hashes = row.as_deref().map(|row| hashes(binding, row)).unwrap_or_default();
            let stored = object.as_ref().map(|loaded| &loaded.object);
            let difference = diff::difference(binding, row.as_deref(), &hashes, stored);
            if difference != Difference::None {
                drafts.push(Draft {
                    binding,
                    noted,
                    row: row.unwrap_or_default(),
                    hashes,
                    object,
                    difference,
                });
            }
        }
    }
    drafts.sort_unstable_by_key(|draft| draft.noted.last);
    Ok(drafts)
}

/// The hashes of a row's columns; of those that do not travel they mean nothing.
fn hashes(binding: &Binding, row: &[SyncValue]) -> Vec<ValueHash> {
    row.iter()
        .zip(&binding.travels)
        .map(|(value, travels)| if *travels { value.hash64() } else { ValueHash(0) })
        .collect()
}

impl Draft<'_> {
    fn adopted(&self) -> bool {
        self.noted.at.is_none() && self.object.is_none()
    }

    fn local_change(&self) -> LocalChange {
        let unique = |column: &usize| {
            let name = &self.binding.spec().columns[*column].name;
            self.binding.table.uniques.iter().any(|unique| unique.columns.contains(name))
        };
        LocalChange {
            model: self.binding.name().clone(),
            record: self.noted.record.clone(),
            kind: diff::kind_of(&self.difference, self.adopted()),
            constrains: match &self.difference {
                Difference::Edit(columns) => columns.iter().any(unique),
                _ => true,
            },
        }
    }
}

/// The changes of one batch, which are a group or a part of one.
struct Group<'a> {
    head: &'a mut Head,
    runtime: &'a Runtime,
    /// True if the group goes on after this batch.
    goes_on: bool,
    wall_ms: u64,
    commit: Commit,
    /// Records whose object had no row and has one now.
    shown_again: Vec<(i64, RecordId)>,
}

impl<'a> Group<'a> {
    fn begin(head: &'a mut Head, runtime: &'a Runtime, goes_on: bool) -> Self {
        let wall_ms = runtime.time.now_ms();
        Self { head, runtime, goes_on, wall_ms, commit: Commit::default(), shown_again: Vec::new() }
    }

    /// The next stamp, for a write at `at`: as old as it may be.
    fn stamp(&mut self, at: Option<u64>) -> Stamp {
        let at = at.filter(|at| *at > 0).unwrap_or(self.wall_ms);
        self.head.clock.tick(at.min(self.wall_ms), self.runtime.random.as_ref())
    }

    fn log(&mut self, draft: Draft<'_>, last: bool) {
        let id = self.stamp(draft.noted.at);
        let kind = diff::kind_of(&draft.difference, draft.adopted());
        let Draft { binding, noted, row, hashes, object, difference } = draft;
        let version = if kind == ChangeKind::Adopt { Stamp::NIL } else { id };
        let (generation, born, columns): (u64, Stamp, Vec<usize>) = match difference {
            Difference::Edit(columns) => {
                let stored = object.as_ref().map(|loaded| &loaded.object);
                (stored.map_or(1, |o| o.generation), stored.map_or(version, |o| o.born), columns)
            }
            Difference::Delete => (diff::next_generation(object.as_ref().map(|o| &o.object)), id, Vec::new()),
            Difference::Insert | Difference::None => {
                let next = diff::next_generation(object.as_ref().map(|o| &o.object));
                (next, version, binding.travelling().collect())
            }
        };
        let before = object.as_ref().map_or_else(Clock::new, |loaded| loaded.object.clock.clone());
        let change = Change {
            id,
            device: self.head.identity.device,
            previous: self.head.previous,
            txn: *self.head.open_txn.get_or_insert(id),
            more: self.goes_on || !last,
            kind,
            model: binding.name().clone(),
            record: noted.record,
            generation,
            born,
            context: before,
            cells: diff::cells(binding, &row, columns.iter().copied(), version),
        };
        self.write(binding, object, change, &columns, &hashes);
    }

    /// Ends an open group for which nothing more is to be logged, with a change that writes no column.
    async fn end(&mut self, write: &Write<'_>) -> Result<(), CaptureError> {
        let Some((model, record)) = last_own_record(write, self.head).await? else {
            self.head.open_txn = None;
            return Ok(self.head.save(write.db).await?);
        };
        let name = write.names.text(model)?;
        let mut objects =
            ledger::by_records(write.db, &write.names, self.head.library, model, [&record]).await?;
        let Some(Loaded { id: row, mut object }) = objects.remove(&record) else {
            return Err(crate::ledger::LedgerError::Corrupt(format!(
                "{name} {record} is logged and unknown"
            ))
            .into());
        };
        let id = self.stamp(None);
        let change = Change {
            id,
            device: self.head.identity.device,
            previous: self.head.previous,
            txn: self.head.open_txn.unwrap_or(id),
            more: false,
            kind: if object.is_alive() { ChangeKind::Edit } else { ChangeKind::Delete },
            model: name.clone(),
            record: record.clone(),
            generation: object.generation,
            born: object.born.min(id),
            context: object.clock.clone(),
            cells: Vec::new(),
        };
        let before = object.digest(&name, &record);
        object.clock.observe(id);
        self.push(change, ObjectWrite { id: Some(row), model: name, record, object, before });
        Ok(())
    }

    /// Brings the object up to `change`, which wrote `columns` of its row.
    fn write(
        &mut self,
        binding: &Binding,
        object: Option<Loaded>,
        change: Change,
        columns: &[usize],
        hashes: &[ValueHash],
    ) {
        let before = object
            .as_ref()
            .map_or_else(Digest::default, |loaded| loaded.object.digest(&change.model, &change.record));
        let (id, stored) = match object {
            Some(Loaded { id, object }) => (Some(id), Some(object)),
            None => (None, None),
        };
        let was_shown = stored.as_ref().is_none_or(|object| object.shown || !object.is_alive());
        let mut object = match stored {
            Some(object) if object.generation == change.generation => object,
            older => StoredObject {
                generation: change.generation,
                born: change.born,
                clock: older.map_or_else(Clock::new, |object| object.clock),
                shown: false,
                cells: Vec::new(),
            },
        };
        object.clock.observe(change.id);
        object.shown = object.is_alive();
        for index in columns {
            let column = &binding.spec().columns[*index];
            let cell = StoredCell {
                column: column.wire.clone(),
                tag: column.tag,
                version: change.cells.first().map_or(change.id, |cell| cell.version),
                hash: hashes[*index],
                shadow: None,
                payload: None,
            };
            match object.cells.binary_search_by(|known| known.column.cmp(&column.wire)) {
                Ok(at) => object.cells[at] = cell,
                Err(at) => object.cells.insert(at, cell),
            }
        }
        if !was_shown {
            self.now_in_row(binding, &mut object, hashes);
            self.shown_again.push((binding.model, change.record.clone()));
        }
        let (model, record) = (change.model.clone(), change.record.clone());
        self.push(change, ObjectWrite { id, model, record, object, before });
    }

    /// A row stands where none was shown: what it holds need not be kept beside it any more.
    fn now_in_row(&self, binding: &Binding, object: &mut StoredObject, hashes: &[ValueHash]) {
        for cell in &mut object.cells {
            if let Some(index) = binding.column_of(&cell.column)
                && hashes[index] == cell.hash
            {
                cell.payload = None;
                cell.shadow = None;
            }
        }
    }

    fn push(&mut self, change: Change, object: ObjectWrite) {
        self.head.previous = Some(change.id);
        if !change.more {
            self.head.open_txn = None;
        }
        let bytes = change.encode().into_bytes();
        self.commit.entries.push(Entry::new(&change, bytes));
        self.commit.objects.push(object);
    }
}

/// The record of this device's newest change.
async fn last_own_record(write: &Write<'_>, head: &Head) -> Result<Option<(i64, RecordId)>, CaptureError> {
    let Some(previous) = head.previous else { return Ok(None) };
    let row = sql::one(
        write.db,
        "SELECT model, record FROM sync_log WHERE change_id = ?",
        [previous.as_bytes().to_vec().into()],
    )
    .await?;
    match row {
        Some(row) => {
            Ok(Some((sql::column(&row, 0)?, RecordId::from_bytes(sql::column::<Vec<u8>>(&row, 1)?))))
        }
        None => Ok(None),
    }
}

/// A record whose row cannot be read waits until somebody writes it again: that makes a new note.
async fn mark_unreadable(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    record: &RecordId,
    detail: &str,
) -> Result<(), CaptureError> {
    tracing::warn!(model = %binding.name(), %record, detail, "a row cannot be read and waits for repair");
    let now = i64::try_from(head.clock.last().ms()).unwrap_or(i64::MAX);
    sql::execute(
        write.db,
        "INSERT INTO sync_pending (library, model, record, reason, detail, attempts, since) VALUES (?, ?, ?, 'unreadable', ?, 1, ?) \
         ON CONFLICT (library, model, record) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, \
         attempts = attempts + 1",
        [
            head.library.into(),
            binding.model.into(),
            record.as_bytes().to_vec().into(),
            detail.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Records that are logged again from their rows are pending no more.
async fn forget_pending(
    write: &Write<'_>,
    head: &Head,
    shown_again: &[(i64, RecordId)],
    commit: &Commit,
) -> Result<(), CaptureError> {
    let row = sql::one(write.db, "SELECT EXISTS (SELECT 1 FROM sync_pending)", []).await?;
    if row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? == 0 {
        return Ok(());
    }
    let logged = commit.entries.iter().filter_map(|entry| {
        let model = write.names.id(crate::store::NameKind::Model, entry.model.as_bytes())?;
        Some((model, entry.record.clone()))
    });
    for (model, record) in logged.chain(shown_again.iter().cloned()) {
        sql::execute(
            write.db,
            "DELETE FROM sync_pending WHERE library = ? AND model = ? AND record = ?",
            [head.library.into(), model.into(), record.as_bytes().to_vec().into()],
        )
        .await?;
    }
    Ok(())
}

/// Logs a record as a whole, whatever is known of it already. `None` if it has no row that can be read.
pub(crate) async fn log_whole(
    write: &mut Write<'_>,
    binding: &Binding,
    head: &mut Head,
    runtime: &Runtime,
    record: &RecordId,
) -> Result<Option<LocalChange>, CaptureError> {
    let Some(Ok(row)) = rows::by_record(write.db, binding, [record]).await?.remove(record) else {
        return Ok(None);
    };
    let mut objects =
        ledger::by_records(write.db, &write.names, head.library, binding.model, [record]).await?;
    let object = objects.remove(record);
    let alive = object.as_ref().is_some_and(|loaded| loaded.object.is_alive());
    let difference =
        if alive { Difference::Edit(binding.travelling().collect()) } else { Difference::Insert };
    let noted = Noted { last: 0, at: Some(runtime.time.now_ms()), record: record.clone(), row: None };
    let draft = Draft { binding, noted, hashes: hashes(binding, &row), row, object, difference };
    let change = draft.local_change();
    let mut group = Group::begin(head, runtime, false);
    group.log(draft, true);
    group.commit.write(write, head).await?;
    Ok(Some(change))
}
