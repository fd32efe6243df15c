//! The bytes of a [`StoredObject`]: three columns of its row in the ledger.
//!
//! Invariants: what is decoded is what was encoded; bytes that make no object are [`Corrupt`], never a panic.
//! A record of eight columns written by one change takes 91 bytes, its clock none:
//!
//! ```text
//! cells    flags, generation, [versions], [born], number of cells, then per cell:
//!          column, [rule, kind, marks], [version], hash, [shadow]
//! clock    the stamps that the cells' versions do not imply, 16 bytes each
//! payload  per kept value: the cell's index, length, canonical bytes; then, per row that holds another value than
//!          its cell shows, the number of cells plus the index, and that value; absent if nothing is kept
//! ```
//!
//! Numbers are LEB128, hashes 8 bytes big endian; a column is the difference of its number to the one before it,
//! because the columns of a model mostly got their numbers in one go. What stands in brackets is there only where the flags ask for
//! it: distinct versions stand once in a table, plain cells (last writer wins, no shadow) have no marks.

use super::stored::{StoredCell, StoredObject};
use crate::{
    change::Tag,
    ids::Name,
    stamp::Stamp,
    value::{SyncValue, ValueHash},
    vector::Clock,
};

/// All versions are nil.
const VERSIONS_NIL: u8 = 0;
/// All versions are the one that follows.
const VERSIONS_ONE: u8 = 1;
/// A table of versions, and in each cell an index into it: 0 is nil.
const VERSIONS_TABLE: u8 = 2;
const VERSIONS_MASK: u8 = 3;
/// `born` is a version, by index as in cells.
const BORN_INDEX: u8 = 1 << 2;
/// `born` stands by itself; with neither it is nil.
const BORN_STAMP: u8 = 2 << 2;
const BORN_MASK: u8 = 3 << 2;
const SHOWN: u8 = 1 << 4;
/// Each cell has its tag and marks.
const MARKED: u8 = 1 << 5;
const FLAGS: u8 = VERSIONS_MASK | BORN_MASK | SHOWN | MARKED;
/// The cell has a shadow.
const MARK_SHADOW: u8 = 1;

/// The numbers that stand for the columns of a model in stored objects. One column, one number, for good.
pub trait ColumnIds {
    /// The number of `column`, if it has one.
    fn id(&self, column: &str) -> Option<u32>;

    /// The column with the number `id`.
    fn name(&self, id: u32) -> Option<Name>;
}

/// A column has no number yet: give it one, then encode again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {0} has no number yet")]
pub struct NotInterned(pub Name);

/// Stored bytes that make no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored object is corrupt: {what}")]
pub struct Corrupt {
    /// What is wrong with them.
    pub what: &'static str,
}

impl StoredObject {
    /// Everything but the clock and the kept values.
    ///
    /// # Errors
    /// [`NotInterned`] if `columns` lacks one of the object's.
    pub fn encode_cells(&self, columns: &impl ColumnIds) -> Result<Vec<u8>, NotInterned> {
        let table = version_table(&self.cells);
        let marked = self.cells.iter().any(|cell| cell.tag != Tag::LWW || cell.shadow.is_some());
        let versions = match (table.as_slice(), self.cells.iter().any(|cell| cell.version.is_nil())) {
            ([], _) => VERSIONS_NIL,
            ([_], false) => VERSIONS_ONE,
            _ => VERSIONS_TABLE,
        };
        let born_index = index_of(&table, self.born);
        let born = match born_index {
            Some(0) => 0,
            Some(_) => BORN_INDEX,
            None => BORN_STAMP,
        };
        let flags = versions | born | if self.shown { SHOWN } else { 0 } | if marked { MARKED } else { 0 };

        let mut out = Vec::with_capacity(32 + 16 * table.len() + 14 * self.cells.len());
        out.push(flags);
        write_number(&mut out, self.generation);
        if versions == VERSIONS_TABLE {
            write_number(&mut out, table.len() as u64);
        }
        table.iter().for_each(|version| out.extend_from_slice(version.as_bytes()));
        match born_index {
            Some(0) => {}
            Some(at) if versions == VERSIONS_TABLE => write_number(&mut out, at as u64),
            Some(_) => {}
            None => out.extend_from_slice(self.born.as_bytes()),
        }
        write_number(&mut out, self.cells.len() as u64);
        let (mut last, mut last_id) = (0, 0);
        for cell in &self.cells {
            let id = columns.id(&cell.column).ok_or_else(|| NotInterned(cell.column.clone()))?;
            write_number(&mut out, step(last_id, id));
            last_id = id;
            if marked {
                let marks = if cell.shadow.is_some() { MARK_SHADOW } else { 0 };
                out.extend_from_slice(&[cell.tag.rule, cell.tag.kind, marks]);
            }
            if versions == VERSIONS_TABLE {
                // Neighbours mostly share their version.
                if last == 0 || table[last - 1] != cell.version {
                    last = index_of(&table, cell.version).unwrap_or(0);
                }
                write_number(&mut out, last as u64);
            }
            out.extend_from_slice(&cell.hash.0.to_be_bytes());
            if let Some(shadow) = cell.shadow {
                out.extend_from_slice(&shadow.0.to_be_bytes());
            }
        }
        Ok(out)
    }

