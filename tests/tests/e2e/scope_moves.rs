//! Records that come into a scope and leave it, whoever moves them, and what is written meanwhile.

use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use sync_core::Scope;
use sync_tests::{
    Device,
    device::library,
    entities::{item, memo},
};

use crate::scope::{add, add_with, delete, part, rename, server_and_phone, settled, tag, titles};

#[tokio::test]
async fn the_server_moves_a_record_in_and_out() {
    let (server, phone) = server_and_phone().await;
    let id = add(&server, "a", Some("other")).await;
    assert_eq!(settled(&phone, &server).await.snapshot_records, 0);
    assert_eq!(titles(&phone).await, [""; 0]);
    tag(&server, id, "mine").await;
    assert_eq!(settled(&phone, &server).await.snapshot_records, 1, "all of it");
    assert_eq!(titles(&phone).await, ["a"]);
    tag(&server, id, "other").await;
    assert_eq!(settled(&phone, &server).await.snapshot_records, 0, "its key");
    assert_eq!(titles(&phone).await, [""; 0]);
    rename(&server, id, "b").await;
    tag(&server, id, "mine").await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["b"]);
    // Leaving was no delete.
    settled(&phone, &server).await;
    assert_eq!(titles(&server).await, ["b"]);
}

#[tokio::test]
async fn the_phone_moves_a_record_out_while_the_server_edits_it() {
    let (server, phone) = server_and_phone().await;
    let id = add(&server, "a", Some("mine")).await;
    settled(&phone, &server).await;
    rename(&server, id, "b").await;
    tag(&phone, id, "other").await;
    assert_eq!(titles(&phone).await, ["a"], "until it was sent");
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, [""; 0]);
    let there = item::Entity::find_by_id(id).one(&server.db).await.expect("a query").expect("an item");
    assert_eq!((there.title.as_str(), there.note.as_deref()), ("b", Some("other")));
    assert_eq!(settled(&phone, &server).await.sent, 0);
    // It comes back as it is there.
    tag(&server, id, "mine").await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["b"]);
}

/// The edit is not lost, and not for the phone either, if the record comes back.
#[tokio::test]
async fn an_edit_of_a_record_that_the_server_moves_out_is_sent_first() {
    let (server, phone) = server_and_phone().await;
    let id = add(&server, "a", Some("mine")).await;
    settled(&phone, &server).await;
    tag(&server, id, "other").await;
    rename(&phone, id, "by the phone").await;
    // One that the engine has not even seen.
    let edit = item::ActiveModel { id: Set(id), qty: Set(7), ..Default::default() };
    edit.update(&phone.db).await.expect("an update");
    settled(&phone, &server).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, [""; 0]);
    let there = item::Entity::find_by_id(id).one(&server.db).await.expect("a query").expect("an item");
    assert_eq!((there.title.as_str(), there.qty, there.note.as_deref()), ("by the phone", 7, Some("other")));
}

#[tokio::test]
async fn what_is_written_out_of_scope_is_sent_and_goes() {
    let (server, phone) = server_and_phone().await;
    add(&phone, "tagged", Some("other")).await;
    add(&phone, "mine", Some("mine")).await;
    let words = memo::ActiveModel { words: Set("of no selected model".into()), ..Default::default() };
    words.insert(&phone.db).await.expect("a memo");
    assert_eq!(titles(&phone).await, ["mine", "tagged"], "until it was sent");
    assert_eq!(settled(&phone, &server).await.sent, 3);
    assert_eq!(titles(&phone).await, ["mine"]);
    assert!(memo::Entity::find().all(&phone.db).await.expect("memos").is_empty());
    assert_eq!(titles(&server).await, ["mine", "tagged"]);
    assert_eq!(memo::Entity::find().all(&server.db).await.expect("memos").len(), 1);
    assert_eq!(settled(&phone, &server).await.sent, 0, "nothing of it was a delete");
    assert_eq!(titles(&server).await, ["mine", "tagged"]);
}

