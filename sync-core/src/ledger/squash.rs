//! Several changes of one record that nobody has seen become one.
//!
//! Invariant: only changes of this device go together that stand above what was ever offered to anybody, and only within a run of
//! whole groups, which becomes one group. The last change of each record stays under its id and says all that was said; of those
//! before it the digest stays. Objects are as they were.

use std::collections::HashMap;

use super::{
    Head, LedgerError, chain::extend, commit::seq_value, pages::complete_end, pages::digest_of,
    pages::hash_at,
};
use crate::{
    change::{Change, ChangeKind},
    ids::{Name, RecordId, Seq, StateHash},
    merge::{Object, ObjectCell, join},
    runtime::Random,
    stamp::{Node, Stamp},
    store::{NameKind, Write, sql},
};

/// How entries of the log are marked of which only the digest counts.
const DIGEST_ONLY: i64 = -1;

/// What may be offered together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// The newest change of this device that somebody is known to have.
    pub(crate) known: Option<Stamp>,
    /// How many changes one group may have.
    pub(crate) max_group: usize,
}

/// Before the log up to its end is offered to others: of what was not offered yet, makes one change per record. Gives how many
/// changes that took away.
pub(crate) async fn offer(
    write: &Write<'_>,
    head: &mut Head,
    offer: Offer,
    random: &dyn Random,
) -> Result<u64, LedgerError> {
    let end = complete_end(write.db, head).await?;
    // What a database from before, or another way of keeping history, has offered is not known.
    let mut offered = head.offered.unwrap_or(end).max(head.floor.seq);
    if let Some(known) = offer.known {
        // Somebody may know more of this database than it does itself, if it was restored.
        let row = sql::one(
            write.db,
            "SELECT seq FROM sync_log WHERE change_id = ?",
            [known.as_bytes().to_vec().into()],
        )
        .await?;
        let seq = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
        offered = offered.max(Seq(u64::try_from(seq).unwrap_or(0)));
    }
    let gone = match offered < end {
        true => squash(write, head, offered, end, offer.max_group, random).await?,
        false => 0,
    };
    head.offered = Some(end.max(offered));
    head.save(write.db).await?;
    Ok(gone)
}

/// An entry that may go together with others.
struct Unseen {
    seq: i64,
    change: Change,
    bytes: Vec<u8>,
}

async fn squash(
    write: &Write<'_>,
    head: &mut Head,
    from: Seq,
    to: Seq,
    max_group: usize,
    random: &dyn Random,
) -> Result<u64, LedgerError> {
    let me = write.names.id(NameKind::Device, head.identity.device.as_bytes()).unwrap_or_default();
    let several = "SELECT 1 FROM sync_log WHERE library = ? AND seq > ? AND seq <= ? AND device = ? AND data IS NOT NULL \
                   GROUP BY model, record HAVING count(*) > 1 LIMIT 1";
    let values = [head.library.into(), seq_value(from), seq_value(to), me.into()];
    if sql::one(write.db, several, values).await?.is_none() {
        return Ok(0);
    }
    let base = hash_at(write.db, head, from).await?;
    let (mut at, mut gone) = (i64::try_from(from.0).unwrap_or(i64::MAX), 0);
    loop {
        let most = i64::try_from(max_group.max(1)).unwrap_or(i64::MAX);
        let rows = sql::all(
            write.db,
            "SELECT seq, device = ? AND data IS NOT NULL, more, data FROM sync_log \
             WHERE library = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            [me.into(), head.library.into(), at.into(), seq_value(to), most.into()],
        )
        .await?;
        // A run of this device's own groups; what others wrote in between ends it.
        let (mut run, mut whole): (Vec<Unseen>, usize) = (Vec::new(), 0);
        let Some(last) = rows.last() else { break };
        let mut next = sql::column::<i64>(last, 0)?;
        for row in &rows {
            let seq: i64 = sql::column(row, 0)?;
            let bytes: Option<Vec<u8>> = sql::column(row, 3)?;
            let mine = sql::column::<i64>(row, 1)? != 0;
            let Some(bytes) = bytes.filter(|bytes| mine && !Change::is_compacted(bytes)) else {
                if run.is_empty() {
                    continue;
                }
                next = seq;
                break;
            };
            let change = Change::decode(&bytes)?;
            if run.is_empty() && change.txn != change.id {
                // The rest of a group that is too large.
                continue;
            }
            run.push(Unseen { seq, change, bytes });
            if sql::column::<i64>(row, 2)? == 0 {
                whole = run.len();
            }
        }
        if whole > 0 && whole < run.len() {
            next = run[whole - 1].seq;
        }
        run.truncate(whole);
        gone += together(write, head, run, random).await?;
        at = next;
    }
    chain_from(write, head, from, base).await?;
    Ok(gone)
}

