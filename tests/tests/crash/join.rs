//! `kill -9` of a process that joins a library: the database is of the one or of the other, with all of its records.

use std::time::Duration;

use sync_core::{Join, LibraryId};
use sync_tests::{Device, device::library, writes::Dice};

use super::{filled, killed_after};

const ROWS: usize = 2_000;
/// At least so many are killed, and until both ends were seen.
const KILLS: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_done_or_not() {
    let seed = super::environment("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("CRASH_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (mut before, mut after, mut longest) = (0, 0, 400);
    for kill in 0.. {
        if kill >= KILLS && before > 1 && after > 1 {
            break;
        }
        assert!(kill < 20 * KILLS, "{before} were of the former library, {after} of the new one");
        let how = if kill % 2 == 0 { Join::Merge } else { Join::Replace };
        let wait = dice.below(longest);
        if one(how, Duration::from_millis(wait)).await {
            // It takes less than that: the next ones are killed earlier.
            (after, longest) = (after + 1, wait.max(10));
        } else {
            (before, longest) = (before + 1, longest + 40);
        }
    }
    println!("killed before the commit: {before}, after it: {after}");
}

/// Kills a process so long after it began to join. True if it had joined.
async fn one(how: Join, wait: Duration) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let (former, joined) = (library(), library());
    let device = filled(&path, former, ROWS).await;
    let rows = device.dump().await;
    device.close().await;
    let arguments = [
        path.to_str().expect("a path"),
        &former.to_string(),
        &joined.to_string(),
        if how == Join::Merge { "merge" } else { "replace" },
    ];
    let acknowledged = killed_after(wait, env!("CARGO_BIN_EXE_joiner"), &arguments).await;

    let found: LibraryId = library_in(&path);
    assert!(found == former || found == joined);
    assert!(!acknowledged || found == joined, "what was told is done");
    let device = Device::open(path, found, |builder| builder.without_background()).await;
    let state = device.state().await;
    let wiped = found == joined && how == Join::Replace;
    assert_eq!(state.rows, if wiped { String::new() } else { rows });
    // And it goes on: the call may be repeated.
    device.engine.join(joined, how).await.expect("joined");
    let other = Device::new(joined).await;
    other.sync(&device).await.expect("a round");
    other.assert_equal(&device).await;
    found == joined
}

fn library_in(path: &std::path::Path) -> LibraryId {
    let db = rusqlite::Connection::open(path).expect("a database");
    let sql = "SELECT value FROM sync_metadata WHERE key = 'library_id'";
    let bytes: Vec<u8> = db.query_row(sql, [], |row| row.get(0)).expect("a library");
    LibraryId::from_bytes(bytes.try_into().expect("16 bytes"))
}
