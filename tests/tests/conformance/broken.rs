//! The suite itself: a transport that breaks a promise is told which. Each of these breaks the pipe in a way of its
//! own, as mistakes do that are easily made.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use sync_core::{
    Answer, Forgotten, Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, RepairAnswer, RepairRequest, Request, StatePart,
    conformance::{self, Link, Options, Report},
    runtime::{Spawn, TokioSpawn},
};
use sync_tests::pipe::{self, PipePeer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinSet,
};

/// What is wrong with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// A field of `hello`'s answer is not carried.
    DropsField,
    /// The field of this name is not carried, of a message that speaks of a part of the library.
    Drops(&'static str),
    /// The pull inside a push is not carried.
    DropsInnerPull,
    /// Cursors of the state feed are not carried.
    DropsCursor,
    /// Every error becomes `Failed`.
    LosesErrors,
    /// Pages end after 1,000 entries.
    CutsPages,
    /// Changes are taken for text.
    TakesBytesForText,
    /// No notice is passed on.
    Deaf,
    /// Whoever dropped its notices still watches.
    KeepsWatchers,
    /// What has no answer any more is waited for.
    WaitsForever,
}

#[derive(Debug)]
struct Broken(Wrong, PipePeer);

impl Broken {
    async fn checked<T>(&self, result: Result<T, PeerError>) -> Result<T, PeerError> {
        match (self.0, result) {
            (Wrong::LosesErrors, Err(error)) => Err(PeerError::Failed(error.to_string())),
            (Wrong::WaitsForever, Err(PeerError::Unreachable(says))) if says.contains("has ended") => {
                std::future::pending().await
            }
            (_, result) => result,
        }
    }
}

fn drop_of_state(state: &mut StatePart, field: &str) {
    match (field, &mut state.part) {
        ("complete", _) => state.complete = None,
        ("news", _) => state.news = false,
        ("begins", _) => state.begins = false,
        ("part", part) => *part = None,
        ("last", Some(part)) => part.last = false,
        ("resume of a part", Some(part)) => part.resume = None,
        _ => {}
    }
}

#[async_trait]
impl Peer for Broken {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        let mut answer = self.checked(self.1.hello(hello).await).await?;
        match self.0 {
            Wrong::DropsField => answer.newest_of_yours = None,
            Wrong::Drops("retired") => answer.retired.clear(),
            Wrong::Drops("scope") => answer.scope = None,
            Wrong::Drops("given") => answer.given = None,
            _ => {}
        }
        Ok(answer)
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        let mut page = self.checked(self.1.pull(request).await).await?;
        if self.0 == Wrong::CutsPages {
            page.entries.truncate(1_000);
        }
        Ok(page)
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse, PeerError> {
        match self.0 {
            Wrong::DropsInnerPull => request.pull = None,
            Wrong::TakesBytesForText => {
                for change in &mut request.changes {
                    *change = String::from_utf8_lossy(change).into_owned().into_bytes().into();
                }
            }
            Wrong::Drops(field) => {
                if let Some(state) = &mut request.state {
                    drop_of_state(state, field);
                }
            }
            _ => {}
        }
        self.checked(self.1.push(request).await).await
    }

    async fn objects(&self, mut request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        match self.0 {
            Wrong::DropsCursor => request.after = None,
            Wrong::Drops("scope asked for") => request.scope = None,
            _ => {}
        }
        let mut page = self.checked(self.1.objects(request).await).await?;
        match self.0 {
            Wrong::Drops("gone") => page.gone.clear(),
            Wrong::Drops("resume") => page.resume = None,
            Wrong::Drops("anew") => page.anew = false,
            Wrong::Drops("forgotten") => page.forgotten = Forgotten::default(),
            _ => {}
        }
        Ok(page)
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.checked(self.1.repair(request).await).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        let mut notices = self.checked(self.1.watch(library).await).await?;
        Ok(match self.0 {
            Wrong::Deaf => stream::pending().boxed(),
            Wrong::WaitsForever => notices.chain(stream::pending()).boxed(),
            Wrong::KeepsWatchers => {
                let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
                TokioSpawn.spawn(Box::pin(async move {
                    while let Some(notice) = notices.next().await {
                        let _ = sender.send(notice);
                    }
                }));
                stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
            }
            _ => notices,
        })
    }
}

/// A server of the pipe and the other end of its line.
fn served(peer: Arc<dyn Peer>) -> (DuplexStream, JoinSet<std::io::Result<()>>) {
    let (client, server) = duplex(64 << 10);
    let mut serving = JoinSet::new();
    serving.spawn(pipe::serve(server, peer));
    (client, serving)
}

fn options() -> Options {
    let mut options = Options::default();
    options.patience = Duration::from_secs(3);
    options
}

