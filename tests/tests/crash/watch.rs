//! Runs the writer for a while, kills it, and says what it had told until then.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use sync_core::LibraryId;
use sync_tests::writes::{Line, Write};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// What a writer told before it was killed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What is committed, by device.
    pub(crate) done: [Vec<Write>; 2],
    /// What was begun and not acknowledged.
    pub(crate) tried: [Option<Write>; 2],
    /// Transactions of each stage that have begun and not ended.
    open: BTreeMap<&'static str, i64>,
}

impl Seen {
    /// True if the kill came while a transaction of this stage was open.
    pub(crate) fn inside(&self, stage: &str) -> bool {
        self.open.get(stage).is_some_and(|open| *open > 0)
    }

    fn take(&mut self, line: &str) {
        if let Some(stage) =
            ["Flush", "Apply"].into_iter().find(|stage| line.contains(&format!("stage={stage}")))
        {
            let step = if line.contains("begins") { 1 } else { -1 };
            let open = self.open.entry(stage).or_default();
            // A transaction that could not begin fails without having begun.
            *open = (*open + step).max(0);
            return;
        }
        match serde_json::from_str(line) {
            Ok(Line::Try(device, write)) => self.tried[device] = Some(write),
            Ok(Line::Done(device)) => {
                self.done[device].extend(self.tried[device].take());
            }
            Err(error) => panic!("the writer says {line:?}: {error}"),
        }
    }
}

/// Lets a writer work in `folder` for about `time` after its first write, and kills it; a calm one, with a seed not divisible by four,
/// at its next commit then.
pub(crate) async fn run_and_kill(folder: &Path, library: LibraryId, seed: u64, time: Duration) -> Seen {
    let mut child = Command::new(env!("CARGO_BIN_EXE_writer"))
        .arg(folder)
        .arg(library.to_string())
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a writer");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).split(b'\n');
    let mut seen = Seen::default();
    let deadline = tokio::time::sleep(Duration::from_secs(60));
    tokio::pin!(deadline);
    let mut begun = false;
    let mut killed = false;
    let mut due = false;
    loop {
        tokio::select! {
            () = &mut deadline, if !killed && !due => {
                assert!(begun, "the writer writes nothing");
                assert!(child.try_wait().expect("a child").is_none(), "the writer ended by itself");
                due = !seed.is_multiple_of(4);
                if !due {
                    child.start_kill().expect("a kill");
                    killed = true;
                }
            }
            line = lines.next_segment() => match line.expect("a pipe") {
                None => break,
                Some(line) => {
                    let line = String::from_utf8(line).expect("text");
                    // The kill may have cut the last line off.
                    if killed && !complete(&line) {
                        break;
                    }
                    seen.take(&line);
                    if due && !killed && line.starts_with("{\"Done\"") {
                        child.start_kill().expect("a kill");
                        killed = true;
                    }
                    if !begun && line.starts_with("{\"Try\"") {
                        begun = true;
                        deadline.as_mut().reset(tokio::time::Instant::now() + time);
                    }
                }
            },
        }
    }
    assert!(killed, "the writer ended by itself: {:?}", child.wait().await);
    child.wait().await.expect("a child");
    seen
}

fn complete(line: &str) -> bool {
    line.ends_with('}') || line.ends_with("begins stage=Flush") || line.contains("stage=")
}
