//! Programs of several versions in one library: an old one between two new ones, edits on all sides, and the old one updated later.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, QueryOrder, Set, prelude::*};
use sync_core::{EngineBuilder, Limits};
use sync_tests::{
    Device,
    device::{introduce, library},
    entities::item,
    grown::{MIGRATION, after, before, new, old},
    state::agree,
};

const FIRST: &str = "CREATE TABLE grown (id BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL)";

fn without(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["label"])
}

fn with(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["label", "item"])
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

async fn rows(device: &Device) -> Vec<after::Model> {
    after::Entity::find().order_by_asc(after::Column::Id).all(&device.db).await.expect("rows")
}

/// The old program lacks two columns. Everything that the two new ones say to each other goes through it.
#[tokio::test]
async fn columns_pass_an_old_program_and_are_there_when_it_is_updated() {
    let library = library();
    let first = async |db: &DatabaseConnection| {
        db.execute_unprepared(FIRST).await.expect("a table");
    };
    let a = Device::prepared(library, first, old).await.migrated(MIGRATION, new).await;
    let c = Device::prepared(library, first, old).await.migrated(MIGRATION, new).await;
    let b = Device::prepared(library, first, old).await;
    introduce(&[&a, &b, &c]).await;
    for n in 1..=3 {
        let note = Some(format!("note {n}"));
        let row =
            after::ActiveModel { id: Set(id(n)), name: Set(format!("{n}")), note: Set(note), stars: Set(1) };
        row.insert(&a.db).await.expect("a row");
    }
    let row = before::ActiveModel { id: Set(id(4)), name: Set("of the old one".into()) };
    row.insert(&b.db).await.expect("a row");
    let round = async |device: &Device| device.sync(&b).await.expect("a round");
    for device in [&a, &c, &a] {
        round(device).await;
    }
    assert_eq!(rows(&a).await, rows(&c).await);
    assert_eq!(rows(&c).await.last().map(|row| (row.note.clone(), row.stars)), Some((None, 5)));
    // All three edit one row, each what it has; one deletes; the old one deletes and makes again.
    let edit = after::ActiveModel { id: Set(id(1)), stars: Set(9), ..Default::default() };
    edit.update(&a.db).await.expect("an update");
    let edit = after::ActiveModel { id: Set(id(1)), note: Set(Some("of c".into())), ..Default::default() };
    edit.update(&c.db).await.expect("an update");
    let edit = before::ActiveModel { id: Set(id(1)), name: Set("of b".into()) };
    edit.update(&b.db).await.expect("an update");
    after::Entity::delete_by_id(id(2)).exec(&a.db).await.expect("a delete");
    before::Entity::delete_by_id(id(3)).exec(&b.db).await.expect("a delete");
    b.engine.flush().await.expect("a flush");
    let row = before::ActiveModel { id: Set(id(3)), name: Set("again".into()) };
    row.insert(&b.db).await.expect("a row");
    for device in [&a, &c, &a] {
        round(device).await;
    }
    let expected = |n, name: &str, note: Option<&str>, stars| after::Model {
        id: id(n),
        name: name.into(),
        note: note.map(str::to_owned),
        stars,
    };
    // What was made again by a program without the columns has nothing of before in them.
    let all = [
        expected(1, "of b", Some("of c"), 9),
        expected(3, "again", None, 5),
        expected(4, "of the old one", None, 5),
    ];
    assert_eq!((rows(&a).await, rows(&c).await), (all.to_vec(), all.to_vec()));
    let logged = b.logged().await;
    let b = b.migrated(MIGRATION, new).await;
    assert_eq!((rows(&b).await, b.logged().await), (all.to_vec(), logged), "an update is no edit");
    introduce(&[&a, &b, &c]).await;
    agree(&[&a, &b, &c]).await;
}

async fn add(device: &Device, n: u128, title: &str) {
    let row =
        item::ActiveModel { id: Set(id(n)), title: Set(title.into()), qty: Set(1), ..Default::default() };
    row.insert(&device.db).await.expect("an item");
    device.engine.flush().await.expect("a flush");
}

async fn titles(device: &Device) -> Vec<String> {
    let items = item::Entity::find().order_by_asc(item::Column::Id).all(&device.db).await.expect("items");
    items.into_iter().map(|item| item.title).collect()
}

/// A program that has a model no more: what it knew of it is kept, served to others, and joined with what comes.
#[tokio::test]
async fn a_model_that_a_program_gives_up_is_passed_on_and_comes_back() {
    for log in [true, false] {
        let library = library();
        let mut limits = Limits::default();
        limits.snapshot_above = if log { u64::MAX } else { 0 };
        let (a, b) = (Device::with(library, with).await, Device::with(library, with).await);
        introduce(&[&a, &b]).await;
        for n in 1..=3 {
            add(&a, n, &format!("item {n}")).await;
        }
        b.sync(&a).await.expect("a round");
        let b = b.restart(without).await;
        // It goes on without: an edit and a delete come, and a new device begins with what it has.
        let edit = item::ActiveModel { id: Set(id(1)), title: Set("edited".into()), ..Default::default() };
        edit.update(&a.db).await.expect("an update");
        item::Entity::delete_by_id(id(2)).exec(&a.db).await.expect("a delete");
        b.sync(&a).await.expect("a round");
        let c = Device::with(library, |builder| with(builder).limits(limits)).await;
        let report = c.sync(&b).await.expect("a round");
        assert_eq!(report.snapshot_records > 0, !log);
        assert_eq!(titles(&c).await, ["edited", "item 3"]);
        introduce(&[&a, &b, &c]).await;
        agree(&[&a, &b, &c]).await;
        // It comes back: its rows follow, and nothing is taken for an edit.
        let logged = b.logged().await;
        let b = b.restart(with).await;
        assert_eq!((titles(&b).await, b.logged().await), (titles(&a).await, logged));
        add(&b, 4, "of b").await;
        a.sync(&b).await.expect("a round");
        assert_eq!(titles(&a).await, ["edited", "item 3", "of b"]);
        agree(&[&a, &b]).await;
    }
}
