//! What this device logged under stamps from a future that its clock has left, and that nobody else has: it is taken back
//! and written again under another device id.
//!
//! Invariant: a stamp that others accepted stays. What is taken back leaves its digest in the log, so the chain stands, and
//! objects as if it had never been, but for what is written again; rows are not touched.

use std::collections::{HashMap, HashSet};

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    Commit, Entry, Head, LedgerError, ObjectWrite, RenewalReason, by_records,
    metadata::{self, KEY_RETIRED, pack},
    origins, stamp,
};
use crate::{
    change::{Cell, Change, ChangeKind},
    ids::{DeviceId, Name, RecordId, StateHash},
    merge::{Object, ObjectCell, StoredCell, StoredObject, Write as Ruled, join, keeps_value, shown},
    runtime::{Random, Runtime},
    stamp::{HybridClock, Node, Stamp},
    store::{Bindings, NameKind, Write, rows, sql},
};

/// A device id whose owner left it and took back what it had written under it after `last`. Others forget what they hold of
/// that, and take it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The id.
    pub device: DeviceId,
    /// Its last change that counts; `None` if none does.
    pub last: Option<Stamp>,
}

impl Retired {
    /// True if this change was taken back.
    pub(crate) fn takes_back(&self, device: DeviceId, id: Stamp) -> bool {
        self.device == device && Some(id) > self.last
    }
}

/// How many such ids are kept.
const MAX_RETIRED: usize = 256;

/// How entries of the log are marked of which only the digest counts.
const TAKEN_BACK: i64 = -1;

/// What is to be taken back.
#[derive(Debug)]
pub(crate) struct Ahead {
    changes: Vec<Change>,
    digests: HashMap<Stamp, StateHash>,
    /// The last change of the device that stays.
    pub(crate) last: Option<Stamp>,
}

/// What this device logged under stamps later than `latest_ms`, group by group; `None` if others wrote such too, or the
/// log does not tell it all: then nothing can be taken back.
pub(crate) async fn ahead_of<C: ConnectionTrait>(
    db: &C,
    names: &crate::store::Names,
    head: &Head,
    latest_ms: u64,
) -> Result<Option<Ahead>, LedgerError> {
    let me = head.identity.device;
    let vector = origins::vector(db, names, head.library).await?;
    let late = |stamp: Stamp| stamp.ms() > latest_ms;
    if vector.is_forked(me) || head.floor.vector.heads().any(|(_, head)| late(head)) {
        return Ok(None);
    }
    let from = first_of(latest_ms.saturating_add(1));
    let Some(mut late) = logged_after(db, head, from).await? else { return Ok(None) };
    if late.iter().any(|(change, _)| change.device != me) {
        return Ok(None);
    }
    // A group is taken back whole.
    if let Some(begun) = late.iter().map(|(change, _)| change.txn).min().filter(|begun| *begun < from) {
        let Some(whole) = logged_after(db, head, begun).await? else { return Ok(None) };
        late = whole.into_iter().filter(|(change, _)| change.device == me).collect();
    }
    let last = late.first().map_or(vector.head(me), |(first, _)| first.previous);
    let digests = late.iter().map(|(change, digest)| (change.id, *digest)).collect();
    let changes = late.into_iter().map(|(change, _)| change).collect();
    Ok(Some(Ahead { changes, digests, last }))
}

/// The first stamp of a millisecond.
fn first_of(ms: u64) -> Stamp {
    Stamp::new(ms, 0, Node::from_tail(&[0; 16]))
}

/// The changes from `first` on, by stamp; `None` if one of them is not kept.
async fn logged_after<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    first: Stamp,
) -> Result<Option<Vec<(Change, StateHash)>>, LedgerError> {
    let rows = sql::all(
        db,
        "SELECT data FROM sync_log WHERE library = ? AND change_id >= ? AND kind >= 0 ORDER BY change_id",
        [head.library.into(), first.as_bytes().to_vec().into()],
    )
    .await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(bytes) = sql::column::<Option<Vec<u8>>>(row, 0)? else { return Ok(None) };
        changes.push((Change::decode(&bytes)?, Change::digest(head.identity.library, &bytes)));
    }
    Ok(Some(changes))
}

