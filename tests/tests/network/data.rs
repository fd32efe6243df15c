//! Messages in order, with changes in them that this replica cannot or may not show yet: kept, listed with a
//! reason, passed on, and shown once the reason has ended.

use std::sync::Arc;

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Schema, Set};
use sync_core::{
    Cell, Change, ChangeKind, Clock, DeviceId, Event, LogId, Name, Peer, PendingReason, PushRequest,
    PushResponse, Stamp, SyncValue, Tag, encode_key,
    runtime::{SystemClock, Time},
};
use sync_tests::{
    Device, Served,
    device::{MODELS, ManualClock, introduce, library},
    entities::item,
};
use uuid::Uuid;

use crate::{add, items};

/// An entity with a column of few values.
mod lamp {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::None)")]
    pub(crate) enum Color {
        #[sea_orm(string_value = "red")]
        Red,
        #[sea_orm(string_value = "green")]
        Green,
    }

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "lamps")]
    #[sync(id = "lamp")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub color: Color,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}
}

/// A device that knows lamps too.
async fn with_lamps(library: sync_core::LibraryId) -> Device {
    let models = MODELS.into_iter().chain(["lamp"]);
    let device = Device::with(library, |builder| builder.without_background().models(models)).await;
    let table = Schema::new(device.db.get_database_backend()).create_table_from_entity(lamp::Entity);
    device.db.execute(&table).await.expect("a table");
    device
}

/// Another program's device, which writes changes by hand.
struct Author {
    device: DeviceId,
    served: Served,
    last: Option<Stamp>,
}

impl Author {
    fn new(served: Served) -> Self {
        Self { device: DeviceId::from_bytes(*Uuid::new_v4().as_bytes()), served, last: None }
    }

    /// Pushes a write of `column` of a new or known record.
    async fn write(&mut self, model: &str, id: Uuid, cells: &[(&str, SyncValue)]) -> PushResponse {
        let born = self.last;
        let counter = u32::from(born.is_some());
        let stamp =
            Stamp::new(SystemClock.now_ms() - 1_000 + u64::from(counter), counter, self.device.node());
        let cell = |(column, value): &(&str, SyncValue)| Cell {
            column: Name::from(*column),
            tag: Tag::LWW,
            version: stamp,
            value: value.clone(),
        };
        let change = Change {
            id: stamp,
            device: self.device,
            previous: self.last,
            txn: stamp,
            more: false,
            kind: ChangeKind::Edit,
            model: Name::from(model),
            record: encode_key(&[SyncValue::Uuid(id)]),
            generation: 1,
            born: born.unwrap_or(stamp),
            context: self.last.into_iter().collect::<Clock>(),
            cells: cells.iter().map(cell).collect(),
        };
        self.last = Some(stamp);
        let client = self.served.client();
        let request = PushRequest {
            library: self.library(),
            device: self.device,
            log_id: LogId::from_bytes([9; 16]),
            changes: vec![change.encode().into_bytes().into()],
            pull: None,
            state: None,
        };
        let answer = client.push(request).await.expect("an answer");
        assert_eq!((answer.merged, answer.refused.len()), (1, 0), "{answer:?}");
        answer
    }

    fn library(&self) -> sync_core::LibraryId {
        self.served.library()
    }
}

/// A value that no row here can hold: pending with `reason` at the server and at the next replica, until the author
/// writes a good one.
async fn check_unfit(
    model: &str,
    cells: &[(&str, SyncValue)],
    good: (&str, SyncValue),
    reason: PendingReason,
) {
    let library = library();
    let (there, next) = (with_lamps(library).await, with_lamps(library).await);
    add(&there, "there", 2).await;
    add(&next, "next", 2).await;
    let mut author = Author::new(Served::new(there.engine.clone(), library).await);
    let id = Uuid::new_v4();
    let before = there.state().await;
    author.write(model, id, cells).await;

    next.engine.sync_with(&author.served.client()).await.expect("a round");
    assert_eq!(there.digest().await, next.digest().await);
    for device in [&there, &next] {
        let pending = device.engine.pending().await.expect("what is pending");
        assert_eq!(pending.len(), 1, "{pending:?}");
        assert_eq!(pending[0].reason, reason, "{pending:?}");
        assert_eq!(pending[0].record, encode_key(&[SyncValue::Uuid(id)]));
        assert!(pending[0].detail.contains(good.0), "{pending:?}");
        let rows = device.state().await.rows;
        assert!(!rows.contains(&id.simple().to_string().to_uppercase()), "a row that cannot be: {rows}");
        assert_eq!(items(device).await, 4, "what stood beside it is there");
    }
    assert_eq!(there.state().await.conflicts, before.conflicts);

    author.write(model, id, &[good]).await;
    next.engine.sync_with(&author.served.client()).await.expect("a round");
    next.assert_equal(&there).await;
    let shown = items(&next).await + lamp::Entity::find().all(&next.db).await.expect("lamps").len() as u64;
    assert_eq!(shown, 5, "the record is shown");
}

#[tokio::test]
async fn a_value_of_another_type_is_pending_until_a_right_one_comes() {
    let cells = [("qty", SyncValue::I64(1)), ("title", SyncValue::I64(7))];
    check_unfit("item", &cells, ("title", SyncValue::Text("right".into())), PendingReason::Invalid).await;
}

