//! Who may not call, and messages that are none: a typed error on the caller's side, nothing changed on either, and
//! the next round works.

use sync_core::{
    DeviceId, Hello, ObjectsCursor, ObjectsRequest, PROTOCOL, Peer, PeerError, SyncError,
    runtime::SystemRandom,
};
use sync_tests::{
    Device, Served,
    device::{acquainted, introduce, library},
    faulty::{Fault, Faulty},
    served::answering,
};
use sync_transport::http::{HttpPeer, Limits, Token};

use crate::add;

/// A client and a server with five records each that the other lacks.
struct Scene {
    here: Device,
    there: Device,
    served: Served,
}

impl Scene {
    async fn new() -> Self {
        let library = library();
        let (here, there) = (Device::new(library).await, Device::new(library).await);
        introduce(&[&here, &there]).await;
        add(&here, "here", 5).await;
        add(&there, "there", 5).await;
        let served = Served::new(there.engine.clone(), library).await;
        Self { here, there, served }
    }

    /// A round with `bad` fails as `expected` says and changes nothing; the next one with the server works.
    async fn check(&self, bad: &dyn Peer, expected: impl Fn(&PeerError) -> bool) {
        let before = (self.here.state().await, self.there.state().await);
        let error = self.here.engine.sync_with(bad).await.expect_err("a round that cannot work");
        let SyncError::Peer(error) = error else { panic!("not the peer's fault: {error}") };
        assert!(expected(&error), "{error:?}");
        assert_eq!((self.here.state().await, self.there.state().await), before, "{error}");
        self.check_works().await;
    }

    /// The server refuses these bytes with this status, and as `expected` says.
    async fn check_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        status: u16,
        expected: impl Fn(&PeerError) -> bool,
    ) {
        let before = (self.here.state().await, self.there.state().await);
        let (answered, answer) = self.served.post(path, headers, body).await;
        let error: PeerError = rmp_serde::from_slice(&answer).expect("an error as the answer");
        assert_eq!(answered, status, "{error}");
        assert!(expected(&error), "{error:?}");
        assert_eq!((self.here.state().await, self.there.state().await), before, "{error}");
        self.check_works().await;
    }

    async fn check_works(&self) {
        self.here.engine.sync_with(&self.served.client()).await.expect("a good round");
        self.here.assert_equal(&self.there).await;
        assert_eq!(crate::items(&self.here).await, 10);
    }
}

const MSGPACK: (&str, &str) = ("content-type", "application/msgpack");
const ZSTD: (&str, &str) = ("content-encoding", "zstd");

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// 128 MiB of zeros.
fn bomb() -> Vec<u8> {
    let packed = zstd::bulk::compress(&vec![0; 128 << 20], 1).expect("a bomb");
    assert!(packed.len() < 100_000, "{}", packed.len());
    packed
}

#[tokio::test]
async fn a_caller_without_a_token_or_with_another_is_not_let_in() {
    let scene = Scene::new().await;
    let none = HttpPeer::new(scene.served.url(), None).expect("a client");
    scene.check(&none, |error| matches!(error, PeerError::Unauthorized(_))).await;

    let scene = Scene::new().await;
    let wrong = HttpPeer::new(scene.served.url(), Token::generate(&SystemRandom)).expect("a client");
    scene.check(&wrong, |error| matches!(error, PeerError::Unauthorized(_))).await;

    let scene = Scene::new().await;
    let elsewhere = Token::generate(&SystemRandom);
    scene.served.admit(&elsewhere, library());
    let elsewhere = HttpPeer::new(scene.served.url(), elsewhere).expect("a client");
    scene.check(&elsewhere, |error| matches!(error, PeerError::Forbidden(_))).await;
}

#[tokio::test]
async fn a_server_of_another_library_says_so() {
    let scene = Scene::new().await;
    let other = Device::new(library()).await;
    add(&other, "other", 3).await;
    let before = other.state().await;
    // Its token is good for the library asked for: the server behind keeps another.
    let served = Served::new(other.engine.clone(), scene.here.engine.library_id()).await;
    let asked = scene.here.engine.library_id();
    scene.check(&served.client(), |error| *error == PeerError::WrongLibrary { asked }).await;
    assert_eq!(other.state().await, before);
}

#[tokio::test]
async fn a_body_beyond_the_servers_limit_is_refused() {
    let scene = Scene::new().await;
    // Keys are random: a hundred records do not fit, however they are compressed.
    add(&scene.here, "more", 100).await;
    let small = limits(|limits| limits.max_encoded = 2_000);
    let library = scene.here.engine.library_id();
    let served = Served::with_limits(scene.there.engine.clone(), library, small).await;
    let before = (scene.here.state().await, scene.there.state().await);
    let error = scene.here.engine.sync_with(&served.client()).await.expect_err("too large");
    assert!(matches!(&error, SyncError::Peer(PeerError::TooLarge(says)) if says.contains("2000")), "{error}");
    assert_eq!((scene.here.state().await, scene.there.state().await), before);
    scene.here.engine.sync_with(&scene.served.client()).await.expect("a good round");
    scene.here.assert_equal(&scene.there).await;
    assert_eq!(crate::items(&scene.there).await, 110);
}

#[tokio::test]
async fn a_body_beyond_the_clients_limit_is_refused() {
    for small in [limits(|limits| limits.max_encoded = 2_000), limits(|limits| limits.max_decoded = 4_000)] {
        let (here, there) = acquainted().await;
        let library = here.engine.library_id();
        add(&there, "there", 100).await;
        let served = Served::new(there.engine.clone(), library).await;
        let before = (here.state().await, there.state().await);
        let error = here.engine.sync_with(&served.client_with_limits(small)).await.expect_err("too large");
        assert!(matches!(error, SyncError::Peer(PeerError::TooLarge(_))), "{error}");
        assert_eq!((here.state().await, there.state().await), before);
        here.engine.sync_with(&served.client()).await.expect("a good round");
        here.assert_equal(&there).await;
        assert_eq!(crate::items(&here).await, 100);
    }
}

