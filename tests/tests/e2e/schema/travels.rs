//! Changes that are carried out everywhere, with the rows and the programs that go along.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Set};
use sync_core::{EngineBuilder, SchemaChange, SchemaError};
use sync_tests::{
    Device,
    device::{introduce, library},
    grown::{after, before, new, old},
    state::agree,
    wire,
};

use super::{apply, columns, device, id, insert, note, refused, stars, table, waiting, without};

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
    a.assert_sound().await;
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
