//! The beginning of the log goes when nobody needs it any more.
//!
//! Invariant: what goes is a prefix of whole groups without a gap in it, and in the same transaction the floor says what it
//! was: the position, the chain there, and a vector that covers all of it. Whoever lacks some of it is told to read the state.

use std::collections::HashSet;

use sea_orm::ConnectionTrait;

use super::{
    Head, LedgerError,
    commit::seq_value,
    metadata::{self, KEY_FORGOTTEN, Metadata},
    origins::{device_of, stamp, vector},
    pages::{complete_end, hash_at},
    renewals,
};
use crate::{
    ids::{DeviceId, Seq},
    stamp::Stamp,
    store::{NameKind, Write, sql},
    vector::Vector,
};

/// What a member has of this replica's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    pub(crate) device: DeviceId,
    /// What it has merged.
    pub(crate) vector: Vector,
    /// Everything of this log up to here is there.
    pub(crate) seq: Seq,
}

impl Cover {
    /// True if the member surely has the change `id` of `author`, which stands at `seq`.
    fn has(&self, author: DeviceId, id: Stamp, seq: Seq) -> bool {
        seq <= self.seq || self.vector.covers(author, id)
    }
}

/// What may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prunable {
    /// Those who must have it. If there is nobody, nobody has it.
    pub(crate) members: Vec<Cover>,
    /// Only changes before this, in milliseconds since the Unix epoch.
    pub(crate) before_ms: u64,
    /// Changes before this go whoever lacks them.
    pub(crate) forced_before_ms: u64,
    /// Positions up to here go whoever lacks them.
    pub(crate) forced_to: Seq,
    /// Nothing beyond this position goes: somebody is reading on from there.
    pub(crate) leased: Seq,
    /// Ids of own changes from before this are not kept one by one any more.
    pub(crate) forget_before_ms: u64,
}

/// What one transaction took out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    pub(crate) entries: u64,
    /// Those of them that some member lacks.
    pub(crate) forced: u64,
    /// True if there may be more to take out.
    pub(crate) more: bool,
    /// The members that hold the next entry back.
    pub(crate) held_by: Vec<DeviceId>,
    /// The author whose chain has a gap before the next entry: nothing can cover that.
    pub(crate) gap: Option<DeviceId>,
}

/// How many entries one transaction takes out: some ten milliseconds under the write lock.
const SLICE: usize = 5_000;

/// An entry that may go.
struct Candidate {
    seq: Seq,
    author: DeviceId,
    id: Stamp,
    /// True if its group ends here.
    ends: bool,
    /// True if the chain stands beside it.
    hashed: bool,
    forced: bool,
}

/// Takes out a part of what may go.
pub(crate) async fn prune_slice(
    write: &mut Write<'_>,
    head: &mut Head,
    rules: &Prunable,
) -> Result<Pruned, LedgerError> {
    let mine = vector(write.db, &write.names, head.library).await?;
    let end = complete_end(write.db, head).await?.min(rules.leased);
    let rows = sql::all(
        write.db,
        "SELECT seq, device, change_id, more, ahead, chain IS NOT NULL FROM sync_log WHERE library = ? ORDER BY seq LIMIT ?",
        [head.library.into(), (SLICE as i64).into()],
    )
    .await?;
    let mut pruned = Pruned { more: rows.len() == SLICE, ..Pruned::default() };
    let mut going: Vec<Candidate> = Vec::with_capacity(rows.len());
    for row in &rows {
        let seq = Seq(u64::try_from(sql::column::<i64>(row, 0)?).unwrap_or(0));
        let author = device_of(&write.names, sql::column(row, 1)?)?;
        let id = stamp(&sql::column::<Vec<u8>>(row, 2)?)?;
        let gap = sql::column::<i64>(row, 4)? != 0;
        let lacking = || rules.members.iter().filter(|member| !member.has(author, id, seq));
        let forced = id.ms() < rules.forced_before_ms || seq <= rules.forced_to;
        let lacked = rules.members.is_empty() || lacking().next().is_some();
        let goes = forced || (id.ms() < rules.before_ms && !lacked);
        if seq > end || gap || !goes {
            pruned.more = false;
            pruned.gap = gap.then_some(author);
            if id.ms() < rules.before_ms {
                pruned.held_by = lacking().map(|member| member.device).collect();
            }
            break;
        }
        going.push(Candidate {
            seq,
            author,
            id,
            ends: sql::column::<i64>(row, 3)? == 0,
            hashed: sql::column::<i64>(row, 5)? != 0,
            forced: lacked,
        });
    }
    // Where the chain stands beside the entry it need not be computed; a group larger than a slice goes in parts.
    let cut = going.iter().rposition(|one| one.ends && one.hashed);
    let cut = cut.or_else(|| going.iter().rposition(|one| one.ends));
    let cut = cut.or_else(|| going.len().checked_sub(1).filter(|_| pruned.more));
    let Some(last) = cut else { return Ok(Pruned { more: false, ..pruned }) };
    going.truncate(last + 1);
    let to = going[last].seq;
    if to > head.floor.seq {
        head.floor.hash = hash_at(write.db, head, to).await?;
        head.floor.seq = to;
    }
    for one in &going {
        if mine.is_forked(one.author) {
            head.floor.vector.mark_forked(one.author);
            head.floor.doubt = head.floor.doubt.max(one.seq);
        } else {
            head.floor.vector.advance(one.author, one.id);
        }
    }
    keep_ids(write, head, &mine, to).await?;
    forget_ids(write, rules.forget_before_ms).await?;
    sql::execute(
        write.db,
        "DELETE FROM sync_log WHERE library = ? AND seq <= ?",
        [head.library.into(), seq_value(to)],
    )
    .await?;
    head.save(write.db).await?;
    pruned.entries = going.len() as u64;
    pruned.forced = going.iter().filter(|one| one.forced).count() as u64;
    Ok(pruned)
}

