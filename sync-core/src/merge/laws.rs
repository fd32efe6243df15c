//! The laws of the join, on every small case and on arbitrary changes.

use proptest::prelude::*;

use super::{
    Changed, ConflictReason, Held, Object, ObjectCell, StoredObject, join, merge_cells, merge_objects,
    parts::Parts,
    sample::{COLUMNS, Numbers, cell, change, record, stamp, text},
};
use crate::{
    change::{Cell, Change, ChangeKind, Tag},
    stamp::Stamp,
    value::SyncValue,
    vector::Clock,
};

pub(super) fn joined<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Object {
    let mut object = Object::default();
    for change in changes {
        join(&mut object, change);
    }
    object
}

#[test]
fn all_small_triples_keep_the_laws() {
    let mut objects = Vec::new();
    for generation in 1..=3 {
        for version in [Stamp::NIL, stamp(1, 1), stamp(2, 2)] {
            for value in ["x", "y", "z"] {
                let mut small = change(stamp(1, 1), 1, ChangeKind::Repair, generation);
                small.cells = vec![cell("alpha", version, text(value))];
                objects.push(Object::from_change(&small));
            }
        }
    }
    let mut triples = 0;
    for a in &objects {
        assert_eq!(&merge_objects(a, a), a);
        for b in &objects {
            let ab = merge_objects(a, b);
            assert_eq!(ab, merge_objects(b, a));
            for c in &objects {
                assert_eq!(merge_objects(&ab, c), merge_objects(a, &merge_objects(b, c)));
                triples += 1;
            }
        }
    }
    assert_eq!(triples, 19_683);
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![1 => Just(Stamp::NIL), 6 => (1..6u64, 1..4u8).prop_map(|(ms, author)| stamp(ms, author))]
}

/// What devices may have said of one column together. A part may be newer than the cell that holds it, and the cell then
/// no cell of parts.
fn any_parts() -> impl Strategy<Value = SyncValue> {
    prop::collection::vec((any_stamp(), -3..4i64), 1..4).prop_map(|said| {
        let mut parts = Parts::default();
        said.into_iter().for_each(|(stamp, part)| parts.take(stamp, part.into()));
        parts.to_value()
    })
}

fn any_cell() -> impl Strategy<Value = Cell> {
    let tag = |kind, rule| Just(Tag { rule, kind });
    let plain = prop_oneof![6 => tag(0, 0), 1 => tag(0, 1), 1 => tag(9, 0)];
    let ordered = prop_oneof![2 => tag(1, 0), 2 => tag(2, 0), 1 => tag(1, 1)];
    let composed = prop_oneof![3 => tag(3, 0), 1 => tag(3, 1), 2 => tag(5, 0), 2 => tag(9, 0)];
    let number = prop_oneof![
        1 => Just(SyncValue::Null),
        1 => Just(SyncValue::F64(f64::NAN)),
        6 => (-2..3i64).prop_map(SyncValue::I64),
    ];
    let letter = || "[xyz]".prop_map(|letter| text(&letter));
    let said = prop_oneof![
        3 => (plain, letter().boxed()),
        2 => (ordered, number.boxed()),
        3 => (composed, prop_oneof![8 => any_parts(), 1 => letter()].boxed()),
    ];
    (0..COLUMNS.len(), said, any_stamp()).prop_map(|(column, (tag, value), version)| Cell {
        column: COLUMNS[column].into(),
        tag,
        version,
        value,
    })
}

/// Changes that need not make sense together, nor each by itself.
fn any_change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![
        Just(ChangeKind::Edit),
        Just(ChangeKind::Delete),
        Just(ChangeKind::Adopt),
        Just(ChangeKind::Repair),
    ];
    let context = prop::collection::vec(any_stamp(), 0..3);
    let cells = prop::collection::vec(any_cell(), 0..5);
    (any_stamp(), kind, 0..5u64, any_stamp(), context, cells).prop_map(
        |(id, kind, generation, born, context, cells)| Change {
            born,
            context: Clock::from_iter(context),
            cells,
            ..change(id, 1, kind, generation)
        },
    )
}

fn any_object() -> impl Strategy<Value = Object> {
    prop::collection::vec(any_change(), 0..5).prop_map(|changes| joined(&changes))
}

fn any_stored() -> impl Strategy<Value = StoredObject> {
    (any_object(), any::<bool>(), prop::collection::vec(0..4u8, COLUMNS.len())).prop_map(
        |(object, shown, held)| {
            let mut held = held.into_iter();
            StoredObject::new(&object, shown, |_| match held.next() {
                Some(0) => Held::Absent,
                Some(1) => Held::Other(text("altered").hash64()),
                Some(2) => Held::Withheld(text("as it was")),
                _ => Held::Same,
            })
        },
    )
}

pub(super) fn assert_well_formed(object: &Object) {
    assert!(object.cells.is_sorted_by(|a, b| a.column < b.column), "{object:?}");
    assert!(object.is_alive() || object.cells.is_empty(), "{object:?}");
    assert!(object.cells.iter().all(|cell| object.clock.covers(cell.version)), "{object:?}");
    assert!(object.cells.iter().all(|cell| cell.hash == cell.value.hash64()), "{object:?}");
}