    /// What of the clock the cells' versions do not say already: mostly nothing.
    pub fn encode_clock(&self) -> Vec<u8> {
        let implied = implied_clock(&self.cells);
        let told = self.clock.stamps().iter().filter(|stamp| !implied.covers(**stamp));
        told.flat_map(|stamp| *stamp.as_bytes()).collect()
    }

    /// The kept values, if there are any.
    pub fn encode_payload(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let payloads = self.cells.iter().map(|cell| cell.payload.as_ref());
        let rows = self.cells.iter().map(|cell| cell.row.as_deref());
        for (at, value) in payloads.chain(rows).enumerate() {
            if let Some(value) = value {
                let bytes = value.encode();
                write_number(&mut out, at as u64);
                write_number(&mut out, bytes.len() as u64);
                out.extend_from_slice(&bytes);
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// The object with these bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if they make no object, or `columns` lacks a number in them.
    pub fn decode(
        cells: &[u8],
        clock: &[u8],
        payload: Option<&[u8]>,
        columns: &impl ColumnIds,
    ) -> Result<Self, Corrupt> {
        let mut object = decode_cells(&mut Reader(cells), columns)?;
        object.clock = decode_clock(&mut Reader(clock), &object.cells)?;
        if let Some(payload) = payload {
            decode_payload(&mut Reader(payload), &mut object.cells)?;
        }
        Ok(object)
    }
}

fn decode_cells(input: &mut Reader<'_>, columns: &impl ColumnIds) -> Result<StoredObject, Corrupt> {
    let flags = input.byte()?;
    ensure(flags & !FLAGS == 0, "unknown flags")?;
    let generation = input.number()?;
    let table = match flags & VERSIONS_MASK {
        VERSIONS_NIL => Vec::new(),
        VERSIONS_ONE => vec![input.stamp()?],
        VERSIONS_TABLE => {
            let count = input.count(16)?;
            (0..count).map(|_| input.stamp()).collect::<Result<_, _>>()?
        }
        _ => return Err(Corrupt { what: "unknown form of versions" }),
    };
    let indexed = flags & VERSIONS_MASK == VERSIONS_TABLE;
    let born = match flags & BORN_MASK {
        0 => Stamp::NIL,
        BORN_INDEX if indexed => input.version(&table)?,
        BORN_INDEX => *table.first().ok_or(Corrupt { what: "birth without a version" })?,
        BORN_STAMP => input.stamp()?,
        _ => return Err(Corrupt { what: "unknown form of birth" }),
    };
    let count = input.count(9)?;
    let mut cells: Vec<StoredCell> = Vec::with_capacity(count);
    let mut last_id = 0;
    for _ in 0..count {
        last_id = stepped(last_id, input.number()?).ok_or(Corrupt { what: "number of a column" })?;
        let column = columns.name(last_id).ok_or(Corrupt { what: "unknown column" })?;
        let ascending = cells.last().is_none_or(|last| last.column < column);
        ensure(ascending, "columns out of order")?;
        let (tag, marks) = match flags & MARKED {
            0 => (Tag::LWW, 0),
            _ => (Tag { rule: input.byte()?, kind: input.byte()? }, input.byte()?),
        };
        ensure(marks & !MARK_SHADOW == 0, "unknown marks")?;
        let version =
            if indexed { input.version(&table)? } else { table.first().copied().unwrap_or(Stamp::NIL) };
        let hash = input.hash()?;
        let shadow = if marks & MARK_SHADOW == 0 { None } else { Some(input.hash()?) };
        cells.push(StoredCell { column, tag, version, hash, shadow, payload: None, row: None });
    }
    input.end()?;
    let shown = flags & SHOWN != 0;
    Ok(StoredObject { generation, born, clock: Clock::new(), shown, cells })
}

fn decode_clock(input: &mut Reader<'_>, cells: &[StoredCell]) -> Result<Clock, Corrupt> {
    let mut clock = implied_clock(cells);
    while !input.0.is_empty() {
        let stamp = input.stamp()?;
        ensure(!clock.covers(stamp), "clock says a thing twice")?;
        clock.observe(stamp);
    }
    Ok(clock)
}

fn decode_payload(input: &mut Reader<'_>, cells: &mut [StoredCell]) -> Result<(), Corrupt> {
    let mut next = 0;
    while !input.0.is_empty() {
        let at = usize::try_from(input.number()?).unwrap_or(usize::MAX);
        ensure(at >= next, "kept values out of order")?;
        let length = input.count(1)?;
        let value = SyncValue::decode(input.take(length)?).map_err(|_| Corrupt { what: "kept value" })?;
        let of_row = at >= cells.len();
        let place = if of_row { at - cells.len() } else { at };
        let cell = cells.get_mut(place).ok_or(Corrupt { what: "kept value without a cell" })?;
        if of_row {
            cell.row = Some(Box::new(value));
        } else {
            cell.payload = Some(value);
        }
        next = at + 1;
    }
    Ok(())
}

/// The distinct versions in order of appearance, without nil.
fn version_table(cells: &[StoredCell]) -> Vec<Stamp> {
    let mut table: Vec<Stamp> = Vec::with_capacity(2);
    for cell in cells {
        let known = table.last() == Some(&cell.version) || table.contains(&cell.version);
        if !known && !cell.version.is_nil() {
            table.push(cell.version);
        }
    }
    table
}

/// How a cell names its version: 0 for nil, else one more than the place in the table.
fn index_of(table: &[Stamp], version: Stamp) -> Option<usize> {
    match version.is_nil() {
        true => Some(0),
        false => table.iter().position(|known| *known == version).map(|at| at + 1),
    }
}

fn implied_clock(cells: &[StoredCell]) -> Clock {
    let mut clock = Clock::new();
    let mut last = Stamp::NIL;
    for cell in cells {
        if cell.version != last {
            clock.observe(cell.version);
            last = cell.version;
        }
    }
    clock
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The way from one number to the next, small where they are near: 0, -1, 1, -2, 2 are 0, 1, 2, 3, 4.
fn step(from: u32, to: u32) -> u64 {
    let distance = i64::from(to) - i64::from(from);
    (distance << 1 ^ distance >> 63) as u64
}

fn stepped(from: u32, step: u64) -> Option<u32> {
    let distance = (step >> 1) as i64 ^ -((step & 1) as i64);
    i64::from(from).checked_add(distance).and_then(|to| u32::try_from(to).ok())
}

fn ensure(holds: bool, what: &'static str) -> Result<(), Corrupt> {
    if holds { Ok(()) } else { Err(Corrupt { what }) }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Corrupt { what: "bytes end early" })?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Corrupt { what: "bytes end early" })?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Corrupt> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn hash(&mut self) -> Result<ValueHash, Corrupt> {
        self.array().map(|bytes| ValueHash(u64::from_be_bytes(bytes)))
    }

    /// A stamp that is not nil; nil has shorter forms.
    fn stamp(&mut self) -> Result<Stamp, Corrupt> {
        let stamp = Stamp::from_bytes(self.array()?).filter(|stamp| !stamp.is_nil());
        stamp.ok_or(Corrupt { what: "not a stamp" })
    }

    fn number(&mut self) -> Result<u64, Corrupt> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            ensure(bits << shift >> shift == bits, "number too large")?;
            number |= bits << shift;
            if byte & 0x80 == 0 {
                ensure(byte != 0 || shift == 0, "number not in its shortest form")?;
                return Ok(number);
            }
        }
        Err(Corrupt { what: "number too large" })
    }

    /// A number of things of at least `size` bytes each, which must still be there.
    fn count(&mut self, size: usize) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        ensure(count <= self.0.len() / size, "more announced than there is")?;
        Ok(count)
    }

    /// A version, by its index.
    fn version(&mut self, table: &[Stamp]) -> Result<Stamp, Corrupt> {
        match usize::try_from(self.number()?).unwrap_or(usize::MAX) {
            0 => Ok(Stamp::NIL),
            at => table.get(at - 1).copied().ok_or(Corrupt { what: "version outside the table" }),
        }
    }

    fn end(&self) -> Result<(), Corrupt> {
        ensure(self.0.is_empty(), "bytes left over")
    }
}
