use proptest::{collection::vec, prelude::*, strategy::Strategy};

use super::{decode::Fields, *};
use crate::{
    ids::LibraryId,
    value::{DecodeError, any_value},
};

const MS: u64 = 1_700_000_000_000;

fn device(tail: u8) -> DeviceId {
    DeviceId::from_bytes([tail; 16])
}

fn stamp(ms: u64, counter: u32, device_tail: u8) -> Stamp {
    Stamp::new(ms, counter, device(device_tail).node())
}

fn edit() -> Change {
    let id = stamp(MS, 9, 1);
    let cell = |column: &str, version| Cell {
        column: column.into(),
        tag: Tag::LWW,
        version,
        value: SyncValue::Text("x".into()),
    };
    Change {
        id,
        device: device(1),
        previous: Some(stamp(MS, 8, 1)),
        txn: stamp(MS, 7, 1),
        more: true,
        kind: ChangeKind::Edit,
        model: "volume".into(),
        record: crate::value::encode_key(&[SyncValue::I64(7)]),
        generation: 3,
        born: stamp(MS - 1000, 0, 2),
        context: [stamp(MS - 1, 0, 2), stamp(MS, 8, 1)].into_iter().collect(),
        cells: vec![cell("a", id), cell("b", stamp(MS - 5, 0, 1)), cell("c", Stamp::NIL)],
    }
}

