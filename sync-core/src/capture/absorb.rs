//! Writes that are taken as known instead of logged: shadows learn what the rows hold.
//!
//! Invariant: the author's value of a cell is not lost with the row that held it. It is read from an image of the
//! row from before the write, or from the log, and kept beside the object.

use std::collections::HashMap;

use super::{
    CaptureError,
    diff::Difference,
    flusher::{Draft, drafts},
    notes,
};
use crate::{
    ids::RecordId,
    ledger::{self, Commit, Head, Loaded, ObjectWrite},
    merge::{StoredObject, keeps_value},
    model::TriggerPolicy,
    store::{Binding, Bindings, Write, rows::RowState, sql},
    value::SyncValue,
};

/// Rows as they were before a write, by model and record.
pub(crate) type Images = HashMap<(i64, RecordId), RowState>;

/// The records whose rows say something else than their objects now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Absorbed {
    pub(crate) records: Vec<(i64, RecordId)>,
}

/// What is absorbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbsorbScope {
    /// Everything that is noted.
    Everything,
    /// What triggers did to models that do not log the effects of triggers; the notes of the others stay.
    TriggersToAbsorb,
}

/// Takes everything dirty as known. A row without an object stays unknown: its first logged change carries all of
/// it. A record whose row is gone is pending until another device writes it.
pub(crate) async fn absorb(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    images: &Images,
    scope: AbsorbScope,
) -> Result<Absorbed, CaptureError> {
    let mut absorbed = Absorbed::default();
    let Some(span) = notes::span(write.db, bindings, None).await? else { return Ok(absorbed) };
    let mut commit = Commit::default();
    let mut to_log = Vec::new();
    for draft in drafts(write, bindings, head, span).await? {
        let Draft { binding, noted, row, object, difference, .. } = draft;
        if scope == AbsorbScope::TriggersToAbsorb && binding.spec().triggers == TriggerPolicy::Log {
            to_log.push((binding.model, noted.record));
            continue;
        }
        let Some(Loaded { id, mut object }) = object else { continue };
        let before = object.digest(binding.name(), &noted.record);
        let image =
            images.get(&(binding.model, noted.record.clone())).and_then(|image| image.as_deref().ok());
        let kept = match difference {
            Difference::Edit(columns) => {
                let mut kept = true;
                for column in columns {
                    kept &= shadow(write, binding, &noted.record, &mut object, image, column, &row[column])
                        .await?;
                }
                kept
            }
            Difference::Delete => {
                let mut kept = true;
                for column in binding.travelling() {
                    kept &= keep(write, binding, &noted.record, &mut object, image, column).await?;
                }
                object.shown = false;
                kept
            }
            Difference::Insert | Difference::None => continue,
        };
        if !kept {
            tracing::warn!(
                model = %binding.name(), record = %noted.record,
                "a write without sync replaced a value of which no copy is left here: it is logged after all"
            );
            to_log.push((binding.model, noted.record));
            continue;
        }
        if !object.shown {
            mark_absent(write, head, binding, &noted.record).await?;
        }
        absorbed.records.push((binding.model, noted.record.clone()));
        let (model, record) = (binding.name().clone(), noted.record);
        commit.objects.push(ObjectWrite { id, is_new: false, model, record, object, before });
    }
    commit.write(write, head).await?;
    notes::clear(write.db, bindings, span).await?;
    for (model, record) in to_log {
        if let Some(binding) = bindings.by_model(model) {
            notes::note_records(write.db, binding, &[record]).await?;
        }
    }
    Ok(absorbed)
}

/// The row's column holds something of its own from now on.
async fn shadow(
    write: &Write<'_>,
    binding: &Binding,
    record: &RecordId,
    object: &mut StoredObject,
    image: Option<&[SyncValue]>,
    column: usize,
    held: &SyncValue,
) -> Result<bool, CaptureError> {
    if !keep(write, binding, record, object, image, column).await? {
        return Ok(false);
    }
    let wire = &binding.spec().columns[column].wire;
    if let Some(cell) = object.cells.iter_mut().find(|cell| cell.column == *wire) {
        let hash = held.hash64();
        if keeps_value(cell.tag) {
            cell.shadow = Some(hash);
            cell.row = None;
            let same = cell.seen().is_some_and(|seen| *seen == *held);
            cell.row = (!same).then(|| Box::new(held.clone()));
        } else {
            cell.shadow = (cell.hash != hash).then_some(hash);
            if cell.shadow.is_none() {
                cell.payload = None;
            }
        }
    }
    Ok(true)
}

/// Keeps the author's value of a cell beside the object. False if there is no copy of it.
async fn keep(
    write: &Write<'_>,
    binding: &Binding,
    record: &RecordId,
    object: &mut StoredObject,
    image: Option<&[SyncValue]>,
    column: usize,
) -> Result<bool, CaptureError> {
    let wire = &binding.spec().columns[column].wire;
    let Some(cell) = object.cells.iter_mut().find(|cell| cell.column == *wire && cell.payload.is_none())
    else {
        return Ok(true);
    };
    let from_image = image.map(|row| row[column].clone()).filter(|value| value.hash64() == cell.hash);
    let value = match from_image {
        Some(value) => Some(value),
        None => ledger::logged_value(write.db, binding.model, record, cell.version, wire).await?,
    };
    cell.payload = value;
    Ok(cell.payload.is_some())
}

async fn mark_absent(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    record: &RecordId,
) -> Result<(), CaptureError> {
    let now = i64::try_from(head.clock.last().ms()).unwrap_or(i64::MAX);
    sql::execute(
        write.db,
        "INSERT INTO sync_pending (library, model, record, reason, detail, attempts, since) \
         VALUES (?, ?, ?, 'absorbed', 'the row was deleted here without sync', 0, ?) \
         ON CONFLICT (library, model, record) DO UPDATE SET reason = excluded.reason, detail = excluded.detail",
        [head.library.into(), binding.model.into(), record.as_bytes().to_vec().into(), now.into()],
    )
    .await?;
    Ok(())
}
