//! Who a replica of a part can meet: servers of other programs and versions, replicas of other parts, callers with everything.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use sync_core::{Peer, PeerError, Scope, SyncError};
use sync_tests::{
    Device,
    device::library,
    entities::{item, label},
    older::Older,
    wire,
};
use uuid::Uuid;

use crate::scope::{add, delete, part, rename, server_and_phone, settled, tag, titles};

/// A server whose program has no items.
async fn without_items(library: sync_core::LibraryId) -> Device {
    Device::with(library, |builder| builder.without_background().models(["label"])).await
}

#[tokio::test]
async fn a_server_without_the_entity_serves_a_scope() {
    let library = library();
    let server = without_items(library).await;
    let author = Device::new(library).await;
    let phone = part(library, Scope::none().tag("mine")).await;
    let mut ids = Vec::new();
    for (title, tag) in [("a", "mine"), ("b", "other"), ("c", "mine")] {
        ids.push(add(&author, title, Some(tag)).await);
    }
    author.sync(&server).await.expect("a round");
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a", "c"]);
    tag(&author, ids[0], "other").await;
    tag(&author, ids[1], "mine").await;
    author.sync(&server).await.expect("a round");
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["b", "c"]);
    // What the phone writes comes to the author through it.
    rename(&phone, ids[1], "by the phone").await;
    settled(&phone, &server).await;
    author.sync(&server).await.expect("a round");
    assert_eq!(titles(&author).await, ["a", "by the phone", "c"]);
    // A server that is started anew, with the entity or without.
    let server = server.restart(|builder| builder.without_background()).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["by the phone", "c"]);
    tag(&server, ids[2], "other").await;
    let server = server.restart(|builder| builder.without_background().models(["label"])).await;
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["by the phone"]);
}

#[tokio::test]
async fn an_older_server_gives_everything_and_the_part_is_taken() {
    let library = library();
    let server = Device::new(library).await;
    let older = Older::new(server.engine.clone());
    let phone = part(library, Scope::none().tag("mine")).await;
    let round = async || phone.engine.sync_with(&older).await.expect("a round");
    let id = add(&server, "a", Some("mine")).await;
    let other = add(&server, "b", Some("other")).await;
    let report = round().await;
    assert!(report.in_sync && report.snapshot_records == 1, "{report:?}");
    assert_eq!(titles(&phone).await, ["a"]);
    round().await;
    let given = older.records_given();
    assert!(round().await.in_sync);
    assert_eq!(older.records_given(), given, "nothing is new there, so nothing is read");
    tag(&server, id, "other").await;
    tag(&server, other, "mine").await;
    add(&phone, "by the phone", Some("other")).await;
    round().await;
    round().await;
    assert_eq!(titles(&phone).await, ["b"]);
    assert_eq!(titles(&server).await, ["a", "b", "by the phone"]);
    delete(&server, other).await;
    round().await;
    assert_eq!(titles(&phone).await, [""; 0]);
    phone.state().await;
}

#[tokio::test]
async fn who_has_everything_calls_a_replica_of_a_part() {
    let library = library();
    let office = Device::new(library).await;
    let phone = part(library, Scope::none().tag("mine")).await;
    let id = add(&office, "a", Some("mine")).await;
    add(&office, "b", Some("other")).await;
    add(&phone, "by the phone", Some("mine")).await;
    add(&phone, "out", Some("other")).await;
    let call = async || {
        let report = office.sync(&phone).await.expect("a round");
        assert!(report.in_sync && !report.diverged, "{report:?}");
        report
    };
    let report = call().await;
    assert_eq!((report.received, report.snapshot_sent), (2, 2), "{report:?}");
    assert_eq!(titles(&office).await, ["a", "b", "by the phone", "out"]);
    // What the phone wrote out of scope goes once the phone is told that the office has it.
    call().await;
    assert_eq!(titles(&phone).await, ["a", "by the phone"]);
    assert_eq!(call().await.snapshot_sent, 0, "only what is new");
    rename(&office, id, "a new name").await;
    tag(&phone, id, "other").await;
    call().await;
    call().await;
    assert_eq!(titles(&phone).await, ["by the phone"]);
    assert_eq!(titles(&office).await, ["a new name", "b", "by the phone", "out"]);
    // The other way round they go on from there.
    settled(&phone, &office).await;
    assert_eq!(titles(&phone).await, ["by the phone"]);
    phone.engine.set_scope(Scope::none().model::<label::Entity>()).await.expect("a scope");
    call().await;
    assert_eq!(titles(&phone).await, [""; 0]);
    office.state().await;
}

