//! Whatever a peer does wrong: a readable error or a report, nothing changed here, and the next good round works.

use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use sync_core::{
    Change, Limits, Peer, PeerError, PushResponse, Stamp, SyncError, SyncValue,
    runtime::{SystemClock, Time},
};
use sync_tests::{
    Device,
    device::{ManualClock, acquainted, introduce, library},
    entities::item,
    faulty::{Fault, Faulty},
    state::equal,
    wire,
};

const HOUR: i64 = 3_600_000;

async fn add(device: &Device, count: usize) {
    for number in 0..count {
        item::ActiveModel { title: Set(format!("item {number}")), qty: Set(1), ..Default::default() }
            .insert(&device.db)
            .await
            .expect("an item");
    }
}

/// All that a fault must leave as it was.
async fn state(device: &Device) -> (String, [u8; 16], u64, u64, u64) {
    device.assert_sound().await;
    let status = device.engine.status().await.expect("a status");
    (device.dump().await, status.digest, status.latest_seq.0, status.held, status.pending)
}

#[tokio::test]
async fn a_bad_page_is_refused_whole_and_the_next_good_one_taken() {
    for fault in [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Truncated,
        Fault::Corrupted,
        Fault::WrongHash,
        Fault::WrongLog,
    ] {
        let (a, b) = acquainted().await;
        add(&b, 5).await;
        let before = state(&a).await;
        let faulty = Faulty::new(b.engine.clone(), fault);
        let error = a.engine.sync_with(&faulty).await.expect_err("a faulty peer");
        let SyncError::Peer(error) = error else { panic!("{fault:?}: {error}") };
        match fault {
            Fault::LostBefore | Fault::LostAfter => {
                assert!(matches!(error, PeerError::Unreachable(_)), "{error}")
            }
            Fault::WrongLog => assert!(error.is_retryable(), "{error}"),
            _ => assert!(matches!(error, PeerError::Corrupt(_)), "{fault:?}: {error}"),
        }
        assert_eq!(state(&a).await, before, "{fault:?}");
        faulty.set(Fault::None);
        let report = a.engine.sync_with(&faulty).await.expect("a good round");
        assert_eq!(report.received, 5, "{fault:?}");
        equal(&[&a, &b]).await;
    }
}

#[tokio::test]
async fn a_push_may_arrive_twice_or_backwards_or_unanswered() {
    for fault in [Fault::Twice, Fault::Reversed, Fault::LostAfter] {
        let (a, b) = acquainted().await;
        add(&a, 5).await;
        let faulty = Faulty::new(b.engine.clone(), fault);
        let ended = a.engine.sync_with(&faulty).await;
        assert_eq!(ended.is_err(), fault == Fault::LostAfter, "{ended:?}");
        faulty.set(Fault::None);
        let report = a.engine.sync_with(&faulty).await.expect("a good round");
        assert!(report.refused.is_empty(), "{report:?}");
        equal(&[&a, &b]).await;
        assert_eq!(item::Entity::find().all(&b.db).await.expect("items").len(), 5, "{fault:?}");
    }
}

#[tokio::test]
async fn a_group_from_two_hours_ahead_is_held_whole_until_then() {
    let library = library();
    // Guards note the database's own time: the clock that is right is the one ahead.
    let now = SystemClock.now_ms();
    let (here, ahead) = (ManualClock::at(now - 2 * HOUR as u64), ManualClock::at(now - 2 * HOUR as u64));
    let clock = |clock: &ManualClock| std::sync::Arc::new(clock.clone());
    let (one, two) = (clock(&here), clock(&ahead));
    let a = Device::with(library, |builder| builder.without_background().time(one)).await;
    let b = Device::with(library, |builder| builder.without_background().time(two)).await;
    introduce(&[&a, &b]).await;
    ahead.step(2 * HOUR + 1_000);
    // Its own record of a new day is from the future too.
    let day = |ms: u64| ms / 86_400_000;
    let held = 3 + u64::from(day(now - 2 * HOUR as u64) != day(now + 1_000));
    add(&b, 3).await;
    let before = state(&a).await;
    let report = a.sync(&b).await.expect("a round");
    assert_eq!((report.held, report.received, report.clock_offset_ms), (held, 0, 2 * HOUR + 1_000));
    let after = state(&a).await;
    assert_eq!((&after.0, after.1, after.2), (&before.0, before.1, before.2), "nothing is merged");
    assert_eq!(after.3, held, "all of it is held");
    // What it writes itself is not drawn into the future.
    add(&a, 1).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(state(&a).await.3, held);
    here.step(2 * HOUR + 1_000);
    a.sync(&b).await.expect("a round");
    assert_eq!(state(&a).await.3, 0);
    equal(&[&a, &b]).await;
    assert_eq!(item::Entity::find().all(&a.db).await.expect("items").len(), 4);
}

