//! Servers that are gone, busy, slow or on their way out, and the notices they send.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};
use sync_core::{Answer, Notice, Peer, PeerError, Seq};
use sync_transport::http::{HttpPeer, Limits, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    assert_refused, check_works, client, fake,
    fake::{Asked, FakePeer},
    limits, listener, push, run_app, sample,
};

fn notice(seq: u64) -> Option<Notice> {
    Some(Notice { library: sample::LIBRARY, latest_seq: Seq(seq) })
}

/// A hang becomes a failure.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event).await.unwrap()
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable() {
    let (peer, server, url) = fake(Limits::default()).await;
    let client = client(&url);
    check_works(&peer, &client).await;
    server.shutdown().await;
    let result = client.hello(sample::hello(1)).await;
    assert_refused!(result, PeerError::Unreachable(_), "refused");
    assert_refused!(client.watch(sample::LIBRARY).await.map(drop), PeerError::Unreachable(_), "refused");
    assert_eq!(peer.asked(), []);
}

#[tokio::test]
async fn a_silent_server_is_unreachable_after_the_timeout() {
    // Connections are taken by the operating system, and nobody ever answers.
    let silent = listener().await;
    let url = format!("http://{}", silent.local_addr().unwrap());
    let limits = limits(|limits| limits.request_timeout = Duration::from_millis(50));
    let client = HttpPeer::builder(url).limits(limits).build().unwrap();
    assert_refused!(client.hello(sample::hello(1)).await, PeerError::Unreachable(_), "timed out");
    assert_refused!(client.watch(sample::LIBRARY).await.map(drop), PeerError::Unreachable(_), "in time");
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up_by_the_server() {
    let (peer, _server, url) =
        fake(limits(|limits| limits.request_timeout = Duration::from_millis(50))).await;
    peer.hold();
    assert_refused!(client(&url).hello(sample::hello(1)).await, PeerError::Busy(_), "took longer than 50ms");
    peer.release();
    peer.asked();
    check_works(&peer, &client(&url)).await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_to_come_back() {
    const TAKEN: usize = 8;
    const CALLS: usize = 64;
    let (peer, _server, url) = fake(limits(|limits| limits.max_in_flight = TAKEN)).await;
    peer.hold();
    let clients: Vec<_> = (0..CALLS).map(|_| client(&url)).collect();
    let mut calls: FuturesUnordered<_> =
        clients.iter().map(|client| client.hello(sample::hello(1))).collect();
    for _ in TAKEN..CALLS {
        let first = soon(calls.next()).await.unwrap();
        assert_refused!(first, PeerError::Busy(_), "8 calls");
    }
    assert_eq!(peer.asked().len(), TAKEN);
    peer.release();
    let rest: Vec<_> = calls.collect().await;
    assert!(rest.len() == TAKEN && rest.iter().all(Result::is_ok), "{rest:?}");
    peer.asked();
    check_works(&peer, &client(&url)).await;
}

#[tokio::test]
async fn watchers_hear_of_every_growth_until_they_leave() {
    let (peer, _server, url) = fake(Limits::default()).await;
    let (mut one, mut other) = (
        client(&url).watch(sample::LIBRARY).await.unwrap(),
        client(&url).watch(sample::LIBRARY).await.unwrap(),
    );
    assert_eq!(peer.asked(), [Asked::Watch(sample::LIBRARY), Asked::Watch(sample::LIBRARY)]);
    for seq in [1, 2, u64::MAX] {
        peer.grow(seq);
        assert_eq!(one.next().await, notice(seq));
        assert_eq!(other.next().await, notice(seq));
    }
    assert_eq!(peer.watchers(), 2);
    drop((one, other));
    // Whoever is gone is noticed when something is written to it.
    let gone = peer.unwatched();
    let grow = async {
        loop {
            peer.grow(1);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = gone => {}
        () = grow => {}
    }
}

#[tokio::test]
async fn watchers_beyond_the_limit_are_told_to_come_back() {
    let (peer, _server, url) = fake(limits(|limits| limits.max_watchers = 1)).await;
    let client = client(&url);
    let mut first = client.watch(sample::LIBRARY).await.unwrap();
    assert_refused!(client.watch(sample::LIBRARY).await.map(drop), PeerError::Busy(_), "1 replicas");
    assert_eq!(client.hello(sample::hello(1)).await, Ok(sample::hello(1)), "a watcher is no call in flight");
    peer.grow(3);
    assert_eq!(first.next().await, notice(3));
}

#[tokio::test]
async fn shutdown_ends_the_notices() {
    let (peer, server, url) = fake(Limits::default()).await;
    let mut notices = client(&url).watch(sample::LIBRARY).await.unwrap();
    peer.grow(1);
    assert_eq!(notices.next().await, notice(1));
    soon(server.shutdown()).await;
    assert_eq!(soon(notices.next()).await, None);
    assert_eq!(peer.watchers(), 0);
}

#[tokio::test]
async fn notices_of_a_mounted_router_end_when_they_are_told_to() {
    let peer = FakePeer::new();
    let server = Server::single(peer.clone());
    let url = format!("http://{}", run_app(server.router()).await);
    let mut notices = client(&url).watch(sample::LIBRARY).await.unwrap();
    peer.grow(1);
    assert_eq!(notices.next().await, notice(1));
    server.end_watches();
    assert_eq!(soon(notices.next()).await, None);
    peer.asked();
    check_works(&peer, &client(&url)).await;
}

#[tokio::test]
async fn shutdown_waits_for_the_calls_being_worked_on() {
    let (peer, server, url) = fake(Limits::default()).await;
    let addr = server.local_addr();
    peer.hold();
    let client = client(&url);
    let mut call = client.push(push(10));
    tokio::select! {
        biased;
        _ = &mut call => panic!("answered while held"),
        () = peer.entered(1) => {}
    }
    let mut shutdown = Box::pin(server.shutdown());
    let closed = async { while TcpStream::connect(addr).await.is_ok() {} };
    tokio::select! {
        biased;
        () = &mut shutdown => panic!("shut down with a call in flight"),
        () = closed => {}
    }
    assert!(shutdown.as_mut().now_or_never().is_none(), "the call is still in flight");
    peer.release();
    let (answer, ()) = tokio::join!(call, shutdown);
    assert_eq!(answer.map(Answer::Push), Ok(sample::answer(push(10).into())));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let impatient = limits(|limits| limits.request_timeout = Duration::from_millis(50));
    let (_peer, server, _url) = fake(impatient).await;
    // A client that says what it wants, is told to go on, and never does.
    let mut line = TcpStream::connect(server.local_addr()).await.unwrap();
    let head = "POST /v1/push HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
        content-type: application/msgpack\r\ncontent-length: 10\r\n\r\n";
    line.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 12];
    line.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    let bound = Duration::from_secs(3);
    assert!(tokio::time::timeout(bound, server.shutdown()).await.is_ok(), "the client is still waited for");
    let mut rest = Vec::new();
    let cut = line.read_to_end(&mut rest);
    assert!(tokio::time::timeout(bound, cut).await.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_dropped_handle_stops_the_server() {
    let (_peer, server, _url) = fake(Limits::default()).await;
    let addr = server.local_addr();
    drop(server);
    while TcpStream::connect(addr).await.is_ok() {}
}

#[tokio::test]
async fn many_clients_are_served_at_once() {
    let (peer, _server, url) = fake(limits(|limits| limits.max_in_flight = 100)).await;
    peer.hold();
    let client = client(&url);
    let calls = join_all((0..100).map(|_| client.pull(sample::pull(3))));
    let all_in = async {
        peer.entered(100).await;
        peer.release();
    };
    let (answers, ()) = tokio::join!(calls, all_in);
    let expected = Ok(sample::answer(sample::pull(3).into()));
    assert!(answers.into_iter().all(|answer| answer.map(Answer::Pull) == expected));
}