#[tokio::test]
async fn a_bomb_reaches_neither_the_server_nor_the_client() {
    let too_large = |error: &PeerError| matches!(error, PeerError::TooLarge(_));
    let scene = Scene::new().await;
    scene.check_post("push", &[MSGPACK, ZSTD], &bomb(), 413, too_large).await;
    let scene = Scene::new().await;
    scene.check(&answering("content-encoding: zstd\r\n", bomb()).await, too_large).await;
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused_by_both() {
    let invalid = |error: &PeerError| matches!(error, PeerError::Invalid(_));
    for body in [&b"not MessagePack"[..], b"", b"{}", &[0xdf, 0xff, 0xff, 0xff, 0xff]] {
        let scene = Scene::new().await;
        for path in ["hello", "pull", "push", "objects"] {
            scene.check_post(path, &[MSGPACK], body, 400, invalid).await;
        }
        let scene = Scene::new().await;
        scene.check(&answering("", body.to_vec()).await, invalid).await;
    }
    let scene = Scene::new().await;
    let corrupt = |error: &PeerError| matches!(error, PeerError::Corrupt(_));
    scene.check_post("push", &[MSGPACK, ZSTD], b"not zstd", 422, corrupt).await;
    let scene = Scene::new().await;
    scene.check(&answering("content-encoding: zstd\r\n", b"not zstd".to_vec()).await, corrupt).await;
}

/// What the server says of itself.
async fn hello_of(scene: &Scene) -> Hello {
    let mine = Hello { device: DeviceId::from_bytes([9; 16]), ..introduction(&scene.here).await };
    scene.served.client().hello(mine).await.expect("an introduction")
}

async fn introduction(device: &Device) -> Hello {
    let stranger = Hello {
        protocol: PROTOCOL,
        device: DeviceId::from_bytes([8; 16]),
        library: device.engine.library_id(),
        log_id: sync_core::LogId::from_bytes([8; 16]),
        schema: 0,
        wall_ms: 0,
        vector: sync_core::Vector::new(),
        latest_seq: sync_core::Seq(0),
        state_hash: sync_core::StateHash([0; 32]),
        digest: [0; 16],
        newest_of_yours: None,
        probe: None,
        retired: Vec::new(),
        scope: None,
        takes_compacted: true,
    };
    device.engine.hello(stranger).await.expect("an introduction")
}

#[tokio::test]
async fn another_version_of_the_protocol_is_refused_by_both() {
    let scene = Scene::new().await;
    let newer = Hello { protocol: PROTOCOL + 1, ..introduction(&scene.here).await };
    let before = scene.there.state().await;
    let error = scene.served.client().hello(newer).await.expect_err("another protocol");
    assert_eq!(error, PeerError::Protocol { ours: PROTOCOL, theirs: PROTOCOL + 1 });
    assert_eq!(scene.there.state().await, before);

    let newer = Hello { protocol: PROTOCOL + 1, ..hello_of(&scene).await };
    let newer = answering("", rmp_serde::to_vec_named(&newer).expect("a message")).await;
    let expected = PeerError::Protocol { ours: PROTOCOL, theirs: PROTOCOL + 1 };
    scene.check(&newer, |error| *error == expected).await;
}

#[tokio::test]
async fn a_page_that_is_not_what_the_chain_says_is_refused() {
    for fault in [Fault::Corrupted, Fault::WrongHash, Fault::Truncated] {
        let (here, there) = acquainted().await;
        let library = here.engine.library_id();
        add(&there, "there", 5).await;
        let faulty = Faulty::new(there.engine.clone(), fault);
        let served = Served::new(faulty.clone(), library).await;
        let before = (here.state().await, there.state().await);
        let error = here.engine.sync_with(&served.client()).await.expect_err("a bad page");
        assert!(matches!(error, SyncError::Peer(PeerError::Corrupt(_))), "{fault:?}: {error}");
        assert_eq!((here.state().await, there.state().await), before, "{fault:?}");
        faulty.set(Fault::None);
        here.engine.sync_with(&served.client()).await.expect("a good round");
        here.assert_equal(&there).await;
        assert_eq!(crate::items(&here).await, 5);
    }
}

/// Positions of another database would skip records here, and its vector would say that they had been read.
#[tokio::test]
async fn a_feed_cursor_of_another_log_is_refused() {
    let scene = Scene::new().await;
    let library = scene.here.engine.library_id();
    let other = Device::new(library).await;
    add(&other, "other", 20).await;
    let elsewhere = Served::new(other.engine.clone(), library).await;
    let mut request = ObjectsRequest {
        library,
        device: scene.here.engine.device_id(),
        after: None,
        max_objects: 4,
        max_bytes: 1 << 20,
        scope: None,
    };
    let page = elsewhere.client().objects(request.clone()).await.expect("a page");
    request.after = Some(page.next.expect("more pages"));
    elsewhere.client().objects(request.clone()).await.expect("the cursor is good where it was made");
    let before = (scene.here.state().await, scene.there.state().await);
    for cursor in [request.after.clone(), Some(ObjectsCursor(b"garbage".to_vec().into()))] {
        let request = ObjectsRequest { after: cursor, ..request.clone() };
        let error = scene.served.client().objects(request).await.expect_err("a cursor of another log");
        assert!(matches!(&error, PeerError::Invalid(says) if says.contains("cursor")), "{error}");
    }
    assert_eq!((scene.here.state().await, scene.there.state().await), before);
    scene.check_works().await;
}
