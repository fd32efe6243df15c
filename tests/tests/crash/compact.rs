//! `kill -9` of a process that compacts: the log is sound, nothing of the data is gone, and the next one goes on.

use std::{process::Stdio, time::Duration};

use sea_orm::{ConnectionTrait, EntityTrait};
use sync_core::Limits;
use sync_tests::{Device, device::library, entities::item, writes::Dice};
use tokio::io::{AsyncBufReadExt, BufReader};

/// So many that a compaction has several transactions.
const ROWS: u64 = 3_000;
/// How often each is written again.
const EDITS: u64 = 4;
/// Until so many were killed between the first transaction and the last.
const KILLS_IN_THE_MIDDLE: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_was_killed_is_gone_on_with() {
    let seed = super::environment("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("CRASH_SEED={seed}");
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (path, full) = (folder.path().join("app.db"), folder.path().join("full.db"));
    let library = library();
    let device = Device::open(path.clone(), library, |builder| builder.without_background()).await;
    let rows = (0..ROWS).map(|number| item::ActiveModel {
        id: sea_orm::Set(uuid::Uuid::new_v4()),
        title: sea_orm::Set(format!("item {number}")),
        qty: sea_orm::Set(1),
        ..Default::default()
    });
    item::Entity::insert_many(rows).exec_without_returning(&device.db).await.expect("rows");
    for edit in 0..EDITS {
        let long = format!("UPDATE items SET title = '{edit} {}'", "and so on ".repeat(10));
        device.db.execute_unprepared(&long).await.expect("an update");
        device.engine.flush().await.expect("a flush");
    }
    let (rows, digest, entries) = (device.dump().await, device.digest().await, device.logged().await);
    device.close().await;
    std::fs::copy(&path, &full).expect("a copy");

    let (mut middle, mut longest, mut kills) = (0, 100, 0);
    while middle < KILLS_IN_THE_MIDDLE {
        assert!(kills < 120, "{middle} of {kills} were killed in the middle");
        kills += 1;
        std::fs::copy(&full, &path).expect("a copy");
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let wait = dice.below(longest);
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_compactor"))
            .args([path.to_str().expect("a path"), &library.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        child.kill().await.expect("killed");

        let device = Device::open(path.clone(), library, |builder| builder.without_background()).await;
        device.assert_sound().await;
        let state = device.state().await;
        assert!(state.rows == rows && state.digest == digest, "data is not history");
        assert_eq!(device.logged().await, entries, "each entry has its place");
        let left = device.engine.compact().await.expect("a compaction").compacted;
        // The first edit is one with the insert, and the last one stands.
        let done = ROWS * (EDITS - 2) - left;
        if left > 0 && done > 0 {
            middle += 1;
            let by_log = |builder: sync_core::EngineBuilder| {
                let mut limits = Limits::default();
                limits.snapshot_above = u64::MAX;
                builder.without_background().limits(limits)
            };
            let other = Device::with(library, by_log).await;
            other.sync(&device).await.expect("a round");
            assert!(other.dump().await == rows, "nothing is missing");
            assert_eq!(other.logged().await, device.logged().await);
            other.assert_sound().await;
        } else if left == 0 {
            longest = wait.max(10);
        } else {
            longest += 10;
        }
        device.close().await;
    }
    println!("{middle} of {kills} were killed in the middle");
}
