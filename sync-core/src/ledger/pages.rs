//! The log and the state feed, a page at a time, as others read them.
//!
//! Invariant: a page is read in one read transaction, so its entries, positions, hashes and vector are of one
//! moment. The tail of the log behind the last complete group is not served.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, QueryResult};
use serde::{Deserialize, Serialize};

use super::{Head, LedgerError, commit::seq_value, extend, objects, origins};
use crate::{
    change::Change,
    ids::{LogId, RecordId, Seq, StateHash},
    merge::StoredObject,
    store::{Binding, Bindings, Names, rows, sql},
    vector::Vector,
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
    pub(crate) vector: Vector,
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
#[derive(Debug)]
pub(crate) struct LogRequest<'a> {
    pub(crate) from: Seq,
    pub(crate) have: &'a Vector,
    pub(crate) reach: Reach,
    pub(crate) max_entries: u32,
    pub(crate) max_bytes: u64,
}

/// The end of the part of the log that is served: that of the last complete group, or of what may be seen by others.
async fn served_end<C: ConnectionTrait>(db: &C, head: &Head) -> Result<Seq, LedgerError> {
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
    names: &Names,
    head: &Head,
    request: LogRequest<'_>,
) -> Result<Option<LogPage>, LedgerError> {
    let latest_seq = served_end(db, head).await?;
    let vector = origins::vector(db, names, head.library).await?;
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
        vector,
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
    if complete && request.reach == Reach::Everything {
        // The last positions may have no entry: a snapshot takes one and leaves none.
        page.next_seq = latest_seq;
    }
    Ok(Some(page))
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

/// Where the log stood before the first page of a feed: from there the reader goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedStart {
    pub(crate) seq: Seq,
    pub(crate) state_hash: StateHash,
    pub(crate) vector: Vector,
}

/// How far a reader of the feed is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedCursor {
    /// The log that the feed is of: positions and ids mean nothing elsewhere.
    pub(crate) log_id: LogId,
    pub(crate) start: FeedStart,
    after_seq: i64,
    after_id: i64,
}

/// A page of the feed.
#[derive(Debug)]
pub(crate) struct FeedPage {
    /// Records as changes, encoded.
    pub(crate) objects: Vec<Vec<u8>>,
    /// Where to go on; the feed is complete if there is nothing after.
    pub(crate) cursor: FeedCursor,
    pub(crate) complete: bool,
    /// How many records the library has.
    pub(crate) total: u64,
    /// True if a row was found that is not what its object says: it was written and is not flushed yet. The page
    /// is then empty: flush, and ask again.
    pub(crate) dirty: bool,
}

/// A page of the state feed: objects in order of their last change.
pub(crate) async fn feed_page<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    bindings: &Bindings,
    head: &Head,
    cursor: Option<FeedCursor>,
    max_objects: u32,
    max_bytes: u64,
) -> Result<FeedPage, LedgerError> {
    let mut cursor = match cursor {
        Some(cursor) => cursor,
        None => {
            let seq = served_end(db, head).await?;
            let start = FeedStart {
                seq,
                state_hash: hash_at(db, head, seq).await?,
                vector: origins::vector(db, names, head.library).await?,
            };
            FeedCursor { log_id: head.identity.log_id, start, after_seq: -1, after_id: 0 }
        }
    };
    let row =
        sql::one(db, "SELECT count(*) FROM sync_objects WHERE library = ?", [head.library.into()]).await?;
    let total = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
    let mut page = FeedPage {
        objects: Vec::new(),
        complete: false,
        cursor: cursor.clone(),
        total: u64::try_from(total).unwrap_or(0),
        dirty: false,
    };
    let (mut bytes, mut left) = (0, max_objects.max(1));
    'page: while left > 0 {
        let limit = left.min(SLICE);
        let list = feed_slice(db, names, head, &cursor, limit).await?;
        let read = u32::try_from(list.len()).unwrap_or(limit);
        let table_rows = rows_of(db, bindings, &list).await?;
        for item in list {
            let row = table_rows.get(&(item.model, item.record.clone()));
            let (id, seq) = (item.id, item.seq);
            let Some(encoded) = item.encode(names, bindings, head, row)? else {
                return Ok(FeedPage { objects: Vec::new(), complete: false, dirty: true, ..page });
            };
            bytes += encoded.len() as u64;
            if bytes > max_bytes && !page.objects.is_empty() {
                break 'page;
            }
            page.objects.push(encoded);
            (cursor.after_seq, cursor.after_id) = (seq, id);
        }
        if read < limit {
            page.complete = true;
            break;
        }
        left -= read;
    }
    page.cursor = cursor;
    Ok(page)
}

