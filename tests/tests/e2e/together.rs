//! Columns that are decided together: groups, whole records, and functions of the user's over them.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set, prelude::*};
use sync_core::{ConflictReason, Resolution, SyncValue};
use sync_tests::{
    Device,
    device::library,
    ruled::{card, draft, product},
    state::equal,
};

const ID: Uuid = Uuid::from_u128(7);

async fn two() -> [Device; 2] {
    let library = library();
    [Device::new(library).await, Device::new(library).await]
}

async fn run(device: &Device, statement: &str) {
    device.db.execute_unprepared(statement).await.expect("a statement");
    device.engine.flush().await.expect("a flush");
}

async fn place(device: &Device) -> (i32, i32) {
    let row = product::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("a product");
    (row.shelf, row.slot)
}

async fn products() -> [Device; 2] {
    let devices = two().await;
    run(
        &devices[0],
        "INSERT INTO products VALUES (x'00000000000000000000000000000007', 'bolt', 1, 1, \
         '2023-11-14 22:13:20+00:00', NULL, 1, 1)",
    )
    .await;
    devices[0].sync(&devices[1]).await.expect("a round");
    devices
}

#[tokio::test]
async fn a_place_is_never_half_of_one_device_and_half_of_another() {
    let devices = products().await;
    let [a, b] = &devices;
    run(a, "UPDATE products SET shelf = 2").await;
    run(b, "UPDATE products SET slot = 2").await;
    a.sync(b).await.expect("a round");
    assert_eq!(place(a).await, (1, 2), "b wrote last, and said where it stands as a whole");
    equal(&devices).await;
    let lost = a.engine.conflicts().await.expect("conflicts");
    let lost: Vec<_> = lost.iter().map(|one| (one.field.as_str(), one.loser_value.clone())).collect();
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost.contains(&("shelf", SyncValue::I64(2))) && lost.contains(&("slot", SyncValue::I64(1))));
}

#[tokio::test]
async fn a_group_that_lost_comes_back_as_a_whole() {
    let devices = products().await;
    let [a, b] = &devices;
    run(a, "UPDATE products SET shelf = 2").await;
    run(b, "UPDATE products SET slot = 2, name = 'nut'").await;
    a.sync(b).await.expect("a round");
    let lost = a.engine.conflicts().await.expect("conflicts").remove(0);
    a.engine.resolve(lost.id, Resolution::RestoreLoser).await.expect("settled");
    a.sync(b).await.expect("a round");
    assert_eq!((place(a).await, place(b).await), ((2, 1), (2, 1)));
    assert_eq!(a.engine.conflicts().await.expect("conflicts"), []);
    equal(&devices).await;
}

async fn card_of(device: &Device) -> Option<card::Model> {
    card::Entity::find_by_id(ID).one(&device.db).await.expect("a query")
}

async fn cards() -> [Device; 2] {
    let devices = two().await;
    let card = card::ActiveModel {
        id: Set(ID),
        front: Set("front".into()),
        back: Set("back".into()),
        hint: Set(Some("hint".into())),
        local: Set(None),
    };
    card.insert(&devices[0].db).await.expect("a card");
    devices[0].sync(&devices[1]).await.expect("a round");
    devices
}

async fn texts(device: &Device) -> (String, String, Option<String>) {
    let card = card_of(device).await.expect("the card");
    (card.front, card.back, card.hint)
}

#[tokio::test]
async fn of_two_rows_written_apart_one_stands_whole_and_the_other_is_kept() {
    let devices = cards().await;
    let [a, b] = &devices;
    run(a, "UPDATE cards SET front = 'of a'").await;
    run(b, "UPDATE cards SET back = 'of b', hint = NULL, local = 'mine'").await;
    a.sync(b).await.expect("a round");
    assert_eq!(texts(a).await, ("front".into(), "of b".into(), None));
    assert_eq!(card_of(b).await.expect("the card").local.as_deref(), Some("mine"));
    equal(&devices).await;
    let mut lost = a.engine.conflicts().await.expect("conflicts");
    lost.sort_by(|a, b| a.field.cmp(&b.field));
    let fields: Vec<&str> = lost.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["back", "front", "hint"], "the whole row that lost");
    assert!(lost.iter().all(|one| one.reason == ConflictReason::ConcurrentWrite));
    // Settled as a whole, too.
    a.engine.resolve(lost[0].id, Resolution::RestoreLoser).await.expect("settled");
    a.sync(b).await.expect("a round");
    assert_eq!(texts(b).await, ("of a".into(), "back".into(), Some("hint".into())));
    assert_eq!(a.engine.conflicts().await.expect("conflicts"), []);
    equal(&devices).await;
}

#[tokio::test]
async fn a_later_row_that_knew_both_is_no_conflict() {
    let devices = cards().await;
    let [a, b] = &devices;
    run(a, "UPDATE cards SET front = 'of a'").await;
    a.sync(b).await.expect("a round");
    run(b, "UPDATE cards SET back = 'of b'").await;
    a.sync(b).await.expect("a round");
    assert_eq!(texts(a).await, ("of a".into(), "of b".into(), Some("hint".into())));
    for device in &devices {
        assert_eq!(device.engine.conflicts().await.expect("conflicts"), []);
    }
    let history = a.engine.history::<card::Entity>(ID).await.expect("a history");
    assert!(history.iter().all(|change| change.values.len() == 3), "each change says the whole row");
    equal(&devices).await;
}

#[tokio::test]
async fn a_delete_wins_over_a_whole_row_which_is_kept() {
    let devices = cards().await;
    let [a, b] = &devices;
    run(a, "DELETE FROM cards").await;
    run(b, "UPDATE cards SET front = 'of b'").await;
    a.sync(b).await.expect("a round");
    assert_eq!((card_of(a).await, card_of(b).await), (None, None));
    let lost = b.engine.conflicts().await.expect("conflicts");
    assert!(lost.iter().all(|one| one.reason == ConflictReason::DeleteWins), "{lost:?}");
    b.engine.resolve(lost[0].id, Resolution::RestoreLoser).await.expect("settled");
    b.sync(a).await.expect("a round");
    assert_eq!(texts(a).await.1, "back");
    equal(&devices).await;
}

#[tokio::test]
async fn a_function_of_the_users_works_over_groups_and_strategies() {
    let devices = two().await;
    let [a, b] = &devices;
    let first = draft::ActiveModel {
        id: Set(ID),
        text: Set("draft".into()),
        author: Set("nobody".into()),
        merges: Set(0),
        longest: Set(5),
    };
    first.insert(&a.db).await.expect("a draft");
    a.sync(b).await.expect("a round");
    for (device, text, author) in [(a, "alpha", "ann"), (b, "beta", "bob")] {
        let draft = draft::Entity::find_by_id(ID).one(&device.db).await.expect("a query").expect("a draft");
        let mut draft = draft.into_active_model();
        draft.text = Set(text.into());
        draft.author = Set(author.into());
        draft.update(&device.db).await.expect("an update");
        device.engine.flush().await.expect("a flush");
    }
    for _ in 0..3 {
        a.sync(b).await.expect("a round");
    }
    let stands = draft::Entity::find_by_id(ID).one(&b.db).await.expect("a query").expect("a draft");
    assert_eq!((stands.text.as_str(), stands.author.as_str()), ("alpha beta", "bob"));
    assert_eq!(stands.longest, 10, "a maximum that the function raised");
    assert!((1..=2).contains(&stands.merges), "counted by each device that asked: {}", stands.merges);
    equal(&devices).await;
}
