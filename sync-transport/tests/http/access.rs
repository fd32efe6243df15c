//! Who is let in: tokens, libraries, and servers that know nobody.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use axum::Router;
use sync_core::{LibraryId, Peer, PeerError, runtime::SystemRandom};
use sync_transport::http::{HttpError, HttpPeer, Identity, Libraries, Server, Token, Tokens};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    assert_refused, check_works, client,
    fake::{Asked, FakePeer},
    listener, push, run, run_app, sample, shared,
};

fn with_token(url: &str, token: &Token) -> HttpPeer {
    HttpPeer::new(url, token.clone()).unwrap()
}

/// Every way to ask.
async fn ask_all(client: &HttpPeer) -> Vec<Result<(), PeerError>> {
    vec![
        client.hello(sample::hello(1)).await.map(drop),
        client.pull(sample::pull(1)).await.map(drop),
        client.push(push(1)).await.map(drop),
        client.objects(sample::objects(1)).await.map(drop),
        client.watch(sample::LIBRARY).await.map(drop),
    ]
}

#[tokio::test]
async fn only_known_tokens_are_let_in() {
    let peer = FakePeer::new();
    let tokens = Arc::new(Tokens::new());
    let good = tokens.generate(Identity::new("laptop"), &SystemRandom);
    let (_server, url) = run(Server::single(peer.clone()).authenticator(tokens.clone())).await;

    let wrong = Token::generate(&SystemRandom);
    for stranger in [client(&url), with_token(&url, &wrong)] {
        for result in ask_all(&stranger).await {
            assert_refused!(result, PeerError::Unauthorized(_), "token");
        }
    }
    assert_eq!(peer.asked(), []);

    let friend = with_token(&url, &good);
    check_works(&peer, &friend).await;
    assert!(ask_all(&friend).await.iter().all(Result::is_ok));
    peer.asked();

    tokens.remove("laptop");
    for result in ask_all(&friend).await {
        assert_refused!(result, PeerError::Unauthorized(_), "not known here");
    }
    assert_eq!(peer.asked(), []);
}

/// A client that sends everything before it listens hears why it was refused, and not that the line broke.
#[tokio::test]
async fn a_refusal_is_heard_by_a_caller_that_is_still_sending() {
    let peer = FakePeer::new();
    let (server, _url) = run(Server::single(peer.clone()).authenticator(Arc::new(Tokens::new()))).await;
    let body = vec![7; 7_000_000];
    let head = format!("POST /v1/push HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut line = TcpStream::connect(server.local_addr()).await.unwrap();
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(&body).await.unwrap();
    let mut status = [0; 12];
    line.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 401");
    assert_eq!(peer.asked(), []);
}

#[tokio::test]
async fn a_token_for_another_library_is_not_for_this_one() {
    let peer = FakePeer::new();
    let tokens = Arc::new(Tokens::new());
    let token = tokens.generate(Identity::new("guest").only([sample::OTHER_LIBRARY]), &SystemRandom);
    let (_server, url) = run(Server::single(peer.clone()).authenticator(tokens.clone())).await;
    let guest = with_token(&url, &token);
    for result in ask_all(&guest).await {
        assert_refused!(result, PeerError::Forbidden(_), "guest");
    }
    // The pull inside a push would be a way around.
    let own = sync_core::PushRequest { library: sample::OTHER_LIBRARY, ..push(1) };
    let crafted = sync_core::PushRequest { pull: Some(sample::pull(1)), ..own };
    assert_refused!(guest.push(crafted).await, PeerError::Invalid(_), "with a pull from library");
    assert_eq!(peer.asked(), []);

    tokens.add(&token, Identity::new("guest").only([sample::LIBRARY]));
    check_works(&peer, &guest).await;
}

#[tokio::test]
async fn a_peer_says_itself_that_the_library_is_wrong() {
    let (peer, _server, url) = crate::fake(Default::default()).await;
    let asked = sample::OTHER_LIBRARY;
    let hello = sync_core::Hello { library: asked, ..sample::hello(1) };
    assert_eq!(client(&url).hello(hello.clone()).await, Err(PeerError::WrongLibrary { asked }));
    assert_eq!(peer.asked(), [Asked::Hello(hello)]);
    check_works(&peer, &client(&url)).await;
}

#[derive(Debug)]
struct Shelf(BTreeMap<LibraryId, Arc<dyn Peer>>);

#[async_trait]
impl Libraries for Shelf {
    async fn peer(&self, library: LibraryId, caller: &Identity) -> Result<Arc<dyn Peer>, PeerError> {
        assert_eq!(caller.name, "laptop");
        self.0.get(&library).cloned().ok_or(PeerError::WrongLibrary { asked: library })
    }
}

#[tokio::test]
async fn one_server_serves_several_libraries() {
    let (one, other) = (FakePeer::new(), FakePeer::keeping(sample::OTHER_LIBRARY));
    let shelf = [(sample::LIBRARY, shared(one.clone())), (sample::OTHER_LIBRARY, shared(other.clone()))];
    let tokens = Arc::new(Tokens::new());
    let token = tokens.generate(Identity::new("laptop"), &SystemRandom);
    let (_server, url) = run(Server::new(Shelf(shelf.into())).authenticator(tokens)).await;
    let client = with_token(&url, &token);

    check_works(&one, &client).await;
    let to_other = sync_core::Hello { library: sample::OTHER_LIBRARY, ..sample::hello(1) };
    assert!(client.hello(to_other.clone()).await.is_ok());
    assert_eq!((one.asked(), other.asked()), (vec![], vec![Asked::Hello(to_other)]));
    let asked = LibraryId::from_bytes([0; 16]);
    let to_nobody = sync_core::Hello { library: asked, ..sample::hello(1) };
    assert_eq!(client.hello(to_nobody).await, Err(PeerError::WrongLibrary { asked }));
    assert_eq!(client.watch(asked).await.err(), Some(PeerError::WrongLibrary { asked }));
    assert_eq!((one.asked(), other.asked()), (vec![], vec![]));
}

#[tokio::test]
async fn without_an_authenticator_a_server_stays_on_loopback() {
    let everywhere = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0));
    let refused = Server::single(FakePeer::new()).serve(everywhere().await.unwrap()).unwrap_err();
    assert!(matches!(refused, HttpError::AuthenticationRequired { addr } if addr.ip().is_unspecified()));
    assert!(refused.to_string().contains("loopback"), "{refused}");

    let open = Server::single(FakePeer::new()).authenticator(Arc::new(Tokens::new()));
    assert!(open.serve(everywhere().await.unwrap()).is_ok());
    assert!(Server::single(FakePeer::new()).serve(listener().await).is_ok());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