/// Keeps the ids of what goes where somebody may ask for them one by one: whether a change of this database's own was ever
/// here, and whether one of a forked author, which no vector covers, is.
async fn keep_ids(write: &Write<'_>, head: &Head, mine: &Vector, to: Seq) -> Result<(), LedgerError> {
    let former = renewals(write.db).await?.into_iter().map(|renewal| renewal.former);
    let asked_for = mine.forked().chain(former).chain([head.identity.device]);
    for device in asked_for {
        let Some(device) = write.names.id(NameKind::Device, device.as_bytes()) else { continue };
        sql::execute(
            write.db,
            "INSERT OR IGNORE INTO sync_pruned (change_id) SELECT change_id FROM sync_log \
             WHERE library = ? AND seq <= ? AND device = ?",
            [head.library.into(), seq_value(to), device.into()],
        )
        .await?;
    }
    Ok(())
}

/// Forgets the ids from before `ms`: who could still ask for them has expired.
async fn forget_ids(write: &Write<'_>, ms: u64) -> Result<(), LedgerError> {
    let oldest = ms.to_be_bytes();
    let gone =
        sql::execute(write.db, "DELETE FROM sync_pruned WHERE change_id < ?", [oldest[2..].to_vec().into()])
            .await?;
    if gone > 0 {
        let before = forgotten(write.db).await?;
        metadata::save(write.db, [(KEY_FORGOTTEN.into(), ms.max(before).to_be_bytes().to_vec())]).await?;
    }
    Ok(())
}

/// Before which time ids are not known one by one any more.
async fn forgotten<C: ConnectionTrait>(db: &C) -> Result<u64, LedgerError> {
    let metadata = Metadata::read(db).await?;
    let bytes = metadata.get(KEY_FORGOTTEN).map(|bytes| sql::bytes(bytes, KEY_FORGOTTEN)).transpose()?;
    Ok(bytes.map_or(0, u64::from_be_bytes))
}

/// Those of `ids` that were in the log and are pruned.
pub(crate) async fn pruned_of<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    ids: impl IntoIterator<Item = Stamp>,
) -> Result<HashSet<Stamp>, LedgerError> {
    if head.floor.seq == Seq(0) {
        return Ok(HashSet::new());
    }
    let ids = ids.into_iter().map(|id| id.as_bytes().to_vec().into()).collect();
    let rows = sql::select_in(db, "SELECT change_id FROM sync_pruned WHERE change_id IN", "", ids).await?;
    rows.iter().map(|row| stamp(&sql::column::<Vec<u8>>(row, 0)?)).collect()
}

/// True if each of these changes of this replica's own stands in the log, or once did.
pub(crate) async fn had_own<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    ids: &[Stamp],
) -> Result<bool, LedgerError> {
    let mut missing: Vec<Stamp> = Vec::new();
    let logged = super::logged(db, ids.iter().copied()).await?;
    missing.extend(ids.iter().filter(|id| !logged.contains_key(id)));
    if missing.is_empty() || head.floor.seq == Seq(0) {
        return Ok(missing.is_empty());
    }
    let pruned = pruned_of(db, head, missing.iter().copied()).await?;
    missing.retain(|id| !pruned.contains(id));
    if missing.is_empty() {
        return Ok(true);
    }
    // So old that it is not known any more one by one: the floor says whether all up to it was here.
    let forgotten = forgotten(db).await?;
    let me = head.identity.device;
    Ok(missing.iter().all(|id| id.ms() < forgotten && head.floor.vector.covers(me, *id)))
}

/// How many entries the log holds.
pub(crate) async fn log_entries<C: ConnectionTrait>(db: &C) -> Result<u64, LedgerError> {
    number(db, "SELECT count(*) FROM sync_log").await
}

/// The number that a statement gives.
async fn number<C: ConnectionTrait>(db: &C, statement: &str) -> Result<u64, LedgerError> {
    let row = sql::one(db, statement, []).await?;
    let number = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// The position up to which everything goes if at most `entries` entries, of at most `bytes` bytes of changes, are to
/// stay.
pub(crate) async fn surplus<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    entries: Option<u64>,
    bytes: Option<u64>,
) -> Result<Seq, LedgerError> {
    let mut to = Seq(0);
    if let Some(most) = entries {
        let offset = i64::try_from(most).unwrap_or(i64::MAX);
        let statement = "SELECT seq FROM sync_log WHERE library = ? ORDER BY seq DESC LIMIT 1 OFFSET ?";
        let row = sql::one(db, statement, [head.library.into(), offset.into()]).await?;
        let seq = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
        to = Seq(u64::try_from(seq).unwrap_or(0));
    }
    if let Some(most) = bytes {
        let all = number(db, "SELECT coalesce(sum(length(data)), 0) FROM sync_log").await?;
        let mut over = all.saturating_sub(most);
        let mut after = 0_i64;
        while over > 0 {
            let rows = sql::all(
                db,
                "SELECT seq, coalesce(length(data), 0) FROM sync_log WHERE library = ? AND seq > ? ORDER BY seq LIMIT 10000",
                [head.library.into(), after.into()],
            )
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                if over == 0 {
                    break;
                }
                after = sql::column(row, 0)?;
                over = over.saturating_sub(u64::try_from(sql::column::<i64>(row, 1)?).unwrap_or(0));
            }
        }
        to = to.max(Seq(u64::try_from(after).unwrap_or(0)));
    }
    Ok(to)
}
