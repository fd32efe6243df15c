//! Conflicts put before the user's merge function, once a round is complete.
//!
//! Invariant: only a replica that authored one of the two writes, under its id or one that it left, asks, so a conflict has
//! at most two answers and relays give none. An answer is an ordinary change whose context covers both, so it travels and
//! merges like any other, and replicas converge whatever the function does. Two answers that conflict are settled by their
//! stamps: a function that never agrees with itself would be asked for ever.

use std::{collections::BTreeMap, sync::Arc};

use super::{SyncError, replica::Replica};
use crate::{
    apply::{self, Incoming, Origin},
    capture::{self, Batch},
    change::{Cell, Change, ChangeKind},
    ids::{Name, RecordId},
    ledger::{self, Head},
    merge::{ConflictReason, StoredObject},
    stamp::{Node, Stamp},
    store::{Binding, Bindings, Write, rows, sql},
    value::SyncValue,
};

/// A conflict as it stands in the ledger, not judged yet.
struct Unjudged {
    id: i64,
    field: String,
    winner: Stamp,
    loser_value: SyncValue,
}

/// Asks the users' merge functions about the conflicts of this device. Gives the number of merge changes made.
pub(crate) async fn judge(replica: &Arc<Replica>) -> Result<u64, SyncError> {
    if !replica.models.bound().iter().any(|binding| binding.spec().has_merge) {
        return Ok(0);
    }
    let row =
        sql::one(replica.store.db(), "SELECT EXISTS (SELECT 1 FROM sync_conflicts WHERE judged = 0)", [])
            .await?;
    if row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? == 0 {
        return Ok(0);
    }
    let inner = replica.clone();
    replica
        .store
        .write(move |write| {
            Box::pin(async move {
                let (bindings, mut head, _) = inner.begin(write, Batch::All).await?;
                let mut answers = Vec::new();
                for binding in bindings.iter().filter(|binding| binding.spec().has_merge) {
                    for (record, conflicts) in unjudged(write, &head, binding).await? {
                        answers.extend(answer(write, &inner, &mut head, binding, &record, conflicts).await?);
                    }
                }
                sql::execute(write.db, "UPDATE sync_conflicts SET judged = 1 WHERE judged = 0", []).await?;
                let applied = write_changes(write, &inner, &bindings, &mut head, answers).await?;
                let merges = applied.merged;
                inner.report_applied(write, applied);
                Ok(merges)
            })
        })
        .await
}

/// The conflicts of a model to which this device is a party, by record; at least one side is known to be no answer.
async fn unjudged(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
) -> Result<BTreeMap<RecordId, Vec<Unjudged>>, SyncError> {
    let rows = sql::all(
        write.db,
        "SELECT id, record, field, winner_id, loser_id, loser_value FROM sync_conflicts \
         WHERE library = ? AND model = ? AND judged = 0 AND reason = ? AND EXISTS \
         (SELECT 1 FROM sync_log WHERE change_id IN (winner_id, loser_id) AND kind <> ?) ORDER BY id",
        [
            head.library.into(),
            binding.model.into(),
            ConflictReason::ConcurrentWrite.as_str().into(),
            i64::try_from(ChangeKind::Merge.code()).unwrap_or(i64::MAX).into(),
        ],
    )
    .await?;
    let left = ledger::renewals(write.db).await?;
    let mine: Vec<Node> =
        left.iter().map(|renewal| renewal.former).chain([head.identity.device]).map(|id| id.node()).collect();
    let stamp = |bytes: Vec<u8>| {
        Stamp::from_bytes(sql::bytes(&bytes, "a stamp")?)
            .ok_or_else(|| SyncError::Ledger("a conflict names no stamp".into()))
    };
    let mut by_record: BTreeMap<RecordId, Vec<Unjudged>> = BTreeMap::new();
    for row in &rows {
        let winner = stamp(sql::column(row, 3)?)?;
        let loser = stamp(sql::column(row, 4)?)?;
        if !mine.contains(&winner.node()) && !mine.contains(&loser.node()) {
            continue;
        }
        let bytes: Vec<u8> = sql::column(row, 5)?;
        let loser_value = SyncValue::decode(&bytes).map_err(|error| SyncError::Ledger(error.to_string()))?;
        let conflict =
            Unjudged { id: sql::column(row, 0)?, field: sql::column(row, 2)?, winner, loser_value };
        by_record.entry(RecordId::from_bytes(sql::column::<Vec<u8>>(row, 1)?)).or_default().push(conflict);
    }
    Ok(by_record)
}

