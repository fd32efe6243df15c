//! An object as it lies in the ledger: without the values that its row holds.
//!
//! Invariant: the object is the truth. A cell whose value the row does not hold, or holds altered, keeps the
//! author's value in `payload`; what an alteration looks like is its `shadow`, with which capture compares.
//! [`pack`](super::pack) has the bytes.

use std::borrow::Cow;

use super::{
    cell::ObjectCell,
    digest::{Digest, contribution},
    object::position,
    object::{Object, is_alive},
    rule::{keeps_value, shown},
};
use crate::{
    change::Tag,
    ids::{Name, RecordId},
    stamp::Stamp,
    value::{SyncValue, ValueHash},
    vector::Clock,
};

/// One column of a [`StoredObject`].
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCell {
    /// The column's name on the wire.
    pub column: Name,
    /// How it merges.
    pub tag: Tag,
    /// The change that wrote the value; nil if adopted.
    pub version: Stamp,
    /// The hash of the author's value.
    pub hash: ValueHash,
    /// The hash of what the row held when last looked at, where that is not `hash`.
    pub shadow: Option<ValueHash>,
    /// The author's value, where the row does not hold it, or the cell's rule needs it after the row is written.
    pub payload: Option<SyncValue>,
    /// What the row held when last looked at, where that is not what the cell shows and its rule goes by the
    /// difference.
    pub row: Option<Box<SyncValue>>,
}

impl StoredCell {
    /// The hash that the row's value has if nobody wrote it since it was last looked at.
    pub fn row_hash(&self) -> ValueHash {
        self.shadow.unwrap_or(self.hash)
    }

    /// The value that the cell's rule goes by, if it keeps one: that which the row held when last looked at.
    pub fn seen(&self) -> Option<Cow<'_, SyncValue>> {
        let kept = self.payload.as_ref().filter(|_| keeps_value(self.tag))?;
        Some(self.row.as_deref().map_or_else(|| shown(self.tag, self.version, kept), Cow::Borrowed))
    }

    /// The cell with its value, if that is kept here.
    pub fn whole(&self) -> Option<ObjectCell> {
        let Self { column, tag, version, hash, payload, .. } = self;
        let value = payload.clone()?;
        Some(ObjectCell { column: column.clone(), tag: *tag, version: *version, hash: *hash, value })
    }

    /// True, of a cell whose object is shown, if the row had no such column when it was last looked at.
    pub fn is_absent(&self) -> bool {
        self.payload.is_some() && self.shadow.is_none()
    }
}

/// An object without the values that its row holds.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredObject {
    /// Causal length: odd = alive, even = deleted.
    pub generation: u64,
    /// The stamp that began the generation.
    pub born: Stamp,
    /// The newest stamp per device that touched the record. Covers every cell's version.
    pub clock: Clock,
    /// True if the row stands in its table.
    pub shown: bool,
    /// By column, in byte order.
    pub cells: Vec<StoredCell>,
}

/// What a row holds of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The author's value.
    Same,
    /// Another value, with this hash: the database rounded it, a trigger rewrote it.
    Other(ValueHash),
    /// Another value than the one that the cell shows: the table cannot take that.
    Withheld(SyncValue),
    /// Nothing: there is no row, or it has no such column.
    Absent,
}

/// Neither the row nor the payload has a column's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of column {column} is neither in the row nor kept beside it")]
pub struct MissingValue {
    /// The column.
    pub column: Name,
}

impl StoredObject {
    /// Where `column` is, or where it belongs. `hint` is looked at first: columns mostly come in order.
    pub(crate) fn position_near(&self, column: &str, hint: usize) -> Result<usize, usize> {
        position(&self.cells, |cell| &cell.column, column, hint)
    }

    /// `object` as it is stored beside its row, which holds of each cell what `held` says. Without a row
    /// (`shown` false) every value is kept.
    pub fn new(object: &Object, shown: bool, mut held: impl FnMut(&ObjectCell) -> Held) -> Self {
        let store = |cell: &ObjectCell| {
            let keeps = keeps_value(cell.tag);
            let held = if shown { held(cell) } else { Held::Absent };
            let hash = match &held {
                Held::Same => Some(cell.hash),
                Held::Other(hash) => Some(*hash),
                Held::Withheld(value) => Some(value.hash64()),
                Held::Absent => None,
            };
            let same = hash == Some(cell.hash) && !keeps;
            let row = match held {
                Held::Withheld(value) if keeps => Some(Box::new(value)),
                _ => None,
            };
            StoredCell {
                column: cell.column.clone(),
                tag: cell.tag,
                version: cell.version,
                hash: cell.hash,
                payload: (!same).then(|| cell.value.clone()),
                shadow: hash.filter(|_| !same),
                row,
            }
        };
        Self {
            generation: object.generation,
            born: object.born,
            clock: object.clock.clone(),
            shown,
            cells: object.cells.iter().map(store).collect(),
        }
    }

    /// The whole object, with the values that are not kept here taken from the row by `value`.
    ///
    /// # Errors
    /// [`MissingValue`] if the row has none either.
    pub fn into_object(
        self,
        mut value: impl FnMut(&str) -> Option<SyncValue>,
    ) -> Result<Object, MissingValue> {
        let restore = |cell: StoredCell| {
            let StoredCell { column, tag, version, hash, payload, .. } = cell;
            match payload.or_else(|| value(&column)) {
                Some(value) => Ok(ObjectCell { column, tag, version, hash, value }),
                None => Err(MissingValue { column }),
            }
        };
        let cells = self.cells.into_iter().map(restore).collect::<Result<_, _>>()?;
        Ok(Object { generation: self.generation, born: self.born, clock: self.clock, cells })
    }

    /// True if the record exists.
    pub fn is_alive(&self) -> bool {
        is_alive(self.generation)
    }

    /// What is stored of `column`.
    pub fn cell(&self, column: &str) -> Option<&StoredCell> {
        self.cell_near(column, 0)
    }

    /// As [`cell`](Self::cell), for a caller who knows where the column mostly is.
    pub fn cell_near(&self, column: &str, hint: usize) -> Option<&StoredCell> {
        if let Some(cell) = self.cells.get(hint).filter(|cell| cell.column == column) {
            return Some(cell);
        }
        let at = self.cells.binary_search_by(|cell| cell.column.as_str().cmp(column)).ok()?;
        Some(&self.cells[at])
    }

    /// What the object, as `record` of `model`, adds to the digest of its library.
    pub fn digest(&self, model: &str, record: &RecordId) -> Digest {
        let cells = self.cells.iter().map(|cell| (cell.column.as_str(), cell.version, cell.hash));
        contribution(model, record, self.generation, cells)
    }
}
