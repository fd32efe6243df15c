//! One group of changes: join, decide, write.
//!
//! Invariant: rows, objects, log and whatever the caller adds to the transaction are one unit. The caller has flushed
//! what was dirty in the same transaction, so every note found here was caused here.

use std::{borrow::Cow, collections::HashMap};

use sea_orm::ConnectionTrait;

use super::{
    ApplyError,
    duplicates::without_duplicates,
    foreign,
    held::drop_covered,
    learn::{join_into, note_untold, working_of},
    listed::{keep_keys, list_pending},
    pending::{PendingReason, Wait},
    rows::{self, Work},
    unique,
    working::{Key, WorkingSet},
};
use crate::{
    capture::{self, AbsorbScope, Images},
    change::{Change, ChangeKind},
    ids::{Name, RecordId, Seq},
    ledger::{self, Commit, Entry, Head, ObjectWrite, Snapshot},
    merge::{Conflict, Digest, FieldConflict, Past, lost_with},
    model::is_system,
    stamp::Stamp,
    store::{Bindings, NameKind, StoreError, Write, sql},
    value::SyncValue,
    vector::Clock,
};

/// A change that came, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) change: Change,
    pub(crate) bytes: Vec<u8>,
}

/// Where changes came from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A peer's log: they go into ours.
    Log,
    /// The state feed. With the last page comes the vector that all of it amounts to.
    Feed {
        /// What the peer had merged before the first page, if this is the last one.
        complete: Option<Snapshot>,
        /// Whether it is to be told which records were here before.
        asks: Asks,
    },
}

/// What the reader of a state wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Nothing more.
    Nothing,
    /// Which of the records are here already: the others may be gone.
    Known,
}

/// A record that another device changed, or whose row came or went because of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteChange {
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    pub(crate) kind: ChangeKind,
}

/// What applying a group did.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Changes that were new.
    pub(crate) merged: u64,
    /// How many of them are of the engine's own models.
    pub(crate) system: u64,
    /// Changes that were here already.
    pub(crate) duplicates: u64,
    /// Changes whose id another change has, which is here: they are not taken.
    pub(crate) forged: Vec<Stamp>,
    /// Records that are another now.
    pub(crate) changes: Vec<RemoteChange>,
    /// How many changes made a record another.
    pub(crate) news: u64,
    /// What was lost, and to what.
    pub(crate) conflicts: Vec<Conflict>,
    /// Records that wait now, with the reason.
    pub(crate) pending: Vec<(Name, RecordId, PendingReason)>,
    /// Records whose rows hold something else than was written: triggers saw to it.
    pub(crate) rewritten: u64,
    /// An author was found to be forked: what was spared because its head covered it may not be here.
    pub(crate) forked: bool,
    /// Deleted records that somebody may have to be told of again: what came is of a life that the delete did not know of.
    /// With each, what the delete knew.
    pub(crate) untold: Vec<(Name, RecordId, Clock)>,
    /// The places of records that came and were here already, if that was asked for.
    pub(crate) known: Vec<i64>,
    /// The end of the log.
    pub(crate) to: Seq,
}

