//! Records that name one another: all are shown, in whatever order they came, and one waits only for what is really absent.

use sea_orm::{ConnectionTrait, Statement};
use sync_core::{Change, SyncValue};
use sync_tests::{Device, device::library, wire::Author};
use uuid::Uuid;

/// The `n`th folder's key, as a literal of SQLite.
fn key(n: u8) -> String {
    format!("x'{}{n:02x}'", "00".repeat(15))
}

async fn run(device: &Device, statement: String) {
    device.db.execute_unprepared(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    device.engine.flush().await.expect("a flush");
}

/// Makes folders of these numbers, all at the top.
async fn make(device: &Device, folders: &[u8]) {
    for n in folders {
        run(device, format!("INSERT INTO folders (id, name) VALUES ({}, 'f{n}')", key(*n))).await;
    }
}

async fn put(device: &Device, folder: u8, into: u8) {
    run(device, format!("UPDATE folders SET parent_id = {} WHERE id = {}", key(into), key(folder))).await;
}

async fn delete(device: &Device, folder: u8) {
    run(device, format!("DELETE FROM folders WHERE id = {}", key(folder))).await;
}

/// Each folder that is shown with the one that it is in: `1 in 2`, or `1` at the top.
async fn tree(device: &Device) -> Vec<String> {
    let number = |column: &str| format!("ltrim(substr(hex({column}), 31), '0')");
    let query = format!(
        "SELECT {} || iif(parent_id IS NULL, '', ' in ' || {}) FROM folders ORDER BY id",
        number("id"),
        number("parent_id")
    );
    let statement = Statement::from_string(device.db.get_database_backend(), query);
    let rows = device.db.query_all_raw(statement).await.expect("rows");
    rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
}

/// The records that wait, each with its reason.
async fn waiting(device: &Device) -> Vec<String> {
    let pending = device.engine.pending().await.expect("pending");
    let mut waiting: Vec<String> =
        pending.iter().map(|one| format!("{} {}", one.model, one.reason)).collect();
    waiting.sort_unstable();
    waiting
}

/// All get what the others have.
async fn sync(devices: &[&Device]) {
    for _ in 0..2 {
        for one in devices {
            for other in devices.iter().filter(|other| other.path != one.path) {
                one.sync(other).await.expect("a round");
            }
        }
    }
}

/// All show `folders` and nothing waits.
async fn all_show(devices: &[&Device], folders: &[&str]) {
    for device in devices {
        assert_eq!(tree(device).await, folders);
        assert_eq!(waiting(device).await, [""; 0]);
        assert_eq!(device.digest().await, devices[0].digest().await);
        device.assert_sound().await;
    }
}

async fn three() -> [Device; 3] {
    let library = library();
    [Device::new(library).await, Device::new(library).await, Device::new(library).await]
}

/// A library whose first two devices moved folder 1 into 2 and 2 into 1 at once; the third has nothing yet.
async fn knot() -> [Device; 3] {
    let [a, b, c] = three().await;
    make(&a, &[1, 2]).await;
    sync(&[&a, &b]).await;
    put(&a, 1, 2).await;
    put(&b, 2, 1).await;
    sync(&[&a, &b]).await;
    all_show(&[&a, &b], &["1 in 2", "2 in 1"]).await;
    [a, b, c]
}

#[tokio::test]
async fn two_folders_moved_into_each_other_are_shown_everywhere() {
    let [a, b, c] = knot().await;
    sync(&[&a, &b, &c]).await;
    all_show(&[&a, &b, &c], &["1 in 2", "2 in 1"]).await;
}

#[tokio::test]
async fn three_folders_in_a_ring_are_shown_everywhere() {
    let [a, b, c] = three().await;
    make(&a, &[1, 2, 3]).await;
    sync(&[&a, &b, &c]).await;
    put(&a, 1, 2).await;
    put(&b, 2, 3).await;
    put(&c, 3, 1).await;
    sync(&[&a, &b, &c]).await;
    all_show(&[&a, &b, &c], &["1 in 2", "2 in 3", "3 in 1"]).await;
}

#[tokio::test]
async fn a_folder_in_itself_is_shown_everywhere() {
    let [a, b, c] = three().await;
    make(&a, &[1]).await;
    put(&a, 1, 1).await;
    sync(&[&a, &b]).await;
    put(&b, 1, 1).await;
    sync(&[&a, &b, &c]).await;
    all_show(&[&a, &b, &c], &["1 in 1"]).await;
    delete(&c, 1).await;
    sync(&[&a, &b, &c]).await;
    all_show(&[&a, &b, &c], &[]).await;
}

#[tokio::test]
async fn a_ring_that_loses_a_folder_is_a_line() {
    let [a, b, c] = three().await;
    make(&a, &[1, 2, 3]).await;
    sync(&[&a, &b, &c]).await;
    put(&a, 1, 2).await;
    put(&a, 2, 3).await;
    put(&b, 3, 1).await;
    delete(&c, 2).await;
    sync(&[&a, &b, &c]).await;
    all_show(&[&a, &b, &c], &["1", "3 in 1"]).await;
}

#[tokio::test]
async fn a_knot_is_undone_by_a_later_move() {
    let [a, b, c] = knot().await;
    run(&b, format!("UPDATE folders SET parent_id = NULL WHERE id = {}", key(2))).await;
    sync(&[&a, &b, &c]).await;
    all_show(&[&a, &b, &c], &["1 in 2", "2"]).await;
}

/// Folders made by hand: each with the number of the one that it is in.
fn folders(author: &mut Author, folders: &[(u128, u128)]) -> Vec<Change> {
    let id = |n: u128| SyncValue::Uuid(Uuid::from_u128(n));
    let one = |(n, parent): &(u128, u128)| {
        author.insert(
            "folder",
            &[id(*n)],
            &[("name", SyncValue::Text(format!("f{n}"))), ("parent_id", id(*parent))],
        )
    };
    folders.iter().map(one).collect()
}

/// In every order in which the folders of a ring and one that hangs on it may come, nothing is shown before the ring is closed,
/// and then all; with the program stopped in between as well.
#[tokio::test]
async fn a_ring_appears_when_its_last_folder_comes() {
    for (turn, stop) in [(0, false), (1, false), (2, false), (3, false), (1, true), (3, true)] {
        let mut device = Device::new(library()).await;
        let mut author = Author::new(device.engine.library_id(), 3);
        // 1 in 2 in 3 in 1, and 4 in 1.
        let mut ring = folders(&mut author, &[(1, 2), (2, 3), (4, 1), (3, 1)]);
        ring.rotate_left(turn);
        let last = ring.iter().rposition(|change| change.record != folder(4)).expect("a folder of the ring");
        for (at, change) in ring.into_iter().enumerate() {
            author.merged(&device.engine, &[change]).await;
            if stop {
                device = device.restart(|builder| builder.without_background()).await;
            }
            let count = if at < last { 0 } else { at + 1 };
            assert_eq!(tree(&device).await.len(), count, "turn {turn}, {at}");
            assert_eq!(waiting(&device).await.len(), at + 1 - count, "turn {turn}, {at}");
        }
        all_show(&[&device], &["1 in 2", "2 in 3", "3 in 1", "4 in 1"]).await;
    }
}

fn folder(n: u128) -> sync_core::RecordId {
    sync_core::encode_key(&[SyncValue::Uuid(Uuid::from_u128(n))])
}

/// A folder that waits is deleted before it was ever shown: what is in it waits for nothing any more.
#[tokio::test]
async fn a_folder_in_one_that_was_deleted_while_it_waited_is_shown() {
    let device = Device::new(library()).await;
    let mut author = Author::new(device.engine.library_id(), 3);
    let made = folders(&mut author, &[(2, 3), (1, 2)]);
    let gone = author.delete(&made[0]);
    author.merged(&device.engine, &made).await;
    assert_eq!(waiting(&device).await, ["folder missing_parent"; 2]);
    author.merged(&device.engine, &[gone]).await;
    all_show(&[&device], &["1"]).await;
}

/// The first that is heard of a parent may be that it is deleted.
#[tokio::test]
async fn a_folder_whose_parent_is_only_known_as_deleted_is_shown() {
    let device = Device::new(library()).await;
    let mut author = Author::new(device.engine.library_id(), 3);
    let mut other = Author::new(device.engine.library_id(), 4);
    let made = folders(&mut author, &[(2, 3), (1, 2)]);
    let gone = other.delete(&made[0]);
    author.merged(&device.engine, &made[1..]).await;
    assert_eq!(waiting(&device).await, ["folder missing_parent"]);
    other.merged(&device.engine, &[gone]).await;
    all_show(&[&device], &["1"]).await;
}