/// A thousand cases, or what `PROPTEST_CASES` says.
pub(super) fn cases() -> ProptestConfig {
    let mut config = ProptestConfig { source_file: Some(file!()), ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1_000;
    }
    config
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn objects_merge_commutatively_associatively_idempotently(
        a in any_object(), b in any_object(), c in any_object(),
    ) {
        let ab = merge_objects(&a, &b);
        assert_well_formed(&ab);
        prop_assert_eq!(&ab, &merge_objects(&b, &a));
        prop_assert_eq!(merge_objects(&ab, &c), merge_objects(&a, &merge_objects(&b, &c)));
        prop_assert_eq!(merge_objects(&a, &a), a.clone());
        prop_assert_eq!(merge_objects(&ab, &a), ab);
        prop_assert_eq!(merge_objects(&a, &Object::default()), a.clone());
        prop_assert_eq!(merge_objects(&Object::default(), &a), a);
    }

    #[test]
    fn cells_of_one_column_merge_commutatively_associatively_idempotently(
        a in any_cell(), b in any_cell(), c in any_cell(),
    ) {
        let [a, b, c] = [a, b, c].map(|cell| ObjectCell::from(&Cell { column: "alpha".into(), ..cell }));
        let merge = |a: &ObjectCell, b: &ObjectCell| merge_cells(a, b.clone());
        let ab = merge(&a, &b);
        prop_assert_eq!(&ab, &merge(&b, &a));
        prop_assert_eq!(merge(&ab, &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a.clone());
        prop_assert_eq!(merge(&ab, &a), ab.clone());
        prop_assert_eq!(ab.tag, a.tag.max(b.tag));
    }

    #[test]
    fn the_order_and_number_of_changes_does_not_matter(
        changes in prop::collection::vec(any_change(), 1..8),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        split in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let once = joined(&changes);
        let mut again: Vec<_> = changes.iter().chain(picks.iter().map(|pick| pick.get(&changes))).collect();
        // A shuffle that shrinks towards the order as it is.
        let mut state = seed;
        for at in (1..again.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            again.swap(at, (state >> 33) as usize % (at + 1));
        }
        prop_assert_eq!(&joined(again.iter().copied()), &once);

        let (left, right) = again.split_at(split.index(again.len()));
        let met = merge_objects(&joined(left.iter().copied()), &joined(right.iter().copied()));
        prop_assert_eq!(met.digest("note", &record()), once.digest("note", &record()));
        prop_assert_eq!(met, once);
    }

    #[test]
    fn what_a_join_says_it_changed_it_changed(object in any_object(), change in any_change()) {
        let mut after = object.clone();
        let report = join(&mut after, &change);
        let cells_differ = after.cells != object.cells;
        match report.changed {
            Changed::Nothing => prop_assert_eq!(&after, &object),
            Changed::ClockOnly => {
                prop_assert_ne!(&after.clock, &object.clock);
                prop_assert!(!cells_differ && after.born == object.born);
                prop_assert_eq!(after.generation, object.generation);
            }
            Changed::Birth => {
                prop_assert!(after.born < object.born && !cells_differ);
                prop_assert_eq!(after.generation, object.generation);
            }
            Changed::Cells(columns) => {
                prop_assert_eq!(after.generation, object.generation);
                for cell in &after.cells {
                    let differs = object.cell(&cell.column) != Some(cell);
                    prop_assert_eq!(differs, columns.contains(&cell.column));
                }
            }
            Changed::NewGeneration => prop_assert!(after.generation > object.generation),
        }
        let again = join(&mut after, &change);
        prop_assert_eq!(again.changed, Changed::Nothing);
        let only_same_stamps = again.conflicts.iter().all(|c| c.reason == ConflictReason::SameStamp);
        prop_assert!(only_same_stamps, "reported again: {:?}", again.conflicts);
    }

    #[test]
    fn stored_objects_come_back_as_they_went(stored in any_stored()) {
        let cells = stored.encode_cells(&Numbers).unwrap();
        let (clock, payload) = (stored.encode_clock(), stored.encode_payload());
        let read = StoredObject::decode(&cells, &clock, payload.as_deref(), &Numbers);
        prop_assert_eq!(read, Ok(stored));
    }

    #[test]
    fn damaged_bytes_are_corrupt_or_another_object_never_a_panic(
        stored in any_stored(),
        noise in prop::collection::vec(any::<u8>(), 0..80),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut cells = stored.encode_cells(&Numbers).unwrap();
        let _ = StoredObject::decode(&noise, &noise, Some(&noise), &Numbers);
        let _ = StoredObject::decode(&cells, &noise, Some(&noise), &Numbers);
        let short = &cells[..cut.index(cells.len())];
        prop_assert!(StoredObject::decode(short, &[], None, &Numbers).is_err());
        let at = at.index(cells.len());
        cells[at] = byte;
        let _ = StoredObject::decode(&cells, &[], None, &Numbers);
    }
}
