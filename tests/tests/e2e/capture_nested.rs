//! A nested save: each record of the tree is logged, as one group, and nothing else is.

use sea_orm::{
    ActiveHasMany, ActiveHasOne, ActiveModelTrait, ActiveValue::Unchanged, EntityTrait, Set, TransactionTrait,
};
use sync_core::{ChangeKind, Event};
use sync_tests::{
    Device,
    device::library,
    nested::{author, biography, book, book_genre, genre},
};

use crate::{
    capture::log_is_exact,
    ways::{begin, id, new_item, write},
};

/// Model and kind of what the next flush logs, in order of models; nothing if it logs nothing.
async fn logged(device: &Device) -> Vec<(String, ChangeKind)> {
    let mut events = device.engine.events();
    let before = device.engine.status().await.expect("a status").latest_seq;
    if device.engine.flush().await.expect("a flush") == before {
        return Vec::new();
    }
    let Some(Event::Local { changes, .. }) = events.next().await else { panic!("a flush is told") };
    let mut changes: Vec<_> = changes.iter().map(|change| (change.model.to_string(), change.kind)).collect();
    changes.sort_by_key(|(model, kind)| (model.clone(), format!("{kind:?}")));
    changes
}

fn edits(models: &[&str]) -> Vec<(String, ChangeKind)> {
    models.iter().map(|model| ((*model).to_owned(), ChangeKind::Edit)).collect()
}

#[tokio::test]
async fn every_record_of_a_new_tree_is_logged_with_the_keys_that_the_hooks_filled() {
    let device = Device::new(library()).await;
    let tree = author::ActiveModel::builder()
        .set_name("new")
        .set_biography(biography::ActiveModel::builder().set_text("born"))
        .add_book(
            book::ActiveModel::builder()
                .set_title("first")
                .add_genre(genre::ActiveModel::builder().set_name("prose")),
        )
        .add_book(book::ActiveModel::builder().set_title("second"));
    tree.save(&device.db).await.expect("a save");
    assert_eq!(logged(&device).await, edits(&["author", "biography", "book", "book", "book_genre", "genre"]));
    for book in book::Entity::find().all(&device.db).await.expect("books") {
        assert_eq!(book.id.get_version_num(), 7);
        let history = device.engine.history::<book::Entity>(book.id).await.expect("a history");
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].values.len(), 2, "a new record is logged as a whole");
    }
    for link in book_genre::Entity::find().all(&device.db).await.expect("links") {
        let key = (link.book_id, link.genre_id);
        let history = device.engine.history::<book_genre::Entity>(key).await.expect("a history");
        assert_eq!(history.len(), 1);
    }
    log_is_exact(&device, "a new tree").await;
}

#[tokio::test]
async fn only_what_a_nested_save_changes_is_logged() {
    let device = Device::new(library()).await;
    begin(&device).await;
    let unchanged = book::ActiveModelEx {
        id: Unchanged(id(2)),
        author_id: Unchanged(id(1)),
        title: Set("two".into()),
        ..Default::default()
    };
    let changed =
        book::ActiveModelEx { id: Unchanged(id(1)), title: Set("changed".into()), ..unchanged.clone() };
    let author = author::ActiveModelEx {
        id: Unchanged(id(1)),
        books: ActiveHasMany::Append(vec![changed, unchanged]),
        ..Default::default()
    };
    author.save(&device.db).await.expect("a save");
    assert_eq!(logged(&device).await, edits(&["book"]));
    let history = device.engine.history::<book::Entity>(id(1)).await.expect("a history");
    assert_eq!(history[1].values.len(), 1);
    assert_eq!(history[1].values[0].0, "title");
    log_is_exact(&device, "an update").await;
}

#[tokio::test]
async fn children_that_a_nested_save_leaves_out_are_logged_as_deleted_with_their_links() {
    let device = Device::new(library()).await;
    begin(&device).await;
    write("nested replace", &device.db).await.expect("a save");
    let deleted = |model: &str| (model.to_owned(), ChangeKind::Delete);
    let mut expected = vec![deleted("book"), deleted("book")];
    expected.extend(edits(&["book"]));
    expected.push(deleted("book_genre"));
    assert_eq!(logged(&device).await, expected);
    log_is_exact(&device, "replaced children").await;
}

#[tokio::test]
async fn a_nested_save_that_fails_half_way_leaves_nothing() {
    let device = Device::new(library()).await;
    begin(&device).await;
    let dump = device.dump().await;
    // The author is written before the biography, whose key is taken.
    let taken = biography::ActiveModelEx { id: Set(id(1)), text: Set("again".into()), ..Default::default() };
    let tree = author::ActiveModelEx {
        name: Set("half".into()),
        biography: ActiveHasOne::set(Some(taken)),
        ..Default::default()
    };
    assert!(tree.insert(&device.db).await.is_err());
    assert_eq!(logged(&device).await, []);
    assert_eq!(device.dump().await, dump);
    log_is_exact(&device, "a failed save").await;
}

#[tokio::test]
async fn of_two_savepoints_only_the_one_that_stays_is_logged() {
    let device = Device::new(library()).await;
    begin(&device).await;
    let txn = device.db.begin().await.expect("begin");
    new_item(50, "outside").insert(&txn).await.expect("an item");
    let lost = txn.begin().await.expect("a savepoint");
    write("nested insert", &lost).await.expect("a save");
    lost.rollback().await.expect("rollback");
    let kept = txn.begin().await.expect("a savepoint");
    write("nested insert by a child", &kept).await.expect("a save");
    kept.commit().await.expect("commit");
    assert_eq!(logged(&device).await, [], "nothing is committed yet");
    txn.commit().await.expect("commit");
    assert_eq!(logged(&device).await, edits(&["author", "book", "item"]));
    log_is_exact(&device, "savepoints").await;
}
