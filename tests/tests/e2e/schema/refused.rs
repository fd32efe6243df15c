//! What is not carried out: who may not, what cannot be made, what comes from afar and cannot be read.

use sea_orm::ConnectionTrait;
use sync_core::{NewColumn, NewTable, PendingReason, SchemaChange, SchemaError, SchemaType, SyncValue};
use sync_tests::{
    Device,
    device::{introduce, library},
    wire,
};

use super::{apply, columns, device, id, insert, note, refused, stars, table, waiting, without};

#[tokio::test]
async fn only_one_device_changes_the_schema_and_another_can_take_over() {
    let library = library();
    let (a, b, c) = (device(library).await, device(library).await, device(library).await);
    introduce(&[&a, &b, &c]).await;
    apply(&a, [table()]).await;
    b.sync(&a).await.expect("a round");
    assert_eq!(refused(&b, note()).await, SchemaError::NotTheAuthor { author: a.engine.device_id() });
    b.engine.schema().take_over().await.expect("taken over");
    apply(&b, [note()]).await;
    c.sync(&b).await.expect("a round");
    assert_eq!(columns(&c, "grown").await, "id name note");
    // The former author did not know, and made one at the same time: it stays where it is, and is listed elsewhere.
    apply(&a, [stars()]).await;
    b.sync(&a).await.expect("a round");
    a.sync(&b).await.expect("a round");
    assert_eq!(refused(&a, note()).await, SchemaError::Earlier { number: 3 });
    assert_eq!(columns(&b, "grown").await, "id name note");
    let pending = b.engine.pending().await.expect("pending");
    assert!(pending.len() == 1 && pending[0].reason == PendingReason::Schema, "{pending:?}");
    assert_eq!(waiting(&b).await, [SchemaError::Outrun.to_string()]);
    assert_eq!(a.digest().await, b.digest().await, "the data is the same for all that");
}

/// Two that never met both begin: the older beginning counts for all who know both.
#[tokio::test]
async fn of_two_beginnings_the_older_one_counts() {
    let library = library();
    let (a, b, c) = (device(library).await, device(library).await, device(library).await);
    apply(&a, [table()]).await;
    apply(
        &b,
        [SchemaChange::CreateTable(
            NewTable::new("other").column(NewColumn::new("id", SchemaType::Uuid)).key(["id"]),
        )],
    )
    .await;
    let mut changes = Vec::new();
    for device in [&b, &a] {
        let page =
            sync_core::Peer::pull(&device.engine, wire::first_pull(&device.engine)).await.expect("a page");
        changes.extend(page.entries.into_iter().filter_map(|entry| match entry {
            sync_core::Entry::Change(bytes) => Some(bytes.into_vec()),
            sync_core::Entry::Digest(_) => None,
        }));
    }
    wire::push(&c.engine, library, changes).await.expect("an answer");
    assert_eq!((columns(&c, "grown").await, columns(&c, "other").await), ("id name".into(), String::new()));
    assert_eq!(c.engine.schema().author().await.expect("an author"), Some(a.engine.device_id()));
    assert_eq!(waiting(&c).await, [SchemaError::Outrun.to_string()]);
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_the_reason_and_changes_nothing() {
    let a = device(library()).await;
    apply(&a, [table()]).await;
    let add = |table: &str, column: NewColumn| SchemaChange::AddColumn { table: table.into(), column };
    let evil = ["", "a b", "x\"; DROP TABLE items; --", "1st", "ä", "sync_log", "sqlite_sequence"];
    for name in evil {
        let table = NewTable::new(name).column(NewColumn::new("id", SchemaType::Uuid)).key(["id"]);
        assert!(
            matches!(refused(&a, SchemaChange::CreateTable(table)).await, SchemaError::Name { .. }),
            "{name}"
        );
    }
    for name in &evil[..5] {
        let column = NewColumn::new(*name, SchemaType::Text).nullable();
        assert!(matches!(refused(&a, add("grown", column)).await, SchemaError::Name { .. }), "{name}");
    }
    let column = NewColumn::new("must", SchemaType::Text);
    assert!(matches!(refused(&a, add("grown", column)).await, SchemaError::Invalid { .. }));
    let keyless = NewTable::new("keyless").column(NewColumn::new("id", SchemaType::Uuid));
    assert!(matches!(refused(&a, SchemaChange::CreateTable(keyless)).await, SchemaError::Invalid { .. }));
    a.db.execute_unprepared("CREATE TABLE private (id INTEGER PRIMARY KEY, secret TEXT)")
        .await
        .expect("a table");
    a.engine.flush().await.expect("a flush");
    for change in [
        SchemaChange::DropTable { table: "private".into() },
        SchemaChange::DropColumn { table: "private".into(), column: "secret".into() },
    ] {
        assert_eq!(refused(&a, change).await, SchemaError::NotSynced { table: "private".into() });
    }
    let text = NewColumn::new("quoted", SchemaType::Text).with_default("it's; DROP TABLE items --");
    apply(&a, [add("grown", text)]).await;
    insert(&a, 1, "one").await;
    assert_eq!(a.text("SELECT quoted FROM grown").await, "it's; DROP TABLE items --");
}

/// What comes from afar is judged as what is made here: nothing of it is SQL, and a table that does not sync is not touched.
#[tokio::test]
async fn changes_from_afar_that_cannot_be_carried_out_wait_with_the_reason() {
    for (text, because) in [
        (r#"{"drop_table":{"table":"private"}}"#, "does not sync"),
        (r#"{"drop_table":{"table":"x\"; DROP TABLE items; --"}}"#, "cannot be a name"),
        (r#"{"drop_table":{"table":"sync_log"}}"#, "cannot be a name"),
        (r#"{"drop_column":{"table":"items","column":"title"}}"#, "is used as it is"),
        (r#"{"split_table":{"table":"items"}}"#, "does not know the change"),
        (r#"{"drop_table":{"table":"private","cascade":true}}"#, "does not know the change"),
        ("DROP TABLE items", "does not know the change"),
    ] {
        let library = library();
        let b = Device::with(library, without).await;
        b.db.execute_unprepared("CREATE TABLE private (id INTEGER PRIMARY KEY, secret TEXT)")
            .await
            .expect("a table");
        let schema = b.schema().await;
        let mut author = wire::Author::new(library, 3);
        let cells = [
            ("author", SyncValue::Uuid(author.device.uuid())),
            ("change", SyncValue::Text(text.into())),
            ("number", SyncValue::I64(1)),
        ];
        let change = author.insert("sync_schema", &[SyncValue::Uuid(id(1))], &cells);
        author.merged(&b.engine, &[change]).await;
        assert_eq!(b.schema().await, schema, "{text}");
        let waiting = waiting(&b).await;
        assert!(waiting.len() == 1 && waiting[0].contains(because), "{text}: {waiting:?}");
        assert_eq!(b.engine.status().await.expect("a status").pending, 1, "it is counted as it is listed");
        b.assert_sound().await;
        // It keeps nothing else from travelling.
        let c = Device::with(library, without).await;
        c.sync(&b).await.expect("a round");
        assert_eq!(c.engine.schema().changes().await.expect("changes").len(), 1);
    }
}
