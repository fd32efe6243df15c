//! A change: what one device did to one record, or a fragment of a record that it passes on.
//!
//! A snapshot row is a change whose cells have many versions, so there is one wire type and one join for every
//! way a change can come.

mod compact;
mod decode;
mod encode;
mod tag;

pub(crate) use compact::Compacted;
pub(crate) use decode::Header;
pub use encode::EncodedChange;
pub use tag::{Strategy, Tag};

use crate::{
    ids::{DeviceId, Name, RecordId},
    stamp::Stamp,
    value::SyncValue,
    vector::Clock,
};

/// Why a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The record was inserted or some of its columns were written.
    Edit,
    /// The record was deleted.
    Delete,
    /// A user's merge function answered a conflict.
    Merge,
    /// The row stood in the table before the model synced.
    Adopt,
    /// A difference found by comparing digests, or a row of the state feed.
    Repair,
    /// An authority's answer to a change that it refused.
    Compensate,
}

/// One column's value with the stamp that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column's name on the wire.
    pub column: Name,
    /// How it merges.
    pub tag: Tag,
    /// The change that wrote the value: the change's own id unless it passes on older cells; nil if adopted.
    pub version: Stamp,
    /// The author's value.
    pub value: SyncValue,
}

/// What one device did to one record, or a fragment of a record that it passes on. The library is not part of it: it is that of the log or session it stands in, and
/// the [digest](crate::change::EncodedChange::digest) binds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The change's id and time.
    pub id: Stamp,
    /// Who made it.
    pub device: DeviceId,
    /// The author's change before this one in this library.
    pub previous: Option<Stamp>,
    /// The group it belongs to: the id of the group's first change.
    pub txn: Stamp,
    /// True if the group goes on after it.
    pub more: bool,
    /// Why it was made.
    pub kind: ChangeKind,
    /// The model's name on the wire (`SYNC_ID`).
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// Causal length: odd = alive, even = deleted.
    pub generation: u64,
    /// The stamp of the insert that began the generation; nil if adopted.
    pub born: Stamp,
    /// The record's clock as the author knew it, without this change.
    pub context: Clock,
    /// The columns written, by name in byte order.
    pub cells: Vec<Cell>,
}

impl Change {
    /// The largest stamp in it, wherever it stands: what is compared with the wall clock.
    pub fn newest_stamp(&self) -> Stamp {
        let versions = self.cells.iter().map(|cell| cell.version);
        let envelope =
            [self.id, self.txn, self.born, self.context.newest(), self.previous.unwrap_or(Stamp::NIL)];
        versions.chain(envelope).max().unwrap_or(self.id)
    }
}

/// The keys of a change's fields in its bytes. A later version may add some; the numbers of these stay.
mod key {
    pub(super) const ID: u64 = 0;
    pub(super) const DEVICE: u64 = 1;
    pub(super) const PREVIOUS: u64 = 2;
    pub(super) const TXN: u64 = 3;
    pub(super) const MORE: u64 = 4;
    pub(super) const KIND: u64 = 5;
    pub(super) const MODEL: u64 = 6;
    pub(super) const RECORD: u64 = 7;
    pub(super) const GENERATION: u64 = 8;
    pub(super) const BORN: u64 = 9;
    pub(super) const CONTEXT: u64 = 10;
    pub(super) const CELLS: u64 = 11;
    /// Of a compacted change.
    pub(super) const SUPERSEDED_BY: u64 = 12;
    /// Of a compacted change; stays the last one.
    pub(super) const DIGEST: u64 = 127;
}

#[cfg(test)]
mod tests;
