//! A process to be killed: two devices write, flush in the background and sync with each other, without an end.
//!
//! It says on its standard output what it is about to write and what is committed, each line in one write to the
//! pipe, so that whoever kills it knows what must be there.

use std::{
    io::{Stdout, Write as _, stdout},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use sea_orm::{EntityTrait, QuerySelect};
use sync_core::{LibraryId, Limits};
use sync_tests::{
    Device,
    entities::item,
    writes::{Dice, Line, Write},
};
use uuid::Uuid;

/// Nobody kills it for this long: the one who should is gone.
const LIFETIME: Duration = Duration::from_secs(30);

/// How many rows of its own a device keeps about.
const ROWS: usize = 1_500;

fn say(line: &Line) {
    let mut text = serde_json::to_string(line).expect("a line");
    text.push('\n');
    let mut out: std::io::StdoutLock<'_> = Stdout::lock(&stdout());
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).expect("a pipe");
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let library: LibraryId = arguments.next().expect("a library").parse().expect("a library's id");
    let seed: u64 = arguments.next().expect("a seed").parse().expect("a number");
    tracing_subscriber::fmt()
        .with_env_filter("sync_core::stage=trace")
        .without_time()
        .with_writer(stdout)
        .init();
    let mut devices = Vec::new();
    for number in 0..2_usize {
        let path = folder.join(format!("{number}.db"));
        devices.push(Arc::new(Device::open(path, library, |builder| builder.limits(limits())).await));
    }
    // Most seeds write calmly: most of the time something is committed and nothing is being logged.
    let calm = u64::from(!seed.is_multiple_of(4)) * 60;
    let rounds = rounds(devices[0].clone(), devices[1].clone(), Dice::new(seed ^ 2), 15 + 4 * calm);
    let writers = (0..2)
        .map(|number| write(number, devices[number].clone(), Dice::new(seed ^ number as u64), 6 + calm));
    let all = async { tokio::join!(futures_util::future::join_all(writers), rounds) };
    let _ = tokio::time::timeout(LIFETIME, all).await;
}

/// Small batches and pages: groups of many batches, flushed and sent in many transactions.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.flush_batch = 200;
    limits.page_entries = 300;
    limits
}

async fn rounds(one: Arc<Device>, other: Arc<Device>, mut dice: Dice, rest: u64) {
    loop {
        let (from, to) = if dice.below(2) == 0 { (&one, &other) } else { (&other, &one) };
        // A busy database is no fault: the next round goes on.
        let _ = from.sync(to).await;
        tokio::time::sleep(Duration::from_millis(dice.below(rest))).await;
    }
}

async fn write(number: usize, device: Arc<Device>, mut dice: Dice, rest: u64) {
    loop {
        let (own, foreign) = ids(number, &device).await;
        let write = choose(number, &own, &foreign, &mut dice);
        say(&Line::Try(number, write.clone()));
        while let Err(error) = write.run(&device.db, &device.engine).await {
            // Two writers in one file: nothing of it was done.
            assert!(error.to_string().contains("locked"), "{write:?}: {error}");
        }
        say(&Line::Done(number));
        tokio::time::sleep(Duration::from_millis(dice.below(rest))).await;
    }
}

async fn ids(number: usize, device: &Device) -> (Vec<Uuid>, Vec<Uuid>) {
    let all: Vec<Uuid> = item::Entity::find()
        .select_only()
        .column(item::Column::Id)
        .into_tuple()
        .all(&device.db)
        .await
        .expect("the ids");
    all.into_iter().partition(|id| usize::from(id.as_bytes()[0]) == number)
}

fn fresh(number: usize) -> Uuid {
    let mut bytes = *Uuid::new_v4().as_bytes();
    bytes[0] = u8::try_from(number).expect("a small number");
    // Room for the ids that follow.
    bytes[14..].fill(0);
    Uuid::from_bytes(bytes)
}

fn some(ids: &[Uuid], count: u64, dice: &mut Dice) -> Vec<Uuid> {
    (0..count).filter_map(|_| ids.get(dice.below(ids.len() as u64) as usize).copied()).collect()
}

fn choose(number: usize, own: &[Uuid], foreign: &[Uuid], dice: &mut Dice) -> Write {
    if own.len() > ROWS {
        return Write::DeleteMany(own[..own.len() - ROWS / 3].to_vec());
    }
    let mut small = Vec::new();
    for id in some(own, 30, dice) {
        small.push(Write::Update(id, dice.below(1_000) as i64));
    }
    small.push(Write::Insert(fresh(number)));
    small.push(Write::Note(some(foreign, 20, dice), dice.below(1_000).to_string()));
    match (dice.below(10), own.first()) {
        (0, _) => Write::Many(fresh(number), 600 + dice.below(600) as u32),
        (1, _) => Write::Together(small),
        (2, _) => Write::Engine(small),
        (3, _) => Write::RolledBack(small),
        (4, _) => Write::Note(some(foreign, 300, dice), dice.below(1_000).to_string()),
        (5, Some(id)) => Write::Delete(*id),
        (6 | 7, Some(id)) => Write::Update(*id, dice.below(1_000) as i64),
        _ => Write::Insert(fresh(number)),
    }
}
