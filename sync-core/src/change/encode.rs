//! The bytes of a change. They are made once, by its author; after that they are stored, hashed and relayed as they
//! are.
//!
//! ```text
//! { 0: id, 1: device, 2: previous, 3: txn, 4: more, 5: kind, 6: model, 7: record, 8: generation, 9: born,
//!   10: [stamp, ..], 11: [[column, value, version, tag], ..] }
//! ```
//!
//! A map with ascending integer keys; what has its usual value is left out (`previous`: none, `txn`, `born`,
//! `version`: the id, `more`: false, `kind`: edit, `generation`: 1, `tag`: last writer wins, lists: empty). Stamps of
//! the id's node are the distance back from the id, other ones 16 bytes, the nil stamp is nil. A device whose tail
//! is the id's node is its first nine bytes.
//!
//! Invariant: a change has one encoding, and [`decode`](super::decode) takes no other.

use super::{Cell, Change, ChangeKind, Tag, compact::kept_digest, key};
use crate::{
    ids::{LibraryId, StateHash},
    stamp::Stamp,
    value::{put_array, put_bin, put_bool, put_map, put_nil, put_str, put_uint, write_value},
};

/// A change in its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EncodedChange(Vec<u8>);

impl EncodedChange {
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The change's digest in this library.
    pub fn digest(&self, library: LibraryId) -> StateHash {
        Change::digest(library, &self.0)
    }
}

impl Change {
    /// The change in its bytes. Cells are sorted by column name if they are not yet.
    pub fn encode(&self) -> EncodedChange {
        let values = 32 * self.cells.len() + 20 * self.context.stamps().len();
        let mut out = Vec::with_capacity(96 + values);
        self.encode_into(&mut out);
        EncodedChange(out)
    }

    /// Appends the change's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut fields = Fields { out, count: 0 };
        put_map(fields.out, 0);

        put_bin(fields.key(key::ID), self.id.as_bytes());
        let device = self.device.as_bytes();
        let own = self.id.node() == self.device.node();
        put_bin(fields.key(key::DEVICE), if own { &device[..9] } else { device });
        if let Some(previous) = self.previous {
            put_stamp(fields.key(key::PREVIOUS), self.id, previous);
        }
        if self.txn != self.id {
            put_stamp(fields.key(key::TXN), self.id, self.txn);
        }
        if self.more {
            put_bool(fields.key(key::MORE), true);
        }
        if self.kind != ChangeKind::Edit {
            put_uint(fields.key(key::KIND), self.kind.code());
        }
        put_str(fields.key(key::MODEL), &self.model);
        put_bin(fields.key(key::RECORD), self.record.as_bytes());
        if self.generation != 1 {
            put_uint(fields.key(key::GENERATION), self.generation);
        }
        if self.born != self.id {
            put_stamp(fields.key(key::BORN), self.id, self.born);
        }
        let stamps = self.context.stamps();
        if !stamps.is_empty() {
            put_array(fields.key(key::CONTEXT), stamps.len());
            stamps.iter().for_each(|stamp| put_bin(fields.out, stamp.as_bytes()));
        }
        if !self.cells.is_empty() {
            put_array(fields.key(key::CELLS), self.cells.len());
            if self.cells.is_sorted_by(|a, b| a.column < b.column) {
                self.cells.iter().for_each(|cell| put_cell(fields.out, self.id, cell));
            } else {
                let mut cells: Vec<_> = self.cells.iter().collect();
                cells.sort_unstable_by(|a, b| a.column.cmp(&b.column));
                debug_assert!(
                    cells.windows(2).all(|pair| pair[0].column != pair[1].column),
                    "a column has one cell"
                );
                cells.into_iter().for_each(|cell| put_cell(fields.out, self.id, cell));
            }
        }

        let count = fields.count;
        let mut head = Vec::with_capacity(1);
        put_map(&mut head, count);
        out[start] = head[0];
    }

    /// The digest of the change with these bytes: what the chain is made of. It binds the library. A
    /// [compacted](Self::is_compacted) change has that of the whole one.
    pub fn digest(library: LibraryId, bytes: &[u8]) -> StateHash {
        if let Some(digest) = kept_digest(bytes) {
            return digest;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(library.as_bytes());
        hasher.update(bytes);
        StateHash(*hasher.finalize().as_bytes())
    }
}

/// Counts the fields while they are written.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    count: u8,
}

impl Fields<'_> {
    fn key(&mut self, key: u64) -> &mut Vec<u8> {
        self.count += 1;
        put_uint(self.out, key);
        self.out
    }
}

fn put_cell(out: &mut Vec<u8>, id: Stamp, cell: &Cell) {
    let fields = if cell.tag != Tag::LWW {
        4
    } else if cell.version != id {
        3
    } else {
        2
    };
    put_array(out, fields);
    put_str(out, &cell.column);
    write_value(&cell.value, out);
    if fields > 2 {
        put_stamp(out, id, cell.version);
    }
    if fields > 3 {
        put_uint(out, u64::from(cell.tag.rule) << 8 | u64::from(cell.tag.kind));
    }
}

fn put_stamp(out: &mut Vec<u8>, id: Stamp, stamp: Stamp) {
    if stamp.is_nil() {
        put_nil(out);
    } else if let Some(back) = distance(id, stamp) {
        put_uint(out, back);
    } else {
        put_bin(out, stamp.as_bytes());
    }
}

/// How far `stamp` lies before `id`, if both are of one device.
pub(super) fn distance(id: Stamp, stamp: Stamp) -> Option<u64> {
    if id.is_nil() || id.node() != stamp.node() {
        return None;
    }
    id.prefix().checked_sub(stamp.prefix())?.try_into().ok()
}

impl ChangeKind {
    /// The number that stands for the kind in bytes and in tables.
    pub const fn code(self) -> u64 {
        match self {
            Self::Edit => 0,
            Self::Delete => 1,
            Self::Merge => 2,
            Self::Adopt => 3,
            Self::Repair => 4,
            Self::Compensate => 5,
        }
    }

    /// The kind with this [`code`](Self::code).
    pub const fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0 => Self::Edit,
            1 => Self::Delete,
            2 => Self::Merge,
            3 => Self::Adopt,
            4 => Self::Repair,
            5 => Self::Compensate,
            _ => return None,
        })
    }
}
