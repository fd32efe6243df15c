//! From bytes to a change, and nothing but a valid one.
//!
//! Invariant: whatever decodes is in canonical form and obeys the rules that need no other change to check: its
//! stamps are ordered, its generation agrees with its kind, its node is its author's. Fields that this version does
//! not know are passed over; the bytes that are stored and relayed still have them.

use super::{Cell, Change, ChangeKind, Tag, encode::distance, key};
use crate::{
    ids::{DeviceId, MAX_NAME, Name, RecordId},
    stamp::Stamp,
    value::{DecodeError, Item, Reader, read_value},
    vector::Clock,
};

/// The largest generation: a record that was inserted and deleted two billion times.
const MAX_GENERATION: u64 = 1 << 32;

/// What is known of a change without reading its context and cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: Stamp,
    pub(crate) device: DeviceId,
    pub(crate) previous: Option<Stamp>,
    pub(crate) txn: Stamp,
    pub(crate) more: bool,
    pub(crate) kind: ChangeKind,
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    pub(crate) generation: u64,
}

impl Change {
    /// The change with these bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not the canonical bytes of a valid change.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(bytes)?;
        let change = fields.change()?;
        let compacted = fields.superseded_by(change.id)?.is_some();
        fields.finish()?;
        // All three or none: one that lost its names to damage is no change of a later version.
        let signs = [compacted, fields.digest, Self::is_compacted(bytes)];
        if signs != [compacted; 3] || (compacted && !change.is_bare()) {
            return Err(invalid("superseded_by", "not that of a compacted change"));
        }
        Ok(change)
    }

    /// Who made the change with these bytes, and its id; what follows is not looked at.
    ///
    /// # Errors
    /// [`DecodeError`] if the front is not canonical and valid.
    pub fn decode_author(bytes: &[u8]) -> Result<(DeviceId, Stamp), DecodeError> {
        let (id, device) = Fields::new(bytes)?.author()?;
        Ok((device, id))
    }
}

