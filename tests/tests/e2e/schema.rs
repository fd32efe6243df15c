//! Changes of the schema that travel: made by one author, carried out once everywhere, in order.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Set, prelude::*};
use sync_core::{
    EngineBuilder, LibraryId, NewColumn, NewTable, PendingReason, SchemaChange, SchemaError, SchemaType,
    SyncError, SyncValue,
};
use sync_tests::{
    Device,
    device::{introduce, library},
    grown::{after, before},
    wire,
};

fn old(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["grown"]).register::<before::ActiveModel>()
}

fn new(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["grown"]).register::<after::ActiveModel>()
}

/// A program that does not have the model any more.
fn without(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["item"])
}

async fn device(library: LibraryId) -> Device {
    Device::with(library, old).await
}

fn table() -> SchemaChange {
    let table = NewTable::new("grown")
        .column(NewColumn::new("id", SchemaType::Uuid))
        .column(NewColumn::new("name", SchemaType::Text))
        .key(["id"]);
    SchemaChange::CreateTable(table)
}

fn note() -> SchemaChange {
    let column = NewColumn::new("note", SchemaType::Text).nullable();
    SchemaChange::AddColumn { table: "grown".into(), column }
}

fn stars() -> SchemaChange {
    let column = NewColumn::new("stars", SchemaType::Integer).with_default(5);
    SchemaChange::AddColumn { table: "grown".into(), column }
}

async fn apply(device: &Device, changes: impl IntoIterator<Item = SchemaChange>) {
    for change in changes {
        device.engine.schema().apply(change).await.expect("a change of the schema");
    }
}

async fn refused(device: &Device, change: SchemaChange) -> SchemaError {
    let before = (device.schema().await, device.state().await);
    match device.engine.schema().apply(change).await {
        Err(SyncError::Schema(error)) => {
            assert_eq!((device.schema().await, device.state().await), before, "{error}");
            error
        }
        other => panic!("{other:?}"),
    }
}

async fn columns(device: &Device, table: &str) -> String {
    device
        .text(format!("SELECT coalesce(group_concat(name, ' '), '') FROM pragma_table_info('{table}')"))
        .await
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

async fn insert(device: &Device, n: u128, name: &str) {
    let row = before::ActiveModel { id: Set(id(n)), name: Set(name.into()) };
    row.insert(&device.db).await.expect("a row");
    device.engine.flush().await.expect("a flush");
}

async fn waiting(device: &Device) -> Vec<String> {
    let changes = device.engine.schema().changes().await.expect("changes");
    changes.into_iter().filter_map(|change| change.waits).collect()
}

async fn agree(devices: &[&Device]) {
    for device in devices {
        let verified = device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "{:?}", verified.findings);
        assert_eq!(device.engine.pending().await.expect("pending"), []);
        assert_eq!(device.digest().await, devices[0].digest().await);
    }
}

#[tokio::test]
async fn a_table_and_its_columns_are_made_once_everywhere() {
    let library = library();
    let (a, b, c) = (device(library).await, device(library).await, device(library).await);
    introduce(&[&a, &b, &c]).await;
    apply(&a, [table()]).await;
    insert(&a, 1, "one").await;
    let logged = a.logged().await;
    apply(&a, [note(), stars()]).await;
    assert_eq!(a.logged().await, logged, "a column logs no row");
    b.sync(&a).await.expect("a round");
    c.sync(&b).await.expect("a round, with one who is not the author");
    for device in [&a, &b, &c] {
        assert_eq!(columns(device, "grown").await, "id name note stars");
        assert_eq!(device.logged().await, logged);
        assert_eq!(before::Entity::find().all(&device.db).await.expect("rows").len(), 1);
        // It is guarded: what is written to it travels, by whichever way.
    }
    c.db.execute_unprepared("UPDATE grown SET name = 'of c'").await.expect("an update");
    c.sync(&b).await.expect("a round");
    a.sync(&b).await.expect("a round");
    let (a, b, c) = (a.restart(new).await, b.restart(new).await, c.restart(new).await);
    let edit = after::ActiveModel { id: Set(id(1)), stars: Set(7), ..Default::default() };
    edit.update(&c.db).await.expect("an update");
    for _ in 0..2 {
        introduce(&[&a, &b, &c]).await;
    }
    let expected = after::Model { id: id(1), name: "of c".into(), note: None, stars: 7 };
    for device in [&a, &b, &c] {
        assert_eq!(
            after::Entity::find().all(&device.db).await.expect("rows"),
            std::slice::from_ref(&expected)
        );
        assert_eq!(waiting(device).await, [""; 0]);
        assert_eq!(device.engine.schema().author().await.expect("an author"), Some(a.engine.device_id()));
    }
    agree(&[&a, &b, &c]).await;
    // Nothing is carried out twice.
    let (schema, again) = (b.schema().await, b.restart(new).await);
    again.sync(&a).await.expect("a round");
    assert_eq!(again.schema().await, schema);
}

