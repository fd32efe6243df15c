//! The adapter: what the engine knows of an entity, and how it asks the user's functions.

use std::sync::Arc;

use sync_core::{Adapter, ColumnKind, MergeError, Registration, Role, SyncValue, TriggerPolicy, ValueError};
use uuid::Uuid;

use crate::entities::{order, thing};

fn thing() -> Arc<dyn Adapter> {
    Registration::of::<thing::ActiveModel>().adapter().expect("`thing` can sync")
}

/// A row of `thing`, in the order of its columns.
fn row(title: &str, r#type: &str) -> Vec<SyncValue> {
    vec![
        SyncValue::Uuid(Uuid::from_u128(7)),
        SyncValue::Text(title.into()),
        SyncValue::Text("open".into()),
        SyncValue::I64(1),
        SyncValue::Json(serde_json::json!({ "depth": 3 })),
        SyncValue::U64(9),
        SyncValue::Text(r#type.into()),
        SyncValue::Decimal("12.5".into()),
        SyncValue::Null,
        SyncValue::Null,
        SyncValue::Text("done".into()),
    ]
}

fn column(adapter: &dyn Adapter, name: &str) -> usize {
    adapter.spec().columns.iter().position(|column| column.name == name).expect("a column of the entity")
}

#[test]
fn a_spec_says_what_the_entity_says() {
    let adapter = thing();
    let spec = adapter.spec();
    assert_eq!(
        (spec.id.as_str(), spec.table.as_str(), spec.schema.as_deref()),
        ("thing", "things", Some("main"))
    );
    assert_eq!(spec.keys, [0]);
    assert_eq!(spec.triggers, TriggerPolicy::Log);
    assert!(spec.has_merge && spec.has_should_sync);

    let columns: Vec<_> = spec
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.wire.as_str(), column.kind, column.nullable, column.role))
        .collect();
    let expected = [
        ("id", "id", ColumnKind::Uuid, false, Role::Key),
        ("title", "title", ColumnKind::Text, false, Role::Synced),
        ("status", "status", ColumnKind::Text, false, Role::Synced),
        ("rank", "rank", ColumnKind::I32, true, Role::Synced),
        ("settings", "settings", ColumnKind::Json, true, Role::Synced),
        ("total", "sum", ColumnKind::U64, false, Role::Synced),
        ("type", "type", ColumnKind::Text, false, Role::Synced),
        ("price", "price", ColumnKind::Decimal, true, Role::Synced),
        ("at", "at", ColumnKind::ChronoDateTimeUtc, true, Role::Synced),
        ("here", "here", ColumnKind::Text, true, Role::Skipped),
        ("local_status", "local_status", ColumnKind::Text, false, Role::Skipped),
    ];
    assert_eq!(columns, expected);
    assert_eq!(spec.columns[9].fill, None);
    assert_eq!(spec.columns[10].fill, Some(SyncValue::Text("done".into())));

    let plain = Registration::of::<order::ActiveModel>().adapter().unwrap();
    assert_eq!(plain.spec().id, "orders");
    assert!(!plain.spec().has_merge && !plain.spec().has_should_sync);
}

#[test]
fn a_value_is_checked_by_the_fields_own_type() {
    let adapter = thing();
    let check = |name: &str, value: SyncValue| adapter.check(column(&*adapter, name), &value);

    for (column, value) in row("a", "b").iter().enumerate() {
        adapter.check(column, value).unwrap();
    }
    let unknown = |result| matches!(result, Err(ValueError::UnknownVariant(_)));
    assert!(unknown(check("status", SyncValue::Text("postponed".into()))));
    assert!(unknown(check("rank", SyncValue::I64(5))));
    assert!(unknown(check("settings", SyncValue::Json(serde_json::json!({ "depth": "deep" })))));
    assert_eq!(check("title", SyncValue::Null), Err(ValueError::Null));
    assert_eq!(check("rank", SyncValue::Null), Ok(()));
    assert!(matches!(check("title", SyncValue::I64(1)), Err(ValueError::WrongType { .. })));
    assert!(matches!(check("title", SyncValue::Text("\0".into())), Err(ValueError::OutOfRange { .. })));
    assert!(matches!(check("total", SyncValue::U64(u64::MAX)), Err(ValueError::OutOfRange { .. })));
}

#[test]
fn merge_gives_back_the_row_that_the_function_chose() {
    let adapter = thing();
    let (long, short) = (row("longer", "a"), row("long", "b"));
    // The function also takes the key away, which is not its to change.
    assert_eq!(adapter.merge(&long, &short).unwrap(), long);
    assert_eq!(adapter.merge(&short, &long).unwrap(), long);
}

#[test]
fn merge_that_panics_or_cannot_be_asked_is_an_error_and_no_more() {
    let adapter = thing();
    match adapter.merge(&row("panic", "a"), &row("b", "a")) {
        Err(MergeError::Panicked { model, message }) => {
            assert_eq!(model, "thing");
            assert!(message.contains("cannot decide"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let mut unknown = row("a", "a");
    unknown[2] = SyncValue::Text("postponed".into());
    match adapter.merge(&unknown, &row("b", "a")) {
        Err(MergeError::Row { reason, .. }) => assert!(reason.contains("`status`"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn should_sync_keeps_a_row_that_it_refuses_or_cannot_judge() {
    let adapter = thing();
    assert!(adapter.should_sync(&row("a", "public")));
    assert!(!adapter.should_sync(&row("a", "private")));
    assert!(!adapter.should_sync(&row("a", "panic")));
    let mut unknown = row("a", "public");
    unknown[3] = SyncValue::I64(5);
    assert!(!adapter.should_sync(&unknown));
}
