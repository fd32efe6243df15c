//! Every transport there is keeps what a peer promises: the suite that users run on theirs, run on ours.

mod broken;
mod codecs;

use std::{sync::Arc, time::Duration};

use sync_core::{
    Peer,
    conformance::{self, Link, Options, Report},
    runtime::SystemRandom,
};
use sync_tests::pipe::{self, PipePeer};
use sync_transport::http::{Compression, Format, HttpPeer, Identity, Limits, Server, Tokens};
use tokio::{
    net::{TcpListener, UnixStream},
    task::JoinSet,
};

/// Exactly these checks were not made.
fn assert_skipped(report: &Report, skipped: &[&str]) {
    let found: Vec<&str> = report.skipped.iter().map(|skipped| skipped.check).collect();
    assert_eq!(found, skipped, "{report}");
}

#[tokio::test]
async fn an_engine_in_this_process() {
    let report = conformance::check(async |peer| Link::in_process(peer)).await.expect("a peer");
    assert_skipped(
        &report,
        &[
            "a_request_too_large_is_refused",
            "an_answer_too_large_is_refused",
            "calls_end_when_the_server_goes",
            "notices_end_when_the_server_goes",
            "a_server_that_goes_and_comes_back",
        ],
    );
}

async fn http(peer: Arc<dyn Peer>, format: Format, compression: Compression) -> Link {
    let mut limits = Limits::default();
    // A server that is told to stop waits this long for the calls being worked on.
    limits.request_timeout = Duration::from_secs(5);
    let tokens = Arc::new(Tokens::new());
    let token = tokens.generate(Identity::new("suite"), &SystemRandom);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = Server::single(peer).authenticator(tokens).limits(limits).serve(listener).expect("a server");
    let url = format!("http://{}", server.local_addr());
    let client = HttpPeer::builder(url).token(token).format(format).compression(compression);
    Link::new(client.build().expect("a client"), server)
}

#[tokio::test]
async fn http_with_messagepack_and_json_compressed_or_not() {
    for format in [Format::MessagePack, Format::Json] {
        for compression in [Compression::Zstd, Compression::Off] {
            let mut options = Options::default();
            options.refuses = Some(9 << 20);
            let serve = async |peer| http(peer, format, compression).await;
            let report = conformance::check_with(options, serve).await;
            let report = report.unwrap_or_else(|failed| panic!("{format:?} {compression:?} {failed}"));
            assert_skipped(&report, &[]);
        }
    }
}

/// The limit of the pipe is checked from both sides.
fn pipe_options() -> Options {
    let mut options = Options::default();
    options.carries = pipe::MAX_BODY - 10_000;
    options.refuses = Some(pipe::MAX_BODY);
    options
}

#[tokio::test]
async fn the_pipe_of_the_guide_over_a_unix_socket_and_in_memory() {
    let over_socket = async |peer| {
        let (client, server) = UnixStream::pair().expect("a pair of sockets");
        let mut serving = JoinSet::new();
        serving.spawn(pipe::serve(server, peer));
        Link::new(PipePeer::new(client), serving)
    };
    let report = conformance::check_with(pipe_options(), over_socket).await.expect("a transport");
    assert_skipped(&report, &[]);
    // A line with no room for even the head of a frame.
    let in_memory = async |peer| {
        let (client, server) = tokio::io::duplex(7);
        let mut serving = JoinSet::new();
        serving.spawn(pipe::serve(server, peer));
        Link::new(PipePeer::new(client), serving)
    };
    let mut options = Options::default();
    options.carries = 1 << 20;
    let report = conformance::check_with(options, in_memory).await.expect("a transport");
    assert_skipped(&report, &["a_request_too_large_is_refused", "an_answer_too_large_is_refused"]);
}