/// What was taken back and written again.
#[derive(Debug, Default)]
pub(crate) struct WrittenAgain {
    /// Changes that were taken back.
    pub(crate) changes: u64,
    /// Records that began their life anew: what they hide, or what hides them, may be another.
    pub(crate) reborn: Vec<(Name, RecordId)>,
}

/// A record before and after.
struct Record {
    id: i64,
    model: Name,
    record: RecordId,
    stored: StoredObject,
    /// As it is here.
    now: Object,
    /// As it is without what is taken back.
    before: Object,
}

/// Leaves the device id, takes `ahead` back and writes it again under a new id and stamps of now. `None`, and nothing is
/// changed, if the log does not tell what the records were before.
pub(crate) async fn take_back(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    ahead: Ahead,
    runtime: &Runtime,
) -> Result<Option<WrittenAgain>, LedgerError> {
    let Some(records) = records_of(write, bindings, head, &ahead).await? else { return Ok(None) };
    let mut next = head.clone();
    let newest = newest_that_stays(write, head, &ahead, &records).await?;
    next.clock = HybridClock::new(next.identity.device.node(), newest);
    let former = next.identity.device;
    next.renew(write, RenewalReason::ClockAhead, runtime).await?;
    let changes = written_again(&mut next, &records, runtime);
    let mut commit = Commit::default();
    let mut again = WrittenAgain { changes: ahead.changes.len() as u64, reborn: Vec::new() };
    let mut unborn = Vec::new();
    let mut changes = changes.into_iter().peekable();
    for Record { id, model, record, stored, now, mut before } in records {
        let digest = stored.digest(&model, &record);
        if now.generation != before.generation {
            again.reborn.push((model.clone(), record.clone()));
        }
        match changes.next_if(|change| change.model == model && change.record == record) {
            Some(change) => {
                join(&mut before, &change);
                let bytes = change.encode().into_bytes();
                commit.entries.push(Entry::new(&change, bytes));
            }
            None if before.generation == 0 => unborn.push(id),
            None => {}
        }
        let Some(object) = as_it_lies(stored, &before) else {
            return Err(LedgerError::Corrupt(format!("{model} {record} cannot be written again as it is")));
        };
        commit.objects.push(ObjectWrite { id, is_new: false, model, record, object, before: digest });
    }
    forget(write, head.library, former, &ahead, runtime.random.as_ref()).await?;
    learn_retired(write, &mut next, Retired { device: former, last: ahead.last }).await?;
    commit.write(write, &mut next).await?;
    for id in unborn {
        sql::execute(write.db, "DELETE FROM sync_objects WHERE id = ?", [id.into()]).await?;
    }
    *head = next;
    Ok(Some(again))
}

/// The records that `ahead` touched, with what the log knows of them; `None` if that is not what they are.
async fn records_of(
    write: &Write<'_>,
    bindings: &Bindings,
    head: &Head,
    ahead: &Ahead,
) -> Result<Option<Vec<Record>>, LedgerError> {
    let back: HashSet<Stamp> = ahead.changes.iter().map(|change| change.id).collect();
    let mut by_model: HashMap<Name, Vec<RecordId>> = HashMap::new();
    let mut seen = HashSet::new();
    for change in &ahead.changes {
        if seen.insert((change.model.clone(), change.record.clone())) {
            by_model.entry(change.model.clone()).or_default().push(change.record.clone());
        }
    }
    let mut found = Vec::with_capacity(seen.len());
    for (model, keys) in by_model {
        let Some(id) = write.names.id(NameKind::Model, model.as_bytes()) else { return Ok(None) };
        let mut told = logged(write, head.library, id, &keys, &back).await?;
        let mut objects = by_records(write.db, &write.names, head.library, id, &keys).await?;
        let binding = bindings.by_model(id).map(AsRef::as_ref);
        let mut table = match binding {
            Some(binding) => rows::by_record(write.db, binding, &keys).await?,
            None => HashMap::new(),
        };
        for record in keys {
            let (Some((all, before)), Some(loaded)) = (told.remove(&record), objects.remove(&record)) else {
                return Ok(None);
            };
            let row = table.remove(&record);
            let Some(now) = super::assemble(loaded.object.clone(), binding, row.as_ref())? else {
                return Ok(None);
            };
            if all != now {
                return Ok(None);
            }
            let (id, stored) = (loaded.id, loaded.object);
            found.push(Record { id, model: model.clone(), record, stored, now, before });
        }
    }
    // In the order in which they were first written.
    let place: HashMap<(&Name, &RecordId), usize> = ahead
        .changes
        .iter()
        .enumerate()
        .rev()
        .map(|(at, change)| ((&change.model, &change.record), at))
        .collect();
    found.sort_by_key(|one| place.get(&(&one.model, &one.record)).copied());
    Ok(Some(found))
}

