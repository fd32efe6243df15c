//! Objects as they lie in `sync_objects`.

use sync_core::{
    DeviceId, Name, Stamp, Strategy, SyncValue, Tag,
    merge::{ColumnIds, StoredCell, StoredObject},
};

use crate::golden;

const COLUMNS: [&str; 4] = ["a", "b", "c", "d"];

/// Columns with the numbers 10 to 13.
struct Numbers;

impl ColumnIds for Numbers {
    fn id(&self, column: &str) -> Option<u32> {
        let at = COLUMNS.iter().position(|name| *name == column)?;
        u32::try_from(at + 10).ok()
    }

    fn name(&self, id: u32) -> Option<Name> {
        let at = usize::try_from(id).ok()?.checked_sub(10)?;
        COLUMNS.get(at).map(|name| Name::new(*name))
    }
}

fn stamp(n: u8) -> Stamp {
    Stamp::new(1_700_000_000_000, u32::from(n), DeviceId::from_bytes([n; 16]).node())
}

fn cell(column: &str, value: &SyncValue, version: Stamp) -> StoredCell {
    StoredCell {
        column: column.into(),
        tag: Tag::LWW,
        version,
        hash: value.hash64(),
        shadow: None,
        payload: None,
        row: None,
    }
}

fn plain() -> StoredObject {
    let (one, two) = (SyncValue::I64(1), SyncValue::Text("two".into()));
    StoredObject {
        generation: 1,
        born: stamp(1),
        clock: [stamp(1)].into_iter().collect(),
        shown: true,
        cells: vec![cell("a", &one, stamp(1)), cell("b", &two, stamp(1))],
    }
}

fn forms() -> Vec<(&'static str, StoredObject)> {
    let (one, two) = (SyncValue::I64(1), SyncValue::Text("two".into()));
    let kept = |cell: StoredCell, value: &SyncValue| StoredCell { payload: Some(value.clone()), ..cell };
    vec![
        ("plain", plain()),
        (
            "baseline",
            StoredObject {
                born: Stamp::NIL,
                cells: plain()
                    .cells
                    .into_iter()
                    .map(|cell| StoredCell { version: Stamp::NIL, ..cell })
                    .collect(),
                ..plain()
            },
        ),
        ("deleted", StoredObject { generation: 2, shown: false, cells: Vec::new(), ..plain() }),
        (
            "edited_by_several",
            StoredObject {
                clock: [stamp(1), stamp(2), stamp(3)].into_iter().collect(),
                cells: vec![cell("a", &one, stamp(2)), cell("b", &two, stamp(1)), cell("d", &one, stamp(3))],
                ..plain()
            },
        ),
        (
            "waiting",
            StoredObject {
                shown: false,
                cells: vec![kept(cell("a", &one, stamp(1)), &one), kept(cell("b", &two, stamp(1)), &two)],
                ..plain()
            },
        ),
        (
            "rewritten_by_the_database",
            StoredObject {
                cells: vec![
                    StoredCell { shadow: Some(two.hash64()), ..kept(cell("a", &one, stamp(1)), &one) },
                    cell("b", &two, stamp(1)),
                ],
                ..plain()
            },
        ),
        (
            "with_rules",
            StoredObject {
                cells: vec![
                    StoredCell { tag: Tag::new(Strategy::Max, 1), ..kept(cell("a", &one, stamp(1)), &one) },
                    StoredCell { tag: Tag { rule: 0, kind: 200 }, ..kept(cell("c", &two, stamp(1)), &two) },
                ],
                ..plain()
            },
        ),
    ]
}

#[test]
fn packed_objects_are_written_and_read_as_ever() {
    for (name, object) in forms() {
        let parts = [
            ("cells", Some(object.encode_cells(&Numbers).expect("numbered columns"))),
            ("clock", Some(object.encode_clock())),
            ("payload", object.encode_payload()),
        ];
        for (part, today) in &parts {
            if let Some(today) = today {
                golden::same(&format!("objects/{name}.{part}"), today);
            }
        }
        for version in golden::earlier().into_iter().chain([".".to_owned()]) {
            let file = |part: &str| format!("{version}/objects/{name}.{part}");
            let Some(cells) = golden::find(&file("cells")) else { continue };
            let (clock, payload) = (golden::read(&file("clock")), golden::find(&file("payload")));
            let found = StoredObject::decode(&cells, &clock, payload.as_deref(), &Numbers)
                .unwrap_or_else(|error| panic!("{version} {name}: {error}"));
            assert_eq!(found, object, "{version} {name}");
        }
    }
}