#[tokio::test]
async fn nobody_takes_a_part_for_the_whole() {
    let (server, phone) = server_and_phone().await;
    add(&server, "a", Some("mine")).await;
    settled(&phone, &server).await;
    let before = phone.state().await;
    // Callers of a program from before: they would push history, or read a state that they take for everything.
    let mut limits = sync_core::Limits::default();
    limits.snapshot_above = 0;
    for limits in [limits, sync_core::Limits::default()] {
        let library = phone.engine.library_id();
        let caller = Device::with(library, |builder| builder.without_background().limits(limits)).await;
        add(&caller, "of the caller", None).await;
        let older = Older::new(phone.engine.clone());
        let error = caller.engine.sync_with(&older).await.expect_err("only a part is there");
        assert!(matches!(&error, SyncError::Peer(PeerError::PartOnly)), "{error}");
        assert!(!error.is_retryable(), "{error}");
    }
    let request = sync_core::ObjectsRequest {
        library: phone.engine.library_id(),
        device: sync_core::DeviceId::from_bytes([9; 16]),
        after: None,
        max_objects: 10,
        max_bytes: 1 << 20,
        scope: None,
    };
    let error = phone.engine.objects(request).await.expect_err("only a part is there");
    assert_eq!(error, PeerError::PartOnly);
    let mut author = wire::Author::new(phone.engine.library_id(), 7);
    let change = author.insert("item", &[sync_core::SyncValue::Uuid(Uuid::new_v4())], &[]);
    let error = author.push(&phone.engine, &[change]).await.expect_err("only a part is there");
    assert_eq!(error, PeerError::PartOnly);
    assert_eq!(phone.state().await, before);
}

/// Neither could tell the other what has left its part since, so both turn to who has everything.
#[tokio::test]
async fn two_parts_have_nothing_to_give_each_other() {
    let (server, phone) = server_and_phone().await;
    let other = part(server.engine.library_id(), Scope::none().tag("mine")).await;
    add(&phone, "a", Some("mine")).await;
    let before = (phone.dump().await, other.dump().await);
    for (one, other) in [(&phone, &other), (&other, &phone)] {
        let error = one.sync(other).await.expect_err("two parts");
        assert!(matches!(&error, SyncError::Peer(PeerError::PartOnly)), "{error}");
    }
    assert_eq!((phone.dump().await, other.dump().await), before);
    settled(&phone, &server).await;
    settled(&other, &server).await;
    assert_eq!(titles(&other).await, ["a"]);
}

/// What one server says to be out of scope stays while it lacks what another has told of it.
#[tokio::test]
async fn a_server_that_is_behind_takes_nothing_away() {
    let library = library();
    let (first, behind) = (Device::new(library).await, Device::new(library).await);
    let id = add(&first, "a", Some("other")).await;
    behind.sync(&first).await.expect("a round");
    let phone = part(library, Scope::none().tag("mine")).await;
    settled(&phone, &behind).await;
    tag(&first, id, "mine").await;
    settled(&phone, &first).await;
    // It is touched there, so it is told to be out of scope there.
    rename(&behind, id, "b").await;
    settled(&phone, &behind).await;
    assert_eq!(titles(&phone).await, ["a"]);
    behind.sync(&first).await.expect("a round");
    for server in [&first, &behind] {
        settled(&phone, server).await;
        assert_eq!(titles(&phone).await, ["b"]);
    }
    tag(&behind, id, "other").await;
    settled(&phone, &behind).await;
    assert_eq!(titles(&phone).await, [""; 0]);
}

/// It says of nobody else that it has all of his changes, and says what it keeps.
#[tokio::test]
async fn a_part_speaks_for_itself_only() {
    let library = library();
    let (server, phone) = (Device::new(library).await, Device::new(library).await);
    sync_tests::device::introduce(&[&server, &phone]).await;
    add(&server, "a", Some("mine")).await;
    phone.sync(&server).await.expect("a round");
    let says = async |device: &Device| {
        let stranger = sync_core::Hello {
            protocol: sync_core::PROTOCOL,
            device: sync_core::DeviceId::from_bytes([8; 16]),
            library,
            log_id: sync_core::LogId::from_bytes([8; 16]),
            schema: 0,
            wall_ms: 0,
            vector: sync_core::Vector::new(),
            latest_seq: sync_core::Seq(0),
            state_hash: sync_core::StateHash::default(),
            digest: [0; 16],
            newest_of_yours: None,
            probe: None,
            retired: Vec::new(),
            scope: None,
            takes_compacted: true,
        };
        device.engine.hello(stranger).await.expect("a hello")
    };
    let whole = says(&phone).await;
    assert_eq!((whole.vector.heads().count(), whole.scope), (2, None));
    phone.engine.set_scope(Scope::none().tag("mine")).await.expect("a scope");
    add(&server, "b", Some("mine")).await;
    settled(&phone, &server).await;
    let part = says(&phone).await;
    let authors: Vec<_> = part.vector.heads().map(|(device, _)| device).collect();
    assert_eq!(authors, [phone.engine.device_id()]);
    let selection = part.scope.expect("a scope");
    assert_eq!(selection.tags.iter().map(|tag| tag.column.as_str()).collect::<Vec<_>>(), ["tags", "note"]);
    phone.engine.set_scope(Scope::everything()).await.expect("a scope");
    phone.sync(&server).await.expect("a round");
    let whole = says(&phone).await;
    assert_eq!((whole.vector.heads().count(), whole.scope), (2, None));
}

