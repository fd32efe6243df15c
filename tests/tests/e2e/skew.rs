//! Programs of several versions in one library: rules that one of them does not know, or has changed.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set, prelude::*};
use sync_core::{Change, ConflictReason, PendingReason, Strategy, SyncValue, Tag};
use sync_tests::{
    Device,
    device::{introduce, library},
    entities::item,
    wire,
};

const ID: Uuid = Uuid::from_u128(7);
/// A rule of a later version.
const LATER: Tag = Tag { rule: 0, kind: 200 };

async fn row(device: &Device) -> Option<item::Model> {
    item::Entity::find_by_id(ID).one(&device.db).await.expect("a query")
}

async fn edit(device: &Device, change: impl FnOnce(&mut item::ActiveModel)) {
    let mut active = row(device).await.expect("the item").into_active_model();
    change(&mut active);
    active.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

fn insert(author: &mut wire::Author, note: SyncValue) -> Change {
    let cells = [("title", SyncValue::Text("t".into())), ("qty", SyncValue::I64(5)), ("note", note)];
    author.insert("item", &[SyncValue::Uuid(ID)], &cells)
}

fn tagged(mut change: Change, column: &str, tag: Tag) -> Change {
    let cell = change.cells.iter_mut().find(|cell| cell.column == column).expect("the column");
    cell.tag = tag;
    change
}

async fn two() -> (Device, Device, wire::Author) {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    introduce(&[&a, &b]).await;
    (a, b, wire::Author::new(library, 3))
}

/// What two devices said of one column under a rule that nobody here knows.
fn parts(said: &[(&Change, i64)]) -> SyncValue {
    let mut parts: Vec<_> =
        said.iter().map(|(change, part)| serde_json::json!([change.id.to_string(), part])).collect();
    parts.sort_by_key(|part| part[0].as_str().map(|stamp| stamp[21..].to_owned()));
    SyncValue::Json(parts.into())
}

#[tokio::test]
async fn what_a_later_version_says_together_is_kept_whole_and_passed_on() {
    let (a, b, mut first) = two().await;
    let mut second = wire::Author::new(a.engine.library_id(), 4);
    let mut one = tagged(insert(&mut first, SyncValue::Null), "note", LATER);
    one.cells[0].value = parts(&[(&one, 1)]);
    let mut two = tagged(second.edit(&one, &[("note", SyncValue::Null)]), "note", LATER);
    two.cells[0].value = parts(&[(&two, 2)]);
    let both = parts(&[(&one, 1), (&two, 2)]);
    first.merged(&a.engine, &[one]).await;
    second.merged(&b.engine, &[two]).await;
    a.sync(&b).await.expect("a round");
    for device in [&a, &b] {
        let fed = wire::feed_of(&device.engine).await;
        let note = fed[0].cells.iter().find(|cell| cell.column == "note").expect("the column");
        assert_eq!((note.tag, &note.value), (LATER, &both));
        assert_eq!(row(device).await.expect("the item").note, None, "nobody here knows what to show");
        let pending = device.engine.pending().await.expect("pending");
        assert_eq!(pending[0].reason, PendingReason::UnknownValue, "{}", pending[0].detail);
        assert_eq!(device.engine.conflicts().await.expect("conflicts"), []);
    }
    assert_eq!(a.digest().await, b.digest().await);
}

#[tokio::test]
async fn a_write_below_a_rule_that_is_not_known_here_is_kept_as_a_conflict() {
    let (a, b, mut author) = two().await;
    let change = tagged(insert(&mut author, SyncValue::Text("of later".into())), "note", LATER);
    author.merged(&a.engine, &[change]).await;
    edit(&a, |row| {
        row.note = Set(Some("of a".into()));
        row.qty = Set(6);
    })
    .await;
    let lost = a.engine.conflicts().await.expect("conflicts");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(
        (lost[0].reason, &lost[0].loser_value),
        (ConflictReason::HigherTag, &SyncValue::Text("of a".into()))
    );
    a.sync(&b).await.expect("a round");
    assert_eq!(row(&b).await.map(|row| (row.qty, row.note)), Some((6, None)));
    assert_eq!(a.digest().await, b.digest().await);
    let fed = wire::feed_of(&b.engine).await;
    let note = fed[0].cells.iter().find(|cell| cell.column == "note").expect("the column");
    assert_eq!((note.tag, &note.value), (LATER, &SyncValue::Text("of later".into())));
}

#[tokio::test]
async fn a_record_that_cannot_do_without_an_unknown_rule_waits() {
    let (a, b, mut author) = two().await;
    let change = tagged(insert(&mut author, SyncValue::Null), "title", LATER);
    author.merged(&a.engine, std::slice::from_ref(&change)).await;
    assert_eq!(row(&a).await, None);
    assert_eq!(a.engine.pending().await.expect("pending")[0].reason, PendingReason::UnknownValue);
    a.sync(&b).await.expect("a round");
    assert_eq!(wire::log_of(&b.engine).await, [change], "passed on as it came");
    assert_eq!(a.digest().await, b.digest().await);
}

#[tokio::test]
async fn a_program_follows_a_rule_that_a_newer_one_gave_the_column() {
    let (a, b, mut author) = two().await;
    let max = Tag::new(Strategy::Max, 1);
    let change = insert(&mut author, SyncValue::Null);
    author.merged(&a.engine, std::slice::from_ref(&change)).await;
    a.sync(&b).await.expect("a round");
    edit(&b, |row| row.qty = Set(9)).await;
    let raised = tagged(author.edit(&change, &[("qty", SyncValue::I64(7))]), "qty", max);
    author.merged(&a.engine, &[raised]).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(
        row(&b).await.expect("the item").qty,
        7,
        "the newer rule stands above what was written under the older"
    );
    let lost = b.engine.conflicts().await.expect("conflicts");
    assert_eq!((lost[0].reason, &lost[0].loser_value), (ConflictReason::HigherTag, &SyncValue::I64(9)));
    edit(&b, |row| row.qty = Set(6)).await;
    assert_eq!(row(&b).await.expect("the item").qty, 7);
    edit(&b, |row| row.qty = Set(8)).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(row(&a).await.expect("the item").qty, 8);
    let fed = wire::feed_of(&a.engine).await;
    let qty = fed[0].cells.iter().find(|cell| cell.column == "qty").expect("the column");
    assert_eq!(qty.tag, max, "written under the rule that the column has now");
    assert_eq!(a.digest().await, b.digest().await);
}
