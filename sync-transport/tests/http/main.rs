//! The HTTP transport from outside: a real server and a real client on loopback, a fake peer behind.

#![expect(clippy::unwrap_used, reason = "tests end where something unexpected happens")]

mod access;
mod bodies;
mod fake;
mod life;
mod messages;

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use sync_core::{Peer, PeerError, PushRequest, conformance::sample};
use sync_transport::http::{HttpPeer, Limits, Server, ServerHandle};
use tokio::net::TcpListener;

use crate::fake::FakePeer;

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Serves `server` on loopback and gives its address.
async fn run(server: Server) -> (ServerHandle, String) {
    let handle = server.serve(listener().await).unwrap();
    let url = format!("http://{}", handle.local_addr());
    (handle, url)
}

/// A fake peer behind a server with these limits.
async fn fake(limits: Limits) -> (FakePeer, ServerHandle, String) {
    let peer = FakePeer::new();
    let (handle, url) = run(Server::single(peer.clone()).limits(limits)).await;
    (peer, handle, url)
}

/// Serves an application of one's own, until the test ends.
#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
async fn run_app(app: Router) -> SocketAddr {
    let listener = listener().await;
    let addr = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    addr
}

fn client(url: &str) -> HttpPeer {
    HttpPeer::new(url, None).unwrap()
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// A push of so many changes.
fn push(changes: usize) -> PushRequest {
    sample::push(sample::some_bytes(changes), None)
}

/// Whatever went wrong before: nobody was asked anything, and a good call works.
async fn check_unharmed(peer: &FakePeer, url: &str) {
    assert_eq!(peer.asked(), [], "the peer was asked");
    check_works(peer, &client(url)).await;
}

async fn check_works(peer: &FakePeer, client: &dyn Peer) {
    assert_eq!(client.hello(sample::hello(1)).await, Ok(sample::hello(1)));
    assert_eq!(peer.asked(), [fake::Asked::Hello(sample::hello(1))]);
}

/// Checks the variant and that the text says something.
macro_rules! assert_refused {
    ($result:expr, $variant:pat, $says:expr) => {
        match $result {
            Ok(_) => panic!("not refused"),
            Err(error) => {
                assert!(matches!(error, $variant), "{error:?}");
                assert!(error.to_string().contains($says), "{error}");
            }
        }
    };
}
use assert_refused;

/// The error of an answer that was not decoded by the client under test.
async fn error_of(response: reqwest::Response) -> PeerError {
    let body = response.bytes().await.unwrap();
    rmp_serde::from_slice(&body).unwrap_or_else(|_| serde_json::from_slice(&body).unwrap())
}

fn shared(peer: impl Peer + 'static) -> Arc<dyn Peer> {
    Arc::new(peer)
}