/// Asks the function about one record; `None` if nothing is to be written.
async fn answer(
    write: &Write<'_>,
    replica: &Replica,
    head: &mut Head,
    binding: &Binding,
    record: &RecordId,
    conflicts: Vec<Unjudged>,
) -> Result<Option<Change>, SyncError> {
    let mut objects =
        ledger::by_records(write.db, &write.names, head.library, binding.model, [record]).await?;
    let Some(object) = objects.remove(record).map(|loaded| loaded.object) else { return Ok(None) };
    let Some(Ok(remote)) = rows::by_record(write.db, binding, [record]).await?.remove(record) else {
        return Ok(None);
    };
    let mut local = remote.clone();
    for conflict in &conflicts {
        // A later write has settled it already.
        let stands = object.cell(&conflict.field).is_some_and(|cell| cell.version == conflict.winner);
        if let Some(index) = binding.column_of(&conflict.field).filter(|_| stands) {
            local[index] = conflict.loser_value.clone();
        }
        tracing::debug!(conflict = conflict.id, field = conflict.field, "put before the merge function");
    }
    if local == remote {
        return Ok(None);
    }
    let merged = match binding.adapter.merge(&local, &remote) {
        Ok(merged) => merged,
        Err(error) => {
            tracing::warn!(%record, %error, "the merged row stands");
            return Ok(None);
        }
    };
    let touched: Vec<usize> = binding.travelling().filter(|index| merged[*index] != remote[*index]).collect();
    let values: Vec<(usize, SyncValue)> = capture::with_groups(binding, touched)
        .into_iter()
        .map(|index| (index, merged[index].clone()))
        .collect();
    let cells = |version| capture::written(binding, Some(&object), &remote, &values, version);
    if cells(Stamp::NIL).is_empty() {
        return Ok(None);
    }
    let mut change = author(replica, head, binding.name().clone(), record.clone(), &object, cells);
    change.kind = ChangeKind::Merge;
    Ok(Some(change))
}

/// A new change of this device that writes `cells` of a record, knowing all of `object`.
pub(super) fn author(
    replica: &Replica,
    head: &mut Head,
    model: Name,
    record: RecordId,
    object: &StoredObject,
    cells: impl FnOnce(Stamp) -> Vec<Cell>,
) -> Change {
    let id = head.clock.tick(replica.now_ms(), replica.runtime().random.as_ref());
    Change {
        id,
        device: head.identity.device,
        previous: head.previous.replace(id),
        txn: id,
        more: false,
        kind: ChangeKind::Edit,
        model,
        record,
        generation: object.generation,
        born: object.born,
        context: object.clock.clone(),
        cells: cells(id),
    }
}

/// Applies changes of this device and logs them.
pub(super) async fn write_changes(
    write: &mut Write<'_>,
    replica: &Replica,
    bindings: &Bindings,
    head: &mut Head,
    changes: Vec<Change>,
) -> Result<apply::Applied, SyncError> {
    let incoming = changes
        .into_iter()
        .map(|change| {
            let bytes = change.encode().into_bytes();
            Incoming { change, bytes }
        })
        .collect();
    Ok(apply::apply_group(write, bindings, head, incoming, Origin::Log, replica.now_ms()).await?)
}
