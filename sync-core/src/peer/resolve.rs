//! A conflict settled by a person: what stands is kept, or what was lost is written again.
//!
//! Invariant: what was lost comes back as an ordinary change of this device, whose context covers all that is known here.
//! So it travels, and wins everywhere over the writes that were seen when it was made, and over no others.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    SyncError,
    judge::{author, write_changes},
    replica::Replica,
};
use crate::{
    capture::{self, Batch},
    change::Change,
    ids::{Name, RecordId},
    ledger::{self, Head, Loaded},
    merge::{Object, join},
    stamp::Stamp,
    store::{Binding, Write, rows, sql},
    value::SyncValue,
};

/// How a conflict is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// What stands is right: nothing is written.
    KeepWinner,
    /// The value that was lost is written again, with those of its column's group that were lost with it. A record
    /// that was deleted is created again as it was.
    RestoreLoser,
}

/// A conflict as it stands in the ledger.
struct Lost {
    model: i64,
    record: RecordId,
    field: String,
    loser: Stamp,
    value: SyncValue,
}

/// Settles a conflict: it is listed no more.
pub(crate) async fn resolve(
    replica: &Arc<Replica>,
    id: i64,
    resolution: Resolution,
) -> Result<(), SyncError> {
    let inner = replica.clone();
    replica
        .store
        .write(move |write| {
            Box::pin(async move {
                let (bindings, mut head, _) = inner.begin(write, Batch::All).await?;
                let lost = find(write, &head, id).await?.ok_or(SyncError::UnknownConflict(id))?;
                let mut settled = vec![id];
                if resolution == Resolution::RestoreLoser {
                    let binding = bindings.by_model(lost.model).cloned().ok_or_else(|| {
                        SyncError::UnknownRecord("the model of the conflict has no table here".into())
                    })?;
                    let together = lost_together(write, &head, &binding, &lost).await?;
                    settled.extend(together.values().map(|(id, _)| *id));
                    let change = restore(write, &inner, &mut head, &binding, &lost, together).await?;
                    let applied = write_changes(write, &inner, &bindings, &mut head, vec![change]).await?;
                    inner.report_applied(write, applied);
                }
                for id in settled {
                    sql::execute(
                        write.db,
                        "UPDATE sync_conflicts SET judged = 2 WHERE library = ? AND id = ?",
                        [head.library.into(), id.into()],
                    )
                    .await?;
                }
                Ok(())
            })
        })
        .await
}

async fn find(write: &Write<'_>, head: &Head, id: i64) -> Result<Option<Lost>, SyncError> {
    let row = sql::one(
        write.db,
        "SELECT model, record, field, loser_id, loser_value FROM sync_conflicts \
         WHERE library = ? AND id = ? AND judged < 2",
        [head.library.into(), id.into()],
    )
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Lost {
        model: sql::column(&row, 0)?,
        record: RecordId::from_bytes(sql::column::<Vec<u8>>(&row, 1)?),
        field: sql::column(&row, 2)?,
        loser: ledger::stamp(&sql::column::<Vec<u8>>(&row, 3)?)?,
        value: value(&sql::column::<Vec<u8>>(&row, 4)?)?,
    }))
}

fn value(bytes: &[u8]) -> Result<SyncValue, SyncError> {
    SyncValue::decode(bytes).map_err(|error| SyncError::Ledger(error.to_string()))
}

/// What was lost with it: the conflicts of the columns that are written together with this one, by column.
async fn lost_together(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    lost: &Lost,
) -> Result<BTreeMap<usize, (i64, SyncValue)>, SyncError> {
    let columns = &binding.spec().columns;
    let group = binding.column_of(&lost.field).and_then(|index| columns[index].group.clone());
    let mut together = BTreeMap::new();
    let Some(group) = group else { return Ok(together) };
    let rows = sql::all(
        write.db,
        "SELECT id, field, loser_value FROM sync_conflicts \
         WHERE library = ? AND model = ? AND record = ? AND loser_id = ? AND judged < 2",
        [
            head.library.into(),
            lost.model.into(),
            lost.record.as_bytes().to_vec().into(),
            lost.loser.as_bytes().to_vec().into(),
        ],
    )
    .await?;
    for row in &rows {
        let field: String = sql::column(row, 1)?;
        let index = binding.column_of(&field).filter(|index| columns[*index].group.as_ref() == Some(&group));
        if let Some(index) = index {
            together.insert(index, (sql::column(row, 0)?, value(&sql::column::<Vec<u8>>(row, 2)?)?));
        }
    }
    Ok(together)
}

