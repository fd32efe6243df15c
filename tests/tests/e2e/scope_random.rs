//! Two servers with everything and three replicas of parts write, meet and change their scopes at random, and end with what the servers
//! have of their parts.
//!
//! `SCOPE_SEED` runs one seed and prints what it did; `SCOPE_SEEDS` says how many are run otherwise.

use std::collections::BTreeMap;

use sea_orm::EntityTrait;
use sync_core::{PeerError, Scope, SyncError};
use sync_tests::{Device, device::library, entities::item, workload::data::Numbers};
use uuid::Uuid;

use crate::scope::{add_with, delete, part, rename, tag};

const SEEDS: u64 = 12;
const STEPS: u64 = 60;
const TAGS: [&str; 3] = ["red", "blue", "green"];

/// The one that nobody but the first server calls.
const CALLED: usize = 4;

struct World {
    devices: Vec<Device>,
    scopes: Vec<Vec<&'static str>>,
    numbers: Numbers,
    ids: Vec<Uuid>,
    counts: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
}

type Rows = BTreeMap<Uuid, (String, Option<String>)>;

async fn rows(device: &Device) -> Rows {
    let items = item::Entity::find().all(&device.db).await.expect("items");
    items.into_iter().map(|item| (item.id, (item.title, item.note))).collect()
}

fn scope_of(tags: &[&str]) -> Scope {
    if tags.len() == TAGS.len() {
        return Scope::everything();
    }
    tags.iter().fold(Scope::none(), |scope, tag| scope.tag(*tag))
}

impl World {
    async fn new(seed: u64) -> Self {
        let library = library();
        let scopes = vec![TAGS.to_vec(), TAGS.to_vec(), vec!["red"], vec!["red", "blue"], vec!["green"]];
        let mut devices = Vec::new();
        for tags in &scopes {
            devices.push(part(library, scope_of(tags)).await);
        }
        let (numbers, counts) = (Numbers(seed), BTreeMap::new());
        Self { devices, scopes, numbers, ids: Vec::new(), counts, trace: Vec::new() }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.numbers.next().unwrap_or(0) % n as u64) as usize
    }

    fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    async fn round(&mut self, one: usize, other: usize) {
        let report = self.devices[one].sync(&self.devices[other]).await;
        if one > 1 && other > 1 && matches!(report, Err(SyncError::Peer(PeerError::PartOnly))) {
            return;
        }
        let report = report.unwrap_or_else(|error| panic!("{one} with {other}: {error}"));
        self.trace
            .push(format!("{one} with {other}: {} sent, {} read", report.sent, report.snapshot_records));
        self.count("records read as state", report.snapshot_records);
        self.count("records given as state", report.snapshot_sent);
        self.count("conflicts", report.conflicts);
    }

    async fn step(&mut self, number: u64) {
        let at = self.below(self.devices.len());
        let tag_of = TAGS[self.below(TAGS.len())];
        let here: Vec<Uuid> = rows(&self.devices[at]).await.into_keys().collect();
        let any = (!here.is_empty()).then(|| here[self.numbers.next().unwrap_or(0) as usize % here.len()]);
        let what = self.below(12);
        let device = &self.devices[at];
        match (what, any) {
            (0, _) | (1, None) => {
                let id = add_with(device, Uuid::new_v4(), &format!("new {number}"), Some(tag_of)).await;
                self.ids.push(id);
            }
            (1, Some(id)) => delete(device, id).await,
            (2 | 3, Some(id)) => rename(device, id, &format!("title {number}")).await,
            (4 | 5, Some(id)) => {
                tag(device, id, tag_of).await;
                self.count("tags that changed", 1);
            }
            (6, _) => {
                let gone = self.ids.iter().copied().find(|id| !here.contains(id));
                if let Some(id) = gone {
                    add_with(device, id, &format!("again {number}"), Some(tag_of)).await;
                    self.count("keys that came again", 1);
                }
            }
            (7, _) => {
                let tags: Vec<&str> = match self.below(4) {
                    0 => TAGS.to_vec(),
                    1 => vec!["red", "green"],
                    _ => vec![tag_of],
                };
                self.devices[3].engine.set_scope(scope_of(&tags)).await.expect("a scope");
                self.scopes[3] = tags;
                self.count("scopes that changed", 1);
            }
            _ => {
                let other = (at + 1 + self.below(self.devices.len() - 1)) % self.devices.len();
                if at == CALLED {
                    self.round(0, CALLED).await;
                } else {
                    self.round(at, other).await;
                }
            }
        }
        self.trace.push(format!("{number}: {at} did {what} with {tag_of}"));
    }

    async fn check(&mut self) {
        for _ in 0..4 {
            for (one, other) in [(0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (0, 4), (1, 4)] {
                self.round(one, other).await;
            }
        }
        self.devices[0].assert_equal(&self.devices[1]).await;
        let all = rows(&self.devices[0]).await;
        for (device, tags) in self.devices.iter().zip(&self.scopes).skip(2) {
            let state = device.state().await;
            assert_eq!((state.pending, state.held), (0, 0));
            let expected =
                all.iter().filter(|(_, (_, tag))| tag.as_deref().is_some_and(|tag| tags.contains(&tag)));
            let expected: Rows = expected.map(|(id, row)| (*id, row.clone())).collect();
            assert_eq!(rows(device).await, expected, "of {tags:?}");
            if tags.len() == TAGS.len() {
                device.assert_equal(&self.devices[0]).await;
            }
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[tokio::test]
async fn parts_end_with_what_the_servers_have_of_them() {
    let seeds = match number("SCOPE_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SCOPE_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in &seeds {
        eprintln!("SCOPE_SEED={seed}");
        let mut world = World::new(*seed).await;
        for step in 0..STEPS {
            world.step(step).await;
            if seeds.len() == 1 {
                world.trace.drain(..).for_each(|line| eprintln!("{line}"));
            }
        }
        world.check().await;
        for (what, count) in world.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    eprintln!("{counts:?}");
    let situations = [
        "records read as state",
        "records given as state",
        "tags that changed",
        "keys that came again",
        "scopes that changed",
    ];
    if seeds.len() > 1 {
        assert!(situations.iter().all(|what| counts.get(what).is_some_and(|count| *count > 0)), "{counts:?}");
    }
}
