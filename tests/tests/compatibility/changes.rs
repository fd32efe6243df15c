//! Every form of a change: kinds, tags, values, groups, fragments.

use sync_core::{
    Cell, Change, ChangeKind, Clock, DeviceId, LibraryId, Stamp, Strategy, SyncValue, Tag, encode_key,
};
use uuid::Uuid;

use crate::golden;

const AUTHOR: DeviceId = DeviceId::from_bytes([7; 16]);
const OTHER: DeviceId = DeviceId::from_bytes([9; 16]);

fn stamp(counter: u32) -> Stamp {
    Stamp::new(1_700_000_000_000, counter, AUTHOR.node())
}

fn others(counter: u32) -> Stamp {
    Stamp::new(1_700_000_000_000, counter, OTHER.node())
}

fn cell(column: &str, value: SyncValue) -> Cell {
    Cell { column: column.into(), tag: Tag::LWW, version: stamp(5), value }
}

/// A plain insert.
fn insert() -> Change {
    Change {
        id: stamp(5),
        device: AUTHOR,
        previous: Some(stamp(4)),
        txn: stamp(5),
        more: false,
        kind: ChangeKind::Edit,
        model: "item".into(),
        record: encode_key(&[SyncValue::Uuid(Uuid::from_u128(1))]),
        generation: 1,
        born: stamp(5),
        context: Clock::new(),
        cells: vec![cell("qty", SyncValue::I64(1)), cell("title", SyncValue::Text("one".into()))],
    }
}

fn values() -> Vec<Cell> {
    let cells = [
        ("a_null", SyncValue::Null),
        ("b_bool", SyncValue::Bool(true)),
        ("c_i64", SyncValue::I64(i64::MIN)),
        ("d_u64", SyncValue::U64(u64::MAX)),
        ("e_f64", SyncValue::F64(-0.5)),
        ("f_nan", SyncValue::F64(f64::NAN)),
        ("g_text", SyncValue::Text("a\0b \u{1f600}".into())),
        ("h_bytes", SyncValue::Bytes(vec![0, 255])),
        ("i_json", SyncValue::Json(serde_json::json!({ "b": [1, 2.5], "a": null }))),
        ("j_uuid", SyncValue::Uuid(Uuid::from_u128(9))),
        ("k_decimal", SyncValue::Decimal("-12.345".into())),
        ("l_time", SyncValue::Time("2024-02-29T12:34:56.789Z".into())),
    ];
    cells.into_iter().map(|(column, value)| cell(column, value)).collect()
}

fn tags() -> Vec<Cell> {
    let tags = [
        Tag::new(Strategy::Max, 0),
        Tag::new(Strategy::Min, 1),
        Tag::new(Strategy::Counter, 2),
        Tag::new(Strategy::Set, 3),
        Tag { rule: 255, kind: 200 },
    ];
    let cells = tags.into_iter().enumerate();
    cells.map(|(at, tag)| Cell { tag, ..cell(&format!("column_{at}"), SyncValue::I64(at as i64)) }).collect()
}

fn context() -> Clock {
    [stamp(3), others(2)].into_iter().collect()
}

fn forms() -> Vec<(&'static str, Change)> {
    let touched = Change { context: context(), ..insert() };
    vec![
        ("insert", insert()),
        ("first", Change { previous: None, ..insert() }),
        ("edit", Change { born: stamp(3), ..touched.clone() }),
        ("delete", Change { kind: ChangeKind::Delete, generation: 2, cells: Vec::new(), ..touched.clone() }),
        ("again", Change { generation: 3, ..touched.clone() }),
        ("merge", Change { kind: ChangeKind::Merge, born: others(1), ..touched.clone() }),
        ("adopt", {
            let nil = |cell: Cell| Cell { version: Stamp::NIL, ..cell };
            let cells = insert().cells.into_iter().map(nil).collect();
            Change { kind: ChangeKind::Adopt, born: Stamp::NIL, cells, ..insert() }
        }),
        ("fragment", {
            let mut cells = values();
            for (at, cell) in cells.iter_mut().enumerate() {
                cell.version = if at % 2 == 0 { others(2) } else { stamp(3) };
            }
            Change { kind: ChangeKind::Repair, born: others(1), context: context(), cells, ..insert() }
        }),
        ("compensate", Change { kind: ChangeKind::Compensate, ..touched }),
        ("group_begins", Change { more: true, ..insert() }),
        ("group_goes_on", Change { txn: stamp(2), more: true, ..insert() }),
        ("values", Change { cells: values(), ..insert() }),
        ("tags", Change { cells: tags(), ..insert() }),
        ("key_of_several_parts", {
            let key = [SyncValue::Text("a".into()), SyncValue::I64(-1), SyncValue::Bytes(vec![0])];
            Change { record: encode_key(&key), ..insert() }
        }),
    ]
}

#[test]
fn every_form_of_a_change_is_written_and_read_as_ever() {
    for (name, change) in forms() {
        let file = format!("changes/{name}.msgpack");
        golden::same(&file, &change.encode().into_bytes());
        let read = Change::decode(&golden::read(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, change, "{name}");
        for file in golden::earlier().into_iter().map(|version| format!("{version}/{file}")) {
            let Some(bytes) = golden::find(&file) else { continue };
            let read = Change::decode(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(read, change, "{file}");
        }
    }
}

/// The digests of changes stand in every chain.
#[test]
fn digests_are_as_ever() {
    let library = LibraryId::from_bytes(*b"a-library-of-all");
    let lines: String = forms()
        .iter()
        .map(|(name, change)| {
            let digest = Change::digest(library, change.encode().as_bytes());
            let hex: String = digest.0.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name} {hex}\n")
        })
        .collect();
    golden::same("changes/digests.txt", lines.as_bytes());
}

/// The hashes of values stand in every object, and decide between writes of one stamp.
#[test]
fn hashes_and_bytes_of_values_are_as_ever() {
    let lines: String = values()
        .iter()
        .map(|cell| {
            let bytes: String = cell.value.encode().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {bytes} {:016x}\n", cell.column, cell.value.hash64().0)
        })
        .collect();
    golden::same("changes/values.txt", lines.as_bytes());
}
