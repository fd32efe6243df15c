//! What sync costs: `workload DIR ROWS AUTOCOMMIT_ROWS [PEER]`.
//!
//! Prints a JSON line per figure, and on standard error a summary with the bars. Runs each peer in a process of its
//! own, `plain-seaorm` and `seasync` three times in turn: the summary is made of medians. With `PEER`, only that one, here:
//! `plain-rusqlite`, `plain-seaorm`, `seasync` or `writer`.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use sync_tests::workload::{
    Outcome, Plan, exit_code, meter::Figure, rusqlite, seaorm, seasync, summary::summary, writer,
};

const WRITER: &str = "writer";

/// A shared machine is now fast, now slow: what is compared is run in turn.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> Outcome<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, rows, auto, peer @ ..] = arguments.as_slice() else {
        return Err("usage: workload DIR ROWS AUTOCOMMIT_ROWS [PEER]".into());
    };
    let plan = Plan { dir: PathBuf::from(dir), rows: rows.parse()?, auto: auto.parse()? };
    std::fs::create_dir_all(&plan.dir)?;
    if let Some(peer) = peer.first() {
        one(&plan, peer)?;
        return Ok(true);
    }
    let mut figures = Vec::new();
    let in_turn = [seaorm::PEER, seasync::PEER].repeat(ROUNDS);
    for peer in [rusqlite::PEER].into_iter().chain(in_turn).chain([WRITER]) {
        figures.extend(in_a_process(&arguments, peer)?);
    }
    let (text, holds) = summary(&figures);
    eprint!("{text}");
    Ok(holds)
}

fn one(plan: &Plan, peer: &str) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match peer {
        rusqlite::PEER => rusqlite::run(plan),
        seaorm::PEER => runtime.block_on(seaorm::run(plan)),
        seasync::PEER => runtime.block_on(seasync::run(plan)),
        WRITER => runtime.block_on(writer::run(plan)),
        other => Err(format!("{other} is no peer").into()),
    }
}

/// Runs `peer` and passes its lines on.
fn in_a_process(arguments: &[String], peer: &str) -> Outcome<Vec<Figure>> {
    let mut child =
        Command::new(std::env::current_exe()?).args(arguments).arg(peer).stdout(Stdio::piped()).spawn()?;
    let mut figures = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            figures.push(serde_json::from_str(&line)?);
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(figures) } else { Err(format!("{peer} ended with {status}").into()) }
}