/// What the log says of records: with everything, and without `back`. Of a compacted change it says what superseded it says.
async fn logged(
    write: &Write<'_>,
    library: i64,
    model: i64,
    records: &[RecordId],
    back: &HashSet<Stamp>,
) -> Result<HashMap<RecordId, (Object, Object)>, LedgerError> {
    let keys = records.iter().map(|record| record.as_bytes().to_vec().into()).collect();
    let statement = format!(
        "SELECT data FROM sync_log WHERE library = {library} AND model = {model} AND data IS NOT NULL AND record IN"
    );
    let mut told: HashMap<RecordId, (Object, Object)> = HashMap::new();
    for row in &sql::select_in(write.db, &statement, "", keys).await? {
        let change = Change::decode(&sql::column::<Vec<u8>>(row, 0)?)?;
        let (all, before) = told.entry(change.record.clone()).or_default();
        join(all, &change);
        if !back.contains(&change.id) {
            join(before, &change);
        }
    }
    Ok(told)
}

/// The newest stamp that any of what stays goes by: what is written again comes after it.
async fn newest_that_stays(
    write: &Write<'_>,
    head: &Head,
    ahead: &Ahead,
    records: &[Record],
) -> Result<Stamp, LedgerError> {
    let end = ahead.changes.first().map_or(head.clock.last(), |first| first.id);
    let row = sql::one(
        write.db,
        "SELECT max(change_id) FROM sync_log WHERE library = ? AND change_id < ? AND kind >= 0",
        [head.library.into(), end.as_bytes().to_vec().into()],
    )
    .await?;
    let logged = match row {
        Some(row) => sql::column::<Option<Vec<u8>>>(&row, 0)?,
        None => None,
    };
    let logged = logged.map(|bytes| stamp(&bytes)).transpose()?;
    let known = records.iter().map(|record| record.before.clock.newest().max(record.before.born));
    let floor = head.floor.vector.heads().map(|(_, head)| head);
    Ok(known.chain(floor).chain(logged).max().unwrap_or(Stamp::NIL))
}

/// One change per record that says what was taken back, as one group.
fn written_again(head: &mut Head, records: &[Record], runtime: &Runtime) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for Record { model, record, now, before, .. } in records {
        if before.generation == 0 && !now.is_alive() {
            // Inserted and deleted: nobody ever heard of it.
            continue;
        }
        let id = head.clock.tick(runtime.time.now_ms(), runtime.random.as_ref());
        let reborn = now.generation != before.generation;
        let cells = if now.is_alive() { said_again(now, before, reborn, id) } else { Vec::new() };
        if !reborn && cells.is_empty() {
            continue;
        }
        changes.push(Change {
            id,
            device: head.identity.device,
            previous: head.previous.replace(id),
            txn: changes.first().map_or(id, |first| first.id),
            more: true,
            kind: match now.is_alive() {
                true if reborn && now.born.is_nil() => ChangeKind::Adopt,
                true => ChangeKind::Edit,
                false => ChangeKind::Delete,
            },
            model: model.clone(),
            record: record.clone(),
            generation: now.generation,
            born: match reborn {
                true if now.born.is_nil() => Stamp::NIL,
                true => id,
                false => before.born,
            },
            context: before.clock.clone(),
            cells,
        });
    }
    if let Some(last) = changes.last_mut() {
        last.more = false;
    }
    changes
}

/// The cells that say again what of `now` is not in `before`.
fn said_again(now: &Object, before: &Object, reborn: bool, id: Stamp) -> Vec<Cell> {
    let mut cells = Vec::new();
    for cell in &now.cells {
        let known = before.cells.iter().find(|known| known.column == cell.column).filter(|_| !reborn);
        if known == Some(cell) {
            continue;
        }
        let version = if cell.version.is_nil() { Stamp::NIL } else { id };
        let value = if cell.tag.strategy().is_none() || cell.tag.is_lww() {
            Some(cell.value.clone())
        } else {
            let held = known.map(ObjectCell::shown);
            let same = known.filter(|known| known.tag == cell.tag);
            Ruled { tag: cell.tag, version, known: same, before: held.as_deref(), now: &cell.shown() }.said()
        };
        cells.extend(value.map(|value| Cell { column: cell.column.clone(), tag: cell.tag, version, value }));
    }
    cells
}

