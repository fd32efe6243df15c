use std::process::{Command, Stdio};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    change::{Cell, Change, ChangeKind, Tag},
    ids::{DeviceId, LibraryId, RecordId},
    stamp::Stamp,
    store::{install_tables, remove_tables, sql},
    value::{SyncValue, encode_key},
    vector::Clock,
};

const LIBRARY: LibraryId = LibraryId::from_bytes(*b"library-of-16-by");
const DEVICE: DeviceId = DeviceId::from_bytes([0xd0; 16]);

async fn open(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    install_tables(&db).await.unwrap();
    let names =
        [(7, 1, LIBRARY.as_bytes().to_vec()), (8, 2, DEVICE.as_bytes().to_vec()), (9, 3, b"no\"te".to_vec())];
    for (id, kind, name) in names {
        let row = [id.into(), kind.into(), name.into()];
        sql::execute(&db, "INSERT INTO sync_names (id, kind, name) VALUES (?, ?, ?)", row).await.unwrap();
    }
    db
}

/// Logs `change` at `seq`, without its data if that is `None`.
async fn log(db: &DatabaseConnection, seq: i64, change: &Change, data: Option<Vec<u8>>) {
    let insert = "INSERT INTO sync_log (seq, library, device, model, kind, more, ahead, change_id, record, data) \
                  VALUES (?, 7, 8, 9, ?, 0, 0, ?, ?, ?)";
    let row = [
        seq.into(),
        i64::try_from(change.kind.code()).unwrap().into(),
        change.id.as_bytes().to_vec().into(),
        change.record.as_bytes().to_vec().into(),
        data.into(),
    ];
    sql::execute(db, insert, row).await.unwrap();
}

async fn column<T: sea_orm::TryGetable>(db: &DatabaseConnection, seq: i64, name: &str) -> T {
    let select = format!("SELECT {name} FROM sync_changes WHERE seq = ?");
    let row = sql::one(db, &select, [seq.into()]).await.unwrap().expect("the row is in the view");
    sql::column(&row, 0).unwrap()
}

fn change(ms: u64, cells: Vec<(&str, SyncValue)>) -> Change {
    let id = Stamp::new(ms, 5, DEVICE.node());
    let cell = |(column, value): (&str, SyncValue)| Cell {
        column: column.into(),
        tag: Tag::LWW,
        version: id,
        value,
    };
    Change {
        id,
        device: DEVICE,
        previous: None,
        txn: id,
        more: false,
        kind: ChangeKind::Edit,
        model: "no\"te".into(),
        record: encode_key(&[SyncValue::I64(1)]),
        generation: 1,
        born: id,
        context: Clock::new(),
        cells: cells.into_iter().map(cell).collect(),
    }
}

/// What the view should show: as `SyncValue::to_json`, but plain where SQL has no trouble with it.
fn shown(value: &SyncValue) -> Value {
    match value {
        SyncValue::I64(number) => json!(number),
        SyncValue::U64(number) => json!(number),
        SyncValue::F64(number) if !number.is_finite() => json!(number.to_string()),
        SyncValue::Bytes(_) => value.to_json()["bytes"].clone(),
        SyncValue::Json(value) => value.clone(),
        other => other.to_json(),
    }
}

/// Compared as text: numbers are told apart to the last bit, and `-0.0` from `0.0`. Very large and very small
/// floats are as good as SQLite's own printing is.
fn assert_shows(data: &str, change: &Change) {
    let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
    let data = data.as_object().unwrap();
    assert_eq!(data.len(), change.cells.len());
    for cell in &change.cells {
        let found = data.get(cell.column.as_str()).unwrap_or_else(|| panic!("{} is missing", cell.column));
        if let (SyncValue::F64(number), Some(found)) = (&cell.value, found.as_f64())
            && *number != 0.0
            && !(1e-20..1e20).contains(&number.abs())
        {
            assert!(found.to_bits().abs_diff(number.to_bits()) <= 2, "{found:e} is not {number:e}");
            continue;
        }
        assert_eq!(found.to_string(), shown(&cell.value).to_string(), "{:?}", cell.value);
    }
}