/// The fields of a change, taken one after the other in the order of their keys.
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
    left: usize,
    /// The next field's key, read already.
    next: Option<u64>,
    /// True if a field was passed over.
    pub(super) unknown: bool,
    /// True if the digest of a compacted change was passed over.
    digest: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let left = reader.map()?;
        let mut fields = Self { reader, left, next: None, unknown: false, digest: false };
        fields.advance(None)?;
        Ok(fields)
    }

    fn advance(&mut self, last: Option<u64>) -> Result<(), DecodeError> {
        self.next = if self.left == 0 { None } else { Some(self.reader.uint()?) };
        self.left = self.left.saturating_sub(1);
        if self.next.is_some() && self.next <= last {
            return Err(DecodeError::NotCanonical("the order of the fields"));
        }
        Ok(())
    }

    /// The field `key`, if it is there.
    pub(super) fn field<T>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.next != Some(key) {
            return Ok(None);
        }
        let value = read(&mut self.reader)?;
        self.advance(Some(key))?;
        Ok(Some(value))
    }

    fn author(&mut self) -> Result<(Stamp, DeviceId), DecodeError> {
        let id = self.field(key::ID, full_stamp)?.ok_or(DecodeError::Missing("id"))?;
        if id.is_nil() {
            return Err(invalid("id", "nil"));
        }
        let device =
            self.field(key::DEVICE, |reader| device(reader, id))?.ok_or(DecodeError::Missing("device"))?;
        Ok((id, device))
    }

    pub(super) fn header(&mut self) -> Result<Header, DecodeError> {
        let (id, device) = self.author()?;
        let previous = self.field(key::PREVIOUS, |reader| stamp(reader, id))?;
        if previous.is_some_and(|previous| previous.is_nil() || previous >= id) {
            return Err(invalid("previous", "not below the change's id"));
        }
        let txn = self.field(key::TXN, |reader| other_stamp(reader, id, "txn"))?.unwrap_or(id);
        if txn.is_nil() || txn > id {
            return Err(invalid("txn", "above the change's id"));
        }
        let more = self.field(key::MORE, |reader| match reader.item()? {
            Item::Bool(true) => Ok(true),
            _ => Err(DecodeError::NotCanonical("more")),
        })?;
        let kind = self.field(key::KIND, kind)?.unwrap_or(ChangeKind::Edit);
        if kind != ChangeKind::Repair && device.node() != id.node() {
            return Err(invalid("device", "not the one whose node the id has"));
        }
        let model = self.field(key::MODEL, |reader| name(reader, "model"))?;
        let record = self.field(key::RECORD, |reader| reader.bin().map(RecordId::from_bytes))?;
        let generation = self.field(key::GENERATION, generation)?.unwrap_or(1);
        check_parity(kind, generation)?;
        Ok(Header {
            id,
            device,
            previous,
            txn,
            more: more.unwrap_or(false),
            kind,
            model: model.ok_or(DecodeError::Missing("model"))?,
            record: record.ok_or(DecodeError::Missing("record"))?,
            generation,
        })
    }

    pub(super) fn change(&mut self) -> Result<Change, DecodeError> {
        let Header { id, device, previous, txn, more, kind, model, record, generation } = self.header()?;
        // A repair passes on what others wrote; its id is one of the stamps, not an event of its own.
        let own = kind != ChangeKind::Repair;
        let born = self.born(id)?;
        if own && born > id {
            return Err(invalid("born", "above the change's id"));
        }
        let context = self.field(key::CONTEXT, context)?.unwrap_or_default();
        if own && context.newest() >= id {
            return Err(invalid("context", "names a stamp not below the change's id"));
        }
        let cells = self.field(key::CELLS, |reader| cells(reader, id))?.unwrap_or_default();
        if own && cells.iter().any(|cell| cell.version > id) {
            return Err(invalid("version", "above the change's id"));
        }
        if generation % 2 == 0 && !cells.is_empty() {
            return Err(invalid("cells", "a deleted record has none"));
        }
        Ok(Change { id, device, previous, txn, more, kind, model, record, generation, born, context, cells })
    }

    pub(super) fn born(&mut self, id: Stamp) -> Result<Stamp, DecodeError> {
        Ok(self.field(key::BORN, |reader| other_stamp(reader, id, "born"))?.unwrap_or(id))
    }

    /// Passes over the digest of a compacted change and the fields of later versions.
    pub(super) fn finish(&mut self) -> Result<(), DecodeError> {
        while let Some(key) = self.next {
            if key <= key::SUPERSEDED_BY {
                return Err(DecodeError::NotCanonical("the order of the fields"));
            }
            self.digest |= key == key::DIGEST;
            self.unknown |= key != key::DIGEST;
            self.reader.skip()?;
            self.advance(Some(key))?;
        }
        self.reader.finish()
    }
}

fn invalid(field: &'static str, reason: &'static str) -> DecodeError {
    DecodeError::Invalid { field, reason }
}

fn full_stamp(reader: &mut Reader<'_>) -> Result<Stamp, DecodeError> {
    let bytes = reader.bin()?.try_into().map_err(|_| invalid("stamp", "not of 16 bytes"))?;
    Stamp::from_bytes(bytes).ok_or(invalid("stamp", "not a UUIDv7"))
}

/// A stamp as it stands beside the id.
fn stamp(reader: &mut Reader<'_>, id: Stamp) -> Result<Stamp, DecodeError> {
    match reader.item()? {
        Item::Nil => Ok(Stamp::NIL),
        Item::Uint(back) => match id.prefix().checked_sub(back.into()) {
            Some(prefix) => Ok(Stamp::from_prefix(prefix, id.node())),
            None => Err(invalid("stamp", "before the beginning of time")),
        },
        Item::Bin(bytes) => {
            let stamp = full_stamp_of(bytes)?;
            if stamp.is_nil() || distance(id, stamp).is_some() {
                return Err(DecodeError::NotCanonical("a stamp"));
            }
            Ok(stamp)
        }
        _ => Err(invalid("stamp", "of another type")),
    }
}

pub(super) fn full_stamp_of(bytes: &[u8]) -> Result<Stamp, DecodeError> {
    let bytes = bytes.try_into().map_err(|_| invalid("stamp", "not of 16 bytes"))?;
    Stamp::from_bytes(bytes).ok_or(invalid("stamp", "not a UUIDv7"))
}

/// A stamp that would have been left out if it were the id.
fn other_stamp(reader: &mut Reader<'_>, id: Stamp, field: &'static str) -> Result<Stamp, DecodeError> {
    match stamp(reader, id)? {
        same if same == id => Err(DecodeError::NotCanonical(field)),
        other => Ok(other),
    }
}