/// The suite finds `serve` wanting by these checks at least, and says of each what was expected and what came.
async fn assert_found(
    serve: impl AsyncFn(Arc<dyn Peer>) -> Link,
    options: Options,
    checks: &[&str],
) -> Report {
    let report = conformance::check_with(options, serve).await.expect_err("a broken transport").0;
    for check in checks {
        let failure = report.failures.iter().find(|failure| failure.check == *check);
        let failure = failure.unwrap_or_else(|| panic!("{check} passed: {report}"));
        assert!(!failure.expected.is_empty() && !failure.came.is_empty(), "{report}");
    }
    println!("{report}");
    report
}

async fn assert_names(wrong: Wrong, checks: &[&str]) -> Report {
    let serve = async |peer| {
        let (line, serving) = served(peer);
        Link::new(Broken(wrong, PipePeer::new(line)), serving)
    };
    assert_found(serve, options(), checks).await
}

#[tokio::test]
async fn a_field_that_is_not_carried_is_named() {
    let report = assert_names(Wrong::DropsField, &["hello_keeps_every_field"]).await;
    let failure = report.failures.iter().find(|failure| failure.check == "hello_keeps_every_field");
    let failure = failure.expect("a failure");
    assert!(failure.expected.contains("newest_of_yours"), "{report}");
    assert!(failure.came.contains("None"), "{report}");
    assert!(failure.promise.contains("every field"), "{report}");
}

