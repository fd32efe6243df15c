//! A process to be killed: it says that it is ready, takes all history out of its log, and says that it has.

use std::path::PathBuf;

use sync_core::{LibraryId, Retention};
use sync_tests::Device;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().expect("a database"));
    let library: LibraryId = arguments.next().expect("a library").parse().expect("a library's id");
    let retention = Retention { max_entries: Some(0), ..Retention::default() };
    let device =
        Device::open(path, library, |builder| builder.without_background().retention(retention)).await;
    println!("ready");
    device.engine.prune().await.expect("a prune");
    println!("pruned");
}
