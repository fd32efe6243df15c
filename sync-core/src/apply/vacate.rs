//! Unique values that move between rows of one group.
//!
//! Invariant: a row that gives up a unique value gets a value that nobody else has before the row that takes it over is
//! written; both are brought to their final state in the same transaction. So swaps and rotations are no clash.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, Value};

use super::{
    ApplyError,
    rows::{Work, is_constraint},
    unique,
    working::WorkingSet,
};
use crate::{
    ids::RecordId,
    store::{Binding, Bindings, StoreError, Write, sql},
    value::{ColumnKind, SyncValue, to_database},
};

/// Takes unique values off rows whose values other rows of the group are about to get.
pub(super) async fn vacate(
    write: &Write<'_>,
    bindings: &Bindings,
    set: &WorkingSet,
    work: &Work,
) -> Result<(), ApplyError> {
    for (model, writes) in &work.writes {
        let Some(binding) = bindings.by_model(*model).filter(|binding| !binding.table.uniques.is_empty())
        else {
            continue;
        };
        let leaving = work.deletes.get(model).into_iter().flatten();
        let mut holders = HashMap::new();
        for record in writes.iter().chain(leaving) {
            let Some(working) = set.get(&(*model, record.clone())).filter(|working| working.row.is_some())
            else {
                continue;
            };
            for (at, held) in working.old_keys.iter().enumerate() {
                if let Some(held) = held {
                    holders.insert((at, held.clone()), record.clone());
                }
            }
        }
        let mut moved: HashSet<(RecordId, usize)> = HashSet::new();
        for record in writes {
            let Some(working) = set.get(&(*model, record.clone())) else { continue };
            for (at, wanted) in unique::keys(binding, record, &working.object).into_iter().enumerate() {
                let Some(wanted) = wanted else { continue };
                if let Some(holder) = holders.get(&(at, wanted)).filter(|holder| *holder != record) {
                    moved.insert((holder.clone(), at));
                }
            }
        }
        for (record, at) in moved {
            set_aside(write, binding, &record, at).await?;
        }
    }
    Ok(())
}

/// Gives one column of a row's unique key a value that nobody else has; the row is written or deleted later in the
/// same transaction.
async fn set_aside(
    write: &Write<'_>,
    binding: &Binding,
    record: &RecordId,
    at: usize,
) -> Result<(), ApplyError> {
    let spec = binding.spec();
    let unique = &binding.table.uniques[at];
    let free = unique.columns.iter().find_map(|name| {
        let index = spec.columns.iter().position(|column| &column.name == name)?;
        (!spec.keys.contains(&index)).then_some(index)
    });
    let Some(index) = free else { return Ok(()) };
    let column = &spec.columns[index];
    let nullable = binding.table.column(&column.name).is_some_and(|there| !there.not_null);
    let Ok(key) = binding.key_values(record) else { return Ok(()) };
    let keys: Vec<String> =
        binding.key_columns().map(|column| format!("{} = ?", sql::quote(&column.name))).collect();
    let statement = format!(
        "UPDATE {} SET {} = ? WHERE {}",
        binding.quoted_table(),
        sql::quote(&column.name),
        keys.join(" AND ")
    );
    for value in placeholders(column.kind, nullable, record) {
        write.db.execute_unprepared("SAVEPOINT sync_aside").await.map_err(StoreError::from)?;
        let tried = sql::execute(write.db, &statement, std::iter::once(value).chain(key.clone())).await;
        let done = match tried {
            Ok(_) => true,
            Err(error) if is_constraint(&error) => {
                write.db.execute_unprepared("ROLLBACK TO sync_aside").await.map_err(StoreError::from)?;
                false
            }
            Err(error) => return Err(error.into()),
        };
        write.db.execute_unprepared("RELEASE sync_aside").await.map_err(StoreError::from)?;
        if done {
            return Ok(());
        }
    }
    // No value may stand there for a moment: the row that wants this one is refused, and listed.
    Ok(())
}

/// Values that no other row has, made from the record's own key, the likeliest to be taken first. SQLite keeps a text in a
/// column of another type, unless the table is strict or checks it.
fn placeholders(kind: ColumnKind, nullable: bool, record: &RecordId) -> Vec<Value> {
    let hash = blake3::hash(record.as_bytes());
    let mut eight = [0; 8];
    eight.copy_from_slice(&hash.as_bytes()[..8]);
    let number = i64::from_be_bytes(eight);
    let null = nullable.then_some(SyncValue::Null).into_iter();
    let own = null.chain(placeholder(kind, record)).filter_map(|value| to_database(kind, &value).ok());
    let others: [Value; 4] = [
        format!("sync:{}", hash.to_hex()).into(),
        number.into(),
        (number as f64).into(),
        hash.as_bytes().to_vec().into(),
    ];
    own.chain(others).collect()
}

/// One of the column's own kind, for kinds that have enough of them.
fn placeholder(kind: ColumnKind, record: &RecordId) -> Option<SyncValue> {
    let hash = blake3::hash(record.as_bytes());
    let bytes = hash.as_bytes();
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[..8]);
    Some(match kind {
        ColumnKind::Text => SyncValue::Text(format!("sync:{}", hash.to_hex())),
        ColumnKind::Bytes => SyncValue::Bytes(bytes.to_vec()),
        ColumnKind::Uuid => {
            let mut sixteen = [0; 16];
            sixteen.copy_from_slice(&bytes[..16]);
            SyncValue::Uuid(uuid::Uuid::from_bytes(sixteen))
        }
        ColumnKind::I64 => SyncValue::I64(i64::from_be_bytes(eight)),
        ColumnKind::I32 => {
            SyncValue::I64(i64::from(i32::from_be_bytes([eight[0], eight[1], eight[2], eight[3]])))
        }
        _ => return None,
    })
}