/// The next objects of the feed: a part of a page, so that what is read of them at once stays small.
async fn feed_slice<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    head: &Head,
    cursor: &FeedCursor,
    limit: u32,
) -> Result<Vec<FeedObject>, LedgerError> {
    let found = sql::all(
        db,
        &format!(
            "SELECT {}, model, seq FROM sync_objects WHERE library = ? AND (seq, id) > (?, ?) ORDER BY seq, id LIMIT ?",
            objects::COLUMNS
        ),
        [head.library.into(), cursor.after_seq.into(), cursor.after_id.into(), i64::from(limit).into()],
    )
    .await?;
    let mut list = Vec::with_capacity(found.len());
    for row in &found {
        let (record, loaded) = objects::decode(row, names)?;
        let model: i64 = sql::column(row, 6)?;
        let seq: i64 = sql::column(row, 7)?;
        list.push(FeedObject { model, record, id: loaded.id, seq, object: loaded.object });
    }
    Ok(list)
}

struct FeedObject {
    model: i64,
    record: RecordId,
    id: i64,
    seq: i64,
    object: StoredObject,
}

impl FeedObject {
    /// The object as a change; `None` if its row is not what the object says.
    fn encode(
        self,
        names: &Names,
        bindings: &Bindings,
        head: &Head,
        row: Option<&rows::RowState>,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        let binding = bindings.by_model(self.model);
        let Some(object) = assemble(self.object, binding.map(AsRef::as_ref), row)? else { return Ok(None) };
        let change = object.to_change(names.text(self.model)?, self.record, head.identity.device);
        Ok(Some(change.encode().into_bytes()))
    }
}

/// The object with its values, those that it does not keep taken from the row; `None` if the row holds something
/// else than the object says.
pub(crate) fn assemble(
    stored: StoredObject,
    binding: Option<&Binding>,
    row: Option<&rows::RowState>,
) -> Result<Option<crate::merge::Object>, LedgerError> {
    let values = match row {
        Some(Ok(values)) => Some(values),
        _ => None,
    };
    let value = |column: &str| {
        let index = binding?.column_of(column)?;
        values.map(|values| values[index].clone())
    };
    let hashes: Vec<_> = stored.cells.iter().map(|cell| (cell.hash, cell.payload.is_none())).collect();
    let Ok(object) = stored.into_object(value) else { return Ok(None) };
    let true_to_row = object
        .cells
        .iter()
        .zip(&hashes)
        .all(|(cell, (hash, in_row))| !in_row || cell.value.hash64() == *hash);
    Ok(true_to_row.then_some(object))
}

async fn rows_of<C: ConnectionTrait>(
    db: &C,
    bindings: &Bindings,
    list: &[FeedObject],
) -> Result<HashMap<(i64, RecordId), rows::RowState>, LedgerError> {
    let mut wanted: HashMap<i64, Vec<&RecordId>> = HashMap::new();
    for item in list {
        if item.object.shown && item.object.is_alive() {
            wanted.entry(item.model).or_default().push(&item.record);
        }
    }
    let mut found = HashMap::new();
    for (model, records) in wanted {
        let Some(binding) = bindings.by_model(model) else { continue };
        for (record, row) in rows::by_record(db, binding, records).await? {
            found.insert((model, record), row);
        }
    }
    Ok(found)
}
