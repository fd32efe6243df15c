//! The state feed, a page at a time: objects in order of their last change, all of them or those of a selection.
//!
//! Invariant: each commit that writes objects gives them a number of its own, larger than all before. So whoever has read to
//! the end goes on from there and misses nothing, whatever wrote the objects. A page is read in one read transaction.

use std::collections::HashMap;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    Head, LedgerError, objects, origins,
    pages::{hash_at, served_end},
    select::{Place, Selected},
};
use crate::{
    ids::{LogId, Name, RecordId, Seq, StateHash},
    merge::StoredObject,
    store::{Binding, Bindings, NameKind, Names, rows, sql},
    vector::Vector,
};

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
    /// The number of the newest objects when this reading began.
    #[serde(default)]
    began: i64,
    /// True if the feed was read to its end before this reading.
    #[serde(default)]
    again: bool,
    /// True if this reading came to the end.
    #[serde(default)]
    ended: bool,
    /// How many tombstones were gone when this reading began.
    #[serde(default)]
    removed: u64,
}

impl FeedCursor {
    /// True at the beginning of the feed.
    fn is_first(&self) -> bool {
        self.after_seq < 0
    }

    /// True if both are at one place of the feed.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        (self.after_seq, self.after_id) == (other.after_seq, other.after_id)
    }
}

/// What a reader asks of the feed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedRequest<'a> {
    pub(crate) cursor: Option<&'a FeedCursor>,
    /// What is wanted; everything without it.
    pub(crate) selected: Option<&'a Selected>,
    pub(crate) max_objects: u32,
    pub(crate) max_bytes: u64,
}

/// A page of the feed.
#[derive(Debug)]
pub(crate) struct FeedPage {
    /// Records as changes, encoded.
    pub(crate) objects: Vec<Vec<u8>>,
    /// Records that changed since the reader was here and have no tag of the selection.
    pub(crate) gone: Vec<(Name, RecordId)>,
    /// True if the page is the first of all, though the reader had a cursor.
    pub(crate) anew: bool,
    /// Where to go on, now or after the end.
    pub(crate) cursor: FeedCursor,
    pub(crate) complete: bool,
    /// About how many records the feed holds.
    pub(crate) total: u64,
    /// True if a row was found that is not what its object says: it was written and is not flushed yet. The page
    /// is then empty: flush, and ask again.
    pub(crate) dirty: bool,
}

/// How many objects are read at once.
const SLICE: u32 = 1_000;

/// How many objects one page looks at: those of a narrow selection may be far apart.
const MOST_LOOKED_AT: u32 = 50_000;

/// What a record that is named as gone takes of a page, besides its key.
const GONE_BYTES: u64 = 32;

/// A page of the state feed.
pub(crate) async fn feed_page<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    bindings: &Bindings,
    head: &Head,
    request: FeedRequest<'_>,
) -> Result<FeedPage, LedgerError> {
    let FeedRequest { selected, max_objects, max_bytes, .. } = request;
    let mut cursor = begin(db, names, head, request).await?;
    let models = selected.map(|selected| models_in(&selected.known_models(names))).unwrap_or_default();
    let counted = format!("SELECT count(*) FROM sync_objects WHERE library = ? {models}");
    let row = sql::one(db, &counted, [head.library.into()]).await?;
    let total = row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
    let mut page = FeedPage {
        objects: Vec::new(),
        gone: Vec::new(),
        anew: request.cursor.is_some() && cursor.is_first(),
        complete: false,
        cursor: cursor.clone(),
        total: u64::try_from(total).unwrap_or(0),
        dirty: false,
    };
    let (mut bytes, mut left, mut looked) = (0, max_objects.max(1), 0);
    'page: while left > 0 && looked < MOST_LOOKED_AT {
        // What is looked for may be rare: then a slice is no smaller for a page that is nearly full.
        let limit = if selected.is_some() { SLICE } else { left.min(SLICE) };
        let list = feed_slice(db, names, head, &cursor, &models, limit).await?;
        let read = u32::try_from(list.len()).unwrap_or(limit);
        let judged = judged(names, selected, list)?;
        let wanted = judged.iter().filter(|(place, _)| *place == Place::Inside).map(|(_, item)| item);
        let table_rows = rows_of(db, bindings, wanted).await?;
        for (place, item) in judged {
            let (id, seq) = (item.id, item.seq);
            match place {
                Place::Inside => {
                    let row = table_rows.get(&(item.model, item.record.clone()));
                    let Some(encoded) = item.encode(names, bindings, head, row)? else {
                        let (objects, gone) = (Vec::new(), Vec::new());
                        return Ok(FeedPage { objects, gone, complete: false, dirty: true, ..page });
                    };
                    bytes += encoded.len() as u64;
                    if bytes > max_bytes && !(page.objects.is_empty() && page.gone.is_empty()) {
                        break 'page;
                    }
                    page.objects.push(encoded);
                    left -= 1;
                }
                // At its first sight of the library a reader has nothing that could be gone, but what it read a page before.
                Place::Untagged if cursor.again || seq > cursor.began => {
                    bytes += item.record.as_bytes().len() as u64 + GONE_BYTES;
                    page.gone.push((names.text(item.model)?, item.record));
                    left -= 1;
                }
                Place::Untagged | Place::Outside => {}
            }
            (cursor.after_seq, cursor.after_id) = (seq, id);
            if left == 0 || bytes > max_bytes {
                break 'page;
            }
        }
        looked += read;
        if read < limit {
            page.complete = true;
            break;
        }
    }
    if page.complete {
        (cursor.after_seq, cursor.after_id) = (cursor.after_seq.max(head.order), i64::MAX);
        cursor.ended = true;
    }
    page.cursor = cursor;
    Ok(page)
}

