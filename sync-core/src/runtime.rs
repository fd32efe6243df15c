//! Where time, randomness and background work enter: one trait each, so that a test can hold them in its hand.
//!
//! Nothing else in this crate reads a clock, draws a random number or spawns a task.

use std::{fmt::Debug, sync::Arc, time::SystemTime};

use futures_util::future::BoxFuture;

/// The wall clock.
pub trait Time: Debug + Send + Sync {
    /// Milliseconds since the Unix epoch, as this machine believes.
    fn now_ms(&self) -> u64;
}

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Time for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A source of random bytes.
pub trait Random: Debug + Send + Sync {
    /// Fills the whole of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has a random source");
    }
}

/// Starts background work.
pub trait Spawn: Debug + Send + Sync {
    /// Runs `task` to its end, whoever stops waiting for it.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// Spawns onto the tokio runtime that is current at the call.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSpawn;

impl Spawn for TokioSpawn {
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// The three together, as every stage takes them.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The wall clock.
    pub time: Arc<dyn Time>,
    /// The random source.
    pub random: Arc<dyn Random>,
    /// The spawner of background work.
    pub spawn: Arc<dyn Spawn>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { time: Arc::new(SystemClock), random: Arc::new(SystemRandom), spawn: Arc::new(TokioSpawn) }
    }
}