/// The change that writes again what was lost.
async fn restore(
    write: &Write<'_>,
    replica: &Replica,
    head: &mut Head,
    binding: &Binding,
    lost: &Lost,
    together: BTreeMap<usize, (i64, SyncValue)>,
) -> Result<Change, SyncError> {
    let mut objects =
        ledger::by_records(write.db, &write.names, head.library, binding.model, [&lost.record]).await?;
    let Some(Loaded { object, .. }) = objects.remove(&lost.record) else {
        return Err(SyncError::UnknownRecord(format!("{} {}", binding.name(), lost.record)));
    };
    let mut values: BTreeMap<usize, SyncValue> = BTreeMap::new();
    let mut here = vec![SyncValue::Null; binding.spec().columns.len()];
    if object.is_alive() {
        let columns = &binding.spec().columns;
        let group = binding.column_of(&lost.field).and_then(|index| columns[index].group.as_ref());
        let row = rows::by_record(write.db, binding, [&lost.record]).await?.remove(&lost.record);
        if let Some(Ok(row)) = row {
            here = row;
            let in_group = |index: &usize| group.is_some() && columns[*index].group.as_ref() == group;
            values.extend(binding.travelling().filter(in_group).map(|index| (index, here[index].clone())));
        }
    } else {
        let before = life_before(write, head, binding, &lost.record, object.generation - 1).await?;
        values.extend(
            before
                .cells
                .iter()
                .filter_map(|cell| Some((binding.column_of(&cell.column)?, cell.shown().into_owned()))),
        );
    }
    values.extend(together.into_iter().map(|(index, (_, value))| (index, value)));
    let index = binding.column_of(&lost.field).ok_or_else(|| {
        SyncError::UnknownRecord(format!("{} has no column {} here", binding.name(), lost.field))
    })?;
    values.insert(index, lost.value.clone());
    let alive = object.is_alive();
    let values: Vec<(usize, SyncValue)> = values.into_iter().collect();
    let known = Some(&object).filter(|_| alive);
    let cells = |version| capture::written(binding, known, &here, &values, version);
    let mut change = author(replica, head, binding.name().clone(), lost.record.clone(), &object, cells);
    if !alive {
        change.generation += 1;
        change.born = change.id;
    }
    Ok(change)
}

/// What the record was in an earlier generation, as far as the log still tells.
async fn life_before(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    record: &RecordId,
    generation: u64,
) -> Result<Object, SyncError> {
    let rows = sql::all(
        write.db,
        "SELECT data FROM sync_log WHERE library = ? AND model = ? AND record = ? AND data IS NOT NULL ORDER BY seq",
        [head.library.into(), binding.model.into(), record.as_bytes().to_vec().into()],
    )
    .await?;
    let mut object = Object::default();
    for row in &rows {
        let change = Change::decode(&sql::column::<Vec<u8>>(row, 0)?)
            .map_err(|error| SyncError::Ledger(error.to_string()))?;
        if change.generation == generation {
            join(&mut object, &change);
        }
    }
    let told = |name: &Name| object.cell(name).is_some();
    let spec = binding.spec();
    match binding.travelling().find(|index| !told(&spec.columns[*index].wire)) {
        None => Ok(object),
        Some(index) => Err(SyncError::UnknownRecord(format!(
            "{} {record} was deleted, and the log here does not tell what its {} was: insert it again",
            spec.id, spec.columns[index].name
        ))),
    }
}
