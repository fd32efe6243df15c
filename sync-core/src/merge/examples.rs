//! Examples of what a user sees when devices meet.

use super::{
    Changed, ConflictReason, Digest, Held, Object, StoredObject, join,
    sample::{Numbers, Replica, cell, change, record, stamp, text},
};
use crate::{
    change::{Change, ChangeKind, Tag},
    ids::Name,
    stamp::Stamp,
    vector::Clock,
};

/// Two devices that have the same record, written by the first at 1.
fn pair() -> (Replica, Replica) {
    let (mut a, mut b) = (Replica::new(1), Replica::new(2));
    let insert = a.write(1, &[("alpha", "first"), ("beta", "first")]);
    assert_eq!(b.hear(&insert).changed, Changed::NewGeneration);
    (a, b)
}

fn reasons(changes: &[&Change], to: &mut Replica) -> Vec<ConflictReason> {
    let conflicts = changes.iter().flat_map(|change| to.hear(change).conflicts);
    conflicts.map(|conflict| conflict.reason).collect()
}

#[test]
fn different_columns_are_both_kept() {
    let (mut a, mut b) = pair();
    let one = a.write(10, &[("alpha", "a")]);
    let two = b.write(20, &[("beta", "b")]);
    let (at_a, at_b) = (a.hear(&two), b.hear(&one));
    assert_eq!(at_a.changed, Changed::Cells(vec!["beta".into()]));
    assert_eq!(at_b.changed, Changed::Cells(vec!["alpha".into()]));
    assert_eq!((at_a.conflicts, at_b.conflicts), (vec![], vec![]));
    assert_eq!(a.object, b.object);
    assert_eq!((a.value("alpha"), a.value("beta")), (Some(&text("a")), Some(&text("b"))));
}

#[test]
fn the_later_of_two_concurrent_writes_stands_and_both_sides_report_the_same() {
    let (mut a, mut b) = pair();
    let early = a.write(10, &[("alpha", "early")]);
    let late = b.write(20, &[("alpha", "late")]);
    let (at_a, at_b) = (a.hear(&late), b.hear(&early));
    assert_eq!(at_a.changed, Changed::Cells(vec!["alpha".into()]));
    assert_eq!(at_b.changed, Changed::ClockOnly);
    assert_eq!(a.object, b.object);
    assert_eq!(at_a.conflicts, at_b.conflicts);
    let [conflict] = &at_a.conflicts[..] else { panic!("one conflict: {:?}", at_a.conflicts) };
    assert_eq!(conflict.reason, ConflictReason::ConcurrentWrite);
    assert_eq!((conflict.winner.version, &conflict.winner.value), (late.id, &Some(text("late"))));
    let kept = conflict.clone().into_conflict("note".into(), record());
    assert_eq!((kept.winner_id, kept.loser_id, kept.loser_value), (late.id, early.id, text("early")));
}

#[test]
fn a_later_write_beats_two_earlier_ones_in_every_order() {
    let (a, b) = pair();
    let mut c = a.clone();
    c.author = 3;
    let all = [
        a.clone().write(10, &[("alpha", "a")]),
        b.clone().write(20, &[("alpha", "b")]),
        c.write(30, &[("alpha", "c")]),
    ];
    for [x, y, z] in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut reader = a.clone();
        let seen = reasons(&[&all[x], &all[y], &all[z]], &mut reader);
        assert_eq!(reader.value("alpha"), Some(&text("c")));
        assert_eq!(seen, [ConflictReason::ConcurrentWrite; 2], "in the order {x} {y} {z}");
    }
}

#[test]
fn a_write_over_a_known_one_is_no_conflict_and_a_duplicate_reports_nothing() {
    let (mut a, mut b) = pair();
    let one = a.write(10, &[("alpha", "one")]);
    b.hear(&one);
    let two = b.write(20, &[("alpha", "two")]);
    assert_eq!(reasons(&[&two], &mut a), []);
    for again in [&one, &two, &one] {
        let joined = a.hear(again);
        assert_eq!((joined.changed, joined.conflicts), (Changed::Nothing, vec![]));
    }
}

#[test]
fn one_authors_changes_out_of_order_are_no_conflict() {
    let (mut a, mut b) = pair();
    let one = a.write(10, &[("alpha", "one")]);
    let two = a.write(20, &[("alpha", "two")]);
    assert_eq!(reasons(&[&two, &one], &mut b), []);
    assert_eq!(b.object, a.object);
}

