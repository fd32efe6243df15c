//! Damaged records made whole: from the log, and from what a peer knows of them.
//!
//! Invariant: nothing sound is replaced but by the join. A damaged object keeps what its log says of it and every value
//! that is still its author's; only what is neither is taken from elsewhere, and if nobody has it, the record is left as
//! it is and named. What a row holds by damage is never logged as an edit; what a guard noted always is.

use std::collections::{HashMap, HashSet};

use super::{
    Applied, ApplyError,
    group::bring_in_line,
    learn::join_one,
    refuse::{refuse_lies, refuse_unheard_of},
    working::{Key, WorkingSet},
};
use crate::{
    change::Change,
    ids::{Name, RecordId},
    ledger::{self, Commit, Found, Head, LogTrust, ObjectWrite, Sight},
    merge::{Held, Object, StoredObject, join, keeps_value},
    store::{Binding, Bindings, NameKind, Write, rows},
    vector::Vector,
};

/// What mending goes by.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// How far the log tells what is here.
    pub(crate) log: LogTrust,
    /// What the sender of the incoming objects has merged; nothing if there is none.
    pub(crate) theirs: Vector,
    /// True if the sender's log has all there is to know: then what it sends is what its log says.
    pub(crate) theirs_whole: bool,
    /// Stamps later than this were made by nobody.
    pub(crate) latest_ms: u64,
}

/// A record as a change names it.
pub(crate) type Named = (Name, RecordId);

/// What is done about damage before a flush looks at the same records.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Records whose objects are sound again; their rows are to be written.
    pub(crate) mended: HashSet<Key>,
    /// Records that nobody here can make whole, with the reason.
    pub(crate) unmended: HashMap<Key, String>,
}

/// Makes the objects of damaged records among `records` sound again, from the log, from what of them is sound, and
/// from `incoming`. Their rows stay as they are until [`join_repairs`].
pub(crate) async fn salvage(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    records: &[Named],
    incoming: &[Change],
    means: &Means,
) -> Result<Salvaged, ApplyError> {
    let mut salvaged = Salvaged::default();
    let mut commit = Commit::default();
    for (model, records) in by_model(records) {
        let id = write.names.intern(write.db, NameKind::Model, model.as_bytes()).await?;
        let binding = bindings.by_model(id).map(AsRef::as_ref);
        let found = ledger::found_of(write.db, &write.names, head.library, id, records.iter()).await?;
        if found.is_empty() {
            continue;
        }
        let table = match binding {
            Some(binding) => rows::by_record(write.db, binding, found.iter().map(|one| &one.record)).await?,
            None => HashMap::new(),
        };
        let noted: HashSet<RecordId> = match binding {
            Some(binding) => crate::capture::dirty_records(write.db, binding).await?.into_iter().collect(),
            None => HashSet::new(),
        };
        let keys: Vec<Key> = found.iter().map(|one| (id, one.record.clone())).collect();
        let mut logged = match means.log {
            LogTrust::None => HashMap::new(),
            _ => ledger::logged_objects(write.db, head.library, &keys).await?,
        };
        for one in found {
            let key = (id, one.record.clone());
            let row = table.get(&one.record);
            let sight = if noted.contains(&one.record) { Sight::Noted } else { Sight::Quiet };
            let known = Known { binding, row, sight, logged: logged.remove(&key), model: &model };
            let sent = incoming.iter().find(|sent| sent.model == model && sent.record == one.record);
            match known.sound(&one, sent, head, means) {
                Verdict::Sound => {}
                Verdict::Mended(object) => {
                    let stored = known.stored(&object);
                    let before = one.object.as_ref().map(|object| object.digest(&model, &one.record));
                    commit.objects.push(ObjectWrite {
                        id: one.id,
                        is_new: false,
                        model: model.clone(),
                        record: one.record,
                        object: stored,
                        before: before.unwrap_or_default(),
                    });
                    salvaged.mended.insert(key);
                }
                Verdict::Lost(why) => {
                    salvaged.unmended.insert(key, why);
                }
            }
        }
    }
    commit.write(write, head).await?;
    Ok(salvaged)
}

fn by_model(records: &[Named]) -> HashMap<Name, Vec<RecordId>> {
    let mut grouped: HashMap<Name, Vec<RecordId>> = HashMap::new();
    for (model, record) in records {
        grouped.entry(model.clone()).or_default().push(record.clone());
    }
    for records in grouped.values_mut() {
        records.sort_unstable();
        records.dedup();
    }
    grouped
}

/// What is to become of an object.
enum Verdict {
    Sound,
    Mended(Object),
    Lost(String),
}

