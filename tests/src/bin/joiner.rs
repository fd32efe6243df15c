//! A process to be killed: it says that it is ready, joins a library, and says that it has.

use std::path::PathBuf;

use sync_core::{Join, LibraryId};
use sync_tests::Device;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().expect("a database"));
    let mut library =
        || -> LibraryId { arguments.next().expect("a library").parse().expect("a library's id") };
    let (former, joined) = (library(), library());
    let how = if arguments.next().as_deref() == Some("replace") { Join::Replace } else { Join::Merge };
    let device = Device::open(path, former, |builder| builder.without_background()).await;
    println!("ready");
    device.engine.join(joined, how).await.expect("joined");
    println!("joined");
}