#[test]
fn an_author_does_not_conflict_with_itself_even_if_it_forgot() {
    let (mut a, mut b) = pair();
    let one = a.write(10, &[("alpha", "one")]);
    let mut two = a.write(20, &[("alpha", "two")]);
    two.context = Clock::new();
    assert_eq!(reasons(&[&one, &two], &mut b), []);
    assert_eq!(b.value("alpha"), Some(&text("two")));
}

#[test]
fn cells_that_a_delete_carries_against_the_rule_are_not_read() {
    let (mut a, mut b) = pair();
    let mut delete = a.delete(10);
    b.write(20, &[("alpha", "lost")]);
    delete.cells = vec![cell("alpha", delete.id, text("odd"))];
    assert_eq!(b.hear(&delete).conflicts[0].winner.value, None);
    assert_eq!((b.object.cells.len(), b.object.born), (0, delete.id));
}

#[test]
fn a_delete_wins_over_a_concurrent_update_whichever_comes_first() {
    let (mut a, mut b) = pair();
    // The update is the later one, and still loses.
    let delete = a.delete(10);
    let update = b.write(20, &[("alpha", "lost")]);
    let (at_a, at_b) = (a.hear(&update), b.hear(&delete));
    assert_eq!((at_a.changed, at_b.changed), (Changed::ClockOnly, Changed::NewGeneration));
    assert_eq!(a.object, b.object);
    assert!(!a.object.is_alive() && a.object.cells.is_empty());
    assert_eq!(at_a.conflicts, at_b.conflicts);
    let [conflict] = &at_a.conflicts[..] else { panic!("only the unseen cell: {:?}", at_a.conflicts) };
    assert_eq!(conflict.reason, ConflictReason::DeleteWins);
    assert_eq!((conflict.winner.version, &conflict.winner.value), (delete.id, &None));
    assert_eq!((conflict.loser.version, &conflict.loser.value), (update.id, &Some(text("lost"))));
}

#[test]
fn a_tombstone_from_the_state_feed_names_the_delete_as_winner() {
    let (mut a, mut b) = pair();
    let delete = a.delete(10);
    b.write(20, &[("alpha", "lost")]);
    let row = a.object.to_change("note".into(), record(), crate::DeviceId::from_bytes([9; 16]));
    assert_eq!((row.kind, row.cells.len()), (ChangeKind::Repair, 0));
    let joined = b.hear(&row);
    assert_eq!(joined.conflicts[0].winner.version, delete.id);
    assert_eq!(joined.conflicts[0].reason, ConflictReason::DeleteWins);
}

#[test]
fn creating_again_over_an_older_delete_stands_whichever_comes_first() {
    let (mut a, mut b) = pair();
    let delete = a.delete(10);
    let again = a.write(20, &[("alpha", "again")]);
    let mut c = b.clone();
    assert_eq!(reasons(&[&delete, &again], &mut b), []);
    assert_eq!(reasons(&[&again, &delete], &mut c), []);
    for replica in [&b, &c] {
        assert_eq!(replica.object, a.object);
        assert_eq!((replica.object.generation, replica.object.born), (3, again.id));
        // The new generation knows nothing of the columns of the old one.
        assert_eq!((replica.value("alpha"), replica.value("beta")), (Some(&text("again")), None));
    }
}

#[test]
fn a_write_to_the_generation_before_is_reported_as_lost() {
    let (mut a, mut b) = pair();
    a.delete(10);
    let again = a.write(20, &[("alpha", "again")]);
    let old = b.write(30, &[("alpha", "old"), ("beta", "old")]);
    let (at_a, at_b) = (a.hear(&old), b.hear(&again));
    assert_eq!(a.object, b.object);
    assert_eq!(at_a.conflicts, at_b.conflicts);
    let winners: Vec<_> = at_a.conflicts.iter().map(|conflict| conflict.winner.clone()).collect();
    assert_eq!(at_a.conflicts[0].reason, ConflictReason::HigherGeneration);
    assert_eq!((winners[0].version, &winners[0].value), (again.id, &Some(text("again"))));
    assert_eq!((winners[1].version, &winners[1].value), (again.id, &None));
}

