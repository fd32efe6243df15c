//! A first sync between two processes over HTTP, broken off and gone on with: what it costs in memory and time.
//!
//! Three processes do the work and are watched by the one that measures: *fill* inserts the records, *serve* is the
//! replica that has them, *join* the one that has none. [`role`] is what a program does that was started as one of them.

use std::{
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use sync_core::{
    Event, LibraryId, SyncEngine,
    runtime::{Spawn, SystemRandom, TokioSpawn},
};
use sync_transport::http::{HttpPeer, Identity, Server, Token, Tokens};
use tokio::net::TcpListener;

use crate::workload::{Outcome, data, orm};

/// How many records are inserted in one go, so that what fills needs no more memory than what syncs.
const CHUNK: usize = 10_000;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Records synced.
    pub records: u64,
    /// Records received in all runs together: what came twice is above `records`.
    pub received: u64,
    /// The interruptions: which process was killed, and after how many records.
    pub interruptions: Vec<(&'static str, u64)>,
    /// The most memory that the serving process held, in bytes.
    pub server_peak: u64,
    /// The most memory that the joining process held, in bytes.
    pub joiner_peak: u64,
    /// How long the first sync took, restarts included.
    pub sync: Duration,
    /// How long plain SeaORM took to insert the records.
    pub plain: Duration,
    /// How long inserting them took with an engine, until all was logged.
    pub logged: Duration,
    /// How many progress events came.
    pub events: u64,
    /// True if both replicas ended with equal digests and rows.
    pub equal: bool,
}

impl Measured {
    /// True if it was interrupted three times and nothing came twice, but for a page at each interruption.
    pub fn went_on(&self) -> bool {
        let pages = 3 * u64::from(sync_core::Limits::default().page_entries);
        self.interruptions.len() == 3 && (self.records..=self.records + pages).contains(&self.received)
    }

    /// A line of JSON.
    pub fn line(&self) -> String {
        let ratio = |base: Duration| self.sync.as_secs_f64() / base.as_secs_f64().max(1e-9);
        serde_json::json!({
            "records": self.records, "received": self.received, "interruptions": self.interruptions,
            "server_peak_mb": self.server_peak as f64 / 1e6, "joiner_peak_mb": self.joiner_peak as f64 / 1e6,
            "first_sync_s": self.sync.as_secs_f64(), "insert_plain_s": self.plain.as_secs_f64(),
            "insert_logged_s": self.logged.as_secs_f64(), "against_plain": ratio(self.plain),
            "against_logged": ratio(self.logged), "progress_events": self.events, "equal": self.equal,
        })
        .to_string()
    }
}

/// Measures with processes of `program`, which calls [`role`], in `dir`.
///
/// # Errors
/// What the system or one of the processes says.
pub fn measure(program: &Path, dir: &Path, records: u64) -> Outcome<Measured> {
    std::fs::create_dir_all(dir)?;
    let [plain, full, empty] = ["plain.db", "full.db", "empty.db"].map(|name| dir.join(name));
    let library = LibraryId::from(uuid::Uuid::new_v4()).to_string();
    let count = records.to_string();
    let filled = |role: &str, file: &Path| -> Outcome<Duration> {
        let mut process = Process::start(program, &[role, &text(file), &library, &count])?;
        let took = process.expect("took")?;
        process.end()?;
        Ok(Duration::from_secs_f64(took.parse()?))
    };
    let plain = filled("plain", &plain)?;
    let logged = filled("fill", &full)?;

    let (mut interruptions, mut server_peak, mut joiner_peak) = (Vec::new(), 0, 0);
    let (mut received, mut events) = (0, 0);
    let token = Token::generate(&SystemRandom).reveal().to_owned();
    let mut server = Process::start(program, &["serve", &text(&full), &library, "0", &token])?;
    let address = server.expect("at")?;
    let begun = Instant::now();
    // A quarter, a half, three quarters: the joining side is killed, then the serving one, then the joining one again.
    let mut due = vec![("join", records * 3 / 4), ("serve", records / 2), ("join", records / 4)];
    'runs: loop {
        let mut joiner = Process::start(program, &["join", &text(&empty), &library, &address, &token])?;
        let mut this_run = 0;
        while let Some(line) = joiner.line()? {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["progress", records, this_round] = words[..] {
                let (at, this_round): (u64, u64) = (records.parse()?, this_round.parse()?);
                events += 1;
                // A round that began anew in the same process counts from nothing.
                received += this_round - if this_round > this_run { this_run } else { 0 };
                this_run = this_round;
                let Some((who, _)) = due.pop_if(|(_, after)| at >= *after) else { continue };
                interruptions.push((who, at));
                server_peak = server_peak.max(server.peak());
                joiner_peak = joiner_peak.max(joiner.peak());
                if who == "join" {
                    joiner.kill()?;
                    continue 'runs;
                }
                server.kill()?;
                let port = address.rsplit(':').next().unwrap_or("0");
                server = Process::start(program, &["serve", &text(&full), &library, port, &token])?;
                server.expect("at")?;
            } else if let Some(ended) = line.strip_prefix("digest ") {
                let sync = begun.elapsed();
                server_peak = server_peak.max(server.peak());
                joiner_peak = joiner_peak.max(joiner.peak());
                joiner.kill()?;
                server.kill()?;
                let mut look = Process::start(program, &["digest", &text(&full), &library])?;
                let equal = look.expect("digest")? == ended;
                look.end()?;
                return Ok(Measured {
                    records,
                    received,
                    interruptions,
                    server_peak,
                    joiner_peak,
                    sync,
                    plain,
                    logged,
                    events,
                    equal,
                });
            } else {
                return Err(format!("the joining process said {line}").into());
            }
        }
        return Err("the joining process ended before it was in sync".into());
    }
}

