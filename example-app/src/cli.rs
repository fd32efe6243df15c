//! The commands, as they are typed.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use sync_core::LibraryId;

/// A file library that spans devices.
#[derive(Debug, Parser)]
#[command(name = "example-app", version, about)]
pub(crate) struct Cli {
    /// The library's database file.
    #[arg(long, global = true, default_value = "library.db")]
    pub db: PathBuf,
    /// What this device is called in a new library.
    #[arg(long, global = true, default_value = "this device")]
    pub name: String,
    /// The library that the file belongs to; a new file founds one without it. `status` shows it.
    #[arg(long, global = true)]
    pub library: Option<LibraryId>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Walk a directory and keep what is in it.
    Index {
        /// The directory.
        dir: PathBuf,
    },
    /// Give files a tag.
    Tag {
        /// The tag.
        tag: String,
        /// The files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Write a note about a file.
    Note {
        /// The file.
        path: PathBuf,
        /// The note.
        text: String,
    },
    /// List what is in an indexed directory, or the indexed directories.
    Ls {
        /// The directory.
        path: Option<PathBuf>,
    },
    /// Let other devices sync with this one over HTTP, until Ctrl-C.
    Serve {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:7777")]
        listen: SocketAddr,
        /// The token that callers must bring. Without it only this machine may call.
        #[arg(long, env = "SEASYNC_TOKEN", hide_env_values = true)]
        token: Option<String>,
    },
    /// Sync once with a device that serves.
    Sync {
        /// Its address, as in `http://127.0.0.1:7777`.
        url: String,
        /// The token it asks for.
        #[arg(long, env = "SEASYNC_TOKEN", hide_env_values = true)]
        token: Option<String>,
    },
    /// Keep in step with a device that serves, until Ctrl-C.
    Follow {
        /// Its address.
        url: String,
        /// The token it asks for.
        #[arg(long, env = "SEASYNC_TOKEN", hide_env_values = true)]
        token: Option<String>,
    },
    /// Show how things stand.
    Status,
    /// Show the newest changes of the log.
    Log {
        /// How many.
        #[arg(long, default_value_t = 20)]
        most: u32,
    },
    /// Show what was lost to other writes and not settled yet, newest first; count it; settle it.
    Conflicts(Asked),
    /// Settle a conflict.
    Resolve {
        /// Its number, as `conflicts` shows it.
        id: i64,
        /// What is right.
        #[arg(value_enum)]
        right: Right,
    },
    /// Check ledger and rows.
    Verify,
    /// Three devices write apart and come together, on the files of a real directory.
    Demo {
        /// The directory; the package sources of this machine's Rust installation without it.
        dir: Option<PathBuf>,
        /// How many entries there must be at least.
        #[arg(long, default_value_t = 10_000)]
        least: usize,
        /// How many entries are taken at most.
        #[arg(long, default_value_t = 20_000)]
        most: usize,
    },
}

/// Which of two values is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Right {
    /// The one that stands.
    Winner,
    /// The one that was lost: it is written again.
    Loser,
    /// Leave it as it is, and list it no more on this device.
    Neither,
}

/// Which conflicts are meant, and what is done with them.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Of this model only, as `entry`.
    #[arg(long)]
    pub model: Option<String>,
    /// Of this field only, as `name`.
    #[arg(long)]
    pub field: Option<String>,
    /// Lost for this reason only, as `concurrent_write` or `delete_wins`.
    #[arg(long)]
    pub reason: Option<String>,
    /// Found within so many hours.
    #[arg(long)]
    pub hours: Option<u32>,
    /// Settled ones too.
    #[arg(long)]
    pub all: bool,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub most: u32,
    /// Older than the one with this number: the next page.
    #[arg(long)]
    pub before: Option<i64>,
    /// Count them per hour or day instead.
    #[arg(long, value_enum)]
    pub per: Option<Width>,
    /// Settle all that match, at most `most`.
    #[arg(long, value_enum, conflicts_with = "per")]
    pub settle: Option<Right>,
}

/// What to count by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Width {
    /// By the hour.
    Hour,
    /// By the day.
    Day,
}
