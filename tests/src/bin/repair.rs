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
        let cost = mend_ten(items, first).await;
        let repair = &cost.repair;
        println!(
            "{{\"items\":{items},\"first_sync\":\"{first:?}\",\"first_sync_bytes\":{},\"mended\":{},\"calls\":{},\
             \"ranges\":{},\"bytes_sent\":{},\"bytes_received\":{},\"percent_of_first_sync\":{:.3},\"took_ms\":{}}}",
            cost.first_sync,
            repair.mended_here.len() + repair.mended_there.len(),
            repair.calls,
            repair.ranges,
            repair.bytes_sent,
            repair.bytes_received,
            100.0 * cost.share(),
            cost.took_ms,
        );
    }
    ExitCode::SUCCESS
}