fn every_form() -> Vec<SyncValue> {
    let mut values = vec![SyncValue::Null, SyncValue::Bool(true), SyncValue::Bool(false)];
    for shift in [0, 5, 7, 8, 15, 16, 31, 32, 53, 62] {
        for near in [-1, 0, 1] {
            let number = (1_i64 << shift) + near;
            values.extend([SyncValue::I64(number), SyncValue::I64(-number)]);
        }
    }
    values.extend([i64::MAX, i64::MIN].map(SyncValue::I64));
    values.extend([0, 1, 1 << 53, i64::MAX as u64, 1 << 63, u64::MAX].map(SyncValue::U64));
    let floats = [
        0.0,
        1.0,
        1.5,
        0.1,
        0.1 + 0.2,
        1e15,
        1e16,
        123_456_789.125,
        1e23,
        2.5e-7,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        2.225_073_858_507_201e-308,
        f64::EPSILON,
        f64::INFINITY,
        std::f64::consts::PI,
    ];
    values.extend(floats.into_iter().flat_map(|number| [SyncValue::F64(number), SyncValue::F64(-number)]));
    values.push(SyncValue::F64(f64::NAN));
    let texts =
        ["", "plain", "\"quoted\" \\ and 'quoted'", "naïve ☃ 𝄞", "\0nul\0", "\u{1}\n\t\u{7f}\u{2028}"];
    values.extend(texts.map(|text| SyncValue::Text(text.into())));
    for length in [1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 255, 256, 65_535, 65_536] {
        values.push(SyncValue::Text("ü".repeat(length / 2) + &"x".repeat(length % 2)));
        values.push(SyncValue::Bytes((0..length).map(|at| at as u8).collect()));
        values.push(SyncValue::Decimal("7".repeat(length)));
        values.push(SyncValue::Json(json!("j".repeat(length.saturating_sub(2)))));
    }
    values.push(SyncValue::Bytes(Vec::new()));
    values.push(SyncValue::Json(json!({"a": [1, 1.0, null, {"b": "\"ü\""}], "": 0.1})));
    values.extend([Value::Null, json!(true), json!(7), json!([])].map(SyncValue::Json));
    values
        .extend([Uuid::nil(), Uuid::max(), Uuid::from_u128(0x0123_4567_89ab_cdef_0123)].map(SyncValue::Uuid));
    values.extend(["0", "-12.5", "0.000001"].map(|text| SyncValue::Decimal(text.into())));
    values.push(SyncValue::Time("2024-02-29T12:34:56.789+01:00".into()));
    values
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_value() -> impl Strategy<Value = SyncValue> {
    prop_oneof![
        Just(SyncValue::Null),
        any::<bool>().prop_map(SyncValue::Bool),
        (any::<i64>(), 0..64_u32).prop_map(|(number, shift)| SyncValue::I64(number >> shift)),
        (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| SyncValue::U64(number >> shift)),
        any::<u64>().prop_map(|bits| SyncValue::F64(f64::from_bits(bits))),
        (any::<i32>(), 0..6)
            .prop_map(|(number, places)| SyncValue::F64(f64::from(number) / 10_f64.powi(places))),
        any::<String>().prop_map(SyncValue::Text),
        prop::collection::vec(any::<char>(), 0..400)
            .prop_map(|chars| SyncValue::Text(chars.into_iter().collect())),
        prop::collection::vec(any::<u8>(), 0..400).prop_map(SyncValue::Bytes),
        any_json().prop_map(SyncValue::Json),
        any::<u128>().prop_map(|bits| SyncValue::Uuid(Uuid::from_u128(bits))),
        (any::<i64>(), 1..30_usize)
            .prop_map(|(number, more)| SyncValue::Decimal(format!("{number}.{}1", "0".repeat(more)))),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let cell = (any::<String>(), any_value(), 0..4_u8, any::<u64>());
    let cells = prop::collection::btree_map(any::<String>(), cell, 0..20);
    let stamps = prop::collection::vec(any::<u64>(), 0..20);
    (cells, stamps, 0..4_u64, 1_u64 << 20..1 << 46).prop_map(|(cells, stamps, generation, ms)| {
        let mut change = change(ms, Vec::new());
        let foreign = |bits: u64| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&bits.to_be_bytes());
            Stamp::new(bits >> 30, 9, DeviceId::from_bytes(bytes).node())
        };
        stamps.iter().for_each(|bits| change.context.observe(foreign(*bits)));
        change.generation = 2 * generation + 1;
        change.more = generation == 1;
        change.previous = (generation == 2).then(|| Stamp::new(ms - 1, 5, DEVICE.node()));
        change.born = stamps.first().map_or(change.id, |bits| foreign(*bits));
        let cell = |(column, (_, value, parts, bits)): (String, (_, _, _, _))| Cell {
            column: column.into(),
            tag: if parts == 3 { Tag { rule: 1, kind: 2 } } else { Tag::LWW },
            version: match parts {
                0 => Stamp::NIL,
                1 => foreign(bits),
                2 => Stamp::new(ms - bits % ms, 5, DEVICE.node()),
                _ => change.id,
            },
            value,
        };
        change.cells = cells.into_iter().map(cell).collect();
        change
    })
}

