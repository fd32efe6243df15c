//! Stamps, changes and replicas of one record, as tests want them.

use super::{Joined, Object, ObjectCell, Write, join, pack::ColumnIds};
use crate::{
    change::{Cell, Change, ChangeKind, Tag},
    ids::{DeviceId, Name, RecordId},
    stamp::Stamp,
    value::SyncValue,
    vector::Clock,
};

pub(super) const COLUMNS: [&str; 4] = ["alpha", "beta", "gamma", "a_name_longer_than_is_held_inline"];

pub(super) fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 16])
}

pub(super) fn stamp(ms: u64, author: u8) -> Stamp {
    Stamp::new(ms, 0, device(author).node())
}

pub(super) fn text(text: &str) -> SyncValue {
    SyncValue::Text(text.into())
}

pub(super) fn cell(column: &str, version: Stamp, value: SyncValue) -> Cell {
    Cell { column: column.into(), tag: Tag::LWW, version, value }
}

/// A change without cells, by the author of `id`, who knew of nothing.
pub(super) fn change(id: Stamp, author: u8, kind: ChangeKind, generation: u64) -> Change {
    Change {
        id,
        device: device(author),
        previous: None,
        txn: id,
        more: false,
        kind,
        model: "note".into(),
        record: record(),
        generation,
        born: id,
        context: Clock::new(),
        cells: Vec::new(),
    }
}

pub(super) fn record() -> RecordId {
    RecordId::from_bytes(*b"one")
}

/// One device's view of the record, and the changes it makes to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub(super) author: u8,
    pub(super) object: Object,
}

impl Replica {
    pub(super) fn new(author: u8) -> Self {
        Self { author, object: Object::default() }
    }

    /// Writes these columns at `ms`; inserts the record if it is not there.
    pub(super) fn write(&mut self, ms: u64, columns: &[(&str, &str)]) -> Change {
        let id = stamp(ms, self.author);
        let mut written = change(id, self.author, ChangeKind::Edit, self.object.generation);
        if self.object.is_alive() {
            written.born = self.object.born;
        } else {
            written.generation += 1;
        }
        written.cells = columns.iter().map(|(column, value)| cell(column, id, text(value))).collect();
        written.cells.sort_by(|a, b| a.column.cmp(&b.column));
        self.log(written)
    }

    /// Writes `now` into a column with a rule; `None` if that says nothing.
    pub(super) fn write_ruled(&mut self, ms: u64, column: &str, tag: Tag, now: &SyncValue) -> Option<Change> {
        let id = stamp(ms, self.author);
        let known = self.object.cell(column);
        let before = known.map(ObjectCell::shown);
        let value = Write { tag, version: id, known, before: before.as_deref(), now }.said()?;
        let mut written = change(id, self.author, ChangeKind::Edit, self.object.generation);
        written.born = self.object.born;
        written.cells = vec![Cell { tag, ..cell(column, id, value) }];
        Some(self.log(written))
    }

    /// What a column shows.
    pub(super) fn shown(&self, column: &str) -> Option<SyncValue> {
        self.object.cell(column).map(|cell| cell.shown().into_owned())
    }

    /// Deletes the record, which is there.
    pub(super) fn delete(&mut self, ms: u64) -> Change {
        let id = stamp(ms, self.author);
        let mut deleted = change(id, self.author, ChangeKind::Delete, self.object.generation + 1);
        deleted.born = self.object.born;
        self.log(deleted)
    }

    /// Logs the row as one that stood there before.
    pub(super) fn adopt(&mut self, ms: u64, columns: &[(&str, &str)]) -> Change {
        let mut adopted = change(stamp(ms, self.author), self.author, ChangeKind::Adopt, 1);
        adopted.born = Stamp::NIL;
        adopted.cells = columns.iter().map(|(column, value)| cell(column, Stamp::NIL, text(value))).collect();
        self.log(adopted)
    }

    pub(super) fn hear(&mut self, change: &Change) -> Joined {
        join(&mut self.object, change)
    }

    pub(super) fn value(&self, column: &str) -> Option<&SyncValue> {
        self.object.cell(column).map(|cell| &cell.value)
    }

    fn log(&mut self, mut change: Change) -> Change {
        change.context = self.object.clock.clone();
        let joined = self.hear(&change);
        assert_eq!(joined.conflicts, [], "whoever writes knows what it writes over");
        change
    }
}

/// Numbers the columns of [`COLUMNS`], neither from 0 nor in their order.
#[derive(Debug)]
pub(super) struct Numbers;

impl ColumnIds for Numbers {
    fn id(&self, column: &str) -> Option<u32> {
        COLUMNS.iter().position(|known| *known == column).map(|at| 200 + at as u32)
    }

    fn name(&self, id: u32) -> Option<Name> {
        COLUMNS.get(id.checked_sub(200)? as usize).map(|name| Name::from(*name))
    }
}
