//! Three devices write apart and come together, on the files of a real directory.
//!
//! * `stage` the devices, one of them serving
//! * `apart` what each writes while it is offline
//! * `outcome` what must hold in the end, and the tables that show it

mod apart;
mod outcome;
mod stage;

use std::{path::PathBuf, time::Instant};

use crate::{error::AppError, index, show};

/// Runs the demonstration.
pub(crate) async fn run(dir: Option<PathBuf>, least: usize, most: usize) -> Result<(), AppError> {
    let dir = dir.unwrap_or_else(package_sources);
    let mut times = show::table(["step", "time"]);
    let mut step = |name: &str, began: Instant| {
        times.add_row([name.to_owned(), format!("{:.2} s", began.elapsed().as_secs_f64())]);
    };

    println!("Three devices, each with a database of its own: laptop, nas (serves over HTTP), phone.\n");
    let stage = stage::Stage::open().await?;

    let began = Instant::now();
    let bar = index::progress();
    let indexed = index::index(&stage.laptop, &dir, Some(most), &bar).await?;
    stage.laptop.engine.flush().await?;
    bar.finish_and_clear();
    println!("The laptop indexed {} entries of {}.\n", indexed.added, dir.display());
    if indexed.added < least {
        return Err(AppError::TooFew { path: dir.display().to_string(), found: indexed.added, least });
    }
    step("index and log", began);

    let mut rounds = stage::Rounds::default();
    let began = Instant::now();
    rounds.sync("laptop", &stage.laptop, &stage).await?;
    step("laptop to nas", began);
    let began = Instant::now();
    rounds.sync("phone", &stage.phone, &stage).await?;
    step("first sync of the phone", began);

    let began = Instant::now();
    let plan = apart::write(&stage).await?;
    step("write apart", began);
    println!("While apart:");
    for line in &plan.told {
        println!("  - {line}");
    }

    let began = Instant::now();
    rounds.until_quiet(&stage).await?;
    step("come together", began);

    println!("\nRounds\n{}", rounds.table());
    outcome::show(&stage).await?;
    println!("Time\n{times}");
    outcome::check(&stage, &plan).await?;
    println!("Digests and rows are equal on all three devices.");
    stage.close().await
}

/// The sources of packages that every Rust installation has once it has built something.
fn package_sources() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME")
            .or_else(|| std::env::var_os("USERPROFILE"))
            .map(|home| PathBuf::from(home).join(".cargo"))
    });
    home.unwrap_or_default().join("registry").join("src")
}