/// The changes of a device's log, and a push of `changes`.
async fn log_of(device: &Device) -> Vec<Change> {
    let mut changes = Vec::new();
    for row in item::Entity::find().all(&device.db).await.expect("items") {
        let record = sync_core::encode_key(&[SyncValue::Uuid(row.id)]);
        assert!(!device.engine.history_of("item", &record).await.expect("a history").is_empty());
    }
    let request = sync_core::PullRequest {
        library: device.engine.library_id(),
        device: sync_core::DeviceId::from_bytes([9; 16]),
        log_id: None,
        from_seq: sync_core::Seq(0),
        have: sync_core::Vector::new(),
        max_entries: 1_000,
        max_bytes: 1 << 20,
        takes_compacted: true,
    };
    for entry in device.engine.pull(request).await.expect("a page").entries {
        if let sync_core::Entry::Change(bytes) = entry {
            changes.push(Change::decode(&bytes).expect("a change"));
        }
    }
    changes.retain(wire::is_of_the_application);
    changes
}

#[tokio::test]
async fn garbage_and_forged_stamps_in_a_push_are_refused_and_change_nothing() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    add(&a, 1).await;
    a.engine.flush().await.expect("a flush");
    let good = log_of(&a).await.remove(0);
    let mut alien = good.clone();
    // A stamp whose node is not its author's.
    alien.device = sync_core::DeviceId::from_bytes([5; 16]);
    let mut context = good.clone();
    context.context.observe(Stamp::new(good.id.ms() + 1, 0, good.id.node()));
    let before = state(&b).await;
    for bad in [alien.encode().into_bytes(), context.encode().into_bytes(), b"garbage".to_vec(), Vec::new()] {
        let answer = wire::push(&b.engine, library, vec![bad]).await.expect("an answer");
        assert_eq!((answer.refused.len(), answer.merged), (1, 0), "{answer:?}");
        assert!(!answer.refused[0].reason.is_empty());
        assert_eq!(state(&b).await, before);
    }
    a.sync(&b).await.expect("a good round");
    equal(&[&a, &b]).await;
}

/// The same id with other bytes: whoever has the first one says so and keeps it, whether the second comes alone, with the
/// first, or long after.
#[tokio::test]
async fn another_change_with_the_id_of_one_that_is_here_is_refused() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let mut author = wire::Author::new(library, 3);
    let key = [SyncValue::Uuid(uuid::Uuid::from_u128(1))];
    let of = |title: &str| [("title", SyncValue::Text(title.into())), ("qty", SyncValue::I64(1))];
    let good = author.insert("item", &key, &of("good"));
    let later = author.insert("item", &[SyncValue::Uuid(uuid::Uuid::from_u128(2))], &of("later"));
    let mut forged = good.clone();
    forged.cells[1].value = SyncValue::Text("forged".into());
    let refused = |answer: &PushResponse| {
        let ids: Vec<Stamp> = answer.refused.iter().map(|one| one.id).collect();
        assert!(answer.refused.iter().all(|one| one.reason.contains("another change with this id")));
        ids
    };
    let answer = author.push(&a.engine, &[good.clone(), forged.clone()]).await.expect("an answer");
    assert_eq!((answer.merged, refused(&answer)), (1, vec![good.id]), "both at once");
    author.merged(&b.engine, &[good.clone(), later]).await;
    for device in [&a, &b] {
        let before = state(device).await;
        let answer = author.push(&device.engine, std::slice::from_ref(&forged)).await.expect("an answer");
        assert_eq!((answer.merged, answer.duplicates, refused(&answer)), (0, 0, vec![good.id]));
        assert_eq!(state(device).await, before);
        let answer = author.push(&device.engine, std::slice::from_ref(&good)).await.expect("an answer");
        assert_eq!(
            (answer.merged, answer.duplicates, refused(&answer)),
            (0, 1, Vec::new()),
            "the same again"
        );
    }
    a.sync(&b).await.expect("a round");
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn a_model_this_program_lacks_is_kept_and_passed_on() {
    let library = library();
    let (a, c) = (Device::new(library).await, Device::new(library).await);
    let b = Device::with(library, |builder| builder.without_background().models(["label"])).await;
    introduce(&[&a, &b, &c]).await;
    add(&a, 3).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(item::Entity::find().all(&b.db).await.expect("items"), []);
    assert_eq!(a.digest().await, b.digest().await);
    c.sync(&b).await.expect("a round");
    equal(&[&a, &c]).await;
    assert_eq!(log_of(&a).await, log_of(&c).await, "the author's own bytes arrive");
}

