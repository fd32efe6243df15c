//! Who takes part in a library: each device says so itself, and it travels.

use std::sync::Arc;

use sea_orm::{ActiveModelTrait, ConnectionTrait, Set, entity::prelude::*};
use sync_core::{Event, Member, ModelError, Rules, SyncEngine, SyncError, Syncable};
use sync_tests::{
    Device,
    device::{ManualClock, acquainted, introduce, library},
    entities::item,
};

const DAY: i64 = 24 * 60 * 60 * 1_000;

async fn add(device: &Device, title: &str) {
    item::ActiveModel { title: Set(title.into()), qty: Set(1), ..Default::default() }
        .insert(&device.db)
        .await
        .expect("an item");
}

async fn member(of: &Device, device: &Device) -> Option<Member> {
    let id = device.engine.device_id();
    of.engine.members().await.expect("members").into_iter().find(|member| member.device == id)
}

async fn named(library: sync_core::LibraryId, name: &str) -> Device {
    Device::with(library, |builder| builder.without_background().device_name(name)).await
}

/// How many entries the log has in all, the engine's own among them.
async fn end(device: &Device) -> u64 {
    device.engine.flush().await.expect("a flush").0
}

#[tokio::test]
async fn members_are_known_to_those_who_never_met_them() {
    let library = library();
    let (a, b, c) = (named(library, "ann").await, named(library, "bob").await, named(library, "cid").await);
    assert_eq!(end(&a).await, 0, "who meets nobody says nothing");
    add(&a, "of a").await;
    b.sync(&a).await.expect("a round");
    c.sync(&b).await.expect("a round");
    b.sync(&a).await.expect("a round");
    for device in [&a, &b, &c] {
        let members = device.engine.members().await.expect("members");
        let names: Vec<_> = members.iter().filter_map(|member| member.name.as_deref()).collect();
        assert_eq!(members.len(), 3);
        assert!(["ann", "bob", "cid"].iter().all(|name| names.contains(name)), "{names:?}");
        assert_eq!(members.iter().filter(|member| member.is_this_one).count(), 1);
        assert!(members.iter().all(|member| member.left_at_ms.is_none() && member.first_seen_ms.is_some()));
    }
    // What c has is known to a by c's own record: the two never met.
    let known = member(&a, &c).await.expect("c").vector.expect("what c has");
    assert!(member(&c, &c).await.expect("c").vector.expect("what it has").includes(&known));
    let mine = member(&a, &a).await.expect("a").vector.expect("what a has");
    assert!(mine.head(a.engine.device_id()).is_some());
}

/// A device's record costs a change a day, however many rounds it makes, and a day that went backwards costs none.
#[tokio::test]
async fn a_device_says_once_a_day_that_it_takes_part() {
    let library = library();
    let clock = ManualClock::at(1_700_000_000_000);
    let with = |clock: &ManualClock| {
        let clock: Arc<ManualClock> = Arc::new(clock.clone());
        move |builder: sync_core::EngineBuilder| builder.without_background().time(clock)
    };
    let a = Device::with(library, with(&clock)).await;
    let b = Device::with(library, with(&clock)).await;
    introduce(&[&a, &b]).await;
    let (begun, seen) = (end(&a).await, member(&b, &a).await.expect("a").last_seen_ms.expect("a day"));
    assert_eq!((begun, seen % DAY as u64), (2, 0));
    for _ in 0..3 {
        a.sync(&b).await.expect("a round");
    }
    assert_eq!(end(&a).await, begun);
    clock.step(DAY);
    for _ in 0..3 {
        a.sync(&b).await.expect("a round");
    }
    assert_eq!(end(&a).await, begun + 2, "one of each");
    assert_eq!(member(&b, &a).await.expect("a").last_seen_ms, Some(seen + DAY as u64));
    clock.step(-3 * DAY);
    let report = a.sync(&b).await.expect("a round");
    assert!(report.in_sync, "{report:?}");
    assert_eq!(end(&a).await, begun + 2);
    // Nor does it go back with something that is new.
    let a = a.restart(|builder| with(&clock)(builder).device_name("of today")).await;
    a.sync(&b).await.expect("a round");
    let known = member(&a, &a).await.expect("a");
    assert_eq!((known.name.as_deref(), known.last_seen_ms), (Some("of today"), Some(seen + DAY as u64)));
}

