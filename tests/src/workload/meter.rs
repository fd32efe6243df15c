//! Clocks, and figures as JSON lines.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Who was measured.
    pub peer: String,
    /// What was measured.
    pub metric: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// Prints the figures of one peer.
#[derive(Clone, Debug)]
pub struct Meter {
    peer: String,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// On the wall.
    pub wall: Duration,
    /// Of this process, all threads together.
    pub cpu: Duration,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    wall: Instant,
    cpu: Duration,
}

impl Start {
    /// Now.
    pub fn now() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// What has passed since.
    pub fn took(self) -> Took {
        Took { wall: self.wall.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

impl Took {
    /// This without `part`.
    pub fn without(self, part: Self) -> Self {
        Self { wall: self.wall.saturating_sub(part.wall), cpu: self.cpu.saturating_sub(part.cpu) }
    }
}

impl Meter {
    /// Figures of `peer`.
    pub fn new(peer: &str) -> Self {
        Self { peer: peer.to_owned() }
    }

    /// Prints a figure.
    pub fn figure(&self, metric: &str, value: f64, unit: &str) {
        let figure = Figure { peer: self.peer.clone(), metric: metric.into(), value, unit: unit.into() };
        println!("{}", serde_json::to_string(&figure).expect("a figure is JSON"));
    }

    /// Prints `1` or `0`.
    pub fn holds(&self, metric: &str, holds: bool) {
        self.figure(metric, f64::from(u8::from(holds)), "bool");
    }

    /// Prints how fast `count` was done, by wall and by processor.
    pub fn rate(&self, metric: &str, count: u64, took: Took) {
        let per = |time: Duration| count as f64 / time.as_secs_f64().max(1e-9);
        self.figure(metric, per(took.wall), "rows/s");
        self.figure(&format!("{metric}@cpu"), per(took.cpu), "rows/cpu-s");
    }

    /// Prints the most memory that the process has held.
    pub fn peak_rss(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()) {
            self.figure("peak_rss", kib * 1024.0, "bytes");
        }
    }
}

/// The processor time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