#[test]
fn two_inserts_of_one_key_are_born_at_the_earlier() {
    let (mut a, mut b) = (Replica::new(1), Replica::new(2));
    let early = a.write(10, &[("alpha", "same")]);
    let late = b.write(20, &[("alpha", "same")]);
    assert_eq!(b.hear(&early).changed, Changed::Birth);
    assert_eq!(a.hear(&late).changed, Changed::Cells(vec!["alpha".into()]));
    assert_eq!(a.object, b.object);
    assert_eq!(a.object.born, early.id);
}

#[test]
fn a_real_write_beats_an_adopted_value_silently() {
    let (mut a, mut b) = (Replica::new(1), Replica::new(2));
    let edit = a.write(10, &[("alpha", "edited")]);
    let adopted = b.adopt(20, &[("alpha", "stale")]);
    assert_eq!(reasons(&[&adopted], &mut a), []);
    assert_eq!(reasons(&[&edit], &mut b), []);
    assert_eq!(a.object, b.object);
    assert_eq!((a.value("alpha"), a.object.born), (Some(&text("edited")), Stamp::NIL));
}

#[test]
fn two_adopted_values_are_settled_alike_and_reported_once() {
    let (mut a, mut b) = (Replica::new(1), Replica::new(2));
    let one = a.adopt(10, &[("alpha", "one"), ("beta", "same")]);
    let two = b.adopt(20, &[("alpha", "two"), ("beta", "same")]);
    assert_eq!(reasons(&[&two, &two, &one], &mut a), [ConflictReason::Baseline]);
    assert_eq!(reasons(&[&one], &mut b), [ConflictReason::Baseline]);
    assert_eq!(a.object, b.object);
}

#[test]
fn two_values_under_one_stamp_converge_and_are_reported() {
    let (a, b) = pair();
    let (mut original, mut clone) = (a.clone(), a);
    let one = original.write(10, &[("alpha", "original")]);
    let two = clone.write(10, &[("alpha", "clone")]);
    let (mut left, mut right) = (b.clone(), b);
    assert_eq!(reasons(&[&one, &two], &mut left), [ConflictReason::SameStamp]);
    assert_eq!(reasons(&[&two, &one], &mut right), [ConflictReason::SameStamp]);
    assert_eq!(left.object, right.object);
}

#[test]
fn a_higher_tag_wins_over_a_later_write_which_is_reported() {
    let (mut a, b) = pair();
    let mut newer = a.write(10, &[("alpha", "new rule")]);
    newer.cells[0].tag = Tag { rule: 1, kind: 0 };
    // The author of the later one knew the newer value, but its program not the newer rule.
    let mut later = change(stamp(20, 2), 2, ChangeKind::Edit, 1);
    later.born = newer.born;
    later.context = a.object.clock.clone();
    later.cells = vec![cell("alpha", later.id, text("old rule, later"))];
    let (mut left, mut right) = (b.clone(), b);
    assert_eq!(reasons(&[&newer, &later], &mut left), [ConflictReason::HigherTag]);
    reasons(&[&later, &newer], &mut right);
    assert_eq!(left.object, right.object);
    assert_eq!(left.value("alpha"), Some(&text("new rule")));
}

#[test]
fn a_partial_change_of_an_unknown_record_waits_for_its_other_columns() {
    let (mut a, _) = pair();
    let insert = a.object.to_change("note".into(), record(), crate::DeviceId::from_bytes([9; 16]));
    let edit = a.write(10, &[("alpha", "edited")]);
    let mut late = Replica::new(3);
    late.hear(&edit);
    assert_eq!((late.object.generation, late.value("beta")), (1, None));
    assert_eq!(late.hear(&insert).changed, Changed::Cells(vec!["beta".into()]));
    assert_eq!(late.object, a.object);
}

#[test]
fn cells_out_of_order_or_twice_do_not_disorder_an_object() {
    let id = stamp(5, 1);
    let mut odd = change(id, 1, ChangeKind::Edit, 1);
    odd.cells = vec![cell("beta", id, text("b")), cell("alpha", id, text("a")), cell("beta", id, text("b2"))];
    let mut fresh = Object::from_change(&odd);
    let columns: Vec<_> = fresh.cells.iter().map(|cell| cell.column.as_str()).collect();
    assert_eq!(columns, ["alpha", "beta"]);
    let before = fresh.clone();
    join(&mut fresh, &odd);
    assert_eq!(fresh, before);
}