/// What a device has, is called and was, only it says: what another wrote over it says again in its next round.
#[tokio::test]
async fn a_device_says_again_what_another_wrote_over() {
    let library = library();
    let (a, b) = (named(library, "ann").await, named(library, "bob").await);
    introduce(&[&a, &b]).await;
    let before = member(&b, &a).await.expect("a");
    for wrong in [
        "have = NULL",
        "have = x'80'",
        "last_seen = last_seen + 8640000000000",
        "name = 'eve', first_seen = 0, last_seen = NULL, replaces = (SELECT id FROM sync_devices WHERE name = 'bob')",
    ] {
        let update = format!("UPDATE sync_devices SET {wrong} WHERE name = 'ann'");
        b.db.execute_unprepared(&update).await.expect("an update");
        b.sync(&a).await.expect("a hears of it");
        a.sync(&b).await.expect("and says what is so");
        let said_ms = |member: Member| (member.first_seen_ms, member.last_seen_ms);
        for device in [&a, &b] {
            let known = member(device, &a).await.expect("a");
            assert_eq!((known.name.as_deref(), known.replaces), (Some("ann"), None), "{wrong}");
            assert_eq!(said_ms(known), said_ms(before.clone()), "{wrong}");
        }
        let have = b.text("SELECT hex(have) FROM sync_devices WHERE name = 'ann'").await;
        assert!(have.len() > 20, "{wrong}: {have}");
        let logged = end(&a).await;
        for (from, to) in [(&a, &b), (&b, &a)] {
            from.sync(to).await.expect("a round");
        }
        assert_eq!(end(&a).await, logged, "{wrong}: it says so once");
    }
    a.assert_equal(&b).await;
}

#[tokio::test]
async fn a_new_name_is_told_and_no_name_forgets_none() {
    let library = library();
    let (a, b) = (named(library, "phone").await, Device::new(library).await);
    introduce(&[&a, &b]).await;
    let a = a.restart(|builder| builder.without_background()).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(member(&b, &a).await.expect("a").name.as_deref(), Some("phone"));
    let a = a.restart(|builder| builder.without_background().device_name("tablet")).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(member(&b, &a).await.expect("a").name.as_deref(), Some("tablet"));
    a.assert_equal(&b).await;
}

/// The application hears of its own records only, and its counts are of those.
#[tokio::test]
async fn membership_is_no_news_to_the_application() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    let mut events = b.engine.events();
    let report = a.sync(&b).await.expect("a round");
    assert_eq!((report.sent, report.received, report.system, report.in_sync), (0, 0, 2, true));
    add(&a, "one").await;
    let report = a.sync(&b).await.expect("a round");
    assert_eq!((report.sent, report.received, report.system), (1, 0, 0));
    let Some(Event::Remote { changes, .. }) = events.next().await else { panic!("not the item") };
    assert!(changes.len() == 1 && changes[0].is::<item::Entity>(), "{changes:?}");
}

#[tokio::test]
async fn who_is_removed_is_listed_as_gone_and_comes_back_by_a_round() {
    let (a, b) = acquainted().await;
    let id = b.engine.device_id();
    assert!(matches!(a.engine.remove_member(a.engine.device_id()).await, Err(SyncError::OwnDevice)));
    assert!(!a.engine.remove_member(sync_core::DeviceId::from_bytes([1; 16])).await.expect("an answer"));
    assert!(a.engine.remove_member(id).await.expect("an answer"));
    assert!(!a.engine.remove_member(id).await.expect("an answer"), "gone already");
    assert!(member(&a, &b).await.expect("b").left_at_ms.is_some());
    // It learns that it was said to be gone, and says with the next round that it is not.
    b.sync(&a).await.expect("a round");
    b.sync(&a).await.expect("a round");
    assert_eq!(member(&a, &b).await.expect("b").left_at_ms, None);
    a.assert_equal(&b).await;
}

