//! Whom history is kept for: the members of the library, met or not.

use sea_orm::ConnectionTrait;
use sync_core::{Member, Standing};
use sync_tests::Device;

use super::{Place, add, add_many, prune, settle, status, title};

/// A server, a phone that calls it, and a watch that only ever meets the phone.
struct Star {
    place: Place,
    server: Device,
    phone: Device,
    watch: Device,
}

impl Star {
    /// All have met, and the server has written something since that the phone has and the watch lacks.
    async fn new() -> Self {
        let place = Place::new();
        let (server, phone) = (place.plain().await, place.plain().await);
        let watch = place.named("watch").await;
        let star = Self { place, server, phone, watch };
        settle(&star.watch, &star.phone).await;
        settle(&star.phone, &star.server).await;
        add_many(&star.server, 5).await;
        star.call().await;
        star.days(8).await;
        star
    }

    /// The phone calls the server.
    async fn call(&self) {
        for _ in 0..2 {
            self.phone.sync(&self.server).await.expect("a round");
        }
    }

    /// Days go by, and the phone calls on the last.
    async fn days(&self, days: i64) {
        self.place.days(days);
        self.call().await;
    }

    /// The watch as the server knows it.
    async fn known(&self) -> Member {
        let id = self.watch.engine.device_id();
        let members = status(&self.server).await.members;
        assert_eq!(members, self.server.engine.members().await.expect("members"), "one list");
        members.into_iter().find(|member| member.device == id).expect("the watch")
    }
}

#[tokio::test]
async fn history_stays_for_a_member_that_is_known_only_by_its_record() {
    let star = Star::new().await;
    let known = star.known().await;
    assert_eq!((known.heard_ms, known.standing), (None, Standing::Active), "the two never met");
    let report = prune(&star.server).await;
    assert_eq!((report.removed, report.waits_for), (0, vec![star.watch.engine.device_id()]));

    // Its record says on the next day what it has since this one.
    star.watch.sync(&star.phone).await.expect("a round");
    star.place.days(1);
    star.watch.sync(&star.phone).await.expect("a round");
    star.call().await;
    let report = prune(&star.server).await;
    assert!(report.removed >= 5 && report.forced == 0, "{report:?}");
    let id = add(&star.server, "after").await;
    star.call().await;
    let report = star.watch.sync(&star.phone).await.expect("a round");
    assert_eq!(report.snapshot_records, 0, "nobody had to read a state");
    assert_eq!(title(&star.watch, id).await.as_deref(), Some("after"));
    star.watch.assert_equal(&star.server).await;
}

#[tokio::test]
async fn a_member_known_only_by_its_record_expires_by_the_day_in_it() {
    let star = Star::new().await;
    star.days(25).await;
    assert_eq!(star.known().await.standing, Standing::Silent);
    assert_eq!(prune(&star.server).await.removed, 0, "waited for still");
    star.days(150).await;
    assert_eq!(star.known().await.standing, Standing::Expired);
    let report = prune(&star.server).await;
    assert!(report.removed >= 5, "{report:?}");
    assert_eq!(report.expired, [star.watch.engine.device_id()]);
    let own = add(&star.watch, "written while away").await;
    settle(&star.watch, &star.server).await;
    assert_eq!(title(&star.server, own).await.as_deref(), Some("written while away"));
    assert_eq!(star.known().await.standing, Standing::Active);
    star.watch.assert_equal(&star.server).await;
}

#[tokio::test]
async fn a_member_that_is_removed_anywhere_holds_back_nothing_anywhere() {
    let star = Star::new().await;
    assert!(star.phone.engine.remove_member(star.watch.engine.device_id()).await.expect("an answer"));
    assert_eq!(prune(&star.server).await.removed, 0, "not told yet");
    star.call().await;
    assert_eq!(star.known().await.standing, Standing::Gone);
    assert!(prune(&star.server).await.removed >= 5);
    // It comes back, hears what was said of it, and says that it is there.
    for _ in 0..2 {
        star.watch.sync(&star.phone).await.expect("a round");
    }
    star.call().await;
    assert_eq!(star.known().await.standing, Standing::Active);
    star.watch.assert_equal(&star.server).await;
}

/// A device that keeps a part of the library has no vector that says so: it reads the state of its part.
#[tokio::test]
async fn a_record_that_does_not_say_what_its_device_has_holds_back_nothing() {
    let star = Star::new().await;
    let all = "UPDATE sync_devices SET have = NULL WHERE name = 'watch'";
    star.phone.db.execute_unprepared(all).await.expect("an update");
    star.call().await;
    assert_eq!(star.known().await.vector, None);
    let report = prune(&star.server).await;
    assert!(report.removed >= 5, "{report:?}");
    settle(&star.watch, &star.server).await;
    star.watch.assert_equal(&star.server).await;
}