/// What is known of a record beside its object.
struct Known<'a> {
    model: &'a Name,
    binding: Option<&'a Binding>,
    row: Option<&'a rows::RowState>,
    sight: Sight,
    logged: Option<Object>,
}

impl Known<'_> {
    fn sound(&self, found: &Found, sent: Option<&Change>, head: &Head, means: &Means) -> Verdict {
        let fault = found.fault(self.binding, self.row, self.sight, means.latest_ms);
        if let (LogTrust::Whole, Some(logged)) = (means.log, &self.logged) {
            // The log has all there is to know: an object that says something else is wrong, however sound it looks.
            let same = found.object.as_ref().is_ok_and(|object| {
                (object.generation, object.born) == (logged.generation, logged.born)
                    && object.digest(self.model, &found.record) == logged.digest(self.model, &found.record)
            });
            if fault.is_none() && same {
                return Verdict::Sound;
            }
            return Verdict::Mended(logged.clone());
        }
        let Ok(stored) = &found.object else {
            let why = fault.map(|fault| fault.to_string()).unwrap_or_default();
            return self.told_elsewhere(&format!("it cannot be read ({why})"), sent, head, means);
        };
        let doubtful = |version| {
            !version_is_attested(version, self.logged.as_ref(), head, sent.is_some() && means.theirs_whole)
        };
        if fault.is_none() && !stored.cells.iter().any(|cell| doubtful(cell.version)) {
            return Verdict::Sound;
        }
        // What of it is still its author's stays; the log knows more of the rest.
        let mut start = Object {
            generation: stored.generation,
            born: stored.born,
            clock: stored
                .clock
                .stamps()
                .iter()
                .copied()
                .filter(|stamp| stamp.ms() <= means.latest_ms)
                .collect(),
            cells: Vec::new(),
        };
        let mut missing = Vec::new();
        for cell in &stored.cells {
            let in_row = || {
                let row = self.row.and_then(|row| row.as_ref().ok())?;
                self.binding?.column_of(&cell.column).map(|index| row[index].clone())
            };
            let value = cell.payload.clone().or_else(in_row).filter(|value| value.hash64() == cell.hash);
            match value.filter(|_| !doubtful(cell.version)) {
                Some(value) => start.cells.push(crate::merge::ObjectCell {
                    column: cell.column.clone(),
                    tag: cell.tag,
                    version: cell.version,
                    hash: cell.hash,
                    value,
                }),
                None => missing.push(cell.column.clone()),
            }
        }
        if let Some(logged) = &self.logged {
            join(&mut start, &as_change(logged, found));
        }
        missing.retain(|column| {
            let told = self.logged.as_ref().and_then(|logged| logged.cell(column));
            let version = stored.cell(column).map(|cell| cell.version);
            told.is_none_or(|told| Some(told.version) < version && !version.is_some_and(doubtful))
        });
        let whole = missing.is_empty();
        match sent {
            _ if whole => Verdict::Mended(start),
            Some(_) if means.theirs.includes(&head.floor.vector) => {
                let object = with(start, sent);
                let digest = object.digest(self.model, &found.record);
                if fault.is_none() && digest == stored.digest(self.model, &found.record) {
                    // What was doubtful is what the sender has too.
                    return Verdict::Sound;
                }
                match missing.iter().find(|column| object.is_alive() && object.cell(column).is_none()) {
                    None => Verdict::Mended(object),
                    Some(column) => Verdict::Lost(format!("nobody has the value of `{column}`")),
                }
            }
            _ => Verdict::Lost("its log is not whole, and the peer has less than is here".into()),
        }
    }

    /// Nothing of the object can be used.
    fn told_elsewhere(&self, why: &str, sent: Option<&Change>, head: &Head, means: &Means) -> Verdict {
        let start = self.logged.clone().unwrap_or_default();
        match sent {
            Some(_) if means.theirs.includes(&head.floor.vector) => Verdict::Mended(with(start, sent)),
            Some(_) => Verdict::Lost(format!("{why}, and the peer has less than was here")),
            None => Verdict::Lost(format!("{why}, and its log is not whole")),
        }
    }

    /// The object as it stands beside its row until the row is written: what the row holds is its shadow, so that no
    /// flush takes it for an edit. Where a guard noted a write, the flush is to see all of it.
    fn stored(&self, object: &Object) -> StoredObject {
        let row = self.row.and_then(|row| row.as_ref().ok());
        let noted = self.sight == Sight::Noted;
        let shown = object.is_alive() && (row.is_some() || (noted && self.binding.is_some()));
        StoredObject::new(object, shown, |cell| {
            let index = self.binding.and_then(|binding| binding.column_of(&cell.column));
            match (index, row) {
                (Some(_), _) if noted => Held::Other(cell.shown().hash64()),
                (Some(index), Some(row)) if keeps_value(cell.tag) => Held::Withheld(row[index].clone()),
                (Some(index), Some(row)) => Held::Other(row[index].hash64()),
                _ => Held::Absent,
            }
        })
    }
}

