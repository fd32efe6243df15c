//! Random writes on three devices that sync pairwise: whenever vectors are equal, data is.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set};
use sync_tests::{
    Device,
    device::library,
    entities::{branch, item, label, leaf, memo},
};

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

async fn step(device: &Device, rng: &mut Rng, trace: &mut Vec<String>) {
    let db = &device.db;
    let op = rng.below(16);
    trace.push(format!("op {op}"));
    let names = ["red", "green", "blue"];
    let name = names[rng.below(3) as usize];
    match op {
        0 | 1 => {
            item::ActiveModel { title: Set(format!("t{}", rng.below(9))), qty: Set(1), ..Default::default() }
                .insert(db)
                .await
                .expect("insert");
        }
        2 | 3 => {
            if let Some(row) = pick(item::Entity::find().all(db).await.expect("all"), rng) {
                let mut row = row.into_active_model();
                row.title = Set(format!("u{}", rng.below(100)));
                row.update(db).await.expect("update");
            }
        }
        4 => {
            if let Some(row) = pick(item::Entity::find().all(db).await.expect("all"), rng) {
                row.into_active_model().delete(db).await.expect("delete");
            }
        }
        5 | 6 => {
            let _ = label::ActiveModel { name: Set(name.into()), ..Default::default() }.insert(db).await;
        }
        7 => {
            if let Some(row) = pick(label::Entity::find().all(db).await.expect("all"), rng) {
                let mut row = row.into_active_model();
                row.name = Set(name.into());
                let _ = row.update(db).await;
            }
        }
        8 => {
            if let Some(row) = pick(label::Entity::find().all(db).await.expect("all"), rng) {
                row.into_active_model().delete(db).await.expect("delete");
            }
        }
        9 | 10 => {
            branch::ActiveModel { name: Set(name.into()), ..Default::default() }
                .insert(db)
                .await
                .expect("insert");
        }
        11 => {
            if let Some(row) = pick(branch::Entity::find().all(db).await.expect("all"), rng) {
                row.into_active_model().delete(db).await.expect("delete");
            }
        }
        12 | 13 => {
            if let Some(row) = pick(branch::Entity::find().all(db).await.expect("all"), rng) {
                leaf::ActiveModel {
                    branch_id: Set(row.id),
                    name: Set(name.into()),
                    seen: Set(Some(3)),
                    ..Default::default()
                }
                .insert(db)
                .await
                .expect("insert");
            }
        }
        14 => {
            db.execute_unprepared("UPDATE items SET qty = qty + 1").await.expect("bulk");
        }
        _ => {
            let memos = memo::Entity::find().all(db).await.expect("all");
            if memos.len() < 2 {
                memo::ActiveModel { words: Set("a".into()), ..Default::default() }
                    .insert(db)
                    .await
                    .expect("insert");
            } else if let Some(row) = pick(memos, rng) {
                let mut row = row.into_active_model();
                row.words = Set(format!("w{}", rng.below(20)));
                row.update(db).await.expect("update");
            }
        }
    }
}

fn pick<T>(mut rows: Vec<T>, rng: &mut Rng) -> Option<T> {
    if rows.is_empty() {
        None
    } else {
        let at = rng.below(rows.len() as u64) as usize;
        Some(rows.swap_remove(at))
    }
}

async fn run(seed: u64) {
    let library = library();
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut trace = Vec::new();
    let devices = [Device::new(library).await, Device::new(library).await, Device::new(library).await];
    for _ in 0..60 {
        let at = rng.below(3) as usize;
        if rng.below(5) == 0 {
            let other = (at + 1 + rng.below(2) as usize) % 3;
            trace.push(format!("sync {at} {other}"));
            if let Err(error) = devices[at].sync(&devices[other]).await {
                panic!("seed {seed}: {error}: {trace:?}");
            }
        } else {
            trace.push(format!("on {at}"));
            step(&devices[at], &mut rng, &mut trace).await;
        }
    }
    for _ in 0..4 {
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            if let Err(error) = devices[a].sync(&devices[b]).await {
                panic!("seed {seed}: {error}: {trace:?}");
            }
        }
    }
    let dump = devices[0].dump().await;
    let digest = devices[0].digest().await;
    for device in &devices {
        assert_eq!(digest, device.digest().await, "seed {seed}");
        assert_eq!(
            dump,
            device.dump().await,
            "seed {seed}\n{:?}\n{:?}",
            devices[0].engine.pending().await,
            device.engine.pending().await
        );
        let verified = device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "seed {seed} {:?}", verified.findings);
    }
    let quiet = devices[0].sync(&devices[1]).await.expect("sync");
    assert_eq!((quiet.sent, quiet.received, quiet.in_sync), (0, 0, true), "seed {seed} {quiet:?}");
}

#[tokio::test]
async fn three_devices_converge() {
    let first: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let n: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(30);
    for seed in first..first + n {
        run(seed).await;
    }
}