async fn without_an_authenticator_a_router_answers_only_local_callers() {
    let peer = FakePeer::new();
    let server = Server::single(peer.clone());
    let addr = run_app(Router::new().nest("/sync", server.router())).await;
    check_works(&peer, &client(&format!("http://{addr}/sync"))).await;

    // The same behind an application that does not say who calls.
    let silent = listener().await;
    let addr = silent.local_addr().unwrap();
    let router = server.router();
    tokio::spawn(async move { axum::serve(silent, router).await });
    let refused = client(&format!("http://{addr}")).hello(sample::hello(1)).await;
    assert_refused!(refused, PeerError::Unauthorized(_), "does not say who calls");

    // And behind one that says it is somebody else.
    let stranger = axum::Extension(axum::extract::ConnectInfo(SocketAddr::from(([192, 168, 1, 7], 9))));
    let foreign = listener().await;
    let addr = foreign.local_addr().unwrap();
    let router = server.router().layer(stranger);
    tokio::spawn(async move { axum::serve(foreign, router).await });
    let refused = client(&format!("http://{addr}")).watch(sample::LIBRARY).await;
    assert_refused!(refused.map(drop), PeerError::Unauthorized(_), "192.168.1.7");
    assert_eq!(peer.asked(), []);
}

#[test]
fn an_address_that_cannot_be_a_peers_is_refused() {
    let refused = |url: &str| HttpPeer::new(url, None).unwrap_err();
    for url in ["", "example.org", "ftp://example.org", "http://", "http://host/?a=b", "http://host/#a"] {
        assert!(matches!(refused(url), HttpError::InvalidUrl { .. }), "{url}");
    }
    let with_password = refused("http://user:secret@host");
    assert!(
        matches!(with_password, HttpError::InvalidUrl { .. })
            && !with_password.to_string().contains("secret")
    );
    if cfg!(feature = "tls") {
        assert!(HttpPeer::new("https://example.org", None).is_ok());
    } else {
        assert!(matches!(refused("https://example.org"), HttpError::TlsUnavailable));
    }
    assert_eq!(client("http://host/a/b").url(), "http://host/a/b/");
}

#[test]
fn the_token_is_never_printed() {
    let peer = HttpPeer::new("http://localhost", Token::new("a-secret").unwrap()).unwrap();
    let builder = HttpPeer::builder("http://localhost").token(Token::new("a-secret").unwrap());
    let printed = format!("{peer:?} {builder:?}");
    assert!(!printed.contains("a-secret") && printed.contains("has_token: true"), "{printed}");
}
