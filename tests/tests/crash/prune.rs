//! `kill -9` of a process that prunes: what went is a prefix of the log, the floor says so, and nobody misses it.

use std::time::Duration;

use sync_core::{PruneReport, Retention};
use sync_tests::{Device, device::library, writes::Dice};

use super::{filled, killed_after};

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
    let device = filled(&path, library, ROWS).await;
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
        let arguments = [path.to_str().expect("a path"), &library.to_string()];
        killed_after(Duration::from_millis(wait), env!("CARGO_BIN_EXE_pruner"), &arguments).await;

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
