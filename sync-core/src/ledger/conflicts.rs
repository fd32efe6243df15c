//! Conflicts that somebody decided, here or elsewhere.
//!
//! Invariant: a conflict is settled by a change whose author knew both of its sides. That is a function of the change and
//! the conflict, so every replica that has the two comes to the same.

use super::LedgerError;
use crate::{
    change::Change,
    ids::Name,
    merge::is_alive,
    store::{NameKind, StoreError, Write, sql},
    value::SyncValue,
};

/// Takes off the list what `decisions` decide: merge changes, and deletes of what was deleted already.
pub(crate) async fn settle_conflicts(
    write: &Write<'_>,
    library: i64,
    decisions: &[Change],
) -> Result<(), LedgerError> {
    for decision in decisions {
        let Some(model) = write.names.id(NameKind::Model, decision.model.as_bytes()) else { continue };
        let rows = sql::all(
            write.db,
            "SELECT id, field, winner_id, loser_id, loser_value FROM sync_conflicts \
             WHERE library = ? AND model = ? AND record = ? AND judged < 2",
            [library.into(), model.into(), decision.record.as_bytes().to_vec().into()],
        )
        .await?;
        for row in &rows {
            let field = Name::from(sql::column::<String>(row, 1)?);
            let winner = super::stamp(&sql::column::<Vec<u8>>(row, 2)?)?;
            let loser = super::stamp(&sql::column::<Vec<u8>>(row, 3)?)?;
            let knew = decision.context.covers(winner) && decision.context.covers(loser);
            if knew && decides(decision, &field, || sql::column(row, 4))? {
                mark_settled(write, library, sql::column(row, 0)?).await?;
            }
        }
    }
    Ok(())
}

/// True if a change that knew both sides is about this column.
fn decides(
    decision: &Change,
    field: &Name,
    lost: impl FnOnce() -> Result<Vec<u8>, StoreError>,
) -> Result<bool, LedgerError> {
    if !is_alive(decision.generation) {
        return Ok(true);
    }
    let Some(cell) = decision.cells.iter().find(|cell| cell.column == *field) else { return Ok(false) };
    if decision.born != decision.id {
        return Ok(true);
    }
    // A record that comes back is written with all its columns: only what was lost and is there again is decided.
    let lost = SyncValue::decode(&lost()?).map_err(|error| LedgerError::Corrupt(error.to_string()))?;
    Ok(cell.value == lost)
}

/// Takes one conflict off the list.
pub(crate) async fn mark_settled(write: &Write<'_>, library: i64, id: i64) -> Result<(), StoreError> {
    let statement = "UPDATE sync_conflicts SET judged = 2 WHERE library = ? AND id = ?";
    sql::execute(write.db, statement, [library.into(), id.into()]).await?;
    Ok(())
}

/// How many conflicts one transaction removes.
const SLICE: i64 = 20_000;

/// Removes settled conflicts from before `before_ms`. Gives how many.
pub(crate) async fn forget_settled(
    write: &Write<'_>,
    library: i64,
    before_ms: u64,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM sync_conflicts WHERE id IN (SELECT id FROM sync_conflicts \
                     WHERE library = ? AND judged = 2 AND detected_at < ? ORDER BY id LIMIT ?)";
    let before = i64::try_from(before_ms).unwrap_or(i64::MAX);
    sql::execute(write.db, statement, [library.into(), before.into(), SLICE.into()]).await
}

/// Removes the oldest open conflicts above `most`. Gives how many.
pub(crate) async fn drop_surplus(write: &Write<'_>, library: i64, most: u64) -> Result<u64, StoreError> {
    let count = "SELECT count(*) FROM sync_conflicts WHERE library = ? AND judged < 2";
    let open = sql::one(write.db, count, [library.into()]).await?;
    let open = open.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
    let surplus = open.saturating_sub(i64::try_from(most).unwrap_or(i64::MAX));
    if surplus <= 0 {
        return Ok(0);
    }
    let statement = "DELETE FROM sync_conflicts WHERE id IN (SELECT id FROM sync_conflicts \
                     WHERE library = ? AND judged < 2 ORDER BY id LIMIT ?)";
    sql::execute(write.db, statement, [library.into(), surplus.min(SLICE).into()]).await
}