/// Makes one group of a run of groups, with one change per record.
async fn together(
    write: &Write<'_>,
    head: &Head,
    run: Vec<Unseen>,
    random: &dyn Random,
) -> Result<u64, LedgerError> {
    let Some(first) = run.first() else { return Ok(0) };
    let mut previous = first.change.previous;
    let mut said: HashMap<(Name, RecordId), usize> = HashMap::new();
    let mut entries: Vec<(i64, Stamp, Vec<u8>, Option<Change>)> = Vec::with_capacity(run.len());
    let mut gone = 0;
    for Unseen { seq, change, bytes } in run {
        let key = (change.model.clone(), change.record.clone());
        let at = entries.len();
        // What decides a conflict, or says again what was known, is not one of several edits.
        let plain = matches!(change.kind, ChangeKind::Edit | ChangeKind::Delete);
        let before = if plain { said.insert(key, at) } else { said.remove(&key).and(None) };
        let earlier = before.and_then(|before| entries[before].3.take());
        gone += u64::from(earlier.is_some());
        let change = match earlier {
            Some(earlier) => both(&earlier, change),
            None => change,
        };
        entries.push((seq, change.id, bytes, Some(change)));
    }
    if gone == 0 {
        return Ok(0);
    }
    let txn = entries.iter().find_map(|(_, id, _, change)| change.as_ref().map(|_| *id));
    let last = entries.len() - 1;
    for (at, (seq, id, bytes, change)) in entries.into_iter().enumerate() {
        let more = i64::from(at != last);
        match change {
            Some(mut change) => {
                change.previous = previous.replace(change.id);
                change.txn = txn.unwrap_or(change.id);
                change.more = at != last;
                let statement = "UPDATE sync_log SET data = ?, more = ? WHERE seq = ?";
                let values = [change.encode().into_bytes().into(), more.into(), seq.into()];
                sql::execute(write.db, statement, values).await?;
            }
            None => {
                let mut tail = [0; 16];
                random.fill(&mut tail);
                let nobodys = Stamp::new(id.ms(), id.counter(), Node::from_tail(&tail));
                let digest = Change::digest(head.identity.library, &bytes);
                sql::execute(
                    write.db,
                    "UPDATE sync_log SET data = NULL, digest = ?, kind = ?, change_id = ?, more = ? WHERE seq = ?",
                    [
                        digest.0.to_vec().into(),
                        DIGEST_ONLY.into(),
                        nobodys.as_bytes().to_vec().into(),
                        more.into(),
                        seq.into(),
                    ],
                )
                .await?;
            }
        }
    }
    Ok(gone)
}

/// The later of two changes of a record, with what the earlier one said too.
fn both(earlier: &Change, mut later: Change) -> Change {
    if earlier.generation == later.generation {
        let mut object = Object::from_change(earlier);
        join(&mut object, &later);
        later.cells = object.cells.iter().map(ObjectCell::to_cell).collect();
        later.born = object.born;
    }
    later.context.merge(&earlier.context);
    later
}

/// Computes the chain anew from a position on, where it is `hash`.
async fn chain_from(
    write: &Write<'_>,
    head: &mut Head,
    from: Seq,
    mut hash: StateHash,
) -> Result<(), LedgerError> {
    let mut at = i64::try_from(from.0).unwrap_or(i64::MAX);
    loop {
        let rows = sql::all(
            write.db,
            "SELECT seq, data, digest, chain IS NOT NULL FROM sync_log WHERE library = ? AND seq > ? ORDER BY seq LIMIT 1000",
            [head.library.into(), at.into()],
        )
        .await?;
        if rows.is_empty() {
            head.chain = hash;
            return Ok(());
        }
        for row in &rows {
            at = sql::column(row, 0)?;
            hash = extend(hash, digest_of(head, row)?);
            if sql::column::<i64>(row, 3)? != 0 {
                let statement = "UPDATE sync_log SET chain = ? WHERE seq = ?";
                sql::execute(write.db, statement, [hash.0.to_vec().into(), at.into()]).await?;
            }
        }
    }
}