/// What the author's changes say arrives in pieces, the later first, and by a state feed.
#[tokio::test]
async fn changes_that_arrive_in_pieces_are_carried_out_in_order() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    apply(&a, [table(), note(), stars()]).await;
    insert(&a, 1, "one").await;
    let page = sync_core::Peer::pull(&a.engine, wire::first_pull(&a.engine)).await.expect("a page");
    let changes: Vec<Vec<u8>> = page
        .entries
        .into_iter()
        .filter_map(|entry| match entry {
            sync_core::Entry::Change(bytes) => Some(bytes.into_vec()),
            sync_core::Entry::Digest(_) => None,
        })
        .collect();
    assert_eq!(changes.len(), 4);
    let steps = ["", "", "", "id name note stars"];
    for (change, expected) in changes.into_iter().rev().zip(steps) {
        wire::push(&b.engine, library, vec![change]).await.expect("an answer");
        assert_eq!(columns(&b, "grown").await, expected);
    }
    assert_eq!(
        before::Entity::find().all(&b.db).await.expect("rows").len(),
        1,
        "and the row that waited is there"
    );
    b.sync(&a).await.expect("a round");
    agree(&[&a, &b]).await;

    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = 0;
    let c = Device::with(library, |builder| new(builder).limits(limits)).await;
    let report = c.sync(&a).await.expect("a round");
    assert!(report.snapshot_records > 0, "{report:?}");
    assert_eq!(columns(&c, "grown").await, "id name note stars");
    assert_eq!(after::Entity::find().all(&c.db).await.expect("rows").len(), 1);
}

#[tokio::test]
async fn what_a_migration_of_the_application_made_is_left_as_it_is() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    let made = "CREATE TABLE grown (id BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL, note TEXT, extra INT DEFAULT 1)";
    b.db.execute_unprepared(made).await.expect("a table");
    insert(&b, 2, "two").await;
    apply(&a, [table(), note(), stars()]).await;
    insert(&a, 1, "one").await;
    b.sync(&a).await.expect("a round");
    a.sync(&b).await.expect("a round");
    assert_eq!(columns(&b, "grown").await, "id name note extra stars");
    assert_eq!(waiting(&b).await, [""; 0]);
    for device in [&a, &b] {
        assert_eq!(before::Entity::find().all(&device.db).await.expect("rows").len(), 2);
    }
    agree(&[&a, &b]).await;
    // A table of this name that is another one is left alone, and what follows waits.
    let c = device(library).await;
    c.db.execute_unprepared("CREATE TABLE grown (id BLOB PRIMARY KEY NOT NULL, title TEXT)")
        .await
        .expect("a table");
    let report = c.sync(&a).await;
    assert!(report.is_err() || columns(&c, "grown").await == "id title");
    assert_eq!(columns(&c, "grown").await, "id title");
}

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
async fn what_this_program_uses_goes_when_it_does_not_use_it_any_more() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    apply(&a, [table(), note(), stars()]).await;
    let a = a.restart(new).await;
    for n in 1..=3 {
        let row = after::ActiveModel {
            id: Set(id(n)),
            name: Set(format!("row {n}")),
            note: Set(Some(format!("note {n}"))),
            stars: Set(i64::try_from(n).expect("few")),
        };
        row.insert(&a.db).await.expect("a row");
    }
    b.sync(&a).await.expect("a round");
    let b = b.restart(new).await;
    let drop = |column: &str| SchemaChange::DropColumn { table: "grown".into(), column: column.into() };
    assert!(matches!(refused(&a, drop("stars")).await, SchemaError::InUse { model, .. } if model == "grown"));
    // The author's program is the next one already, b's is not.
    let a = a.restart(old).await;
    apply(&a, [drop("stars"), drop("note")]).await;
    assert_eq!(columns(&a, "grown").await, "id name");
    b.sync(&a).await.expect("a round");
    assert_eq!(columns(&b, "grown").await, "id name note stars");
    assert_eq!(waiting(&b).await.len(), 2);
    let edit = after::ActiveModel { id: Set(id(2)), note: Set(Some("newer".into())), ..Default::default() };
    edit.update(&b.db).await.expect("an update");
    b.sync(&a).await.expect("a round");
    assert_eq!(a.digest().await, b.digest().await);
    let b = b.restart(old).await;
    assert_eq!(columns(&b, "grown").await, "id name");
    agree(&[&a, &b]).await;
    // What the columns held is known still: a device that has them shows it.
    let c = Device::with(library, new).await;
    c.db.execute_unprepared(
        "CREATE TABLE grown (id BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL, note TEXT, stars BIGINT NOT NULL DEFAULT 5)",
    )
    .await
    .expect("a table");
    c.sync(&a).await.expect("a round");
    let notes: Vec<_> = after::Entity::find()
        .all(&c.db)
        .await
        .expect("rows")
        .into_iter()
        .filter_map(|row| row.note)
        .collect();
    assert_eq!(notes, ["note 1", "newer", "note 3"]);
}