/// A first reading does not list what the server has not got yet; it is in scope all the same, and never goes for a moment.
#[tokio::test]
async fn what_was_written_before_the_first_round_stays() {
    let library = library();
    let server = Device::new(library).await;
    let phone = part(library, Scope::none().tag("mine")).await;
    let id = add(&phone, "a", Some("mine")).await;
    let local = item::ActiveModel { id: Set(id), local: Set(Some("here".into())), ..Default::default() };
    local.update(&phone.db).await.expect("a column that stays here");
    for _ in 0..2 {
        settled(&phone, &server).await;
        let here = item::Entity::find_by_id(id).one(&phone.db).await.expect("a query").expect("an item");
        assert_eq!(here.local.as_deref(), Some("here"));
    }
    assert_eq!(titles(&server).await, ["a"]);
}

/// A new life of a record must stand above the one that was deleted, in scope or not.
#[tokio::test]
async fn a_deleted_record_can_be_inserted_again() {
    let (server, phone) = server_and_phone().await;
    let id = add(&server, "a", Some("mine")).await;
    let out = add(&server, "b", Some("other")).await;
    settled(&phone, &server).await;
    delete(&server, id).await;
    delete(&server, out).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, [""; 0]);
    add_with(&phone, id, "again", Some("mine")).await;
    add_with(&phone, out, "out again", Some("mine")).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&server).await, ["again", "out again"]);
    assert_eq!(titles(&phone).await, ["again", "out again"]);
    delete(&phone, id).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&server).await, ["out again"]);
    add_with(&server, id, "by the server", Some("mine")).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["by the server", "out again"]);
    assert_eq!(server.state().await.conflicts, 0);
}

/// The state that the server gives has everybody's writes in it; a write of this device that lost to one of them is told here all the
/// same, and the user's merge function is asked.
#[tokio::test]
async fn conflicts_of_its_own_edits_are_told() {
    let library = library();
    let server = Device::new(library).await;
    let scope = Scope::none().tag("mine").model::<memo::Entity>();
    let phone = part(library, scope).await;
    let id = add(&server, "a", Some("mine")).await;
    let words = memo::ActiveModel { words: Set("first".into()), ..Default::default() };
    let words = words.insert(&server.db).await.expect("a memo").id;
    settled(&phone, &server).await;
    rename(&phone, id, "by the phone").await;
    rename(&server, id, "by the server").await;
    for (device, text) in [(&phone, "first phone"), (&server, "first server")] {
        let edit = memo::ActiveModel { id: Set(words), words: Set(text.into()) };
        edit.update(&device.db).await.expect("an update");
        device.engine.flush().await.expect("a flush");
    }
    let report = settled(&phone, &server).await;
    assert_eq!((report.conflicts, report.merges), (2, 1), "{report:?}");
    assert_eq!(titles(&phone).await, titles(&server).await);
    let merged = memo::Entity::find_by_id(words).one(&server.db).await.expect("a query").expect("a memo");
    assert_eq!(merged.words, "first phone server");
    assert_eq!(settled(&phone, &server).await.sent, 0);
}

/// Between two pages of a first read a record that was in the first one moves out.
#[tokio::test]
async fn a_record_that_moves_during_the_first_read_is_not_kept() {
    let library = library();
    let server = Device::new(library).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(add(&server, &format!("{number}"), Some("mine")).await);
    }
    let mut limits = sync_core::Limits::default();
    limits.page_entries = 2;
    let scope = Scope::none().tag("mine");
    let phone =
        Device::with(library, |builder| builder.without_background().scope(scope).limits(limits)).await;
    let faulty =
        sync_tests::faulty::Faulty::new(server.engine.clone(), sync_tests::faulty::Fault::ObjectsLost(2));
    phone.engine.sync_with(&faulty).await.expect_err("lost after two pages");
    assert!(!titles(&phone).await.is_empty(), "what came stays");
    let here = item::Entity::find().one(&phone.db).await.expect("a query").expect("an item").id;
    tag(&server, here, "other").await;
    delete(&server, *ids.last().expect("six")).await;
    faulty.set(sync_tests::faulty::Fault::None);
    let report = phone.engine.sync_with(&faulty).await.expect("a round");
    assert!(report.in_sync, "{report:?}");
    assert!(report.snapshot_records < 6, "it went on where it was: {report:?}");
    settled(&phone, &server).await;
    let there = item::Entity::find().all(&server.db).await.expect("items");
    let mut there: Vec<String> =
        there.into_iter().filter(|one| one.note.as_deref() == Some("mine")).map(|one| one.title).collect();
    there.sort_unstable();
    assert_eq!(titles(&phone).await, there);
    assert_eq!(there.len(), 4);
}
