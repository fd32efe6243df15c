//! Who syncs with whom: star, ring, chain, full mesh, and another one while devices write. Devices that lack the models pass on what they
//! get; what comes twice, late, or by several ways counts once.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set};
use sync_tests::{
    Device,
    device::library,
    entities::{item, label},
    faulty::{Fault, Faulty},
};
use uuid::Uuid;

/// Pairs of devices that sync, each with the one that calls first.
type Links = Vec<(usize, usize)>;

fn star(devices: usize) -> Links {
    (1..devices).map(|at| (at, 0)).collect()
}

fn chain(devices: usize) -> Links {
    (1..devices).map(|at| (at - 1, at)).collect()
}

fn ring(devices: usize) -> Links {
    (0..devices).map(|at| (at, (at + 1) % devices)).collect()
}

fn mesh(devices: usize) -> Links {
    (0..devices).flat_map(|from| (0..from).map(move |to| (from, to))).collect()
}

/// How many devices each topology is tried with.
const DEVICES: usize = 5;

/// Devices of one library; those in `relays` know no model of the others.
async fn devices(relays: &[usize]) -> Vec<Device> {
    let library = library();
    let mut devices = Vec::new();
    for at in 0..DEVICES {
        let models: &[&str] = if relays.contains(&at) { &["tally"] } else { &["item", "label", "gauge"] };
        let models = models.iter().copied();
        devices.push(Device::with(library, |builder| builder.without_background().models(models)).await);
    }
    devices
}

/// What a device writes in a turn: a row of its own, a column of a row of all, a count, and a name that others want too.
async fn write(device: &Device, at: usize, turn: usize) {
    let own = Uuid::from_u128((1_000 * turn + at) as u128 + 1_000_000);
    let row = item::ActiveModel {
        id: Set(own),
        title: Set(format!("{at} in turn {turn}")),
        qty: Set(1),
        ..Default::default()
    };
    row.insert(&device.db).await.expect("an item");
    let known = item::Entity::find_by_id(Uuid::from_u128(1)).one(&device.db).await.expect("a query");
    if let Some(known) = known {
        let mut known = known.into_active_model();
        known.title = Set(format!("by {at} in turn {turn}"));
        known.update(&device.db).await.expect("an update");
    }
    device.db.execute_unprepared("UPDATE gauges SET count = count + 1").await.expect("a count");
    let name = format!("red {turn}");
    let wanted = label::ActiveModel { id: Set(Uuid::new_v4()), name: Set(name), ..Default::default() };
    wanted.insert(&device.db).await.map(drop).unwrap_or_default();
    device.engine.flush().await.expect("a flush");
}

/// Rounds along `links` until nothing moves.
async fn until_quiet(devices: &[Device], links: &Links) {
    for turn in 0.. {
        assert!(turn < 4 * DEVICES, "never quiet");
        let mut moved = 0;
        for (from, to) in links {
            let report = devices[*from].sync(&devices[*to]).await.expect("a round");
            assert_eq!(report.refused, []);
            assert!(!report.diverged, "{report:?}");
            moved += report.sent + report.received;
        }
        if moved == 0 {
            return;
        }
    }
}

async fn first_rows(device: &Device) {
    let row = item::ActiveModel {
        id: Set(Uuid::from_u128(1)),
        title: Set("of all".into()),
        qty: Set(1),
        ..Default::default()
    };
    row.insert(&device.db).await.expect("an item");
    let gauge =
        "INSERT INTO gauges (id, count, low, x, y) VALUES (x'00000000000000000000000000000009', 0, 1, 1, 1)";
    device.db.execute_unprepared(gauge).await.expect("a gauge");
    device.engine.flush().await.expect("a flush");
}

/// All that know the models show the same, and every count; the others have the same objects.
async fn check(devices: &[Device], relays: &[usize], counts: usize) {
    let writers: Vec<&Device> =
        devices.iter().enumerate().filter(|(at, _)| !relays.contains(at)).map(|(_, device)| device).collect();
    let (rows, digest) = (writers[0].dump().await, writers[0].digest().await);
    for device in &writers {
        assert_eq!(device.dump().await, rows);
        assert_eq!(device.text("SELECT CAST(count AS TEXT) FROM gauges").await, counts.to_string());
    }
    for device in devices {
        assert_eq!(device.digest().await, digest);
        device.assert_sound().await;
    }
    for at in relays {
        assert!(!devices[*at].dump().await.contains("items"), "a relay shows nothing");
    }
}

/// Devices write in turns, and after each turn sync along `links`, those that were there and those of the next topology.
async fn run(topologies: &[Links], relays: &[usize]) {
    let devices = devices(relays).await;
    let first = (0..DEVICES).find(|at| !relays.contains(at)).expect("one that writes");
    first_rows(&devices[first]).await;
    until_quiet(&devices, &topologies[0]).await;
    let mut counts = 0;
    for (turn, links) in topologies.iter().enumerate() {
        for at in (0..DEVICES).filter(|at| !relays.contains(at)) {
            write(&devices[at], at, turn).await;
            counts += 1;
        }
        // Only a part gets through before the topology is another.
        for (from, to) in links.iter().take(links.len() / 2 + 1) {
            devices[*from].sync(&devices[*to]).await.expect("a round");
        }
    }
    until_quiet(&devices, topologies.last().expect("one")).await;
    check(&devices, relays, counts).await;
}

#[tokio::test]
async fn a_star_converges() {
    run(&[star(DEVICES)], &[]).await;
}

#[tokio::test]
async fn a_chain_converges() {
    run(&[chain(DEVICES)], &[]).await;
}

#[tokio::test]
async fn a_ring_converges() {
    run(&[ring(DEVICES)], &[]).await;
}

#[tokio::test]
async fn a_full_mesh_converges() {
    run(&[mesh(DEVICES)], &[]).await;
}

#[tokio::test]
async fn a_topology_that_changes_while_devices_write_converges() {
    run(&[star(DEVICES), ring(DEVICES), chain(DEVICES), mesh(DEVICES), chain(DEVICES), star(DEVICES)], &[])
        .await;
}

#[tokio::test]
async fn a_star_around_a_device_that_lacks_the_models_converges() {
    run(&[star(DEVICES)], &[0]).await;
}

#[tokio::test]
async fn a_chain_over_devices_that_lack_the_models_converges() {
    run(&[chain(DEVICES), chain(DEVICES)], &[1, 3]).await;
}

/// Every push comes twice, or in reverse order, or its answer is lost; and each change comes by two ways.
#[tokio::test]
async fn what_comes_twice_reversed_and_by_several_ways_counts_once() {
    let devices = devices(&[2]).await;
    first_rows(&devices[0]).await;
    until_quiet(&devices, &ring(DEVICES)).await;
    let faults = [Fault::Twice, Fault::Reversed, Fault::LostAfter, Fault::Truncated, Fault::None];
    let mut counts = 0;
    for (turn, fault) in faults.into_iter().enumerate() {
        for at in [0, 1, 3, 4] {
            write(&devices[at], at, turn).await;
            counts += 1;
        }
        for (from, to) in mesh(DEVICES) {
            let peer = Faulty::new(devices[to].engine.clone(), fault);
            let round = devices[from].engine.sync_with(&peer).await;
            let breaks = matches!(fault, Fault::LostAfter | Fault::Truncated);
            assert!(round.is_ok() || breaks, "{fault:?}: {round:?}");
        }
    }
    until_quiet(&devices, &ring(DEVICES)).await;
    check(&devices, &[2], counts).await;
}