fn device(reader: &mut Reader<'_>, id: Stamp) -> Result<DeviceId, DecodeError> {
    let bytes = reader.bin()?;
    if let Ok(head) = <[u8; 9]>::try_from(bytes) {
        let mut device = *id.as_bytes();
        device[..9].copy_from_slice(&head);
        return Ok(DeviceId::from_bytes(device));
    }
    let bytes = bytes.try_into().map_err(|_| invalid("device", "of neither 9 nor 16 bytes"))?;
    let device = DeviceId::from_bytes(bytes);
    if device.node() == id.node() {
        return Err(DecodeError::NotCanonical("device"));
    }
    Ok(device)
}

fn name(reader: &mut Reader<'_>, field: &'static str) -> Result<Name, DecodeError> {
    match reader.str()? {
        "" => Err(invalid(field, "empty")),
        long if long.len() > MAX_NAME => Err(invalid(field, "of more than 255 bytes")),
        name => Ok(Name::new(name)),
    }
}

fn kind(reader: &mut Reader<'_>) -> Result<ChangeKind, DecodeError> {
    match ChangeKind::from_code(reader.uint()?) {
        Some(ChangeKind::Edit) => Err(DecodeError::NotCanonical("kind")),
        Some(kind) => Ok(kind),
        None => Err(invalid("kind", "one that this version does not know")),
    }
}

fn generation(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    match reader.uint()? {
        1 => Err(DecodeError::NotCanonical("generation")),
        generation @ 2..=MAX_GENERATION => Ok(generation),
        _ => Err(invalid("generation", "out of range")),
    }
}

/// Odd is alive, even is deleted.
fn check_parity(kind: ChangeKind, generation: u64) -> Result<(), DecodeError> {
    let alive = generation % 2 == 1;
    let agrees = match kind {
        ChangeKind::Edit | ChangeKind::Merge | ChangeKind::Adopt => alive,
        ChangeKind::Delete => !alive,
        ChangeKind::Repair | ChangeKind::Compensate => true,
    };
    if agrees { Ok(()) } else { Err(invalid("generation", "does not agree with the kind")) }
}

fn context(reader: &mut Reader<'_>) -> Result<Clock, DecodeError> {
    let length = reader.array()?;
    if length == 0 {
        return Err(DecodeError::NotCanonical("context"));
    }
    let mut clock = Clock::new();
    let mut last = None;
    for _ in 0..length {
        let stamp = full_stamp(reader)?;
        if stamp.is_nil() || last.is_some_and(|last| stamp.node() <= last) {
            return Err(DecodeError::NotCanonical("context"));
        }
        last = Some(stamp.node());
        clock.observe(stamp);
    }
    Ok(clock)
}

fn cells(reader: &mut Reader<'_>, id: Stamp) -> Result<Vec<Cell>, DecodeError> {
    /// Room made in advance: the length is only what the input says.
    const USUAL: usize = 64;
    let length = reader.array()?;
    if length == 0 {
        return Err(DecodeError::NotCanonical("cells"));
    }
    let mut cells: Vec<Cell> = Vec::with_capacity(length.min(USUAL));
    for _ in 0..length {
        let cell = cell(reader, id)?;
        if cells.last().is_some_and(|last| last.column >= cell.column) {
            return Err(DecodeError::NotCanonical("the order of the cells"));
        }
        cells.push(cell);
    }
    Ok(cells)
}

fn cell(reader: &mut Reader<'_>, id: Stamp) -> Result<Cell, DecodeError> {
    let fields = reader.array()?;
    if !(2..=4).contains(&fields) {
        return Err(invalid("cells", "one has not two, three or four fields"));
    }
    let column = name(reader, "column")?;
    let value = read_value(reader)?;
    let version = match fields {
        2 => id,
        3 => other_stamp(reader, id, "version")?,
        _ => stamp(reader, id)?,
    };
    let tag = if fields == 4 { tag(reader)? } else { Tag::LWW };
    Ok(Cell { column, tag, version, value })
}

fn tag(reader: &mut Reader<'_>) -> Result<Tag, DecodeError> {
    let number = u16::try_from(reader.uint()?).map_err(|_| invalid("tag", "out of range"))?;
    let [rule, kind] = number.to_be_bytes();
    match (Tag { rule, kind }) {
        Tag::LWW => Err(DecodeError::NotCanonical("tag")),
        tag => Ok(tag),
    }
}
