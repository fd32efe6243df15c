//! Conflicts put before the user's merge function, once a round is complete.
//!
//! Invariant: only a replica that authored one of the two writes, under its id or one that it left, asks, so a conflict has
//! at most two answers and relays give none. An answer is an ordinary change whose context covers both, so it travels and
//! merges like any other, and replicas converge whatever the function does. Two answers that conflict are settled by their
//! stamps: a function that never agrees with itself would be asked for ever.

use std::{collections::BTreeMap, sync::Arc};

use sea_orm::ConnectionTrait;

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

/// How many conflicts are judged under one write lock; all of a record's are judged together.
const BATCH: u32 = 500;

/// Asks the users' merge functions about the conflicts of this device. Gives the number of merge changes made.
pub(crate) async fn judge(replica: &Arc<Replica>) -> Result<u64, SyncError> {
    if !replica.models.bound().iter().any(|binding| binding.spec().has_merge) {
        return Ok(0);
    }
    // What the answers lead to is of the next round.
    let Some(last) = newest_unjudged(replica.store.db()).await? else { return Ok(0) };
    let mut merges = 0;
    while let Some(more) = judge_batch(replica, last).await? {
        merges += more;
        tokio::task::yield_now().await;
    }
    Ok(merges)
}

/// Judges the oldest conflicts up to `last`; `None` if there are none.
async fn judge_batch(replica: &Arc<Replica>, last: i64) -> Result<Option<u64>, SyncError> {
    let replica = replica.clone();
    replica
        .store
        .clone()
        .write(move |write| {
            Box::pin(async move {
                let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                let Some(until) = end_of_batch(write.db, last).await? else { return Ok(None) };
                let mut answers = Vec::new();
                for binding in bindings.iter().filter(|binding| binding.spec().has_merge) {
                    for (record, conflicts) in unjudged(write, &head, binding, until).await? {
                        answers
                            .extend(answer(write, &replica, &mut head, binding, &record, conflicts).await?);
                    }
                }
                let judged = format!("UPDATE sync_conflicts SET judged = 1 WHERE judged = 0 AND {IN_BATCH}");
                sql::execute(write.db, &judged, [until.into()]).await?;
                let applied = write_changes(write, &replica, &bindings, &mut head, answers).await?;
                let merges = applied.merged;
                replica.report_applied(write, applied);
                Ok(Some(merges))
            })
        })
        .await
}

/// A conflict of a record that has one in the batch.
const IN_BATCH: &str = "(library, model, record) IN \
                        (SELECT library, model, record FROM sync_conflicts WHERE judged = 0 AND id <= ?)";

async fn newest_unjudged<C: ConnectionTrait>(db: &C) -> Result<Option<i64>, SyncError> {
    let row = sql::one(db, "SELECT max(id) FROM sync_conflicts WHERE judged = 0", []).await?;
    Ok(row.map_or(Ok(None), |row| sql::column(&row, 0))?)
}

/// The last conflict of a batch that begins with the oldest.
async fn end_of_batch<C: ConnectionTrait>(db: &C, last: i64) -> Result<Option<i64>, SyncError> {
    let statement = "SELECT max(id) FROM (SELECT id FROM sync_conflicts WHERE judged = 0 AND id <= ? ORDER BY id LIMIT ?)";
    let row = sql::one(db, statement, [last.into(), i64::from(BATCH).into()]).await?;
    Ok(row.map_or(Ok(None), |row| sql::column(&row, 0))?)
}

/// The conflicts of a batch in a model, to which this device is a party, by record; at least one side is known to be no answer.
async fn unjudged(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    until: i64,
) -> Result<BTreeMap<RecordId, Vec<Unjudged>>, SyncError> {
    let statement = format!(
        "SELECT id, record, field, winner_id, loser_id, loser_value FROM sync_conflicts \
         WHERE library = ? AND model = ? AND judged = 0 AND {IN_BATCH} AND reason = ? AND EXISTS \
         (SELECT 1 FROM sync_log WHERE change_id IN (winner_id, loser_id) AND kind <> ?) ORDER BY id"
    );
    let rows = sql::all(
        write.db,
        &statement,
        [
            head.library.into(),
            binding.model.into(),
            until.into(),
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