/// Applies a group of changes.
pub(crate) async fn apply_group(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    incoming: Vec<Incoming>,
    origin: Origin,
    now_ms: u64,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    let incoming = match origin {
        Origin::Log => without_duplicates(write, head, incoming, &mut applied).await?,
        Origin::Feed { .. } => incoming,
    };
    if incoming.is_empty() && matches!(origin, Origin::Log) {
        applied.to = head.seq;
        return Ok(applied);
    }
    applied.merged = incoming.len() as u64;
    applied.system = incoming.iter().filter(|one| is_system(&one.change.model)).count() as u64;
    let mut set = WorkingSet::default();
    let mut records: HashMap<Name, Vec<RecordId>> = HashMap::new();
    for Incoming { change, .. } in &incoming {
        records.entry(change.model.clone()).or_default().push(change.record.clone());
    }
    for (model, records) in records {
        set.load(write, bindings, head, &model, records).await?;
    }
    if matches!(origin, Origin::Feed { asks: Asks::Known, .. }) {
        applied.known = set.records.values().filter_map(|working| working.id).collect();
    }
    // Who keeps a part may know nothing of a record for another reason.
    let past = match head.forgotten.is_nothing() || !head.extent.is_whole() {
        true => None,
        false => Some(Past::of(&ledger::vector(write.db, &write.names, head.library).await?)),
    };
    let mut commit = Commit::default();
    let mut decisions = Vec::new();
    for Incoming { change, bytes } in incoming {
        head.clock.observe(change.newest_stamp());
        if decides(write, &set, &change) {
            decisions.push(change.clone());
        }
        let is_compacted = change.cells.is_empty() && Change::is_compacted(&bytes);
        if matches!(origin, Origin::Log) {
            commit.entries.push(Entry::new(&change, bytes));
        }
        if is_compacted {
            // What superseded it is here, or comes with it.
            continue;
        }
        let Some(working) = working_of(write, &mut set, &change)? else { continue };
        note_untold(&working.object, &change, &mut applied, now_ms);
        let is_unknown = working.object.generation == 0;
        if is_unknown && past.as_ref().is_some_and(|past| past.is_over(&change)) {
            let lost = lost_with(&change).into_iter();
            let named = |one: FieldConflict| one.into_conflict(change.model.clone(), change.record.clone());
            applied.conflicts.extend(lost.map(named));
            continue;
        }
        join_into(working, change, &mut applied);
    }
    applied.news = applied.changes.len() as u64;
    if let Origin::Feed { complete: Some(snapshot), .. } = origin {
        drop_covered(write, head, &snapshot.vector).await?;
        let news = snapshot.news || applied.news > 0;
        commit.adopted = Some(Snapshot { news, ..snapshot });
    }
    commit.conflicts.clone_from(&applied.conflicts);
    bring_in_line(write, bindings, head, &mut set, commit, &mut applied, now_ms).await?;
    ledger::settle_conflicts(write, head.library, &decisions).await?;
    applied.to = head.seq;
    Ok(applied)
}

/// True if the change may say which side of a conflict is right: a merge, or a delete of what is deleted.
fn decides(write: &Write<'_>, set: &WorkingSet, change: &Change) -> bool {
    match change.kind {
        ChangeKind::Merge => true,
        ChangeKind::Delete => {
            let model = write.names.id(NameKind::Model, change.model.as_bytes());
            let known = model.and_then(|model| set.get(&(model, change.record.clone())));
            known.is_some_and(|working| working.object.generation >= change.generation)
        }
        _ => false,
    }
}

/// Decides which rows are to be there, writes them, and puts everything into the ledger.
pub(super) async fn bring_in_line(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    set: &mut WorkingSet,
    mut commit: Commit,
    applied: &mut Applied,
    now_ms: u64,
) -> Result<(), ApplyError> {
    let noted = last_note(write).await?;
    let foreign_keys = bindings.iter().any(|binding| !binding.table.foreign_keys.is_empty());
    if foreign_keys {
        // Parents are looked for before anything is written; the order of the statements is then free.
        write.db.execute_unprepared("PRAGMA defer_foreign_keys = ON").await.map_err(StoreError::from)?;
    }
    let mut refusals: HashMap<Key, Wait> = HashMap::new();
    loop {
        decide(write, bindings, head, set, &refusals).await?;
        let work = Work::of(set);
        write.db.execute_unprepared("SAVEPOINT sync_apply").await.map_err(StoreError::from)?;
        let refused = rows::write(write, bindings, set, &work).await?;
        if refused.is_empty() {
            write.db.execute_unprepared("RELEASE sync_apply").await.map_err(StoreError::from)?;
            break;
        }
        write.db.execute_unprepared("ROLLBACK TO sync_apply").await.map_err(StoreError::from)?;
        write.db.execute_unprepared("RELEASE sync_apply").await.map_err(StoreError::from)?;
        refusals.extend(refused);
    }
    list_moved(set, applied);
    let images = take_notes(write, bindings, set, noted).await?;
    list_pending(write, head, set, applied, now_ms).await?;
    let keys = set.keys(|working| {
        working.touched || working.show != working.was_shown() || working.changed || rows::is_written(working)
    });
    let objects = stored_objects(head, set, keys);
    commit.dropped = dropped_objects(set);
    keep_keys(write, bindings, head, set, &objects, &commit.dropped).await?;
    commit.objects = objects;
    applied.forked = commit.write(write, head).await?.forked;
    if let Some(images) = images {
        let absorbed = capture::absorb(write, bindings, head, &images, AbsorbScope::TriggersToAbsorb).await?;
        applied.rewritten = absorbed.records.len() as u64;
    }
    Ok(())
}