/// The object as it lies beside its row, which is as it was; `None` if it would have to be another.
fn as_it_lies(stored: StoredObject, object: &Object) -> Option<StoredObject> {
    let mut cells = Vec::with_capacity(object.cells.len());
    for cell in &object.cells {
        let was = stored.cell(&cell.column)?;
        let StoredCell { shadow, payload, row, .. } = was.clone();
        let payload = if keeps_value(cell.tag) {
            let showed = shown(was.tag, was.version, payload.as_ref()?).into_owned();
            (*cell.shown() == showed).then(|| cell.value.clone()).map(Some)?
        } else {
            (was.hash == cell.hash).then_some(payload)?
        };
        let (column, tag, version, hash) = (cell.column.clone(), cell.tag, cell.version, cell.hash);
        cells.push(StoredCell { column, tag, version, hash, shadow, payload, row });
    }
    let all = !object.is_alive() || cells.len() == stored.cells.len();
    let (generation, born, clock) = (object.generation, object.born, object.clock.clone());
    all.then_some(StoredObject { generation, born, clock, shown: stored.shown, cells })
}

/// Keeps of what is taken back the digests only, under ids that nobody has.
async fn forget(
    write: &Write<'_>,
    library: i64,
    former: DeviceId,
    ahead: &Ahead,
    random: &dyn Random,
) -> Result<(), LedgerError> {
    for change in &ahead.changes {
        let mut tail = [0; 16];
        random.fill(&mut tail);
        let nobodys = Stamp::new(change.id.ms(), change.id.counter(), Node::from_tail(&tail));
        let Some(digest) = ahead.digests.get(&change.id) else { continue };
        sql::execute(
            write.db,
            "UPDATE sync_log SET data = NULL, digest = ?, kind = ?, change_id = ?, previous = NULL, ahead = 0 \
             WHERE change_id = ?",
            [
                digest.0.to_vec().into(),
                TAKEN_BACK.into(),
                nobodys.as_bytes().to_vec().into(),
                change.id.as_bytes().to_vec().into(),
            ],
        )
        .await?;
    }
    let device = write.names.id(NameKind::Device, former.as_bytes()).unwrap_or_default();
    match ahead.last {
        Some(last) => {
            let statement = "UPDATE sync_origins SET head = ? WHERE library = ? AND device = ?";
            let values = [last.as_bytes().to_vec().into(), library.into(), device.into()];
            sql::execute(write.db, statement, values).await?
        }
        None => {
            let statement = "DELETE FROM sync_origins WHERE library = ? AND device = ?";
            sql::execute(write.db, statement, [library.into(), device.into()]).await?
        }
    };
    Ok(())
}

/// Learns that a device id was left, and what of it counts. What is here of it beyond that counts too: somebody
/// accepted it. True if that is news.
pub(crate) async fn learn_retired(
    write: &Write<'_>,
    head: &mut Head,
    mut mark: Retired,
) -> Result<bool, LedgerError> {
    let vector = origins::vector(write.db, &write.names, head.library).await?;
    mark.last = mark.last.max(vector.head(mark.device));
    match head.retired.iter_mut().find(|known| known.device == mark.device) {
        Some(known) if known.last >= mark.last => return Ok(false),
        Some(known) => known.last = mark.last,
        None => head.retired.push(mark),
    }
    let surplus = head.retired.len().saturating_sub(MAX_RETIRED);
    head.retired.drain(..surplus);
    metadata::save(write.db, [(KEY_RETIRED.into(), pack(&head.retired)?)]).await?;
    let held = "DELETE FROM sync_held WHERE library = ? AND substr(change_id, 10) = ? AND change_id > ?";
    let last = mark.last.unwrap_or(Stamp::NIL).as_bytes().to_vec();
    let tail = mark.device.as_bytes()[9..].to_vec();
    sql::execute(write.db, held, [head.library.into(), tail.into(), last.into()]).await?;
    Ok(true)
}