/// Where a page begins: where the one before ended, at the end of an earlier reading, or at the beginning.
async fn begin<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    head: &Head,
    request: FeedRequest<'_>,
) -> Result<FeedCursor, LedgerError> {
    let mut known = request.cursor;
    if let Some(cursor) = known.filter(|_| request.selected.is_some())
        && (misses_deletes(head, cursor) || !is_of(db, head, cursor).await?)
    {
        // What was there may be gone without a trace: this database was restored from a backup since, or removed tombstones.
        known = None;
    }
    let removed = head.forgotten.removed;
    if let Some(cursor) = known.filter(|cursor| !cursor.ended) {
        return Ok(FeedCursor { removed, ..cursor.clone() });
    }
    let seq = served_end(db, head).await?;
    let start = FeedStart {
        seq,
        state_hash: hash_at(db, head, seq).await?,
        vector: origins::vector(db, names, head.library).await?,
    };
    let (after_seq, after_id) = known.map_or((-1, 0), |cursor| (cursor.after_seq, cursor.after_id));
    Ok(FeedCursor {
        log_id: head.identity.log_id,
        start,
        after_seq,
        after_id,
        began: head.order,
        again: known.is_some(),
        ended: false,
        removed,
    })
}

/// True if a tombstone that the reader has not come to may be gone.
fn misses_deletes(head: &Head, cursor: &FeedCursor) -> bool {
    cursor.removed != head.forgotten.removed && cursor.after_seq < head.swept
}

/// True unless the cursor is surely of a state that this database was in and is not any more.
async fn is_of<C: ConnectionTrait>(db: &C, head: &Head, cursor: &FeedCursor) -> Result<bool, LedgerError> {
    let FeedStart { seq, state_hash, .. } = cursor.start;
    if seq > head.seq || cursor.after_seq > head.order {
        return Ok(false);
    }
    Ok(seq < head.floor.seq || hash_at(db, head, seq).await? == state_hash)
}

/// A condition on the integers of models, which come from `sync_names`.
fn models_in(models: &[i64]) -> String {
    let models: Vec<String> = models.iter().map(ToString::to_string).collect();
    format!("AND model IN ({})", models.join(", "))
}

fn judged(
    names: &Names,
    selected: Option<&Selected>,
    list: Vec<FeedObject>,
) -> Result<Vec<(Place, FeedObject)>, LedgerError> {
    let mut judged = Vec::with_capacity(list.len());
    for item in list {
        let place = match selected {
            None => Place::Inside,
            Some(selected) => selected.place(&names.text(item.model)?, &item.record, &item.object),
        };
        judged.push((place, item));
    }
    Ok(judged)
}

/// The next objects of the feed: a part of a page, so that what is read of them at once stays small.
async fn feed_slice<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    head: &Head,
    cursor: &FeedCursor,
    models: &str,
    limit: u32,
) -> Result<Vec<FeedObject>, LedgerError> {
    let found = sql::all(
        db,
        &format!(
            "SELECT {}, model, seq FROM sync_objects WHERE library = ? AND (seq, id) > (?, ?) {models} \
             ORDER BY seq, id LIMIT ?",
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
    list: impl Iterator<Item = &FeedObject>,
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

/// What is known of these records, each as a change as the feed has it; `None` if a row of theirs is not what its object says: flush, and
/// ask again. Of more than `max_bytes` the rest is left out.
pub(crate) async fn records_now<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    bindings: &Bindings,
    head: &Head,
    records: &[(Name, RecordId)],
    max_bytes: u64,
) -> Result<Option<Vec<Vec<u8>>>, LedgerError> {
    /// How many are in memory with their values.
    const SLICE: usize = 500;
    let mut by_model: HashMap<i64, Vec<&RecordId>> = HashMap::new();
    for (model, record) in records {
        if let Some(model) = names.id(NameKind::Model, model.as_bytes()) {
            by_model.entry(model).or_default().push(record);
        }
    }
    let mut slices: Vec<(i64, Vec<&RecordId>)> = Vec::new();
    for (model, records) in by_model {
        for some in records.chunks(SLICE) {
            slices.push((model, some.to_vec()));
        }
    }
    let (mut encoded, mut bytes) = (Vec::with_capacity(records.len()), 0);
    for (model, records) in slices {
        let found = objects::by_records(db, names, head.library, model, records).await?;
        let list: Vec<FeedObject> = found
            .into_iter()
            .map(|(record, found)| FeedObject { model, record, id: found.id, seq: 0, object: found.object })
            .collect();
        let table_rows = rows_of(db, bindings, list.iter()).await?;
        for item in list {
            let row = table_rows.get(&(item.model, item.record.clone()));
            let Some(object) = item.encode(names, bindings, head, row)? else { return Ok(None) };
            bytes += object.len() as u64;
            encoded.push(object);
        }
        if bytes > max_bytes {
            break;
        }
    }
    Ok(Some(encoded))
}