async fn decide(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &Head,
    set: &mut WorkingSet,
    refusals: &HashMap<Key, Wait>,
) -> Result<(), ApplyError> {
    for (key, working) in &mut set.records {
        if let Some(wait) = refusals.get(key) {
            // Also of one that nobody wrote: a parent that goes may have made it a write.
            working.denied = Some(wait.clone());
            working.changed = true;
        }
        if working.changed || working.candidate {
            working.wait = None;
            working.judged = true;
            working.show = working.is_alive() && working.binding.is_some();
        }
        if !working.is_alive() {
            working.show = false;
        }
    }
    unique::decide(write, bindings, head, set).await?;
    rows::judge(set);
    foreign::decide(write, bindings, head, set).await
}

/// Adds the records whose rows came or went although nobody wrote them: a unique key or a parent decided so.
fn list_moved(set: &WorkingSet, applied: &mut Applied) {
    for (key, working) in &set.records {
        if working.show != working.was_shown() && !working.changed && working.is_alive() {
            let kind = if working.show { ChangeKind::Edit } else { ChangeKind::Delete };
            applied.changes.push(RemoteChange { model: working.model.clone(), record: key.1.clone(), kind });
        }
    }
}

async fn last_note(write: &Write<'_>) -> Result<i64, StoreError> {
    let row = sql::one(write.db, "SELECT max(id) FROM sync_dirty", []).await?;
    Ok(row.map_or(Ok(None), |row| sql::column::<Option<i64>>(&row, 0))?.unwrap_or(0))
}

/// Removes the notes that writing the rows caused. Where the database's own triggers may have done more, gives what
/// the rows should hold, so that the difference can be absorbed.
async fn take_notes(
    write: &Write<'_>,
    bindings: &Bindings,
    set: &WorkingSet,
    noted: i64,
) -> Result<Option<Images>, ApplyError> {
    let triggers = bindings.iter().any(|binding| !binding.table.triggers.is_empty());
    if !triggers {
        if noted == 0 {
            // Without a condition SQLite drops whole pages.
            sql::execute(write.db, "DELETE FROM sync_dirty", []).await?;
        } else {
            sql::execute(write.db, "DELETE FROM sync_dirty WHERE id > ?", [noted.into()]).await?;
        }
        return Ok(None);
    }
    let written = set.records.iter().filter_map(|(key, working)| {
        let binding = working.binding.as_deref()?;
        let row = (0..binding.spec().columns.len())
            .map(|index| working.value(index).map_or(SyncValue::Null, Cow::into_owned))
            .collect();
        Some((key.clone(), Ok(row)))
    });
    Ok(Some(written.collect()))
}

fn stored_objects(head: &mut Head, set: &WorkingSet, keys: Vec<Key>) -> Vec<ObjectWrite> {
    keys.into_iter()
        .filter_map(|key| {
            let working = set.get(&key).filter(|working| !working.dropped)?;
            Some(ObjectWrite {
                id: working.id.unwrap_or_else(|| head.new_object()),
                is_new: working.id.is_none(),
                model: working.model.clone(),
                record: key.1,
                object: rows::stored(working),
                before: working.digest,
            })
        })
        .collect()
}

fn dropped_objects(set: &WorkingSet) -> Vec<(i64, Digest)> {
    let dropped = set.records.values().filter(|working| working.dropped);
    dropped.filter_map(|working| Some((working.id?, working.digest))).collect()
}
