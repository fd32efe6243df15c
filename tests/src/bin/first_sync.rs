//! What a first sync costs: `first_sync DIR RECORDS`. Two processes over HTTP, interrupted three times; prints a JSON
//! line, and exits non-zero if a process held 200 MB or more, began again, or ended with other data.

use std::{path::PathBuf, process::ExitCode};

use sync_tests::{
    first_sync::{measure, role},
    workload::{Outcome, exit_code},
};

/// What each process may hold at most.
const MOST_MEMORY: u64 = 200_000_000;

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> Outcome<bool> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [dir, records] = words.as_slice() else {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(role(&words))?;
        return Ok(true);
    };
    let measured = measure(&std::env::current_exe()?, &PathBuf::from(dir), records.parse()?)?;
    println!("{}", measured.line());
    let small = measured.server_peak < MOST_MEMORY && measured.joiner_peak < MOST_MEMORY;
    Ok(small && measured.equal && measured.went_on())
}
