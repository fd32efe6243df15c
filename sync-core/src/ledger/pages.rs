//! The log, a page at a time, as others read it.
//!
//! Invariant: a page is read in one read transaction, so its entries, positions and hashes are of one
//! moment. The tail of the log behind the last complete group is not served.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, QueryResult};

use super::{Head, LedgerError, commit::seq_value, extend};
use crate::{
    change::{Change, Compacted},
    ids::{Name, RecordId, Seq, StateHash},
    stamp::Stamp,
    store::sql,
    vector::{Clock, Vector},
};

/// A page of the log.
#[derive(Debug)]
pub(crate) struct LogPage {
    pub(crate) base_seq: Seq,
    pub(crate) base_hash: StateHash,
    pub(crate) entries: Vec<PageEntry>,
    pub(crate) next_seq: Seq,
    pub(crate) state_hash: StateHash,
    pub(crate) latest_seq: Seq,
    /// True if it has compacted changes.
    pub(crate) compacted: bool,
    /// Records of which it has a compacted change, and neither it nor the reader has what says that again: without what is known
    /// of them the reader would lack values.
    pub(crate) wanted: Vec<(Name, RecordId)>,
}

/// An entry of a page.
#[derive(Debug)]
pub(crate) enum PageEntry {
    /// A change in its author's bytes.
    Change(Vec<u8>),
    /// The reader has it.
    Had(StateHash),
}

/// How far back a page may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To the floor: a reader that lacks what stood below must take a snapshot.
    Floor,
    /// To whatever is still there: for our own pushes, which promise nothing about what is not.
    Everything,
}

/// What a reader asks of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRequest<'a> {
    pub(crate) from: Seq,
    pub(crate) have: &'a Vector,
    pub(crate) reach: Reach,
    pub(crate) max_entries: u32,
    pub(crate) max_bytes: u64,
}

/// The end of the part of the log that is served: that of the last complete group, or of what may be seen by others.
pub(super) async fn served_end<C: ConnectionTrait>(db: &C, head: &Head) -> Result<Seq, LedgerError> {
    let end = complete_end(db, head).await?;
    Ok(head.offered.map_or(end, |offered| end.min(offered)).max(head.floor.seq))
}

/// The end of the last complete group.
pub(crate) async fn complete_end<C: ConnectionTrait>(db: &C, head: &Head) -> Result<Seq, LedgerError> {
    let row = sql::one(
        db,
        "SELECT seq FROM sync_log WHERE library = ? AND more = 0 ORDER BY seq DESC LIMIT 1",
        [head.library.into()],
    )
    .await?;
    let last = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
    Ok(Seq(u64::try_from(last).unwrap_or(0)).max(head.floor.seq))
}

/// A page of the log, which ends inside a group only if it has no room for the whole group; `None` where the log no longer holds what the reader lacks.
pub(crate) async fn log_page<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    request: LogRequest<'_>,
) -> Result<Option<LogPage>, LedgerError> {
    let latest_seq = served_end(db, head).await?;
    let mut base_seq = request.from.min(latest_seq);
    if base_seq < head.floor.seq && request.reach == Reach::Floor {
        if !head.floor.is_had(request.from, request.have) {
            return Ok(None);
        }
        base_seq = head.floor.seq;
    }
    let base_hash = hash_at(db, head, base_seq).await?;
    let mut page = LogPage {
        base_seq,
        base_hash,
        entries: Vec::new(),
        next_seq: base_seq,
        state_hash: base_hash,
        latest_seq,
        compacted: false,
        wanted: Vec::new(),
    };
    let mut bytes = 0;
    let mut left = request.max_entries.max(1);
    let mut group_end = None;
    let complete = 'page: loop {
        let slice = left.min(SLICE);
        let rows = read_slice(db, head, page.next_seq, latest_seq, slice).await?;
        for row in &rows {
            let Row { seq, more, had, data } = Row::read(row)?;
            let (digest, entry) = if had {
                let digest = StateHash(sql::bytes(&data, "a digest")?);
                (digest, PageEntry::Had(digest))
            } else {
                let digest = Change::digest(head.identity.library, &data);
                let (author, id) = Change::decode_author(&data)?;
                if request.have.covers(author, id) {
                    (digest, PageEntry::Had(digest))
                } else {
                    bytes += data.len() as u64;
                    page.compacted |= Change::is_compacted(&data);
                    (digest, PageEntry::Change(data))
                }
            };
            if bytes > request.max_bytes && !page.entries.is_empty() {
                break 'page false;
            }
            page.state_hash = extend(page.state_hash, digest);
            page.next_seq = seq;
            page.entries.push(entry);
            if !more {
                group_end = Some((page.entries.len(), page.next_seq, page.state_hash));
            }
        }
        left -= slice;
        if (rows.len() as u64) < u64::from(slice) {
            break true;
        }
        if left == 0 {
            break false;
        }
    };
    if let Some((len, seq, hash)) = group_end.filter(|_| !complete) {
        // The reader would have to keep the beginning of a group until its end comes.
        page.entries.truncate(len);
        (page.next_seq, page.state_hash) = (seq, hash);
    }
    if page.compacted {
        page.wanted = wanted(&page, group_end.map_or(0, |(len, ..)| len), request.have)?;
    }
    if complete && request.reach == Reach::Everything {
        // The last positions may have no entry: a snapshot takes one and leaves none.
        page.next_seq = latest_seq;
    }
    Ok(Some(page))
}

