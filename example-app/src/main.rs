//! A file library that spans devices, kept in step by SeaSync.
//!
//! * `cli` the commands, as they are typed
//! * `library` database, tables, engine
//! * `entities` what is kept
//! * `index` a real directory, compared with what is known
//! * `commands` what each command does
//! * `conflicts` what was lost: shown, counted, settled
//! * `network` serving and following
//! * `show` tables for people
//! * `demo` three devices that write apart and come together

mod cli;
mod commands;
mod conflicts;
mod demo;
mod entities;
mod error;
mod index;
mod library;
mod network;
mod show;

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match commands::run(cli::Cli::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
