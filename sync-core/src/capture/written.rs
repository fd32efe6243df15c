//! What a local write becomes where a column has a rule of its own. Pure.
//!
//! Invariant: what is logged joins with what is known, and the object kept beside the change is that join, so it is the same
//! on every replica. A row that holds something else afterwards is brought in line. Columns whose last writer wins do
//! not come here.

use std::borrow::Cow;

use crate::{
    change::{Cell, Change, Strategy, Tag},
    merge::{
        Conflict, ConflictReason, ObjectCell, StoredCell, StoredObject, Write, keeps_value, merge_cells,
        shown,
    },
    stamp::Stamp,
    store::Binding,
    value::{SyncValue, ValueHash},
};

/// A row as it was found, and what is known of its record in the same generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) binding: &'a Binding,
    pub(crate) object: Option<&'a StoredObject>,
    pub(crate) row: &'a [SyncValue],
    pub(crate) hashes: &'a [ValueHash],
    /// What columns held before they got their rule, as far as the log tells.
    pub(crate) earlier: &'a [(usize, SyncValue)],
}

/// What the rules made of a write.
#[derive(Debug, Default)]
pub(crate) struct Ruled {
    /// By index into the spec: the cells that the rules made, in place of those that plain writes make.
    pub(crate) cells: Vec<(usize, StoredCell)>,
    /// Writes that stand below a rule of another program.
    pub(crate) conflicts: Vec<Conflict>,
    /// True if the row holds something else than its object now shows.
    pub(crate) back: bool,
}

impl<'a> Found<'a> {
    /// True if every column of the record is a plain one: the last writer wins, each by itself.
    pub(crate) fn is_plain(&self) -> bool {
        let plain = |object: &StoredObject| object.cells.iter().all(|cell| cell.tag == Tag::LWW);
        !self.binding.ruled && self.object.is_none_or(plain)
    }

    /// True if a write of one of these columns says anything.
    pub(crate) fn says_anything(&self, columns: &[usize]) -> bool {
        columns.iter().any(|index| self.said(*index, Stamp::NIL).1.is_some())
    }

    /// Columns that have become counters or sets since they were last written: what they held before is to be looked up, by
    /// the version that wrote it.
    pub(crate) fn newly_composed(&self, columns: &[usize]) -> Vec<(usize, Stamp)> {
        let composed = |index: &&usize| {
            matches!(self.column_tag(**index).strategy(), Some(Strategy::Counter | Strategy::Set))
        };
        let before = |index: &usize| self.known(*index).filter(|cell| cell.tag.is_lww());
        columns.iter().filter(composed).filter_map(|index| Some((*index, before(index)?.version))).collect()
    }

    /// Rewrites the cells of `change`, which writes `columns` of the row as they are.
    pub(crate) fn rule(&self, columns: &[usize], change: &mut Change) -> Ruled {
        let mut ruled = Ruled::default();
        for index in columns {
            let column = &self.binding.spec().columns[*index];
            let Ok(at) = change.cells.binary_search_by(|cell| cell.column.cmp(&column.wire)) else {
                continue;
            };
            let version = change.cells[at].version;
            let (tag, said) = self.said(*index, version);
            let known = self.known(*index);
            let value = match said {
                Some(value) => value,
                None => {
                    change.cells.remove(at);
                    ruled.cells.extend(
                        known.map(|known| (*index, self.seen(*index, known.clone(), &mut ruled.back))),
                    );
                    continue;
                }
            };
            let cell = &mut change.cells[at];
            (cell.tag, cell.value) = (tag, value);
            let said = ObjectCell::from(&*cell);
            let joined = match known.filter(|known| known.tag >= tag).and_then(StoredCell::whole) {
                Some(known) if known.tag > tag => {
                    ruled.conflicts.push(Conflict {
                        model: change.model.clone(),
                        record: change.record.clone(),
                        column: column.wire.clone(),
                        winner_id: known.version,
                        loser_id: version,
                        reason: ConflictReason::HigherTag,
                        loser_value: said.value,
                    });
                    known
                }
                Some(known) => merge_cells(&known, said),
                None => said,
            };
            let stored = StoredCell {
                column: joined.column,
                tag: joined.tag,
                version: joined.version,
                hash: joined.hash,
                shadow: None,
                payload: Some(joined.value),
                row: None,
            };
            ruled.cells.push((*index, self.seen(*index, stored, &mut ruled.back)));
        }
        ruled
    }

