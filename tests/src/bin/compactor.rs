//! A process to be killed: it says that it is ready, compacts its log, and says that it has.

use std::path::PathBuf;

use sync_core::LibraryId;
use sync_tests::Device;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().expect("a database"));
    let library: LibraryId = arguments.next().expect("a library").parse().expect("a library's id");
    let device = Device::open(path, library, |builder| builder.without_background()).await;
    println!("ready");
    device.engine.compact().await.expect("a compaction");
    println!("compacted");
}
