//! A replica whose database file becomes an older copy of itself, or is copied and opened twice: nothing is lost, nobody
//! is stuck.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use sync_core::LibraryId;
use sync_tests::{Device, Served, device::library, entities::item};
use tempfile::TempDir;

use crate::{add, items};

/// A hub that is served, and two that sync with it.
struct World {
    library: LibraryId,
    devices: Vec<Device>,
    served: Served,
    dir: TempDir,
}

const HUB: usize = 0;
const LEAF: usize = 1;
const OTHER: usize = 2;

impl World {
    async fn new() -> Self {
        let (library, dir) = (library(), tempfile::tempdir().expect("a temporary folder"));
        let mut devices = Vec::new();
        for number in 0..3 {
            devices.push(open(&dir.path().join(format!("{number}.db")), library).await);
        }
        let served = Served::new(devices[HUB].engine.clone(), library).await;
        Self { library, devices, served, dir }
    }

    async fn rounds(&self, count: usize) {
        for _ in 0..count {
            for device in &self.devices[LEAF..] {
                device.engine.sync_with(&self.served.client()).await.expect("a round");
            }
        }
    }

    async fn assert_equal(&self, count: u64) {
        for device in &self.devices[LEAF..] {
            device.assert_equal(&self.devices[HUB]).await;
        }
        assert_eq!(items(&self.devices[HUB]).await, count, "nothing is lost");
    }

    /// Closes a device, lets `change` do something with its file, and opens it again where it was.
    async fn closed(&mut self, which: usize, change: impl FnOnce(&Path)) {
        if which == HUB {
            self.served.stop().await;
        }
        let device = self.devices.remove(which);
        let path = device.path.clone();
        device.close().await;
        change(&path);
        let device = open(&path, self.library).await;
        if which == HUB {
            self.served.start(device.engine.clone()).await;
        }
        self.devices.insert(which, device);
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("backup.db")
    }
}

async fn open(path: &Path, library: LibraryId) -> Device {
    Device::open(path.to_owned(), library, |builder| builder.without_background()).await
}

/// Copies a closed database.
fn copy(from: &Path, to: &Path) {
    for suffix in ["-wal", "-shm"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        assert!(!beside(from).exists(), "all is in the file");
        let _ = fs::remove_file(beside(to));
    }
    fs::copy(from, to).expect("a copy");
}

async fn edit(device: &Device, title: &str, to: &str) {
    let rows = item::Entity::find().all(&device.db).await.expect("items");
    let row = rows.into_iter().find(|row| row.title == title).expect("the item");
    let mut row = row.into_active_model();
    row.title = Set(to.into());
    row.update(&device.db).await.expect("an update");
}

/// The device at `which` writes `lost` records after its backup and `new` ones after it was restored.
async fn check(which: usize, lost: usize, new: usize) {
    let mut world = World::new().await;
    for device in &world.devices {
        add(device, "first", 3).await;
    }
    world.rounds(2).await;
    world.assert_equal(9).await;

    let backup = world.backup();
    world.closed(which, |path| copy(path, &backup)).await;
    add(&world.devices[which], "lost", lost).await;
    add(&world.devices[OTHER], "other", 2).await;
    world.rounds(2).await;
    world.assert_equal(11 + lost as u64).await;

    world.closed(which, |path| copy(&backup, path)).await;
    assert_eq!(items(&world.devices[which]).await, 9, "the copy is an older one");
    add(&world.devices[which], "new", new).await;
    add(&world.devices[OTHER], "since", 1).await;
    world.rounds(4).await;
    let count = 12 + (lost + new) as u64;
    world.assert_equal(count).await;

    // And life goes on, also for the records that were gone in between.
    add(&world.devices[which], "later", 1).await;
    edit(&world.devices[which], "lost 0", "edited there").await;
    edit(&world.devices[OTHER], "other 0", "edited here").await;
    world.rounds(3).await;
    world.assert_equal(count + 1).await;
    for device in &world.devices {
        let rows = device.dump().await;
        assert!(rows.contains("'edited there'") && rows.contains("'edited here'"), "{rows}");
    }
}

#[tokio::test]
async fn a_restored_server_that_wrote_nothing_since() {
    check(HUB, 5, 0).await;
}

/// Its log is shorter than what the others have read of it, and not a beginning of that.
#[tokio::test]
async fn a_restored_server_whose_log_is_shorter() {
    check(HUB, 8, 2).await;
}

#[tokio::test]
async fn a_restored_server_whose_log_is_longer_and_another() {
    check(HUB, 2, 20).await;
}

#[tokio::test]
async fn a_restored_client_that_wrote_nothing_since() {
    check(LEAF, 5, 0).await;
}

#[tokio::test]
async fn a_restored_client_whose_log_is_shorter() {
    check(LEAF, 8, 2).await;
}

#[tokio::test]
async fn a_restored_client_whose_log_is_longer_and_another() {
    check(LEAF, 2, 20).await;
}

/// A database and a copy of it, of which nothing tells that it is one: all that both write arrives everywhere.
async fn check_clone(first: usize, second: usize, meet: bool) {
    let mut world = World::new().await;
    add(&world.devices[LEAF], "first", 3).await;
    world.rounds(2).await;
    let path = world.dir.path().join("clone.db");
    world.closed(LEAF, |original| copy(original, &path)).await;
    let connection = rusqlite::Connection::open(&path).expect("a database");
    connection.execute("DELETE FROM sync_metadata WHERE key = 'fingerprint'", []).expect("its own table");
    drop(connection);
    let clone = open(&path, world.library).await;
    assert_eq!(clone.engine.device_id(), world.devices[LEAF].engine.device_id());
    world.devices.push(clone);

    for (which, title) in
        [(first, "one"), (second, "two"), (first, "three"), (second, "four"), (first, "five")]
    {
        add(&world.devices[which], title, 4).await;
        world.devices[which].engine.flush().await.expect("a flush");
    }
    if meet {
        world.devices[CLONE].sync(&world.devices[LEAF]).await.expect("the two meet before anybody else");
        assert_ne!(world.devices[CLONE].engine.device_id(), world.devices[LEAF].engine.device_id());
    }
    world.rounds(4).await;
    world.assert_equal(23).await;
    edit(&world.devices[first], "two 0", "edited there").await;
    edit(&world.devices[second], "one 0", "edited here").await;
    add(&world.devices[OTHER], "by another", 1).await;
    world.rounds(4).await;
    world.assert_equal(24).await;
    let rows = world.devices[OTHER].dump().await;
    assert!(rows.contains("'edited there'") && rows.contains("'edited here'"), "{rows}");
    let ids: std::collections::BTreeSet<_> =
        world.devices.iter().map(|device| device.engine.device_id()).collect();
    assert_eq!(ids.len(), world.devices.len(), "each has an id of its own now");
}

const CLONE: usize = 3;

#[tokio::test]
async fn a_clone_and_its_original_lose_nothing_of_each_other() {
    for meet in [true, false] {
        check_clone(LEAF, CLONE, meet).await;
        check_clone(CLONE, LEAF, meet).await;
    }
}