/// The bytes that a narrow scope brings are those of the scope.
#[tokio::test]
async fn a_narrow_scope_of_a_large_library_costs_what_it_has() {
    let library = library();
    let server = Device::new(library).await;
    let rows: Vec<item::ActiveModel> = (0..20_000)
        .map(|at| item::ActiveModel {
            id: Set(Uuid::new_v4()),
            title: Set(format!("item {at:05}")),
            qty: Set(at),
            note: Set(Some(if at % 200 == 0 { "mine".into() } else { format!("other {}", at % 7) })),
            ..Default::default()
        })
        .collect();
    for some in rows.chunks(2_000) {
        item::Entity::insert_many(some.to_vec()).exec(&server.db).await.expect("rows");
    }
    server.engine.flush().await.expect("a flush");
    let whole = Device::new(library).await;
    let everything = whole.sync(&server).await.expect("a round").bytes_received;
    let phone = part(library, Scope::none().tag("mine")).await;
    let report = settled(&phone, &server).await;
    assert_eq!(titles(&phone).await.len(), 100);
    assert!(report.bytes_received < everything / 150, "{} of {everything}", report.bytes_received);
    // And later what changed, of others only the keys.
    let edit = item::Entity::update_many().col_expr(item::Column::Qty, sea_orm::sea_query::Expr::value(-1));
    let touched = edit.filter(item::Column::Title.starts_with("item 000")).exec(&server.db).await;
    assert_eq!(touched.expect("an update").rows_affected, 100);
    let report = settled(&phone, &server).await;
    assert_eq!(report.snapshot_records, 1);
    assert!(report.bytes_received < 4_000, "{}", report.bytes_received);
    assert_eq!(settled(&phone, &server).await.bytes_received, 0);
}

/// State that comes to a server without a change in its log is read from it all the same.
#[tokio::test]
async fn what_a_server_was_given_as_state_is_not_missed() {
    let (server, phone) = server_and_phone().await;
    let library = server.engine.library_id();
    let all = sync_core::Retention { max_entries: Some(0), ..sync_core::Retention::default() };
    let hub = Device::with(library, |builder| builder.without_background().retention(all)).await;
    hub.sync(&server).await.expect("a round");
    settled(&phone, &server).await;
    add(&hub, "a", Some("mine")).await;
    let b = add(&hub, "b", Some("mine")).await;
    hub.engine.prune().await.expect("nothing of it is in the log");
    let small = hub.sync(&server).await.expect("a round");
    assert!(small.snapshot_sent >= 2, "{small:?}");
    settled(&phone, &server).await;
    assert_eq!(titles(&phone).await, ["a", "b"]);
    for title in ["c", "d"] {
        rename(&hub, b, title).await;
        hub.engine.prune().await.expect("nothing of it is in the log");
        hub.sync(&server).await.expect("a round");
        settled(&phone, &server).await;
        assert_eq!(titles(&phone).await, ["a", title]);
    }
}

/// A server that came back from a backup has other numbers than the phone knows: the phone begins anew.
#[tokio::test]
async fn a_restored_server_is_read_from_its_beginning() {
    let (server, phone) = server_and_phone().await;
    let backup = tempfile::tempdir().expect("a folder");
    let copy = backup.path().join("copy.db");
    let a = add(&server, "a", Some("mine")).await;
    settled(&phone, &server).await;
    use sea_orm::ConnectionTrait;
    let vacuum = format!("VACUUM INTO '{}'", copy.display());
    server.db.execute_unprepared(&vacuum).await.expect("a backup");
    for number in 0..5 {
        add(&server, &format!("lost {number}"), Some("mine")).await;
    }
    settled(&phone, &server).await;
    let library = server.engine.library_id();
    server.close().await;
    let server = Device::open(copy, library, |builder| builder.without_background()).await;
    rename(&server, a, "after the backup").await;
    add(&server, "new", Some("mine")).await;
    phone.sync(&server).await.expect("a round");
    let here = titles(&phone).await;
    for title in ["after the backup", "new", "lost 0", "lost 4"] {
        assert!(here.contains(&title.to_owned()), "{here:?}");
    }
}
