//! What repair costs: `repair ITEMS`. Damages ten records of two devices with so many items, mends them, and prints a
//! JSON line for each way in which the second device can have come by its data.

use std::process::ExitCode;

use sync_tests::damage::{First, mend_ten};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(items) = std::env::args().nth(1).and_then(|items| items.parse().ok()) else {
        eprintln!("repair ITEMS");
        return ExitCode::from(2);
    };
    for first in [First::Log, First::Feed] {
        println!("{}", mend_ten(items, first).await.line(items, first));
    }
    ExitCode::SUCCESS
}