/// A transport that drops one of these fields fails `check`, which names the field by its first word.
async fn names_fields(check: &str, fields: &[&'static str]) {
    for field in fields {
        let report = assert_names(Wrong::Drops(field), &[check]).await;
        let failure = report.failures.iter().find(|failure| failure.check == check);
        let failure = failure.expect("a failure");
        let named = field.split(' ').next().expect("a word");
        assert!(failure.expected.contains(named), "{field}: {report}");
    }
}

#[tokio::test]
async fn a_field_of_a_part_that_is_read_and_is_not_carried_is_named() {
    let fields = ["scope asked for", "gone", "resume", "anew", "forgotten"];
    names_fields("objects_keep_every_field", &fields).await;
}

#[tokio::test]
async fn a_field_of_state_that_is_given_and_is_not_carried_is_named() {
    let fields = ["complete", "news", "begins", "part", "last", "resume of a part"];
    names_fields("push_keeps_every_field", &fields).await;
}

#[tokio::test]
async fn a_field_of_hello_about_a_part_that_is_not_carried_is_named() {
    names_fields("hello_keeps_every_field", &["retired", "scope", "given"]).await;
}

#[tokio::test]
async fn an_inner_pull_that_is_not_carried_is_named() {
    assert_names(Wrong::DropsInnerPull, &["push_keeps_every_field"]).await;
}

#[tokio::test]
async fn a_cursor_that_is_not_carried_is_named() {
    let checks =
        ["objects_keep_every_field", "pages_of_the_state_feed_add_up", "a_cursor_of_another_feed_is_refused"];
    assert_names(Wrong::DropsCursor, &checks).await;
}

#[tokio::test]
async fn an_error_that_becomes_another_is_named() {
    let checks =
        ["every_error_arrives_as_it_left", "a_cursor_of_another_feed_is_refused", "faults_are_survived"];
    assert_names(Wrong::LosesErrors, &checks).await;
}

#[tokio::test]
async fn a_page_that_is_cut_is_named() {
    assert_names(Wrong::CutsPages, &["pages_of_any_length"]).await;
}

#[tokio::test]
async fn bytes_taken_for_text_are_named() {
    assert_names(
        Wrong::TakesBytesForText,
        &["bytes_of_any_kind", "values_at_the_edges", "two_devices_converge"],
    )
    .await;
}

#[tokio::test]
async fn notices_that_do_not_arrive_are_named() {
    assert_names(Wrong::Deaf, &["notices_arrive", "many_watch", "a_follower_hears_at_once"]).await;
}

#[tokio::test]
async fn a_watcher_that_is_kept_is_named() {
    assert_names(Wrong::KeepsWatchers, &["a_watcher_leaves"]).await;
}

#[tokio::test]
async fn a_hang_at_the_end_of_the_server_is_named() {
    let checks = [
        "calls_end_when_the_server_goes",
        "notices_end_with_the_peers",
        "notices_end_when_the_server_goes",
        "a_server_that_goes_and_comes_back",
    ];
    let report = assert_names(Wrong::WaitsForever, &checks).await;
    assert!(report.failures.iter().all(|failure| failure.came.contains("it hangs")), "{report}");
}

#[tokio::test]
async fn a_limit_that_is_not_kept_is_named() {
    let mut options = options();
    options.refuses = Some(1 << 20);
    let serve = async |peer| {
        let (line, serving) = served(peer);
        Link::new(PipePeer::new(line), serving)
    };
    assert_found(serve, options, &["a_request_too_large_is_refused", "an_answer_too_large_is_refused"]).await;
}

#[tokio::test]
async fn a_limit_below_what_a_page_needs_is_named() {
    let mut options = options();
    options.carries = pipe::MAX_BODY + 1;
    let serve = async |peer| {
        let (line, serving) = served(peer);
        Link::new(PipePeer::new(line), serving)
    };
    assert_found(serve, options, &["large_messages_are_carried"]).await;
}

async fn read_frame(line: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(u64, Vec<u8>)> {
    let (length, id) = (line.read_u32().await?, line.read_u64().await?);
    let mut body = vec![0; length as usize];
    line.read_exact(&mut body).await?;
    Ok((id, body))
}

async fn write_frame(line: &mut (impl AsyncWriteExt + Unpin), id: u64, body: &[u8]) -> std::io::Result<()> {
    line.write_u32(body.len() as u32).await?;
    line.write_u64(id).await?;
    line.write_all(body).await
}

/// What becomes of an answer's number and body, given the numbers of the requests that came and were not used yet.
type Change = fn(&mut VecDeque<u64>, u64, Vec<u8>) -> (u64, Vec<u8>);

/// A line on which answers pass through `change`.
fn tampered(peer: Arc<dyn Peer>, change: Change) -> (DuplexStream, JoinSet<std::io::Result<()>>) {
    let (server, mut serving) = served(peer);
    let (client, middle) = duplex(64 << 10);
    let (mut from_client, mut to_client) = tokio::io::split(middle);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let known = asked.clone();
    serving.spawn(async move {
        loop {
            let (id, body) = read_frame(&mut from_client).await?;
            if !body.is_empty() {
                known.lock().expect("no panic under the lock").push_back(id);
            }
            write_frame(&mut to_server, id, &body).await?;
        }
    });
    serving.spawn(async move {
        loop {
            let (id, body) = read_frame(&mut from_server).await?;
            let (id, body) = change(&mut asked.lock().expect("no panic under the lock"), id, body);
            write_frame(&mut to_client, id, &body).await?;
        }
    });
    (client, serving)
}

#[tokio::test]
async fn answers_given_in_the_order_of_requests_are_named() {
    let serve = async |peer| {
        let (line, serving) = tampered(peer, |asked, id, body| (asked.pop_front().unwrap_or(id), body));
        Link::new(PipePeer::new(line), serving)
    };
    assert_found(serve, options(), &["answers_go_to_their_requests"]).await;
}

#[tokio::test]
async fn a_frame_that_is_cut_is_named() {
    let serve = async |peer| {
        let (line, serving) = tampered(peer, |_, id, mut body| {
            body.truncate(64 << 10);
            (id, body)
        });
        Link::new(PipePeer::new(line), serving)
    };
    let checks = ["bytes_of_any_kind", "pages_of_any_length", "large_messages_are_carried"];
    assert_found(serve, options(), &checks).await;
}

/// The first client that comes to mind: one line, locked for a call, written to by the call itself.
#[derive(Debug)]
struct OneAtATime(tokio::sync::Mutex<DuplexStream>);

impl OneAtATime {
    async fn ask(&self, request: Request) -> Result<Answer, PeerError> {
        let broken = |error: std::io::Error| PeerError::Unreachable(error.to_string());
        let mut line = self.0.lock().await;
        write_frame(&mut *line, next_id(), &request.encode()?).await.map_err(broken)?;
        Answer::decode(&read_frame(&mut *line).await.map_err(broken)?.1)
    }
}

/// A number that no other request has.
fn next_id() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[async_trait]
impl Peer for OneAtATime {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.ask(hello.into()).await?.try_into()
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.ask(request.into()).await?.try_into()
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.ask(request.into()).await?.try_into()
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.ask(request.into()).await?.try_into()
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.ask(request.into()).await?.try_into()
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        match self.ask(Request::Watch { library }).await? {
            Answer::Watching => Ok(stream::pending().boxed()),
            other => Err(other.into_error()),
        }
    }
}

#[tokio::test]
async fn a_line_that_a_dropped_call_leaves_in_disorder_is_named() {
    let serve = async |peer| {
        let (line, serving) = served(peer);
        Link::new(OneAtATime(line.into()), serving)
    };
    let checks = ["a_dropped_call_harms_no_other", "a_half_sent_call_harms_no_other", "notices_arrive"];
    assert_found(serve, options(), &checks).await;
}