/// True if a change with this stamp was merged here: the log has it, or it came with the state that the log begins
/// with.
/// What came with a state is believed unless `surer` says that a sender knows better.
fn version_is_attested(
    version: crate::stamp::Stamp,
    logged: Option<&Object>,
    head: &Head,
    surer: bool,
) -> bool {
    let floor = &head.floor.vector;
    version.is_nil()
        || logged.is_some_and(|logged| logged.cells.iter().any(|cell| cell.version == version))
        || !surer && came_with_state(version, floor)
}

/// True if a change with this stamp may be in what `floor` covers.
pub(super) fn came_with_state(version: crate::stamp::Stamp, floor: &Vector) -> bool {
    floor.forked().next().is_some()
        || floor.heads().any(|(device, newest)| device.node() == version.node() && version <= newest)
}

fn with(mut object: Object, sent: Option<&Change>) -> Object {
    if let Some(sent) = sent {
        join(&mut object, sent);
    }
    object
}

fn as_change(object: &Object, found: &Found) -> Change {
    let nobody = crate::ids::DeviceId::from_bytes([0; 16]);
    object.to_change(Name::default(), found.record.clone(), nobody)
}

/// What joining did.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) applied: Applied,
    /// Records that are another now, or whose rows were written anew.
    pub(crate) mended: Vec<Named>,
    /// Objects that are not what was sent: the sender has less, or something else.
    pub(crate) differ: Vec<Change>,
    /// Records of which the sender names changes that nobody made.
    pub(crate) strange: Vec<Named>,
    /// Values that were not taken, with the reason.
    pub(crate) refused: Vec<(Named, String)>,
}

/// Joins what a peer knows of records into what is known here, and writes the rows of those and of the salvaged ones.
pub(crate) async fn join_repairs(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    mut incoming: Vec<Change>,
    salvaged: &Salvaged,
    log: LogTrust,
    now_ms: u64,
) -> Result<Joined, ApplyError> {
    let mut joined = Joined::default();
    let mut set = WorkingSet::default();
    let mut wanted: Vec<Named> = Vec::new();
    for (model, record) in &salvaged.mended {
        wanted.push((write.names.text(*model)?, record.clone()));
    }
    let model_id = |write: &Write<'_>, model: &Name| write.names.id(NameKind::Model, model.as_bytes());
    incoming.retain(|change| {
        let key = model_id(write, &change.model).map(|model| (model, change.record.clone()));
        key.is_none_or(|key| !salvaged.unmended.contains_key(&key))
    });
    wanted.extend(incoming.iter().map(|change| (change.model.clone(), change.record.clone())));
    for (model, records) in by_model(&wanted) {
        set.load(write, bindings, head, &model, records).await?;
    }
    for change in &mut incoming {
        head.clock.observe(change.newest_stamp());
        refuse_lies(write, &set, change, &mut joined).await?;
        if log == LogTrust::Whole {
            refuse_unheard_of(write, head, change, &mut joined).await?;
        }
        join_one(write, &mut set, change.clone(), &mut joined.applied)?;
    }
    for key in &salvaged.mended {
        if let Some(working) = set.records.get_mut(key) {
            // As if it had just come: its row is written whatever it holds.
            working.touched = true;
            working.changed = true;
        }
    }
    let mended = set.records.iter().filter(|(key, working)| working.changed || salvaged.mended.contains(key));
    joined.mended = mended.map(|(key, working)| (working.model.clone(), key.1.clone())).collect();
    joined.mended.sort_unstable();
    for change in &incoming {
        let Some(model) = model_id(write, &change.model) else { continue };
        let Some(working) = set.get(&(model, change.record.clone())) else { continue };
        let (sent, here) = (Object::from_change(change), &working.object);
        let digest = |object: &Object| object.digest(&change.model, &change.record);
        let strange = joined.strange.contains(&(change.model.clone(), change.record.clone()));
        if strange || digest(&sent) != digest(here) || sent.is_alive() != here.is_alive() {
            joined.differ.push(here.to_change(
                change.model.clone(),
                change.record.clone(),
                head.identity.device,
            ));
        }
    }
    let commit = Commit { conflicts: joined.applied.conflicts.clone(), ..Commit::default() };
    bring_in_line(write, bindings, head, &mut set, commit, &mut joined.applied, now_ms).await?;
    joined.applied.to = head.seq;
    Ok(joined)
}
