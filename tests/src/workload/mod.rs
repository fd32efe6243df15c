//! What sync costs: one workload, run on plain rusqlite, on plain SeaORM, and on SeaORM with an engine.
//!
//! Invariant: each peer runs in a process and on files of its own, does the same to the same rows, and is measured
//! by the same clocks. Modules: `data` the rows, `meter` the clocks, `orm` what both SeaORM peers do, then one module
//! per peer, and `summary` with the bars.

pub mod data;
pub mod meter;
pub(crate) mod orm;
pub mod rusqlite;
pub mod seaorm;
pub mod seasync;
pub mod summary;
pub mod writer;

use std::{error::Error, path::PathBuf, process::ExitCode};

/// What a run gives, or why it stopped.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a program that measured ends with: 0 if its bars hold, 1 if not, 2 if it stopped, with the reason on standard error.
pub fn exit_code(holds: Outcome<bool>) -> ExitCode {
    match holds {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the database files go.
    pub dir: PathBuf,
    /// Rows inserted in batches.
    pub rows: usize,
    /// Rows inserted one transaction each.
    pub auto: usize,
}

/// Rows per transaction in batches.
pub const BATCH: usize = 1000;

/// Changes per page when changes are exchanged: the engine's default.
pub const PAGE: u32 = 20_000;

impl Plan {
    /// A fresh file for `peer`.
    ///
    /// # Errors
    /// If an older file cannot be removed.
    pub fn file(&self, peer: &str, name: &str) -> Outcome<PathBuf> {
        for suffix in ["", "-wal", "-shm"] {
            let path = self.dir.join(format!("{peer}-{name}.db{suffix}"));
            if path.exists() {
                std::fs::remove_file(path)?;
            }
        }
        Ok(self.dir.join(format!("{peer}-{name}.db")))
    }

    /// The rows that both sides of a merge update.
    pub fn merged(&self) -> usize {
        self.rows / 2
    }

    /// The rows deleted by key.
    pub fn deleted(&self) -> usize {
        self.rows / 10
    }
}
