//! History goes, data stays: what is pruned and when, who reads the state instead, and that nothing is lost by it.

mod across;
mod behind;
mod compact;
mod compact_pages;
mod forgotten;
mod members;
mod own;
mod part;
mod prune;
mod random;
mod scale;

use std::{path::PathBuf, sync::Arc, time::Duration};

use sea_orm::{ActiveModelTrait, EntityTrait, PaginatorTrait, Set};
use sync_core::{
    LibraryId, Retention, Status,
    runtime::{SystemClock, Time},
    testing::ManualClock,
};
use sync_tests::{Device, entities::item};
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(24 * 3600);
const DAY_MS: i64 = 24 * 3_600_000;

/// Devices of one library with one clock.
struct Place {
    library: LibraryId,
    clock: ManualClock,
}

impl Place {
    fn new() -> Self {
        let library = sync_tests::device::library();
        // Guards note the database's own time, and no change is stamped later than it was noted: a clock ahead of that would make
        // all changes old.
        Self { library, clock: ManualClock::at(1_400_000_000_000) }
    }

    /// Some years later: the harness's authors stamp what they make with the time of today.
    fn today() -> Self {
        Self { clock: ManualClock::at(SystemClock.now_ms()), ..Self::new() }
    }

    /// A device with this retention.
    async fn device(&self, retention: Retention) -> Device {
        let clock = Arc::new(self.clock.clone());
        Device::with(self.library, |builder| builder.without_background().time(clock).retention(retention))
            .await
    }

    /// A device that keeps history as by default.
    async fn plain(&self) -> Device {
        self.device(Retention::default()).await
    }

    /// A device with a name.
    async fn named(&self, name: &str) -> Device {
        let clock = Arc::new(self.clock.clone());
        Device::with(self.library, |builder| builder.without_background().time(clock).device_name(name)).await
    }

    /// A device on the file at `path`.
    async fn open(&self, path: PathBuf, retention: Retention) -> Device {
        let clock = Arc::new(self.clock.clone());
        Device::open(path, self.library, |builder| {
            builder.without_background().time(clock).retention(retention)
        })
        .await
    }

    /// Days go by.
    fn days(&self, days: i64) {
        self.clock.step(days * DAY_MS);
    }
}

/// Everything goes at once, whoever lacks it.
fn ruthless() -> Retention {
    Retention { max_entries: Some(0), ..Retention::default() }
}

async fn add(device: &Device, title: &str) -> Uuid {
    let new = item::ActiveModel { title: Set(title.into()), qty: Set(1), ..Default::default() };
    let id = new.insert(&device.db).await.expect("an item").id;
    device.engine.flush().await.expect("a flush");
    id
}

async fn add_many(device: &Device, count: usize) {
    let rows = (0..count).map(|at| item::ActiveModel {
        id: Set(Uuid::new_v4()),
        title: Set(format!("item {at}")),
        qty: Set(at as i64),
        note: Set(None),
        ..Default::default()
    });
    for chunk in rows.collect::<Vec<_>>().chunks(500) {
        item::Entity::insert_many(chunk.to_vec()).exec(&device.db).await.expect("rows");
    }
    device.engine.flush().await.expect("a flush");
}

async fn retitle(device: &Device, id: Uuid, title: &str) {
    let edit = item::ActiveModel { id: Set(id), title: Set(title.into()), ..Default::default() };
    edit.update(&device.db).await.expect("an update");
    device.engine.flush().await.expect("a flush");
}

async fn delete(device: &Device, id: Uuid) {
    item::Entity::delete_by_id(id).exec(&device.db).await.expect("a delete");
    device.engine.flush().await.expect("a flush");
}

async fn items(device: &Device) -> u64 {
    item::Entity::find().count(&device.db).await.expect("a count")
}

async fn title(device: &Device, id: Uuid) -> Option<String> {
    item::Entity::find_by_id(id).one(&device.db).await.expect("a query").map(|item| item.title)
}

async fn status(device: &Device) -> Status {
    device.engine.status().await.expect("a status")
}

async fn prune(device: &Device) -> sync_core::PruneReport {
    device.engine.prune().await.expect("a prune")
}

/// Rounds of `a` with `b` until both are in sync; fails if they do not get there, or not by the log alone where
/// `by_log` is asked for.
async fn settle(a: &Device, b: &Device) {
    for _ in 0..4 {
        if a.sync(b).await.expect("a round").in_sync {
            return;
        }
    }
    panic!("four rounds and not in sync");
}
