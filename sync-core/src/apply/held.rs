//! Groups that are kept and not merged yet: from too far in the future, or not complete.
//!
//! Invariant: a group is held whole, and what is held is durable before its sender is told so.

use sea_orm::ConnectionTrait;

use super::{ApplyError, group::Incoming};
use crate::{
    change::Change,
    ledger::{Head, LedgerError},
    stamp::Stamp,
    store::{StoreError, Write, sql},
    vector::Vector,
};

/// Why a group is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// One of its stamps is further ahead of the wall clock than may be; until this time in milliseconds.
    Until(u64),
    /// Its last change has not come yet.
    Incomplete,
}

/// How many changes may be held in a library; further ones are refused, and come again when there is room.
const MAX_HELD: u64 = 100_000;

/// How many more changes may be held.
pub(crate) async fn room(write: &Write<'_>, head: &Head) -> Result<u64, StoreError> {
    let row =
        sql::one(write.db, "SELECT count(*) FROM sync_held WHERE library = ?", [head.library.into()]).await?;
    let held = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
    Ok(MAX_HELD.saturating_sub(u64::try_from(held).unwrap_or(0)))
}

/// Keeps a group, and takes what it needs of `room`. False if there is not enough.
pub(crate) async fn hold(
    write: &Write<'_>,
    head: &Head,
    group: &[Incoming],
    hold: Hold,
    now_ms: u64,
    room: &mut u64,
) -> Result<bool, StoreError> {
    match room.checked_sub(group.len() as u64) {
        Some(left) => *room = left,
        None => return Ok(false),
    }
    let (release, reason) = match hold {
        Hold::Until(ms) => (Some(i64::try_from(ms).unwrap_or(i64::MAX)), "clock"),
        Hold::Incomplete => (None, "group"),
    };
    let mut rows = Vec::with_capacity(group.len() * 8);
    for Incoming { change, bytes } in group {
        rows.extend([
            head.library.into(),
            change.id.as_bytes().to_vec().into(),
            change.txn.as_bytes().to_vec().into(),
            release.into(),
            reason.into(),
            bytes.clone().into(),
            0_i64.into(),
            i64::try_from(now_ms).unwrap_or(i64::MAX).into(),
        ]);
    }
    let insert = "INSERT INTO sync_held (library, change_id, txn, release_ms, reason, data, attempts, since)";
    sql::insert_rows(write.db, insert, 8, "ON CONFLICT (library, change_id) DO NOTHING", rows).await?;
    Ok(true)
}

/// Takes the groups out whose time has come, oldest first.
pub(crate) async fn due(
    write: &Write<'_>,
    head: &Head,
    now_ms: u64,
) -> Result<Vec<Vec<Incoming>>, ApplyError> {
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let rows = sql::all(
        write.db,
        "SELECT txn FROM sync_held WHERE library = ? AND reason = 'clock' GROUP BY txn HAVING max(release_ms) <= ? ORDER BY txn",
        [head.library.into(), now.into()],
    )
    .await?;
    let mut groups = Vec::with_capacity(rows.len());
    for row in &rows {
        let txn: Vec<u8> = sql::column(row, 0)?;
        groups.push(take(write, head, txn).await?);
    }
    Ok(groups)
}

/// When the first of the held groups is due, in milliseconds.
pub(crate) async fn first_due<C: ConnectionTrait>(db: &C, head: &Head) -> Result<Option<u64>, StoreError> {
    let statement = "SELECT min(release_ms) FROM sync_held WHERE library = ? AND reason = 'clock'";
    let row = sql::one(db, statement, [head.library.into()]).await?;
    let first = row.map_or(Ok(None), |row| sql::column::<Option<i64>>(&row, 0))?;
    Ok(first.map(|ms| u64::try_from(ms).unwrap_or(0)))
}

/// Takes out what is held of the group `txn` because its rest was still to come.
pub(crate) async fn take_incomplete(
    write: &Write<'_>,
    head: &Head,
    txn: Stamp,
) -> Result<Vec<Incoming>, ApplyError> {
    take(write, head, txn.as_bytes().to_vec()).await
}

/// Drops the parts of groups whose rest will not come: all of the author up to there is here.
pub(super) async fn drop_covered(write: &Write<'_>, head: &Head, covered: &Vector) -> Result<(), ApplyError> {
    let rows = sql::all(
        write.db,
        "SELECT id, data FROM sync_held WHERE library = ? AND reason = 'group'",
        [head.library.into()],
    )
    .await?;
    let mut gone = Vec::new();
    for row in &rows {
        let (author, id) =
            Change::decode_author(&sql::column::<Vec<u8>>(row, 1)?).map_err(LedgerError::from)?;
        if covered.covers(author, id) {
            gone.push(sql::column::<i64>(row, 0)?.into());
        }
    }
    if !gone.is_empty() {
        sql::select_in(write.db, "DELETE FROM sync_held WHERE id IN", "", gone).await?;
    }
    Ok(())
}

async fn take(write: &Write<'_>, head: &Head, txn: Vec<u8>) -> Result<Vec<Incoming>, ApplyError> {
    let rows = sql::all(
        write.db,
        "SELECT data FROM sync_held WHERE library = ? AND txn = ? ORDER BY change_id",
        [head.library.into(), txn.clone().into()],
    )
    .await?;
    let group = rows
        .iter()
        .map(|row| {
            let bytes: Vec<u8> = sql::column(row, 0)?;
            let change = Change::decode(&bytes).map_err(LedgerError::from)?;
            Ok(Incoming { change, bytes })
        })
        .collect::<Result<Vec<_>, ApplyError>>()?;
    sql::execute(
        write.db,
        "DELETE FROM sync_held WHERE library = ? AND txn = ?",
        [head.library.into(), txn.into()],
    )
    .await?;
    Ok(group)
}