/// Any stamp below `MS`, of one of three devices.
fn any_old() -> impl Strategy<Value = Stamp> {
    prop_oneof![
        1 => Just(Stamp::NIL),
        9 => (0..50_u32, 0..1_u32 << 18, 0..4_u8).prop_map(|(shift, counter, tail)| stamp(MS >> shift, counter, tail)),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let cell = (any_value(), prop_oneof![Just(None), any_old().prop_map(Some)], any::<(bool, u8, u8)>());
    let envelope =
        (0..6_u64, 1..=(1_u64 << 32), any::<bool>(), prop_oneof![Just(None), any_old().prop_map(Some)]);
    let stamps =
        (any_old(), prop_oneof![Just(None), any_old().prop_map(Some)], vec(any_old(), 0..4), 0..4_u8);
    (envelope, stamps, vec(("[a-z]{1,30}", cell), 0..6), any_value()).prop_map(
        |((kind, generation, more, previous), (txn, born, context, own), cells, key)| {
            let kind = ChangeKind::from_code(kind).unwrap();
            let generation = match kind {
                ChangeKind::Delete => generation + generation % 2,
                ChangeKind::Repair | ChangeKind::Compensate => generation,
                _ => generation - 1 + generation % 2,
            };
            let generation = generation.clamp(1, 1 << 32);
            let id = stamp(MS + 1, 5, own);
            // A repair's cells may be newer than the others allow, and its device need not be the id's.
            let repair = kind == ChangeKind::Repair;
            let mut cells: Vec<_> = cells
                .into_iter()
                .map(|(column, (value, version, (plain, rule, number)))| Cell {
                    column: column.into(),
                    tag: if plain { Tag::LWW } else { Tag { rule, kind: number } },
                    version: if repair && plain { stamp(MS + 2, 0, own) } else { version.unwrap_or(id) },
                    value,
                })
                .collect();
            cells.sort_by(|a, b| a.column.cmp(&b.column));
            cells.dedup_by(|a, b| a.column == b.column);
            if generation % 2 == 0 {
                cells.clear();
            }
            Change {
                id,
                device: device(if repair { 3 } else { own }),
                previous: previous.filter(|stamp| !stamp.is_nil()),
                txn: if txn.is_nil() { id } else { txn },
                more,
                kind,
                model: "model".into(),
                record: crate::value::encode_key(&[key]),
                generation,
                born: born.unwrap_or(id),
                context: context.into_iter().collect(),
                cells,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_change_comes_back_from_its_bytes(change in any_change()) {
        let encoded = change.encode();
        let decoded = Change::decode(encoded.as_bytes());
        prop_assert_eq!(decoded.as_ref(), Ok(&change));
        let (device, id) = Change::decode_author(encoded.as_bytes()).unwrap();
        prop_assert_eq!((id, device), (change.id, change.device));
        prop_assert!(!Change::is_compacted(encoded.as_bytes()));
    }

    #[test]
    fn a_changed_byte_is_refused_or_means_exactly_what_it_says(
        change in any_change(),
        at: prop::sample::Index,
        mask in 1..=255_u8,
    ) {
        let mut bytes = change.encode().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(mut fields) = Fields::new(&bytes)
            && let Ok(other) = fields.change()
            && fields.finish().is_ok()
            && !fields.unknown
        {
            prop_assert_eq!(other.encode().into_bytes(), bytes);
        }
    }

    #[test]
    fn a_compacted_change_keeps_its_envelope_and_its_digest(
        mut change in any_change(),
        ahead in vec((1..1_u64 << 40, 0..4_u8), 1..4),
    ) {
        (change.kind, change.generation, change.device) = (ChangeKind::Edit, change.generation | 1, device(change.id.as_bytes()[15]));
        let later = ahead.into_iter().map(|(ms, tail)| stamp(change.id.ms() + ms, 0, tail));
        let later: std::collections::BTreeSet<Stamp> = later.collect();
        let later: Vec<Stamp> = later.into_iter().collect();
        let (library, whole) = (LibraryId::from_bytes([1; 16]), change.encode());
        let left = change.compact(library, whole.as_bytes(), &later);
        prop_assert!(Change::is_compacted(left.as_bytes()));
        prop_assert_eq!(left.digest(library), whole.digest(library));
        let bare = Change { context: Clock::new(), cells: Vec::new(), ..change };
        prop_assert_eq!(Change::decode(left.as_bytes()), Ok(bare.clone()));
        let compacted = Change::decode_compacted(left.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(compacted.superseded_by, later);
        prop_assert_eq!((compacted.header.model, compacted.header.record), (bare.model, bare.record));
    }

    #[test]
    fn a_changed_byte_of_a_compacted_change_is_refused(at: prop::sample::Index, mask in 1..=255_u8) {
        let (library, whole) = (LibraryId::from_bytes([1; 16]), edit().encode());
        let mut bytes = edit().compact(library, whole.as_bytes(), &[stamp(MS + 1, 0, 1)]).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        prop_assert!(Change::decode(&bytes).is_err());
        prop_assert_ne!(Change::digest(library, &bytes), whole.digest(library));
    }

    #[test]
    fn noise_is_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let front = edit().encode().into_bytes();
        for length in [0, 1, 20, front.len() / 2] {
            let noise = [&front[..length], &bytes].concat();
            // Noise may spell a field of a later version, so that some of it may pass.
            if let Ok(change) = Change::decode(&noise) {
                prop_assert!(change.encode().as_bytes().len() <= noise.len());
            }
        }
    }

    #[test]
    fn a_change_cut_short_is_refused(change in any_change(), at: prop::sample::Index) {
        let bytes = change.encode().into_bytes();
        prop_assert_eq!(Change::decode(&bytes[..at.index(bytes.len())]), Err(DecodeError::Truncated));
    }
}

#[test]
fn a_change_is_small() {
    let id = stamp(MS, 0, 1);
    let insert = Change {
        previous: None,
        txn: id,
        born: id,
        id,
        generation: 1,
        more: false,
        context: Clock::new(),
        cells: Vec::new(),
        ..edit()
    };
    // Map, id, device, model, record.
    assert_eq!(insert.encode().as_bytes().len(), 1 + 19 + 12 + 8 + 4);
}

#[test]
fn cells_are_sorted_when_encoded() {
    let sorted = edit();
    let mut shuffled = sorted.clone();
    shuffled.cells.rotate_left(1);
    assert_eq!(shuffled.encode(), sorted.encode());
}

#[test]
fn the_digest_binds_the_library() {
    let encoded = edit().encode();
    let [one, two] = [1, 2].map(|byte| encoded.digest(LibraryId::from_bytes([byte; 16])));
    assert_ne!(one, two);
    assert_eq!(one, Change::digest(LibraryId::from_bytes([1; 16]), encoded.as_bytes()));
}

#[test]
fn the_newest_stamp_is_found_wherever_it_stands() {
    let newer = stamp(MS + 99, 0, 2);
    let spoil: [fn(&mut Change, Stamp); 5] = [
        |change, newer| change.cells[1].version = newer,
        |change, newer| change.context.observe(newer),
        |change, newer| change.born = newer,
        |change, newer| change.txn = newer,
        |change, newer| change.previous = Some(newer),
    ];
    assert_eq!(edit().newest_stamp(), edit().id);
    for spoil in spoil {
        let mut change = edit();
        spoil(&mut change, newer);
        assert_eq!(change.newest_stamp(), newer);
    }
}

#[test]
fn changes_that_contradict_themselves_are_refused() {
    let newer = stamp(MS + 99, 0, 2);
    type Spoil = Box<dyn Fn(&mut Change)>;
    let cases: [(&str, Spoil); 13] = [
        ("previous", Box::new(|change| change.previous = Some(change.id))),
        ("previous", Box::new(move |change| change.previous = Some(newer))),
        ("txn", Box::new(move |change| change.txn = newer)),
        ("txn", Box::new(|change| change.txn = Stamp::NIL)),
        ("born", Box::new(move |change| change.born = newer)),
        ("context", Box::new(|change| change.context.observe(change.id))),
        ("context", Box::new(move |change| change.context.observe(newer))),
        ("version", Box::new(move |change| change.cells[0].version = newer)),
        ("device", Box::new(|change| change.device = device(2))),
        ("generation", Box::new(|change| change.generation = 2)),
        ("generation", Box::new(|change| change.generation = (1 << 32) + 1)),
        ("generation", Box::new(|change| change.kind = ChangeKind::Delete)),
        ("cells", Box::new(|change| (change.kind, change.generation) = (ChangeKind::Delete, 2))),
    ];
    for (expected, spoil) in cases {
        let mut change = edit();
        spoil(&mut change);
        let bytes = change.encode().into_bytes();
        match Change::decode(&bytes) {
            Err(DecodeError::Invalid { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let mut nameless = edit();
    nameless.id = Stamp::NIL;
    assert!(Change::decode(nameless.encode().as_bytes()).is_err(), "a change has an id");
}

#[test]
fn a_repair_passes_on_what_others_wrote() {
    let mut repair = edit();
    repair.kind = ChangeKind::Repair;
    repair.device = device(3);
    repair.context.observe(repair.id);
    repair.cells[0].version = stamp(MS - 7, 0, 2);
    assert_eq!(Change::decode(repair.encode().as_bytes()), Ok(repair.clone()));
    repair.generation = 4;
    repair.cells.clear();
    assert_eq!(Change::decode(repair.encode().as_bytes()), Ok(repair), "a tombstone");
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    let change = edit();
    let mut bytes = change.encode().into_bytes();
    bytes[0] += 2;
    bytes.extend_from_slice(&[13, 0x92, 0x81, 0xa1, b'k', 0xc0, 0x91, 0xd4, 0x55, 0x01]);
    bytes.extend_from_slice(&[100, 0x90]);
    assert_eq!(Change::decode(&bytes), Ok(change));
    bytes.truncate(bytes.len() - 1);
    bytes.extend_from_slice(&[0x91; 40]);
    bytes.push(0xc0);
    assert_eq!(Change::decode(&bytes), Err(DecodeError::TooDeep));
}

#[test]
fn doubled_and_disordered_cells_are_refused() {
    let mut change = edit();
    change.cells.truncate(2);
    for cell in &mut change.cells {
        cell.version = change.id;
    }
    let bytes = change.encode().into_bytes();
    let cell = |name: u8| [0x92, 0xa1, name, 0xa1, b'x'];
    let at = bytes.len() - 10;
    assert_eq!(bytes[at..], [cell(b'a'), cell(b'b')].concat());
    for names in [*b"aa", *b"ba"] {
        let wrong = [&bytes[..at], &cell(names[0]), &cell(names[1])].concat();
        assert_eq!(Change::decode(&wrong), Err(DecodeError::NotCanonical("the order of the cells")));
    }
}

/// What is left out when it has its usual value may not be spelled out, nor may a stamp that is near the id.
#[test]
fn a_change_has_one_form() {
    let mut change = edit();
    (change.previous, change.txn, change.more) = (None, change.id, false);
    (change.generation, change.born) = (1, change.id);
    change.context = Clock::new();
    change.cells.clear();
    let bytes = change.encode().into_bytes();
    let (front, back) = bytes.split_at(1 + 19 + 12);
    let device = [&[0xc4, 16][..], change.device.as_bytes()].concat();
    let near = [&[0xc4, 16][..], stamp(MS, 8, 1).as_bytes()].concat();
    let with = |middle: &[u8], end: &[u8]| {
        let mut bytes = [front, middle, back, end].concat();
        bytes[0] += 1;
        Change::decode(&bytes)
    };
    assert!(with(&[2, 1], &[]).is_ok(), "the frame of this test is right");
    for (key, value) in [(2, &near[..]), (3, &[0]), (3, &near), (4, &[0xc2]), (5, &[0])] {
        let answer = with(&[&[key], value].concat(), &[]);
        assert!(matches!(answer, Err(DecodeError::NotCanonical(_))), "{key}: {answer:?}");
    }
    for (key, value) in [(8, &[1][..]), (9, &[0]), (9, &near), (10, &[0x90]), (11, &[0x90])] {
        let answer = with(&[], &[&[key], value].concat());
        assert!(matches!(answer, Err(DecodeError::NotCanonical(_))), "{key}: {answer:?}");
    }
    let long_device = [&bytes[..1 + 19], &[1], &device, back].concat();
    assert_eq!(Change::decode(&long_device), Err(DecodeError::NotCanonical("device")));
    let disordered = with(&[4, 0xc3], &[4, 0xc3]);
    assert!(disordered.is_err(), "{disordered:?}");
}

/// Databases and logs of this version have it so.
#[test]
fn a_compacted_change_has_this_form() {
    let (library, whole) = (LibraryId::from_bytes([1; 16]), edit().encode());
    let bytes =
        edit().compact(library, whole.as_bytes(), &[stamp(MS + 1, 0, 1), stamp(MS + 2, 0, 2)]).into_bytes();
    let bare = Change { context: Clock::new(), cells: Vec::new(), ..edit() }.encode().into_bytes();
    let mut expected = [&[bare[0] + 2], &bare[1..], &[12, 0x92]].concat();
    // As far ahead of the id as a stamp can tell, and a stamp of another device.
    expected.extend_from_slice(&[0xce, 0, 3, 0xff, 0xf7, 0xc4, 16]);
    expected.extend_from_slice(stamp(MS + 2, 0, 2).as_bytes());
    expected.extend_from_slice(&[127, 0xc4, 40]);
    expected.extend_from_slice(&whole.digest(library).0);
    let check = blake3::hash(&expected);
    expected.extend_from_slice(&check.as_bytes()[..8]);
    assert_eq!(bytes, expected);
}
