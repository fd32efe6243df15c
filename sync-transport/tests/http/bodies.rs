//! Bodies that are too large, broken or meant to harm: a typed error, nobody asked, and the next call works.

use std::io::Write;

use axum::{Router, body::Body, http::StatusCode, response::IntoResponse, routing::any};
use bytes::Bytes;
use futures_util::stream;
use sync_core::{Peer, PeerError};
use sync_transport::http::{Compression, HttpPeer, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    assert_refused, check_unharmed, client, error_of, fake, limits, listener, push, run_app, sample,
};

const MIB: usize = 1024 * 1024;

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn post(url: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    http().post(format!("{url}/v1/push")).header("content-type", "application/msgpack").body(body)
}

/// 512 MiB of zeros in some 50 kB.
fn bomb() -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![0; MIB];
    for _ in 0..512 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_oversized_body_is_refused_by_the_server() {
    let small = limits(|limits| limits.max_encoded = 100_000);
    let (peer, _server, url) = fake(small).await;

    let announced = post(&url, vec![7; 150_000]).send().await.unwrap();
    assert_eq!(announced.status(), 413);
    assert_refused!(Err::<(), _>(error_of(announced).await), PeerError::TooLarge(_), "100000");

    let chunks = stream::iter((0..15).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 10_000]))));
    let streamed = post(&url, reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(streamed.status(), 413);
    assert_refused!(Err::<(), _>(error_of(streamed).await), PeerError::TooLarge(_), "100000");

    let plain = HttpPeer::builder(&url).compression(Compression::Off).build().unwrap();
    assert_refused!(plain.push(push(400)).await, PeerError::TooLarge(_), "send less");
    assert!(plain.push(push(300)).await.is_ok());
    peer.asked();
    check_unharmed(&peer, &url).await;
}

#[tokio::test]
async fn an_oversized_message_is_not_even_sent() {
    let (peer, _server, url) = fake(Limits::default()).await;
    for limits in [limits(|limits| limits.max_encoded = 500), limits(|limits| limits.max_decoded = 10_000)] {
        let client = HttpPeer::builder(&url).limits(limits).build().unwrap();
        assert_refused!(client.push(push(100)).await, PeerError::TooLarge(_), "was not sent");
    }
    check_unharmed(&peer, &url).await;
}

#[tokio::test]
async fn a_bomb_is_refused_by_the_server() {
    let (peer, _server, url) = fake(limits(|limits| limits.max_decoded = MIB)).await;
    let packed = bomb();
    assert!(packed.len() < 100_000, "{}", packed.len());
    let response = post(&url, packed).header("content-encoding", "zstd").send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_refused!(
        Err::<(), _>(error_of(response).await),
        PeerError::TooLarge(_),
        "decoded body exceeds 1048576"
    );
    check_unharmed(&peer, &url).await;
}

/// Every byte is a value: small as bytes, large in memory.
#[tokio::test]
async fn a_message_of_millions_of_nothings_is_refused_by_both() {
    let (peer, _server, url) = fake(Limits::default()).await;
    let mut push = rmp_serde::to_vec_named(&push(0)).unwrap();
    let changes = b"\xa7changes\x90";
    let at = push.windows(changes.len()).position(|window| window == changes).unwrap() + changes.len() - 1;
    let count = 60 * MIB;
    push.splice(at..=at, [0xdd].into_iter().chain((count as u32).to_be_bytes()).chain(vec![0xa0; count]));
    let packed = zstd::bulk::compress(&push, 1).unwrap();
    assert!(packed.len() < 10_000, "{}", packed.len());

    let response = post(&url, packed.clone()).header("content-encoding", "zstd").send().await.unwrap();
    assert_refused!(Err::<(), _>(error_of(response).await), PeerError::TooLarge(_), "2097152 values");
    let hostile = answering_ok([MSGPACK, ZSTD], packed).await;
    assert_refused!(hostile.pull(sample::pull(1)).await, PeerError::TooLarge(_), "2097152 values");
    check_unharmed(&peer, &url).await;
}

#[tokio::test]
async fn broken_requests_are_refused_by_the_server() {
    let (peer, _server, url) = fake(Limits::default()).await;
    let packed = zstd::bulk::compress(&rmp_serde::to_vec_named(&push(100)).unwrap(), 1).unwrap();
    let zstd = |body: Vec<u8>| post(&url, body).header("content-encoding", "zstd");
    let mut flipped = packed.clone();
    flipped[0] ^= 1;
    for corrupt in [packed[..packed.len() / 2].to_vec(), b"no frame at all".to_vec(), flipped] {
        let response = zstd(corrupt).send().await.unwrap();
        assert_eq!(response.status(), 422);
        assert!(matches!(error_of(response).await, PeerError::Corrupt(_)));
    }
    let whole = rmp_serde::to_vec_named(&push(1)).unwrap();
    for invalid in
        [Vec::new(), b"garbage".to_vec(), whole[..whole.len() - 1].to_vec(), vec![0xdf, 255, 255, 255, 255]]
    {
        let response = post(&url, invalid).send().await.unwrap();
        assert_eq!(response.status(), 400);
        assert!(matches!(error_of(response).await, PeerError::Invalid(_)));
    }
    check_unharmed(&peer, &url).await;
    assert_eq!(zstd(packed).send().await.unwrap().status(), 200, "the bytes were good before");
}