#[tokio::test]
async fn an_unknown_variant_is_pending_until_a_known_one_comes() {
    let cells = [("color", SyncValue::Text("ultraviolet".into()))];
    check_unfit("lamp", &cells, ("color", SyncValue::Text("red".into())), PendingReason::UnknownValue).await;
}

#[tokio::test]
async fn a_model_this_program_lacks_is_kept_and_passed_on_and_the_next_program_loses_nothing_of_it() {
    let library = library();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (a, c) = (Device::new(library).await, Device::new(library).await);
    let old = |builder: sync_core::EngineBuilder| builder.without_background().models(["label"]);
    let b = Device::open(dir.path().join("b.db"), library, old).await;
    introduce(&[&a, &b, &c]).await;
    add(&a, "a", 3).await;
    let mut served = Served::new(b.engine.clone(), library).await;
    let report = a.engine.sync_with(&served.client()).await.expect("a round");
    assert_eq!((report.sent, report.refused.len()), (3, 0));
    assert_eq!(items(&b).await, 0);
    assert_eq!(b.digest().await, a.digest().await);
    c.engine.sync_with(&served.client()).await.expect("a round");
    c.assert_equal(&a).await;
    assert_eq!(c.bytes_of(a.engine.device_id()).await, a.bytes_of(a.engine.device_id()).await);

    // The program is updated: it knows items now.
    served.stop().await;
    let path = b.path.clone();
    b.close().await;
    let b = Device::open(path, library, |builder| builder.without_background()).await;
    served.start(b.engine.clone()).await;
    // It shows what came before, and logs nothing of it again.
    b.assert_equal(&a).await;
    assert_eq!(items(&b).await, 3);
    assert_eq!(b.state().await.pending, 0);
    assert_eq!(b.bytes_of(b.engine.device_id()).await.len(), 0);
    let row = item::Entity::find().all(&a.db).await.expect("items").remove(0);
    let mut row = row.into_active_model();
    row.note = Set(Some("seen".into()));
    row.update(&a.db).await.expect("an update");
    a.engine.sync_with(&served.client()).await.expect("a round");
    b.assert_equal(&a).await;
}

#[tokio::test]
async fn a_table_that_is_made_while_the_engine_runs_gets_its_rows() {
    let library = library();
    let models = MODELS.into_iter().chain(["lamp"]);
    let (a, b) = (
        with_lamps(library).await,
        Device::with(library, |builder| builder.without_background().models(models)).await,
    );
    lamp::ActiveModel { color: Set(lamp::Color::Green), ..Default::default() }
        .insert(&a.db)
        .await
        .expect("a lamp");
    add(&a, "a", 1).await;
    let served = Served::new(b.engine.clone(), library).await;
    a.engine.sync_with(&served.client()).await.expect("a round");
    assert_eq!((items(&b).await, b.state().await.pending), (1, 0));
    let table = Schema::new(b.db.get_database_backend()).create_table_from_entity(lamp::Entity);
    b.db.execute(&table).await.expect("a table");
    b.engine.flush().await.expect("a flush");
    assert_eq!(
        lamp::Entity::find().all(&b.db).await.expect("lamps"),
        lamp::Entity::find().all(&a.db).await.expect("lamps")
    );
    assert_eq!((b.digest().await, b.state().await.pending), (a.digest().await, 0));
}

#[tokio::test]
async fn what_a_clock_two_hours_ahead_wrote_is_held_until_time_has_caught_up() {
    const HOUR: i64 = 3_600_000;
    let library = library();
    // Guards note the database's own time: the clock that is right is the one ahead.
    let now = SystemClock.now_ms();
    let (here, ahead) = (ManualClock::at(now - 2 * HOUR as u64), ManualClock::at(now - 2 * HOUR as u64));
    let clock = |clock: &ManualClock| Arc::new(clock.clone());
    let (one, two) = (clock(&here), clock(&ahead));
    let server = Device::with(library, |builder| builder.without_background().time(one)).await;
    let client = Device::with(library, |builder| builder.without_background().time(two)).await;
    introduce(&[&server, &client]).await;
    ahead.step(2 * HOUR + 1_000);
    // Its own record of a new day is from the future too.
    let day = |ms: u64| ms / 86_400_000;
    let held = 3 + u64::from(day(now - 2 * HOUR as u64) != day(now + 1_000));
    add(&server, "server", 1).await;
    add(&client, "client", 3).await;
    let served = Served::new(server.engine.clone(), library).await;
    let (before, mut events) = (server.state().await, server.engine.events());

    let report = client.engine.sync_with(&served.client()).await.expect("a round");
    assert_eq!((report.held, report.clock_offset_ms), (held, -2 * HOUR - 1_000), "the client is told");
    let (changes, ahead_ms) = loop {
        if let Event::Held { changes, ahead_ms } = events.next().await.expect("not told") {
            break (changes, ahead_ms);
        }
    };
    assert_eq!(changes, held);
    assert!(ahead_ms.abs_diff(2 * HOUR as u64) < 60_000, "{ahead_ms}");
    let after = server.state().await;
    assert_eq!(after, sync_tests::state::State { held, ..before }, "nothing is merged, all is kept");

    here.step(2 * HOUR + 1_000);
    client.engine.sync_with(&served.client()).await.expect("a round");
    // The server merges what it held with the next that comes, or with its own next round.
    add(&client, "later", 1).await;
    client.engine.sync_with(&served.client()).await.expect("a round");
    server.assert_equal(&client).await;
    assert_eq!(item::Entity::find().all(&server.db).await.expect("items").len(), 5);
}