#[tokio::test]
async fn a_table_goes_and_its_records_travel_on() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    apply(&a, [table()]).await;
    insert(&a, 1, "one").await;
    insert(&a, 2, "two").await;
    b.sync(&a).await.expect("a round");
    introduce(&[&a, &b]).await;
    let a = a.restart(without).await;
    apply(&a, [SchemaChange::DropTable { table: "grown".into() }]).await;
    assert_eq!(columns(&a, "grown").await, "");
    b.sync(&a).await.expect("a round");
    assert_eq!(columns(&b, "grown").await, "id name", "its program has it");
    insert(&b, 3, "three").await;
    b.sync(&a).await.expect("a round");
    let b = b.restart(without).await;
    assert_eq!(columns(&b, "grown").await, "");
    agree(&[&a, &b]).await;
    // A third begins with the state of the one that has no table, and has one.
    let c = device(library).await;
    c.db.execute_unprepared("CREATE TABLE grown (id BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL)")
        .await
        .expect("a table");
    c.sync(&b).await.expect("a round");
    assert_eq!(before::Entity::find().all(&c.db).await.expect("rows").len(), 3);
    // It comes back: the records are shown, and none is taken for deleted.
    let logged = a.logged().await;
    apply(&a, [table()]).await;
    let a = a.restart(old).await;
    assert_eq!(before::Entity::find().all(&a.db).await.expect("rows").len(), 3);
    assert_eq!(a.logged().await, logged);
    assert!(a.engine.verify().await.expect("verify").is_clean());
}

/// The new program's entity has the new name in the database and the old one on the wire.
mod renamed {
    use sea_orm::entity::prelude::*;
    use sync_core::{ColumnRule, Rules, Syncable};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "grown")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "grown";

        fn rules() -> Rules {
            Rules::new()
                .without_merge()
                .without_should_sync()
                .column(Column::Title, ColumnRule::new().wire("name"))
        }
    }

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}

#[tokio::test]
async fn a_column_gets_another_name_with_the_program_that_calls_it_so() {
    let next = |builder: EngineBuilder| {
        builder.without_background().models(["grown"]).register::<renamed::ActiveModel>()
    };
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    apply(&a, [table()]).await;
    insert(&a, 1, "one").await;
    b.sync(&a).await.expect("a round");
    introduce(&[&a, &b]).await;
    let rename =
        SchemaChange::RenameColumn { table: "grown".into(), from: "name".into(), to: "title".into() };
    assert!(matches!(refused(&a, rename.clone()).await, SchemaError::InUse { .. }));
    // A server without the model changes the schema.
    let a = a.restart(without).await;
    apply(&a, [rename]).await;
    b.sync(&a).await.expect("a round");
    assert_eq!(columns(&b, "grown").await, "id name");
    insert(&b, 2, "two").await;
    let logged = b.logged().await;
    let b = b.restart(next).await;
    assert_eq!(columns(&b, "grown").await, "id title");
    assert_eq!(b.logged().await, logged, "a name is no edit");
    b.sync(&a).await.expect("a round");
    let a = a.restart(next).await;
    for device in [&a, &b] {
        assert_eq!(renamed::Entity::find().all(&device.db).await.expect("rows").len(), 2);
    }
    agree(&[&a, &b]).await;
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
        assert!(b.engine.verify().await.expect("verify").is_clean());
        // It keeps nothing else from travelling.
        let c = Device::with(library, without).await;
        c.sync(&b).await.expect("a round");
        assert_eq!(c.engine.schema().changes().await.expect("changes").len(), 1);
    }
}

/// An author whose database was restored elsewhere goes on under its new id.
#[tokio::test]
async fn an_author_with_a_new_id_goes_on() {
    let library = library();
    let (a, b) = (device(library).await, device(library).await);
    introduce(&[&a, &b]).await;
    apply(&a, [table()]).await;
    b.sync(&a).await.expect("a round");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("moved.db");
    a.db.execute_unprepared(&format!("VACUUM INTO '{}'", path.display())).await.expect("a copy");
    a.close().await;
    let a = Device::open(path, library, old).await;
    apply(&a, [note()]).await;
    b.sync(&a).await.expect("a round");
    assert_eq!(columns(&b, "grown").await, "id name note");
    assert_eq!(b.engine.schema().author().await.expect("an author"), Some(a.engine.device_id()));
    assert_eq!(waiting(&b).await, [""; 0]);
}