#[tokio::test]
async fn every_form_of_value_is_shown() {
    let db = open("sqlite::memory:").await;
    for (seq, value) in (1..).zip(every_form()) {
        let change = change(1_000_000 + seq as u64, vec![("\"col\" ü", value), ("z", SyncValue::Bool(true))]);
        log(&db, seq, &change, Some(change.encode().into_bytes())).await;
        assert_shows(&column::<String>(&db, seq, "data").await, &change);
    }
    let names: Vec<_> = (0..every_form().len()).map(|at| format!("{at:03}")).collect();
    let all = change(9, names.iter().map(String::as_str).zip(every_form()).collect());
    log(&db, 0, &all, Some(all.encode().into_bytes())).await;
    assert_shows(&column::<String>(&db, 0, "data").await, &all);
}

#[test]
fn any_change_is_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let db = runtime.block_on(open("sqlite::memory:"));
    proptest!(|(change in any_change())| {
        runtime.block_on(async {
            let bytes = change.encode().into_bytes();
            sql::execute(&db, "DELETE FROM sync_log", []).await.unwrap();
            log(&db, 1, &change, Some(bytes)).await;
            assert_shows(&column::<String>(&db, 1, "data").await, &change);
            let what = if change.born == change.id { "insert" } else { "update" };
            assert_eq!(column::<String>(&db, 1, "change_type").await, what);
        });
    });
}

