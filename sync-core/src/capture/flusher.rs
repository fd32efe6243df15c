//! From notes to one batch of changes in the ledger.
//!
//! Invariant: a flush group is a union of whole transactions. What is dirty when the write lock is held is one
//! group; where that is too much for one batch, its batches share one `txn` and all changes but the last are marked
//! `more`, until nothing is dirty any more: a later batch may read rows that a later transaction touched again.

use super::{
    CaptureError,
    diff::{self, Difference},
    group::Group,
    notes::{self, Noted, Span},
    written::Found,
};
use crate::{
    change::ChangeKind,
    ids::{Name, RecordId},
    ledger::{self, Commit, Head, Loaded},
    runtime::Runtime,
    store::{Binding, Bindings, Write, rows, sql},
    value::{SyncValue, ValueHash},
};

/// How much a batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// At most this many notes; the group stays open if there are more.
    Notes(u32),
    /// Everything that is dirty, whatever the lock costs: this ends the group. It is taken in slices, all in one
    /// transaction, so that memory holds no more rows than one of them has.
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
    /// Records whose rows are to be brought in line with their objects: a rule made something else of a write.
    pub(crate) back: Vec<(Name, RecordId)>,
}

/// How many notes a slice of [`Batch::All`] takes.
const SLICE: u32 = 20_000;

/// Takes a batch of notes and logs what they are about.
pub(crate) async fn flush_batch(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    runtime: &Runtime,
    batch: Batch,
) -> Result<Flushed, CaptureError> {
    let most = match batch {
        Batch::Notes(most) => return flush_slice(write, bindings, head, runtime, most).await,
        Batch::All => SLICE,
    };
    let mut flushed = flush_slice(write, bindings, head, runtime, most).await?;
    while flushed.left {
        let more = flush_slice(write, bindings, head, runtime, most).await?;
        flushed.changes.extend(more.changes);
        flushed.left = more.left;
        flushed.deletes += more.deletes;
        flushed.back.extend(more.back);
    }
    Ok(flushed)
}

async fn flush_slice(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    runtime: &Runtime,
    most: u32,
) -> Result<Flushed, CaptureError> {
    let span = notes::span(write.db, bindings, Some(most)).await?;
    let mut flushed = Flushed { left: span.is_some_and(|span| span.left), ..Flushed::default() };
    let mut drafts = match span {
        Some(span) => drafts(write, bindings, head, span).await?,
        None => Vec::new(),
    };
    flushed.back = without_idle(write, &mut drafts).await?;
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
    flushed.back.append(&mut group.back);
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
    /// What columns held before they became counters or sets, by index.
    pub(super) earlier: Vec<(usize, SyncValue)>,
}

/// Takes out the edits of which the rules of their columns make nothing. Gives their records.
async fn without_idle(
    write: &Write<'_>,
    drafts: &mut Vec<Draft<'_>>,
) -> Result<Vec<(Name, RecordId)>, CaptureError> {
    let mut idle = Vec::new();
    for draft in drafts.iter_mut() {
        let Draft { binding, noted, row, hashes, object, difference, earlier } = draft;
        let (Difference::Edit(columns), Some(loaded)) = (&*difference, object.as_ref()) else { continue };
        let found = Found { binding, object: Some(&loaded.object), row, hashes, earlier: &[] };
        if found.is_plain() {
            continue;
        }
        if !found.says_anything(columns) {
            idle.push((binding.name().clone(), noted.record.clone()));
            *difference = Difference::None;
            continue;
        }
        for (index, version) in found.newly_composed(columns) {
            let column = &binding.spec().columns[index].wire;
            let known = loaded.object.cell(column).and_then(|cell| cell.payload.clone());
            let value = match known {
                Some(value) => Some(value),
                None => ledger::logged_value(write.db, binding.model, &noted.record, version, column).await?,
            };
            earlier.extend(value.map(|value| (index, value)));
        }
    }
    if !idle.is_empty() {
        drafts.retain(|draft| draft.difference != Difference::None);
    }
    Ok(idle)
}

/// What the records noted in `span` say that the ledger does not know, in the order of their last notes.
pub(super) async fn drafts<'a>(
    write: &Write<'_>,
    bindings: &'a Bindings,
    head: &Head,
    span: Span,
) -> Result<Vec<Draft<'a>>, CaptureError> {
    let mut drafts = Vec::new();
    // Each look at a model's notes reads all of them: those of one model in one look, those of none in none.
    let models = notes::models(write.db, span).await?;
    for binding in bindings.iter().filter(|binding| models.contains(&binding.model)) {
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
                    earlier: Vec::new(),
                });
            }
        }
    }
    drafts.sort_by_cached_key(|draft| draft.noted.last);
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
    pub(super) fn adopted(&self) -> bool {
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
    let mut object = objects.remove(record);
    if let Some(loaded) = &mut object {
        // The row as it is, not what was last added to it.
        loaded.object.cells.iter_mut().for_each(|cell| cell.row = None);
    }
    let alive = object.as_ref().is_some_and(|loaded| loaded.object.is_alive());
    let difference =
        if alive { Difference::Edit(binding.travelling().collect()) } else { Difference::Insert };
    let noted = Noted { last: 0, at: Some(runtime.time.now_ms()), record: record.clone(), row: None };
    let hashes = hashes(binding, &row);
    let draft = Draft { binding, noted, hashes, row, object, difference, earlier: Vec::new() };
    let change = draft.local_change();
    let mut group = Group::begin(head, runtime, false);
    group.log(draft, true);
    group.commit.write(write, head).await?;
    Ok(Some(change))
}
