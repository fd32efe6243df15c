//! A first sync of many records between two processes.

use std::path::Path;

use sync_tests::first_sync::measure;

#[test]
fn fifty_thousand_records_come_in_bounded_memory_through_three_interruptions() {
    let dir = tempfile::tempdir().expect("a folder");
    let measured =
        measure(Path::new(env!("CARGO_BIN_EXE_first_sync")), dir.path(), 50_000).expect("a first sync");
    println!("{}", measured.line());
    assert!(measured.equal, "{measured:?}");
    assert!(measured.went_on(), "{measured:?}");
    assert!(measured.events >= 3, "{measured:?}");
    assert!(measured.server_peak.max(measured.joiner_peak) < 200_000_000, "{measured:?}");
}
