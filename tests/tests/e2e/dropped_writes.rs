//! A write whose future is dropped: whatever of it is in the tables is logged, and nothing else is.

use std::time::Duration;

use futures_util::future::try_join_all;
use sea_orm::{ActiveModelTrait, ConnectionTrait, Database, DatabaseConnection, DbErr, TransactionTrait};
use sync_tests::{
    Device,
    device::{dump_of, library},
    interrupt::Cut,
};

use crate::ways::{WAYS, begin, new_item, write};

/// What is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    /// The write, in no transaction of the application's.
    Alone,
    /// A whole transaction: begin, write, commit.
    Transaction,
    /// The write in a transaction, which goes on and is committed.
    WithinTransaction,
}

/// More polls than any write needs.
const MOST_POLLS: usize = 2_000;

/// A device that is written to, another that syncs with it, and somebody who looks at the file.
struct Scene {
    device: Device,
    other: Device,
    onlooker: DatabaseConnection,
}

impl Scene {
    async fn new() -> Self {
        let library = library();
        let (device, other) = (Device::new(library).await, Device::new(library).await);
        let onlooker = Database::connect(sync_core::sqlite(&device.path)).await.expect("a database");
        begin(&device).await;
        Self { device, other, onlooker }
    }

    /// As [`begin`] left it.
    async fn again(&self) {
        let tables =
            ["items", "labels", "leaves", "branches", "book_genres", "books", "biographies", "genres"];
        for table in tables.into_iter().chain(["authors"]) {
            self.device.db.execute_unprepared(&format!("DELETE FROM {table}")).await.expect("a delete");
        }
        begin(&self.device).await;
    }

    /// True if the write came to its end before `cut`.
    async fn write(&self, way: &str, dropped: Dropped, cut: Cut) -> bool {
        let db = &self.device.db;
        let ended = match dropped {
            Dropped::Alone => cut.run(write(way, db)).await,
            Dropped::Transaction => {
                cut.run(async {
                    let txn = db.begin().await?;
                    write(way, &txn).await?;
                    txn.commit().await
                })
                .await
            }
            Dropped::WithinTransaction => {
                let txn = db.begin().await.expect("begin");
                let ended = cut.run(write(way, &txn)).await;
                // Of a savepoint that was cut at its beginning, the driver may have ended the transaction around it:
                // then this is written by itself, and the commit has nothing to commit.
                new_item(77, "after the cut").insert(&txn).await.expect("an item");
                txn.commit().await.expect("commit");
                ended
            }
        };
        let ended: Option<()> = ended.transpose().unwrap_or_else(|error: DbErr| panic!("{way}: {error}"));
        ended.is_some()
    }

    /// What is in the tables is logged; gives it.
    async fn log_is_exact(&self, before: &str, at: &str) -> String {
        no_transaction_is_left(&self.device, at).await;
        let here = dump_of(&self.onlooker).await;
        let engine = &self.device.engine;
        let from = engine.status().await.expect("a status").latest_seq;
        let to = engine.flush().await.expect("a flush");
        assert_eq!(to > from, here != before, "{at}: logged exactly if something is in the tables");
        assert_eq!(dump_of(&self.onlooker).await, here, "{at}: nothing came after the cut");
        assert!(!engine.status().await.expect("a status").dirty, "{at}");
        let verified = engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "{at}: {:?}", verified.findings);
        self.other.sync(&self.device).await.expect("a round");
        assert_eq!(self.other.dump().await, here, "{at}: the log says what the tables do");
        assert_eq!(self.other.digest().await, self.device.digest().await, "{at}");
        here
    }
}

/// No connection to the device's file has a transaction open: otherwise the log of SQLite could not be emptied.
pub(crate) async fn no_transaction_is_left(device: &Device, at: &str) {
    // What was cut goes on in the driver's thread until its connection is back: whoever has all of them has waited for it.
    let pool = device.db.get_sqlite_connection_pool();
    let all = (0..pool.options().get_max_connections()).map(|_| pool.acquire());
    drop(try_join_all(all).await.expect("every connection"));
    let path = device.path.clone();
    let busy = tokio::task::spawn_blocking(move || {
        let file = rusqlite::Connection::open(path).expect("a database");
        // A rollback that is still under way is waited for.
        file.busy_timeout(Duration::from_secs(10)).expect("a timeout");
        file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            .expect("a checkpoint")
    });
    assert_eq!(busy.await.expect("a checkpoint"), 0, "{at}: a transaction was left open");
}

/// Cuts every way of writing after each number of polls; what counts is how often a write was cut.
async fn cut_everywhere(dropped: Dropped, ways: impl Iterator<Item = &'static str>) {
    let scene = Scene::new().await;
    let begun = dump_of(&scene.onlooker).await;
    scene.log_is_exact(&begun, "the beginning").await;
    let (mut nothing, mut something) = (0, 0);
    for way in ways {
        let mut ends = 0;
        for (cuts, cut) in Cut::all().enumerate() {
            assert!(cuts < MOST_POLLS, "{way} does not end");
            let at = format!("{way}, {dropped:?}, {cut:?}");
            let ended = scene.write(way, dropped, cut).await;
            let left = scene.log_is_exact(&begun, &at).await;
            if left == begun {
                assert!(!ended, "{at}: a write that ended is in the tables");
                nothing += 1;
            } else {
                something += u32::from(!ended);
                scene.again().await;
            }
            // Both ways of dropping come in turn: both have to have ended.
            ends = if ended { ends + 1 } else { 0 };
            if ends == 2 {
                break;
            }
        }
    }
    eprintln!("{dropped:?}: {nothing} cuts left nothing, {something} something");
    assert!(something > 0, "some writes were cut after they were done");
    assert!(nothing > 0 || dropped == Dropped::WithinTransaction, "some before");
}

fn flat() -> impl Iterator<Item = &'static str> {
    WAYS.into_iter().filter(|way| !way.starts_with("nested"))
}

fn nested() -> impl Iterator<Item = &'static str> {
    WAYS.into_iter().filter(|way| way.starts_with("nested"))
}

#[tokio::test]
async fn a_write_that_is_dropped_is_logged_as_far_as_it_went() {
    cut_everywhere(Dropped::Alone, flat()).await;
}

#[tokio::test]
async fn a_nested_save_that_is_dropped_is_logged_as_far_as_it_went() {
    cut_everywhere(Dropped::Alone, nested()).await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_logged_as_far_as_it_went() {
    cut_everywhere(Dropped::Transaction, flat()).await;
}

#[tokio::test]
async fn a_transaction_around_a_nested_save_that_is_dropped_is_logged_as_far_as_it_went() {
    cut_everywhere(Dropped::Transaction, nested()).await;
}

#[tokio::test]
async fn a_write_that_is_dropped_in_a_transaction_is_logged_as_far_as_it_is_committed() {
    cut_everywhere(Dropped::WithinTransaction, flat()).await;
}

#[tokio::test]
async fn a_nested_save_that_is_dropped_in_a_transaction_is_logged_as_far_as_it_is_committed() {
    cut_everywhere(Dropped::WithinTransaction, nested()).await;
}