    fn known(&self, index: usize) -> Option<&'a StoredCell> {
        let wire = &self.binding.spec().columns[index].wire;
        self.object?.cell_near(wire, self.binding.places[index])
    }

    /// The rule under which the column is written: the model's, or a higher one that its cell has and this program knows.
    fn column_tag(&self, index: usize) -> Tag {
        let own = self.binding.spec().columns[index].tag;
        let known = self.known(index).map_or(own, |cell| cell.tag);
        if known > own && known.strategy().is_some() { known } else { own }
    }

    /// What the device says of the column, and under which rule.
    fn said(&self, index: usize, version: Stamp) -> (Tag, Option<SyncValue>) {
        let tag = self.column_tag(index);
        let known = self.known(index);
        let row = &self.row[index];
        if tag.is_lww() {
            // Written together with others of its group, a column that nobody touched keeps its author's value.
            let kept = known.filter(|cell| cell.row_hash() == self.hashes[index] && !keeps_value(cell.tag));
            let value = kept.and_then(|cell| cell.payload.as_ref()).unwrap_or(row);
            return (tag, Some(value.clone()));
        }
        let same = known.filter(|cell| cell.tag == tag);
        let before = match same {
            Some(cell) if self.is_late(cell) => Some(Cow::Borrowed(&self.binding.defaults[index])),
            Some(cell) => cell.seen(),
            None => self.earlier.iter().find(|(at, _)| *at == index).map(|(_, value)| Cow::Borrowed(value)),
        };
        let whole = same.and_then(StoredCell::whole);
        let write = Write { tag, version, known: whole.as_ref(), before: before.as_deref(), now: row };
        (tag, write.said())
    }

    /// True if the column came after its value.
    fn is_late(&self, cell: &StoredCell) -> bool {
        cell.is_absent() && self.object.is_some_and(|object| object.shown)
    }

    /// The cell, now that the row was looked at.
    fn seen(&self, index: usize, mut cell: StoredCell, back: &mut bool) -> StoredCell {
        let (row, hash) = (&self.row[index], self.hashes[index]);
        if !keeps_value(cell.tag) {
            let same = cell.hash == hash;
            cell.shadow = (!same).then_some(hash);
            cell.payload = cell.payload.filter(|_| !same);
            return cell;
        }
        let shows = cell.payload.as_ref().is_some_and(|value| *shown(cell.tag, cell.version, value) == *row);
        cell.shadow = Some(hash);
        cell.row = (!shows).then(|| Box::new(row.clone()));
        *back |= !shows;
        cell
    }
}

/// The cells by which a device writes `values` over a record that it knows; `row` is what its row holds. What a rule makes
/// nothing of is left out.
pub(crate) fn written(
    binding: &Binding,
    object: Option<&StoredObject>,
    row: &[SyncValue],
    values: &[(usize, SyncValue)],
    version: Stamp,
) -> Vec<Cell> {
    let mut now = row.to_vec();
    values.iter().for_each(|(index, value)| now[*index] = value.clone());
    let hashes: Vec<ValueHash> = now.iter().map(SyncValue::hash64).collect();
    let found = Found { binding, object, row: &now, hashes: &hashes, earlier: &[] };
    let mut cells: Vec<Cell> = values
        .iter()
        .filter_map(|(index, value)| {
            let (tag, said) = match found.column_tag(*index) {
                tag if tag.is_lww() && *value != row[*index] => (tag, Some(value.clone())),
                _ => found.said(*index, version),
            };
            let column = binding.spec().columns[*index].wire.clone();
            Some(Cell { column, tag, version, value: said? })
        })
        .collect();
    cells.sort_unstable_by(|a, b| a.column.cmp(&b.column));
    cells
}
