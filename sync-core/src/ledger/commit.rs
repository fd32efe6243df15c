//! The one writer of log, chain, objects, digest and vector.

use std::collections::HashMap;

use sea_orm::Value;

use super::{
    Head, LedgerError,
    adopt::{Snapshot, raise_floor},
    extend,
    origins::Origins,
};
use crate::{
    change::{Change, ChangeKind},
    ids::{DeviceId, Name, RecordId, Seq, StateHash},
    merge::{Conflict, Digest, StoredCell, StoredObject},
    stamp::Stamp,
    store::{ColumnsInOrder, NameKind, Write, sql},
};

/// A change on its way into the log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: Stamp,
    pub(crate) device: DeviceId,
    pub(crate) previous: Option<Stamp>,
    pub(crate) more: bool,
    pub(crate) kind: ChangeKind,
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    /// The change as its author encoded it.
    pub(crate) bytes: Vec<u8>,
}

impl Entry {
    /// The entry of `change`, whose encoded form is `bytes`.
    pub(crate) fn new(change: &Change, bytes: Vec<u8>) -> Self {
        Self {
            id: change.id,
            device: change.device,
            previous: change.previous,
            more: change.more,
            kind: change.kind,
            model: change.model.clone(),
            record: change.record.clone(),
            bytes,
        }
    }
}

/// An object on its way into the ledger.
#[derive(Debug)]
pub(crate) struct ObjectWrite {
    /// Its row in `sync_objects`, as it is or as it is to be.
    pub(crate) id: i64,
    /// True if it has no row yet.
    pub(crate) is_new: bool,
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    pub(crate) object: StoredObject,
    /// What it added to the digest before.
    pub(crate) before: Digest,
}

/// What one transaction puts into the ledger.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) entries: Vec<Entry>,
    pub(crate) objects: Vec<ObjectWrite>,
    pub(crate) conflicts: Vec<Conflict>,
    /// Objects that go, by their rows in `sync_objects`, with what they added to the digest: they left the scope.
    pub(crate) dropped: Vec<(i64, Digest)>,
    /// A complete snapshot was read: everything in its vector is here now.
    pub(crate) adopted: Option<Snapshot>,
}

/// Where things stand after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The position before the first new entry.
    pub(crate) from: Seq,
    /// The end of the log.
    pub(crate) to: Seq,
    /// True if an author was found to be forked.
    pub(crate) forked: bool,
}

impl Commit {
    /// Writes it all and saves `head`. The caller's transaction makes it one.
    pub(crate) async fn write(
        self,
        write: &mut Write<'_>,
        head: &mut Head,
    ) -> Result<Committed, LedgerError> {
        let from = head.seq;
        let models = self.intern(write).await?;
        let devices = self.devices(write).await?;
        let mut origins = Origins::load(write, head.library).await?;

        let mut rows = Vec::with_capacity(ENTRY_WIDTH * self.entries.len());
        let last = self.entries.len().saturating_sub(1);
        for (index, entry) in self.entries.into_iter().enumerate() {
            let device = devices[&entry.device];
            let ahead = if head.extent.is_whole() || entry.device == head.identity.device {
                origins.merge(entry.device, device, entry.previous, entry.id)
            } else {
                // A part of the library has nobody's changes in full.
                true
            };
            let digest = Change::digest(head.identity.library, &entry.bytes);
            head.seq = Seq(head.seq.0 + 1);
            head.chain = extend(head.chain, digest);
            if entry.device == head.identity.device {
                head.previous = Some(entry.id);
            }
            let chain = (index == last).then_some(head.chain);
            // What others wrote is committed in whole groups, or in parts that nobody waits to be completed: the log may be
            // served up to here.
            let more = entry.more && (index != last || entry.device == head.identity.device);
            rows.extend(entry_row(Entry { more, ..entry }, head, device, &models, ahead, chain));
        }
        sql::insert_rows(write.db, INSERT_ENTRY, ENTRY_WIDTH, "", rows).await?;

        if let Some(snapshot) = &self.adopted {
            raise_floor(write, head, origins.vector(), snapshot).await?;
            let vector = &snapshot.vector;
            let mut ids = HashMap::new();
            for device in vector.heads().map(|(device, _)| device).chain(vector.forked()) {
                ids.insert(device, write.names.intern(write.db, NameKind::Device, device.as_bytes()).await?);
            }
            origins.adopt(vector, &ids);
            head.forgotten.learn(snapshot.forgotten);
        }
        origins.save(write.db).await?;
        write_objects(write, head, self.objects, &models).await?;
        drop_objects(write, head, self.dropped).await?;
        write_conflicts(write, head, self.conflicts, &models).await?;
        head.save(write.db).await?;
        Ok(Committed { from, to: head.seq, forked: origins.forked() })
    }

    async fn intern(&self, write: &mut Write<'_>) -> Result<HashMap<Name, i64>, LedgerError> {
        let mut models = HashMap::new();
        let names = (self.entries.iter().map(|entry| &entry.model))
            .chain(self.objects.iter().map(|object| &object.model))
            .chain(self.conflicts.iter().map(|conflict| &conflict.model));
        for name in names {
            if !models.contains_key(name) {
                let id = write.names.intern(write.db, NameKind::Model, name.as_bytes()).await?;
                models.insert(name.clone(), id);
            }
        }
        // Objects of one model mostly have the columns of the object before.
        let mut before: &[StoredCell] = &[];
        for ObjectWrite { object, .. } in &self.objects {
            let same = before.len() == object.cells.len()
                && before.iter().zip(&object.cells).all(|(a, b)| a.column == b.column);
            if !same {
                for cell in &object.cells {
                    write.names.intern(write.db, NameKind::Column, cell.column.as_bytes()).await?;
                }
            }
            before = &object.cells;
        }
        Ok(models)
    }