#[test]
fn the_program_sqlite3_shows_the_same() {
    if !Command::new("sqlite3")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return eprintln!("skipped: there is no sqlite3 here");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let mut runner = TestRunner::default();
    let mut changes: Vec<_> =
        every_form().into_iter().map(|value| change(7, vec![("value", value)])).collect();
    changes.extend((0..200).map(|_| any_change().new_tree(&mut runner).unwrap().current()));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = open(&format!("sqlite://{}?mode=rwc", path.display())).await;
        for (seq, change) in (1..).zip(&mut changes) {
            change.id = Stamp::new(change.id.ms(), u32::try_from(seq).unwrap(), DEVICE.node());
            log(&db, seq, change, Some(change.encode().into_bytes())).await;
        }
        db.close().await.unwrap();
    });
    let output = Command::new("sqlite3")
        .arg(&path)
        .args([
            "SELECT data FROM sync_changes ORDER BY seq",
            "SELECT count(*) FROM sync_changes WHERE record_id = 1",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.split('\n').collect();
    assert_eq!(lines.len(), changes.len() + 2);
    lines.iter().zip(&changes).for_each(|(line, change)| assert_shows(line, change));
    assert_eq!(lines[changes.len()], changes.len().to_string());
}

#[tokio::test]
async fn a_record_is_readable() {
    let db = open("sqlite::memory:").await;
    let text = |text: &str| SyncValue::Text(text.into());
    let cases = [
        (vec![text("a \"b\"")], "a \"b\""),
        (vec![SyncValue::I64(-70_000)], "-70000"),
        (vec![SyncValue::U64(u64::MAX)], "18446744073709551615"),
        (
            vec![SyncValue::Uuid(Uuid::from_u128(0x0123_4567_89ab_7def_8123_4567_89ab_cdef))],
            "01234567-89ab-7def-8123-456789abcdef",
        ),
        (vec![SyncValue::Bytes(vec![0xab, 0])], "ab00"),
        (vec![text("a \"b\""), SyncValue::I64(7), SyncValue::Bool(true)], r#"["a \"b\"",7,true]"#),
    ];
    for (seq, (key, shown)) in (1..).zip(cases) {
        let change = Change { record: encode_key(&key), ..change(seq as u64, Vec::new()) };
        log(&db, seq, &change, Some(change.encode().into_bytes())).await;
        assert_eq!(column::<String>(&db, seq, "CAST(record_id AS TEXT)").await, shown);
    }
    assert_eq!(column::<i64>(&db, 2, "record_id").await, -70_000);
}

#[tokio::test]
async fn the_envelope_is_shown() {
    let db = open("sqlite::memory:").await;
    let kinds = [
        (ChangeKind::Edit, 1, "insert"),
        (ChangeKind::Delete, 2, "delete"),
        (ChangeKind::Merge, 1, "merge"),
        (ChangeKind::Adopt, 1, "adopt"),
        (ChangeKind::Repair, 1, "repair"),
        (ChangeKind::Compensate, 1, "compensate"),
    ];
    for (seq, (kind, generation, shown)) in (1..).zip(kinds) {
        let change = Change { kind, generation, ..change(1_700_000_000_000 + seq as u64, Vec::new()) };
        log(&db, seq, &change, Some(change.encode().into_bytes())).await;
        assert_eq!(column::<String>(&db, seq, "change_type").await, shown);
        assert_eq!(column::<String>(&db, seq, "data").await, "{}");
    }
    assert_eq!(column::<String>(&db, 3, "timestamp").await, "2023-11-14T22:13:20.003Z");
    assert_eq!(column::<String>(&db, 3, "library_id").await, LIBRARY.to_string());
    assert_eq!(column::<String>(&db, 3, "device_id").await, DEVICE.to_string());
    assert_eq!(column::<String>(&db, 3, "model_type").await, "no\"te");

    let adopted = Change { born: Stamp::NIL, ..change(8, Vec::new()) };
    log(&db, 8, &adopted, Some(adopted.encode().into_bytes())).await;
    assert_eq!(column::<String>(&db, 8, "change_type").await, "update");
    let pruned = change(9, vec![("a", SyncValue::Null)]);
    log(&db, 9, &pruned, None).await;
    assert_eq!(column::<Option<String>>(&db, 9, "data").await, None);
    assert_eq!(column::<String>(&db, 9, "change_type").await, "edit");
}

/// A change of a later version, or bytes that are no change, must not keep the view from showing the rest.
#[tokio::test]
async fn what_is_not_understood_is_passed_over() {
    let db = open("sqlite::memory:").await;
    let known = change(1, vec![("a", SyncValue::I64(1))]);
    let mut later = known.encode().into_bytes();
    later[0] += 1;
    later.extend([0x0c, 0x93, 1, 2, 3]);
    log(&db, 1, &known, Some(later)).await;
    assert_eq!(column::<String>(&db, 1, "data").await, r#"{"a":1}"#);

    let values =
        [SyncValue::I64(-7), SyncValue::F64(0.5), SyncValue::Text("x".repeat(40)), SyncValue::U64(7)];
    let whole = change(2, ["a", "b", "c", "d"].into_iter().zip(values).collect()).encode().into_bytes();
    let mut runner = TestRunner::deterministic();
    for seq in 2..300 {
        let mut bytes = whole.clone();
        let (at, byte) = (0..whole.len(), any::<u8>()).new_tree(&mut runner).unwrap().current();
        bytes[at] = byte;
        bytes.truncate(whole.len() - at / 2);
        let broken = Change { record: RecordId::from_bytes(bytes.clone()), ..change(seq as u64, Vec::new()) };
        log(&db, seq, &broken, Some(bytes)).await;
    }
    let rows = sql::all(&db, "SELECT record_id, change_type, data FROM sync_changes", []).await.unwrap();
    assert_eq!(rows.len(), 299);
}

/// SQLite reads every view again when a table is renamed or loses a column.
#[tokio::test]
async fn a_host_can_still_alter_its_tables() {
    let db = open("sqlite::memory:").await;
    let alter = "CREATE TABLE log (id INTEGER PRIMARY KEY, at TEXT, h TEXT); ALTER TABLE log RENAME COLUMN at TO name; \
                 ALTER TABLE log DROP COLUMN h; ALTER TABLE log RENAME TO walk";
    db.execute_unprepared(alter).await.unwrap();
    remove_tables(&db).await.unwrap();
    let left = sql::all(&db, "SELECT name FROM sqlite_master WHERE name LIKE 'sync%'", []).await.unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn one_row_is_found_without_reading_the_others() {
    let db = open("sqlite::memory:").await;
    let plan =
        sql::all(&db, "EXPLAIN QUERY PLAN SELECT data FROM sync_changes WHERE seq = 1", []).await.unwrap();
    let steps: Vec<String> = plan.iter().map(|row| sql::column(row, 3).unwrap()).collect();
    assert!(steps.iter().any(|step| step.starts_with("SEARCH log USING INTEGER PRIMARY KEY")), "{steps:?}");
}
