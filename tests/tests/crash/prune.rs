//! `kill -9` of a process that prunes: what went is a prefix of the log, the floor says so, and nobody misses it.

use std::{process::Stdio, time::Duration};

use sea_orm::EntityTrait;
use sync_core::{PruneReport, Retention};
use sync_tests::{Device, device::library, entities::item, writes::Dice};
use tokio::io::{AsyncBufReadExt, BufReader};

/// So many that a prune has several transactions.
const ROWS: usize = 22_000;
/// Until so many were killed between the first transaction and the last.
const KILLS_IN_THE_MIDDLE: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_was_killed_is_gone_on_with() {
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
    for some in rows.collect::<Vec<_>>().chunks(5_000) {
        item::Entity::insert_many(some.to_vec()).exec_without_returning(&device.db).await.expect("rows");
        device.engine.flush().await.expect("a flush");
    }
    let (rows, digest) = (device.dump().await, device.digest().await);
    device.close().await;
    std::fs::copy(&path, &full).expect("a copy");

    let (mut middle, mut longest, mut kills) = (0, 300, 0);
    while middle < KILLS_IN_THE_MIDDLE {
        assert!(kills < 120, "{middle} of {kills} were killed in the middle");
        kills += 1;
        std::fs::copy(&full, &path).expect("a copy");
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let wait = dice.below(longest);
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_pruner"))
            .args([path.to_str().expect("a path"), &library.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        child.kill().await.expect("killed");

        let retention = Retention { max_entries: Some(0), ..Retention::default() };
        let device =
            Device::open(path.clone(), library, |builder| builder.without_background().retention(retention))
                .await;
        let status = device.engine.status().await.expect("a status");
        assert_eq!(status.floor.0 + status.entries, ROWS as u64, "what is not in the log is below the floor");
        let state = device.state().await;
        assert!(state.rows == rows && state.digest == digest, "data is not history");
        if status.entries > 0 && status.floor.0 > 0 {
            middle += 1;
            let other = Device::new(library).await;
            let report = other.sync(&device).await.expect("a round");
            assert!(report.snapshot_records as usize >= ROWS, "{report:?}");
            other.sync(&device).await.expect("a round");
            assert!(other.dump().await == rows, "nothing is missing");
            assert_eq!(other.digest().await, device.digest().await);
            let PruneReport { removed, .. } = device.engine.prune().await.expect("a prune");
            assert!(removed >= status.entries, "it goes on where it was");
        } else if status.entries == 0 {
            longest = wait.max(20);
        } else {
            longest += 20;
        }
        device.close().await;
    }
    println!("{middle} of {kills} were killed in the middle");
}