    async fn devices(&self, write: &mut Write<'_>) -> Result<HashMap<DeviceId, i64>, LedgerError> {
        let mut devices = HashMap::new();
        for entry in &self.entries {
            if let std::collections::hash_map::Entry::Vacant(vacant) = devices.entry(entry.device) {
                vacant.insert(write.names.intern(write.db, NameKind::Device, entry.device.as_bytes()).await?);
            }
        }
        Ok(devices)
    }
}

/// `OR FAIL`: a statement that fails fails the whole transaction here, so SQLite need not keep what would undo the
/// statement alone.
const ENTRY_WIDTH: usize = 12;
const INSERT_ENTRY: &str = "INSERT OR FAIL INTO sync_log (seq, library, device, model, kind, more, ahead, change_id, previous, \
                            record, data, chain)";

fn entry_row(
    entry: Entry,
    head: &Head,
    device: i64,
    models: &HashMap<Name, i64>,
    ahead: bool,
    chain: Option<StateHash>,
) -> [Value; ENTRY_WIDTH] {
    [
        seq_value(head.seq),
        head.library.into(),
        device.into(),
        models[&entry.model].into(),
        i64::try_from(entry.kind.code()).unwrap_or(i64::MAX).into(),
        i64::from(entry.more).into(),
        i64::from(ahead).into(),
        entry.id.as_bytes().to_vec().into(),
        // Looked for only while there is a gap before the entry; the change has it in any case.
        entry.previous.filter(|_| ahead).map(|previous| previous.as_bytes().to_vec()).into(),
        entry.record.as_bytes().to_vec().into(),
        entry.bytes.into(),
        chain.map(|chain| chain.0.to_vec()).into(),
    ]
}

/// A position as a value: the log's keys are `i64`, and no log comes near their end.
pub(crate) fn seq_value(seq: Seq) -> Value {
    i64::try_from(seq.0).unwrap_or(i64::MAX).into()
}

const OBJECT_WIDTH: usize = 9;
const INSERT_OBJECT: &str =
    "INSERT OR FAIL INTO sync_objects (id, library, model, generation, seq, record, clock, cells, payload)";
const UPDATE_OBJECT: &str = "ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, seq = excluded.seq, \
     clock = excluded.clock, cells = excluded.cells, payload = excluded.payload";

async fn write_objects(
    write: &Write<'_>,
    head: &mut Head,
    objects: Vec<ObjectWrite>,
    models: &HashMap<Name, i64>,
) -> Result<(), LedgerError> {
    if objects.is_empty() {
        return Ok(());
    }
    head.order += 1;
    let (mut new, mut known) = (Vec::new(), Vec::new());
    let columns = ColumnsInOrder::new(&write.names);
    for ObjectWrite { id, is_new, model, record, object, before } in objects {
        head.digest.remove(before);
        head.digest.add(object.digest(&model, &record));
        let rows: &mut Vec<Value> = if is_new { &mut new } else { &mut known };
        rows.extend([
            id.into(),
            head.library.into(),
            models[&model].into(),
            i64::try_from(object.generation).unwrap_or(i64::MAX).into(),
            head.order.into(),
            record.as_bytes().to_vec().into(),
            object.encode_clock().into(),
            object.encode_cells(&columns)?.into(),
            object.encode_payload().into(),
        ]);
    }
    sql::insert_rows(write.db, INSERT_OBJECT, OBJECT_WIDTH, "", new).await?;
    Ok(sql::insert_rows(write.db, INSERT_OBJECT, OBJECT_WIDTH, UPDATE_OBJECT, known).await?)
}

async fn drop_objects(
    write: &Write<'_>,
    head: &mut Head,
    dropped: Vec<(i64, Digest)>,
) -> Result<(), LedgerError> {
    dropped.iter().for_each(|(_, before)| head.digest.remove(*before));
    let ids = dropped.into_iter().map(|(id, _)| id.into()).collect();
    sql::select_in(write.db, "DELETE FROM sync_objects WHERE id IN", "", ids).await?;
    Ok(())
}

async fn write_conflicts(
    write: &Write<'_>,
    head: &Head,
    conflicts: Vec<Conflict>,
    models: &HashMap<Name, i64>,
) -> Result<(), LedgerError> {
    let now = head.clock.last().ms();
    let mut rows = Vec::with_capacity(10 * conflicts.len());
    for conflict in conflicts {
        rows.extend([
            head.library.into(),
            models[&conflict.model].into(),
            conflict.record.as_bytes().to_vec().into(),
            conflict.column.to_string().into(),
            conflict.winner_id.as_bytes().to_vec().into(),
            conflict.loser_id.as_bytes().to_vec().into(),
            conflict.reason.as_str().into(),
            conflict.loser_value.encode().into(),
            i64::try_from(now).unwrap_or(i64::MAX).into(),
            0_i64.into(),
        ]);
    }
    let insert = "INSERT INTO sync_conflicts (library, model, record, field, winner_id, loser_id, reason, loser_value, \
                  detected_at, judged)";
    Ok(sql::insert_rows(write.db, insert, 10, "ON CONFLICT DO NOTHING", rows).await?)
}