/// A process of the program, and what it says, line by line.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(program: &Path, words: &[&str]) -> Outcome<Self> {
        let mut child = Command::new(program).args(words).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("a process without output")?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    fn line(&mut self) -> Outcome<Option<String>> {
        Ok(self.lines.next().transpose()?)
    }

    /// What follows `word` in the next line.
    fn expect(&mut self, word: &str) -> Outcome<String> {
        let line = self.line()?.ok_or_else(|| format!("a process ended without {word}"))?;
        let rest = line.strip_prefix(word).ok_or_else(|| format!("{line} instead of {word}"))?;
        Ok(rest.trim().to_owned())
    }

    /// The most memory that it has held so far, in bytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    fn end(mut self) -> Outcome<()> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a process ended with {status}").into()) }
    }

    fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// What a program does that was started as one of the processes; these are its arguments.
///
/// # Errors
/// What the database, the engine or the peer says.
pub async fn role(words: &[String]) -> Outcome<()> {
    let word = |at: usize| words.get(at).ok_or_else(|| format!("word {at} is missing"));
    let file = PathBuf::from(word(1)?);
    let library: LibraryId = word(2)?.parse().map_err(|_| "no library")?;
    match word(0)?.as_str() {
        "plain" => fill(&orm::open(&file).await?, word(3)?.parse()?, None).await,
        "fill" => {
            let engine = engine(&file, library).await?;
            fill(engine.db(), word(3)?.parse()?, Some(&engine)).await?;
            Ok(engine.shutdown().await?)
        }
        "serve" => serve(&file, library, word(3)?.parse()?, word(4)?).await,
        "join" => join(&file, library, word(3)?, word(4)?).await,
        "digest" => {
            let engine = engine(&file, library).await?;
            println!("digest {}", digest(&engine).await?);
            Ok(engine.shutdown().await?)
        }
        other => Err(format!("{other} is no process of this program").into()),
    }
}

async fn engine(file: &Path, library: LibraryId) -> Outcome<SyncEngine> {
    let db = orm::open(file).await?;
    Ok(SyncEngine::builder(db).library(library).models(["workload"]).start().await?)
}

/// Inserts `count` rows; tells how long it took, until all is logged where there is an engine.
async fn fill(db: &DatabaseConnection, count: usize, engine: Option<&SyncEngine>) -> Outcome<()> {
    let mut took = Duration::ZERO;
    let mut rows = data::endless(1);
    let mut left = count;
    while left > 0 {
        let chunk: Vec<_> = rows.by_ref().take(CHUNK.min(left)).collect();
        left -= chunk.len();
        let begun = Instant::now();
        orm::insert_batch(db, chunk).await?;
        took += begun.elapsed();
    }
    if let Some(engine) = engine {
        let begun = Instant::now();
        engine.flush().await?;
        took += begun.elapsed();
    }
    println!("took {}", took.as_secs_f64());
    Ok(())
}

async fn serve(file: &Path, library: LibraryId, port: u16, token: &str) -> Outcome<()> {
    let engine = engine(file, library).await?;
    let tokens = Arc::new(Tokens::new());
    tokens.add(&Token::new(token)?, Identity::new("joiner").only([library]));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let server = Server::single(engine).authenticator(tokens).serve(listener)?;
    println!("at http://{}", server.local_addr());
    std::future::pending().await
}

async fn join(file: &Path, library: LibraryId, url: &str, token: &str) -> Outcome<()> {
    let engine = engine(file, library).await?;
    let peer = HttpPeer::new(url, Token::new(token)?)?;
    let mut events = engine.events();
    TokioSpawn.spawn(Box::pin(async move {
        while let Some(event) = events.next().await {
            if let Event::Snapshot(progress) = event {
                println!("progress {} {}", progress.records, progress.this_round);
            }
        }
    }));
    loop {
        match engine.sync_with(&peer).await {
            Ok(report) if report.in_sync => break,
            Ok(report) => return Err(format!("not in sync: {report:?}").into()),
            Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(error.into()),
        }
    }
    println!("digest {}", digest(&engine).await?);
    Ok(())
}

/// The digest of the objects, and how many rows the table has.
async fn digest(engine: &SyncEngine) -> Outcome<String> {
    let rows = data::Entity::find().count(engine.db()).await?;
    Ok(format!("{:?} {rows}", engine.status().await?.digest))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