#[tokio::test]
async fn an_interrupted_first_sync_goes_on_where_it_was() {
    const PAGE: u32 = 50;
    let library = library();
    let small = |builder: sync_core::EngineBuilder| {
        let mut limits = Limits::default();
        limits.page_entries = PAGE;
        limits.snapshot_above = 100;
        builder.without_background().limits(limits)
    };
    let (a, b) = (Device::new(library).await, Device::with(library, small).await);
    let rows = (0..1_010).map(|number| item::ActiveModel {
        id: Set(uuid::Uuid::new_v4()),
        title: Set(number.to_string()),
        qty: Set(0),
        ..Default::default()
    });
    item::Entity::insert_many(rows).exec_without_returning(&a.db).await.expect("rows");
    a.engine.flush().await.expect("a flush");
    let faulty = Faulty::new(a.engine.clone(), Fault::None);
    let mut failures = 0;
    loop {
        faulty.set(Fault::ObjectsLost(1));
        match b.engine.sync_with(&faulty).await {
            Ok(report) => break assert!(report.snapshot_records > 0),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        failures += 1;
        assert!(failures < 100, "no progress");
    }
    assert!(failures >= 20, "{failures}");
    assert_eq!(faulty.objects_given(), 21, "a page was read twice");
    equal(&[&a, &b]).await;
}

#[tokio::test]
async fn an_engine_that_calls_itself_is_told_so() {
    let library = library();
    let a = Device::new(library).await;
    add(&a, 1).await;
    let before = state(&a).await;
    let id = a.engine.device_id();
    for _ in 0..2 {
        let error = a.engine.sync_with(&a.engine).await.expect_err("itself");
        assert!(matches!(error, SyncError::Peer(PeerError::Itself)), "{error}");
    }
    assert_eq!(a.engine.device_id(), id, "nobody else has its id");
    let other = Device::new(self::library()).await;
    let error = a.sync(&other).await.expect_err("another library");
    assert!(matches!(error, SyncError::Peer(PeerError::WrongLibrary { .. })), "{error}");
    assert_eq!(state(&a).await.0, before.0);
}

#[tokio::test]
async fn equal_changes_that_gave_other_objects_are_told() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    for (from, round, first) in [(&a, "a push", true), (&b, "a pull", false)] {
        add(from, 3).await;
        let report = a.engine.sync_with(&Faulty::new(b.engine.clone(), Fault::OtherObjects)).await;
        let report = report.expect("nothing to refuse");
        // It is looked into at once, record by record, and not again within a minute.
        match report.repair.as_ref().filter(|_| first) {
            Some(repair) => assert!(report.in_sync && repair.in_sync && repair.mended_here.is_empty()),
            None => assert!(!first && report.diverged && !report.in_sync, "{round}: {report:?}"),
        }
        let report = a.sync(&b).await.expect("a round");
        assert!(report.in_sync && !report.diverged, "{round}: {report:?}");
    }
}