/// A copy of a database writes a record of its own, which says whose copy it is.
#[tokio::test]
async fn a_device_with_a_new_id_says_which_it_had() {
    let (a, b) = acquainted().await;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("copy.db");
    a.db.execute_unprepared(&format!("VACUUM INTO '{}'", path.display())).await.expect("a copy");
    let copy = Device::open(path, a.engine.library_id(), |builder| builder.without_background()).await;
    copy.sync(&b).await.expect("a round");
    let known = member(&b, &copy).await.expect("the copy");
    assert_eq!(known.replaces, Some(a.engine.device_id()));
    assert_eq!(b.engine.members().await.expect("members").len(), 3, "the original is a member still");
}

/// Members are members of one library: who joins another does not bring them along.
#[tokio::test]
async fn members_stay_behind_when_a_device_joins_another_library() {
    for how in [sync_core::Join::Merge, sync_core::Join::Replace] {
        let ((a, b), (c, d)) = (acquainted().await, acquainted().await);
        add(&a, "of a").await;
        let report = a.engine.join(c.engine.library_id(), how).await.expect("joined");
        assert_eq!(report.records, 1, "{how:?}: the item, and nothing else");
        let members = a.engine.members().await.expect("members");
        assert!(members.len() == 1 && members[0].is_this_one, "{members:?}");
        introduce(&[&a, &c, &d]).await;
        assert_eq!(d.engine.members().await.expect("members").len(), 3);
        assert_eq!(
            member(&d, &a).await.expect("a").replaces,
            None,
            "its former id was none of this library's"
        );
        assert!(member(&d, &b).await.is_none());
        for device in [&a, &c, &d] {
            device.state().await;
        }
        assert_eq!(a.digest().await, d.digest().await, "{how:?}");
    }
}

/// A clock that was set back makes nothing that is here something from the future.
#[tokio::test]
async fn a_clock_that_goes_back_leaves_the_ledger_in_order() {
    let clock = ManualClock::at(1_700_000_000_000);
    let time: Arc<ManualClock> = Arc::new(clock.clone());
    let a = Device::with(library(), |builder| builder.without_background().time(time)).await;
    add(&a, "one").await;
    a.engine.flush().await.expect("a flush");
    clock.step(-DAY);
    a.state().await;
    assert_eq!(a.engine.replay().await.expect("a replay").rebuilt, []);
}

/// A program of before writes no record of itself.
#[tokio::test]
async fn a_peer_without_a_record_is_a_member_once_a_round_was_made() {
    let (a, b) = acquainted().await;
    let others = "DELETE FROM sync_devices WHERE id <> ?";
    let own = b.engine.device_id().as_bytes().to_vec();
    let statement =
        sea_orm::Statement::from_sql_and_values(b.db.get_database_backend(), others, [own.into()]);
    assert_eq!(b.db.execute_raw(statement).await.expect("a delete").rows_affected(), 1);
    let members = b.engine.members().await.expect("members");
    let of_a = members.iter().find(|member| member.device == a.engine.device_id()).expect("a member");
    assert!(of_a.vector.is_some() && of_a.first_seen_ms.is_none(), "{of_a:?}");
    assert_eq!(members.len(), 2);
}

/// A later version may have more models of its own.
#[tokio::test]
async fn records_of_a_model_of_a_later_engine_are_kept_and_passed_on() {
    let (a, b) = acquainted().await;
    let mut stranger = sync_tests::wire::Author::new(a.engine.library_id(), 7);
    let change = stranger.insert("sync_later", &[sync_core::SyncValue::I64(1)], &[]);
    stranger.merged(&a.engine, &[change]).await;
    b.sync(&a).await.expect("a round");
    a.assert_equal(&b).await;
    assert_eq!(a.engine.members().await.expect("members").len(), 2);
}

mod reserved {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sync_settings")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "sync_settings";

        fn rules() -> Rules {
            Rules::new().without_merge().without_should_sync()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[tokio::test]
async fn an_id_of_the_engines_own_is_refused() {
    let db = sea_orm::Database::connect("sqlite::memory:").await.expect("a database");
    let builder = SyncEngine::builder(db).models(["sync_settings"]).register::<reserved::ActiveModel>();
    let error = builder.start().await.expect_err("a reserved id");
    assert!(matches!(error, SyncError::Model(ModelError::ReservedId { id: "sync_settings", .. })), "{error}");
    assert!(error.to_string().contains("#[sync(id ="), "{error}");
}