/// The records that the reader of a page must be told of: of what comes behind the end of its last whole group, after `len` entries, it
/// knows nothing yet.
fn wanted(page: &LogPage, len: usize, have: &Vector) -> Result<Vec<(Name, RecordId)>, LedgerError> {
    let had: Clock = have.heads().map(|(_, head)| head).collect();
    let (mut compacted, mut told) = (Vec::new(), HashSet::new());
    for (at, entry) in page.entries.iter().enumerate() {
        let PageEntry::Change(bytes) = entry else { continue };
        compacted.extend(Change::decode_compacted(bytes)?);
        if at < len {
            told.insert(Change::decode_author(bytes)?.1);
        }
    }
    let is_told = |stamp: &Stamp| told.contains(stamp) || had.covers(*stamp);
    let lacking = compacted.into_iter().filter(|one| !one.superseded_by.iter().all(is_told));
    let mut records: Vec<(Name, RecordId)> =
        lacking.map(|Compacted { header, .. }| (header.model, header.record)).collect();
    records.sort_unstable();
    records.dedup();
    Ok(records)
}

/// How many entries are read at once: what is read beyond the page's room is read for nothing.
const SLICE: u32 = 1_000;

/// At most `most` entries after `from`. A row of two columns costs half of what one of four does.
async fn read_slice<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    from: Seq,
    until: Seq,
    most: u32,
) -> Result<Vec<QueryResult>, LedgerError> {
    let statement = "SELECT seq * 4 + (more <> 0) * 2 + (data IS NULL), coalesce(data, digest) FROM sync_log \
                     WHERE library = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?";
    let values = [head.library.into(), seq_value(from), seq_value(until), i64::from(most).into()];
    Ok(sql::all(db, statement, values).await?)
}

/// An entry as [`read_slice`] gives it.
struct Row {
    seq: Seq,
    /// True if the group goes on.
    more: bool,
    /// True if `data` is the digest of a change that is not kept.
    had: bool,
    data: Vec<u8>,
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, LedgerError> {
        let packed: i64 = sql::column(row, 0)?;
        let seq = Seq(u64::try_from(packed >> 2).unwrap_or(0));
        Ok(Self { seq, more: packed & 2 != 0, had: packed & 1 != 0, data: sql::column(row, 1)? })
    }
}

/// The head of the chain at a position that the log still holds.
pub(crate) async fn hash_at<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    seq: Seq,
) -> Result<StateHash, LedgerError> {
    if seq == head.seq {
        return Ok(head.chain);
    }
    let row = sql::one(
        db,
        "SELECT seq, chain FROM sync_log WHERE library = ? AND seq <= ? AND seq > ? AND chain IS NOT NULL \
         ORDER BY seq DESC LIMIT 1",
        [head.library.into(), seq_value(seq), seq_value(head.floor.seq)],
    )
    .await?;
    let (mut known, mut hash) = match row {
        Some(row) => (
            sql::column::<i64>(&row, 0)?,
            StateHash(sql::bytes(&sql::column::<Vec<u8>>(&row, 1)?, "a chain hash")?),
        ),
        None => (i64::try_from(head.floor.seq.0).unwrap_or(i64::MAX), head.floor.hash),
    };
    let wanted = i64::try_from(seq.0).unwrap_or(i64::MAX);
    while known < wanted {
        let rest = sql::all(
            db,
            "SELECT seq, data, digest FROM sync_log WHERE library = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT 1000",
            [head.library.into(), known.into(), wanted.into()],
        )
        .await?;
        if rest.is_empty() {
            break;
        }
        for row in &rest {
            known = sql::column(row, 0)?;
            hash = extend(hash, digest_of(head, row)?);
        }
    }
    Ok(hash)
}

/// The digest of a row of (seq, data, digest).
pub(crate) fn digest_of(head: &Head, row: &QueryResult) -> Result<StateHash, LedgerError> {
    match sql::column::<Option<Vec<u8>>>(row, 1)? {
        Some(data) => Ok(Change::digest(head.identity.library, &data)),
        None => Ok(StateHash(sql::bytes(&sql::column::<Vec<u8>>(row, 2)?, "a digest")?)),
    }
}
