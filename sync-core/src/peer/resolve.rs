//! A conflict settled by a person: what stands is confirmed, or what was lost is written again.
//!
//! Invariant: the decision is a change of this device, whose context covers all that is known here. So it travels, wins
//! everywhere over the writes that were seen when it was made and over no others, and settles the conflict wherever it is
//! listed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    SyncError,
    judge::{author, write_changes},
    replica::Replica,
};
use crate::{
    capture::{self, Batch},
    change::{Change, ChangeKind},
    ids::{Name, RecordId},
    ledger::{self, Head, Loaded},
    merge::{Object, StoredObject, join, shown},
    stamp::Stamp,
    store::{Binding, Write, rows, sql},
    value::SyncValue,
};

/// How a conflict is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// What stands is right. It is written again as a change that knew both sides, so the conflict is settled on the
    /// other devices too. Of a record that was deleted, the delete is.
    KeepWinner,
    /// The value that was lost is written again, with those of its column's group that were lost with it. A record
    /// that was deleted is created again as it was. It settles the conflict on the other devices too.
    RestoreLoser,
    /// Nothing is written: the conflict is listed no more on this device.
    Dismiss,
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
                if resolution != Resolution::Dismiss {
                    let binding = bindings.by_model(lost.model).cloned().ok_or_else(|| {
                        SyncError::UnknownRecord("the model of the conflict has no table here".into())
                    })?;
                    let together = lost_together(write, &head, &binding, &lost).await?;
                    settled.extend(together.values().map(|(id, _)| *id));
                    let change = match resolution {
                        Resolution::KeepWinner => confirm(write, &inner, &mut head, &binding, &lost).await?,
                        _ => restore(write, &inner, &mut head, &binding, &lost, together).await?,
                    };
                    let applied = write_changes(write, &inner, &bindings, &mut head, vec![change]).await?;
                    inner.report_applied(write, applied);
                }
                for id in settled {
                    ledger::mark_settled(write, head.library, id).await?;
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

/// The object of the conflict's record.
async fn object_of(
    write: &Write<'_>,
    head: &Head,
    binding: &Binding,
    record: &RecordId,
) -> Result<StoredObject, SyncError> {
    let mut objects =
        ledger::by_records(write.db, &write.names, head.library, binding.model, [record]).await?;
    match objects.remove(record) {
        Some(Loaded { object, .. }) => Ok(object),
        None => Err(SyncError::UnknownRecord(format!("{} {record}", binding.name()))),
    }
}

/// What the record's row holds; of a record without one, what its object says.
async fn held(
    write: &Write<'_>,
    binding: &Binding,
    record: &RecordId,
    object: &StoredObject,
) -> Result<Vec<SyncValue>, SyncError> {
    if let Some(Ok(row)) = rows::by_record(write.db, binding, [record]).await?.remove(record) {
        return Ok(row);
    }
    let kept = |wire: &Name| {
        let cell = object.cell(wire)?;
        Some(shown(cell.tag, cell.version, cell.payload.as_ref()?).into_owned())
    };
    let columns = binding.spec().columns.iter();
    Ok(columns.map(|column| kept(&column.wire).unwrap_or(SyncValue::Null)).collect())
}

/// The column of the conflict and those that are written together with it.
fn columns_of(binding: &Binding, lost: &Lost) -> Result<Vec<usize>, SyncError> {
    let index = binding.column_of(&lost.field).ok_or_else(|| {
        SyncError::UnknownRecord(format!("{} has no column {} here", binding.name(), lost.field))
    })?;
    Ok(capture::with_groups(binding, vec![index]))
}

/// The change that confirms what stands.
async fn confirm(
    write: &Write<'_>,
    replica: &Replica,
    head: &mut Head,
    binding: &Binding,
    lost: &Lost,
) -> Result<Change, SyncError> {
    let object = object_of(write, head, binding, &lost.record).await?;
    let (model, record) = (binding.name().clone(), lost.record.clone());
    if !object.is_alive() {
        let mut change = author(replica, head, model, record, &object, |_| Vec::new());
        change.kind = ChangeKind::Delete;
        change.born = change.id;
        return Ok(change);
    }
    let columns = columns_of(binding, lost)?;
    let here = held(write, binding, &lost.record, &object).await?;
    let values: Vec<(usize, SyncValue)> =
        columns.into_iter().map(|index| (index, here[index].clone())).collect();
    let cells = |version| capture::written(binding, Some(&object), &here, &values, version);
    let mut change = author(replica, head, model, record, &object, cells);
    change.kind = ChangeKind::Merge;
    Ok(change)
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
    let object = object_of(write, head, binding, &lost.record).await?;
    let columns = columns_of(binding, lost)?;
    let alive = object.is_alive();
    let mut values: BTreeMap<usize, SyncValue> = BTreeMap::new();
    let mut here = vec![SyncValue::Null; binding.spec().columns.len()];
    if alive {
        here = held(write, binding, &lost.record, &object).await?;
        values.extend(columns.iter().map(|index| (*index, here[*index].clone())));
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
    values.extend(binding.column_of(&lost.field).map(|index| (index, lost.value.clone())));
    let values: Vec<(usize, SyncValue)> = values.into_iter().collect();
    let known = Some(&object).filter(|_| alive);
    let cells = |version| capture::written(binding, known, &here, &values, version);
    let mut change = author(replica, head, binding.name().clone(), lost.record.clone(), &object, cells);
    change.kind = ChangeKind::Merge;
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