#[test]
fn the_digest_is_that_of_the_alive_objects_whatever_the_order() {
    let (mut a, _) = pair();
    let alive = a.object.digest("note", &record());
    let other = a.object.digest("other", &record());
    assert_ne!(alive, other, "the model counts");
    let (mut left, mut right) = (Digest::default(), Digest::default());
    left.add(alive);
    left.add(other);
    right.add(other);
    right.add(alive);
    assert_eq!(left, right);
    left.remove(other);
    assert_eq!(Digest::from_bytes(left.to_bytes()), alive);

    let before = a.object.clone();
    a.write(10, &[("alpha", "first")]);
    assert_ne!(a.object.digest("note", &record()), before.digest("note", &record()), "versions count");
    a.object.clock.observe(stamp(99, 7));
    a.object.born = stamp(1, 7);
    let unborn = a.object.digest("note", &record());
    let stored = StoredObject::new(&a.object, true, |_| Held::Same);
    assert_eq!(stored.digest("note", &record()), unborn);
    a.delete(100);
    assert_eq!(a.object.digest("note", &record()), Digest::default(), "the dead do not");
}

#[test]
fn a_record_of_eight_columns_takes_at_most_a_hundred_bytes() {
    struct Many;
    impl super::ColumnIds for Many {
        fn id(&self, column: &str) -> Option<u32> {
            column.strip_prefix('c').and_then(|number| number.parse().ok()).map(|id: u32| id + 5000)
        }

        fn name(&self, id: u32) -> Option<Name> {
            id.checked_sub(5000).map(|id| Name::from(format!("c{id}")))
        }
    }
    let columns: Vec<_> = (0..8).map(|number| format!("c{number}")).collect();
    let columns: Vec<_> = columns.iter().map(|column| (column.as_str(), "value")).collect();
    let mut a = Replica::new(1);
    a.write(10, &columns);
    let stored = StoredObject::new(&a.object, true, |_| Held::Same);
    let (cells, clock) = (stored.encode_cells(&Many).unwrap(), stored.encode_clock());
    assert!(cells.len() + clock.len() <= 100, "{} and {} bytes", cells.len(), clock.len());
    assert_eq!(stored.encode_payload(), None);
    assert_eq!(StoredObject::decode(&cells, &clock, None, &Many), Ok(stored));
}

#[test]
fn bytes_that_announce_more_or_hold_more_than_an_object_are_corrupt() {
    let (a, _) = pair();
    let stored = StoredObject::new(&a.object, true, |_| Held::Same);
    let mut long = stored.encode_cells(&Numbers).unwrap();
    long.push(0);
    // Flags of a record without versions, generation 1, then 2^63 cells.
    let announced = [0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
    let padded = [0, 0x81, 0, 0];
    for (bytes, what) in [
        (&long[..], "bytes left over"),
        (&announced, "more announced than there is"),
        (&padded, "number not in its shortest form"),
        (&[0xff], "unknown flags"),
    ] {
        assert_eq!(StoredObject::decode(bytes, &[], None, &Numbers).unwrap_err().what, what);
    }
}

#[test]
fn a_value_that_the_row_holds_altered_is_kept_beside_it() {
    let (a, _) = pair();
    let altered = text("altered").hash64();
    let stored = StoredObject::new(&a.object, true, |cell| match cell.column.as_str() {
        "alpha" => Held::Other(altered),
        _ => Held::Same,
    });
    let kept = stored.cell("alpha").unwrap();
    assert_eq!((kept.row_hash(), kept.payload.as_ref()), (altered, Some(&text("first"))));
    let cells = stored.encode_cells(&Numbers).unwrap();
    let payload = stored.encode_payload();
    let read = StoredObject::decode(&cells, &stored.encode_clock(), payload.as_deref(), &Numbers).unwrap();
    assert_eq!(read, stored);
    assert_eq!(read.clone().into_object(|_| None).unwrap_err().column, "beta");
    assert_eq!(read.into_object(|_| Some(text("first"))), Ok(a.object.clone()));

    let hidden = StoredObject::new(&a.object, false, |_| Held::Same);
    assert_eq!(hidden.into_object(|_| None), Ok(a.object));
}
