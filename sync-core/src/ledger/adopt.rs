//! A complete snapshot was read: what that makes of the log.
//!
//! Invariant: the log lacks what a snapshot brought, so whoever lacks it too must take a snapshot: the floor says so. What
//! is here and not in the snapshot, unsent writes above all, is moved above the floor and served as before.

use super::{
    Head, LedgerError,
    commit::seq_value,
    extend,
    forgotten::Forgotten,
    origins::{device_of, stamp},
    pages::digest_of,
};
use crate::{
    ids::{Seq, StateHash},
    store::{Write, sql},
    vector::Vector,
};

/// A complete snapshot, when its last page is taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// What the peer had merged before the first page.
    pub(crate) vector: Vector,
    /// True if a record of it was new here.
    pub(crate) news: bool,
    /// What the peer had forgotten.
    pub(crate) forgotten: Forgotten,
}

/// Puts the floor at the end of the log, and what `snapshot` does not cover behind it. `mine` is what was merged here
/// before.
pub(super) async fn raise_floor(
    write: &Write<'_>,
    head: &mut Head,
    mine: &Vector,
    snapshot: &Snapshot,
) -> Result<(), LedgerError> {
    let mut brought = snapshot.vector.clone();
    for device in mine.forked().filter(|device| snapshot.vector.head(*device).is_some()) {
        // Of before the mark was known where it comes from.
        brought.mark_forked(device);
    }
    if !snapshot.news && mine.includes(&brought) {
        // All of it was in the log, or below the floor already.
        return Ok(());
    }
    let moved = not_covered(write, head, mine, &snapshot.vector).await?;
    // A position without an entry stands for what the snapshot brought.
    head.seq = Seq(head.seq.0 + 1);
    head.chain = extend(head.chain, StateHash::default());
    head.floor.seq = head.seq;
    head.floor.hash = head.chain;
    for (device, id) in snapshot.vector.heads() {
        head.floor.vector.advance(device, id);
    }
    for device in snapshot.vector.forked().chain(mine.forked()) {
        head.floor.vector.mark_forked(device);
        head.floor.doubt = head.floor.seq;
    }
    let last = moved.last().copied();
    for from in moved {
        let row =
            sql::one(write.db, "SELECT seq, data, digest FROM sync_log WHERE seq = ?", [from.into()]).await?;
        let Some(row) = row else { continue };
        head.seq = Seq(head.seq.0 + 1);
        head.chain = extend(head.chain, digest_of(head, &row)?);
        let chain = (Some(from) == last).then(|| head.chain.0.to_vec());
        let statement = "UPDATE sync_log SET seq = ?, chain = ? WHERE seq = ?";
        sql::execute(write.db, statement, [seq_value(head.seq), chain.into(), from.into()]).await?;
    }
    // Some of what was moved may have been seen.
    head.offered = head.offered.map(|_| head.seq);
    Ok(())
}

/// The positions of the entries that `covered` does not cover.
async fn not_covered(
    write: &Write<'_>,
    head: &Head,
    mine: &Vector,
    covered: &Vector,
) -> Result<Vec<i64>, LedgerError> {
    const SLICE: i64 = 5_000;
    let mut found = Vec::new();
    let mut after = 0_i64;
    loop {
        let rows = sql::all(
            write.db,
            "SELECT seq, device, change_id FROM sync_log WHERE library = ? AND seq > ? ORDER BY seq LIMIT ?",
            [head.library.into(), after.into(), SLICE.into()],
        )
        .await?;
        if rows.is_empty() {
            return Ok(found);
        }
        for row in &rows {
            after = sql::column(row, 0)?;
            let author = device_of(&write.names, sql::column(row, 1)?)?;
            let id = stamp(&sql::column::<Vec<u8>>(row, 2)?)?;
            // One head stands for both databases of a forked author: it says nothing of either.
            if mine.is_forked(author) || !covered.covers(author, id) {
                found.push(after);
            }
        }
    }
}
