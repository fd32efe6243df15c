//! What a row says that its object does not know yet. Pure.
//!
//! Invariant: a row that holds what the engine last saw or wrote there is no change, whoever wrote it.

use crate::{
    change::{Cell, ChangeKind},
    ledger::Forgotten,
    merge::{StoredObject, is_alive},
    model::ModelSpec,
    stamp::Stamp,
    store::Binding,
    value::{SyncValue, ValueHash},
};

/// What is to be logged of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Difference {
    /// Nothing.
    None,
    /// The row is new: all of its columns.
    Insert,
    /// These columns, by index into the spec, in the order of the spec.
    Edit(Vec<usize>),
    /// The row is gone.
    Delete,
}

/// Compares a row (`None` = absent) with its object (`None` = never heard of).
pub(crate) fn difference(
    binding: &Binding,
    row: Option<&[SyncValue]>,
    hashes: &[ValueHash],
    object: Option<&StoredObject>,
) -> Difference {
    let alive = object.is_some_and(StoredObject::is_alive);
    match (row, object) {
        (None, Some(object)) if alive && object.shown => Difference::Delete,
        // Hidden and pending records have no row: their absence says nothing.
        (None, _) => Difference::None,
        (Some(_), Some(object)) if alive => edit(binding, hashes, row.unwrap_or_default(), object),
        (Some(_), _) => Difference::Insert,
    }
}

fn edit(binding: &Binding, hashes: &[ValueHash], row: &[SyncValue], object: &StoredObject) -> Difference {
    let spec = binding.spec();
    let touched = |index: &usize| {
        let wire = spec.columns[*index].wire.as_str();
        match object.cell_near(wire, binding.places[*index]) {
            // A column that came after its value: the default is nobody's word.
            Some(cell) if object.shown && cell.is_absent() => row[*index] != binding.defaults[*index],
            Some(cell) if object.shown => cell.row_hash() != hashes[*index],
            // The row appeared where none was shown: it says what it says.
            Some(cell) => cell.hash != hashes[*index],
            // A column younger than the object: its default is what every row had when it was added.
            None => row[*index] != binding.defaults[*index],
        }
    };
    let columns: Vec<usize> = binding.travelling().filter(touched).collect();
    if columns.is_empty() { Difference::None } else { Difference::Edit(with_groups(binding, columns)) }
}

/// Adds the columns that are written together with those in `columns`.
pub(crate) fn with_groups(binding: &Binding, mut columns: Vec<usize>) -> Vec<usize> {
    let spec: &ModelSpec = binding.spec();
    if spec.columns.iter().all(|column| column.group.is_none()) {
        return columns;
    }
    let groups: Vec<_> = columns.iter().filter_map(|index| spec.columns[*index].group.clone()).collect();
    let together = binding
        .travelling()
        .filter(|index| spec.columns[*index].group.as_ref().is_some_and(|group| groups.contains(group)));
    columns.extend(together);
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// The cells of `columns` of a row, all written by `version`, in the order changes want them. The values are taken out of
/// the row.
pub(crate) fn cells(
    binding: &Binding,
    row: &mut [SyncValue],
    columns: impl IntoIterator<Item = usize>,
    version: Stamp,
) -> Vec<Cell> {
    let spec = binding.spec();
    let mut cells: Vec<Cell> = columns
        .into_iter()
        .map(|index| {
            let column = &spec.columns[index];
            let value = std::mem::replace(&mut row[index], SyncValue::Null);
            Cell { column: column.wire.clone(), tag: column.tag, version, value }
        })
        .collect();
    cells.sort_unstable_by(|a, b| a.column.cmp(&b.column));
    cells
}

/// The generation that follows: an insert is odd, a delete even. A life begins above those that are forgotten.
pub(crate) fn next_generation(object: Option<&StoredObject>, forgotten: Forgotten) -> u64 {
    let known = object.map_or(0, |object| object.generation);
    if is_alive(known) { known + 1 } else { known.max(forgotten.generation) + 1 }
}

/// The kind of change that logs `difference`.
pub(crate) fn kind_of(difference: &Difference, adopted: bool) -> ChangeKind {
    match difference {
        Difference::Delete => ChangeKind::Delete,
        Difference::Insert if adopted => ChangeKind::Adopt,
        _ => ChangeKind::Edit,
    }
}