/// A request whose connection ends before its body does.
#[tokio::test]
async fn a_body_that_breaks_off_reaches_nobody() {
    let (peer, _server, url) = fake(Limits::default()).await;
    let whole = rmp_serde::to_vec_named(&push(1)).unwrap();
    let mut line = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/push HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/msgpack\r\ncontent-length: {}\r\n\r\n",
        whole.len() + 1
    );
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(&whole).await.unwrap();
    line.shutdown().await.unwrap();
    // The server closes the line: with or without an answer, but not before it has given the request up.
    line.read_to_end(&mut Vec::new()).await.unwrap();
    check_unharmed(&peer, &url).await;
}

/// A server that gives one answer to everything.
async fn answering(
    status: StatusCode,
    headers: [(&'static str, &'static str); 2],
    body: impl Into<Bytes>,
) -> HttpPeer {
    let body = body.into();
    let app = Router::new()
        .fallback(any(move || async move { (status, headers, Body::from(body)).into_response() }));
    client(&format!("http://{}", run_app(app).await))
}

async fn answering_ok(headers: [(&'static str, &'static str); 2], body: impl Into<Bytes>) -> HttpPeer {
    answering(StatusCode::OK, headers, body).await
}

const MSGPACK: (&str, &str) = ("content-type", "application/msgpack");
const ZSTD: (&str, &str) = ("content-encoding", "zstd");
const NOTHING: (&str, &str) = ("x-nothing", "");

#[tokio::test]
async fn a_hostile_answer_is_refused_by_the_client() {
    let bombs = answering_ok([MSGPACK, ZSTD], bomb()).await;
    assert_refused!(
        bombs.pull(sample::pull(1)).await,
        PeerError::TooLarge(_),
        "decoded body exceeds 67108864"
    );

    let endless = answering_ok([MSGPACK, NOTHING], vec![0; 9 * MIB]).await;
    assert_refused!(endless.pull(sample::pull(1)).await, PeerError::TooLarge(_), "8388608");

    let broken =
        answering_ok([MSGPACK, ZSTD], zstd::bulk::compress(&[1; 9000], 1).unwrap()[..10].to_vec()).await;
    assert_refused!(broken.pull(sample::pull(1)).await, PeerError::Corrupt(_), "ends in the middle");

    let garbage = answering_ok([MSGPACK, NOTHING], "garbage").await;
    assert_refused!(garbage.pull(sample::pull(1)).await, PeerError::Invalid(_), "application/msgpack");

    let portal = answering_ok([("content-type", "text/html"), NOTHING], "<h1>Log in</h1>").await;
    assert_refused!(portal.pull(sample::pull(1)).await, PeerError::Invalid(_), "address of a sync server");
    assert_refused!(portal.watch(sample::LIBRARY).await.map(drop), PeerError::Invalid(_), "event-stream");

    let exotic = answering_ok([MSGPACK, ("content-encoding", "br")], "").await;
    assert_refused!(exotic.pull(sample::pull(1)).await, PeerError::Invalid(_), "br");
}

/// An error status with an answer that is not a peer's says as much as the status does.
#[tokio::test]
async fn what_a_proxy_answers_is_named_by_what_to_do() {
    let html = [("content-type", "text/html"), ("location", "https://elsewhere.example/")];
    let ask = async |status| answering(status, html, "<h1>No</h1>").await.hello(sample::hello(1)).await;
    assert_refused!(ask(StatusCode::UNAUTHORIZED).await, PeerError::Unauthorized(_), "401");
    assert_refused!(ask(StatusCode::FORBIDDEN).await, PeerError::Forbidden(_), "403");
    assert_refused!(ask(StatusCode::PAYLOAD_TOO_LARGE).await, PeerError::TooLarge(_), "413");
    assert_refused!(ask(StatusCode::TOO_MANY_REQUESTS).await, PeerError::Busy(_), "429");
    assert_refused!(ask(StatusCode::SERVICE_UNAVAILABLE).await, PeerError::Busy(_), "503");
    assert_refused!(ask(StatusCode::BAD_GATEWAY).await, PeerError::Unreachable(_), "502");
    assert_refused!(ask(StatusCode::NOT_FOUND).await, PeerError::Failed(_), "address of a sync server");
    assert_refused!(ask(StatusCode::IM_A_TEAPOT).await, PeerError::Failed(_), "418");
    assert_refused!(
        ask(StatusCode::PERMANENT_REDIRECT).await,
        PeerError::Failed(_),
        "https://elsewhere.example/"
    );

    let other_json =
        answering(StatusCode::BAD_GATEWAY, [("content-type", "application/json"), NOTHING], "{}").await;
    assert_refused!(other_json.hello(sample::hello(1)).await, PeerError::Unreachable(_), "502");
}

/// The line breaks in the middle of an answer.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
async fn an_answer_that_breaks_off_is_a_broken_line() {
    let listener = listener().await;
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut line, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 100];
        line.read_exact(&mut head).await.unwrap();
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/msgpack\r\ncontent-length: 1000\r\n\r\nhalf";
        line.write_all(answer).await.unwrap();
        line.shutdown().await.unwrap();
        // Reads what is left, so that the line ends by an end and not by a reset.
        let _ = line.read_to_end(&mut Vec::new()).await;
    });
    assert_refused!(client(&url).hello(sample::hello(1)).await, PeerError::Unreachable(_), "");
}
