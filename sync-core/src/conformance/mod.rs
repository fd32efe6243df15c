//! A suite of checks for transports: does a [`Peer`] at the other end of yours keep what a peer promises?
//!
//! Give [`check`] a function that serves a peer over your transport and connects a client to it:
//!
//! ```
//! # use std::sync::Arc;
//! use sync_core::{Peer, conformance::{self, Link}};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let report = conformance::check(async |peer: Arc<dyn Peer>| {
//!     // let (client_end, server_end) = tokio::io::duplex(65_536);
//!     // Link::new(PipePeer::new(client_end), serve(server_end, peer))
//!     Link::in_process(peer)
//! })
//! .await
//! .expect("the transport keeps the promises");
//! # assert!(report.failures.is_empty());
//! println!("{report}");
//! # }
//! ```
//!
//! Each check asks for a link of its own. Some serve a test double that records what it is asked, others a real engine
//! on a database in memory. The report names each check that fails, with what was expected, what came, and the promise
//! that is broken. [`check_codec`] looks at the way messages are written, where that is the transport's own.
//!
//! Authentication is not part of it: the suite's client is to be let in, for every library.

mod calls;
mod codec;
mod double;
mod engine;
mod faults;
mod messages;
mod note;
mod report;
mod reshape;
pub mod sample;
mod sync;
mod watch;

use std::{any::Any, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::time::timeout;

pub use codec::{Codec, check_codec};
pub use report::{Failed, Failure, Report, Skipped};

use crate::peer::{Answer, Peer, PeerError, Request};
use double::Double;
use report::{Ended, Outcome, fail};

/// What the suite is to assume of a transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// So many bytes of changes in one message must be carried, in both directions, even if they do not compress.
    /// Default: 5 MiB, a page of the log with the default [`Limits`](crate::Limits) and some room.
    pub carries: usize,
    /// So many bytes of changes in one message must be refused with [`PeerError::TooLarge`], in both directions.
    /// Default: `None`, then it is not checked; every transport should have a limit and say it here.
    pub refuses: Option<usize>,
    /// How long the suite waits for anything before it calls it hanging. Default: 20 seconds.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { carries: 5 << 20, refuses: None, patience: Duration::from_secs(20) }
    }
}

/// A client and the server it is connected to.
pub struct Link {
    client: Arc<dyn Peer>,
    server: Option<Box<dyn Any>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Link {
    /// A client, and whatever keeps its server running: dropping `server` must stop it and close its connections (a
    /// handle that does, a [`JoinSet`](tokio::task::JoinSet) with its tasks).
    pub fn new(client: impl Peer + 'static, server: impl Any) -> Self {
        Self { client: Arc::new(client), server: Some(Box::new(server)) }
    }

    /// A client without a server that could go away: what happens then is not checked.
    pub fn in_process(client: impl Peer + 'static) -> Self {
        Self { client: Arc::new(client), server: None }
    }

    /// What keeps the server running, to be dropped.
    fn server(&mut self) -> Outcome<Box<dyn Any>> {
        self.server.take().ok_or(Ended::Skipped("the link has no server that could go away: use `Link::new`"))
    }
}

/// Makes every check with the default [`Options`]. `serve` puts the peer it is given behind a server of your
/// transport and gives a client of it; it panics where it cannot. To be called within a tokio runtime.
///
/// # Errors
/// [`Failed`], whose text is the report, if a check failed.
pub async fn check(serve: impl AsyncFn(Arc<dyn Peer>) -> Link) -> Result<Report, Failed> {
    check_with(Options::default(), serve).await
}

/// The same with options.
///
/// # Errors
/// [`Failed`], whose text is the report, if a check failed.
pub async fn check_with(
    options: Options,
    serve: impl AsyncFn(Arc<dyn Peer>) -> Link,
) -> Result<Report, Failed> {
    let serve = &serve;
    let stage = Stage { options, serve: Box::new(move |peer| serve(peer).boxed_local()) };
    let checks = [messages::CHECKS, calls::CHECKS, watch::CHECKS, engine::CHECKS, sync::CHECKS];
    let mut report = Report::default();
    for check in checks.into_iter().flatten() {
        // The steps of a check have their own limits; this one is for what none of them sees.
        let ended = timeout(stage.options.patience * 4, AssertUnwindSafe((check.run)(&stage)).catch_unwind());
        let outcome = match ended.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => fail("no panic", panic_text(&*panic)),
            Err(_) => fail("an end", format!("none within {:?}: it hangs", stage.options.patience * 4)),
        };
        report.add(check.name, check.promise, outcome);
    }
    report.into_result()
}

impl Report {
    fn add(&mut self, check: &'static str, promise: &'static str, outcome: Outcome) {
        match outcome {
            Ok(()) => self.passed.push(check),
            Err(Ended::Skipped(reason)) => self.skipped.push(Skipped { check, reason: reason.into() }),
            Err(Ended::Failed { expected, came }) => {
                self.failures.push(Failure { check, promise, expected, came });
            }
        }
    }

    fn into_result(self) -> Result<Self, Failed> {
        if self.failures.is_empty() { Ok(self) } else { Err(Failed(self)) }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without words"))
}

/// A check: its name, the promise it looks at, what it does.
struct Check {
    name: &'static str,
    promise: &'static str,
    run: for<'a> fn(&'a Stage<'_>) -> LocalBoxFuture<'a, Outcome>,
}

type Serve<'a> = dyn Fn(Arc<dyn Peer>) -> LocalBoxFuture<'a, Link> + 'a;

/// What a check has to work with.
struct Stage<'a> {
    options: Options,
    serve: Box<Serve<'a>>,
}

impl Stage<'_> {
    /// A link to `peer`.
    async fn link(&self, peer: impl Peer + 'static) -> Outcome<Link> {
        self.soon("a client that is connected", (self.serve)(Arc::new(peer))).await
    }

    /// A link to the double that answers as the samples say.
    async fn sampled(&self) -> Outcome<(Double, Link)> {
        let double = Double::new(|request| Ok(sample::answer(request)));
        Ok((double.clone(), self.link(double).await?))
    }

    /// What `event` gives. A hang becomes a failure.
    async fn soon<T>(&self, expected: &str, event: impl Future<Output = T>) -> Outcome<T> {
        match timeout(self.options.patience, event).await {
            Ok(value) => Ok(value),
            Err(_) => fail(expected, format!("nothing within {:?}: it hangs", self.options.patience)),
        }
    }

    /// Puts `request` to `client`.
    async fn ask(&self, client: &dyn Peer, request: Request) -> Outcome<Result<Answer, PeerError>> {
        let expected = format!("an end of the call {}", name(&request));
        self.soon(&expected, ask(client, request)).await
    }

    /// Whatever went wrong before: a call on this link works.
    async fn works(&self, client: &dyn Peer) -> Outcome {
        let request = Request::Pull(sample::pull(7));
        let expected = Ok(sample::answer(request.clone()));
        report::same("the next call on this link", &self.ask(client, request).await?, &expected)
    }
}

/// The name of the call, for messages.
fn name(request: &Request) -> &'static str {
    match request {
        Request::Hello(_) => "hello",
        Request::Pull(_) => "pull",
        Request::Push(_) => "push",
        Request::Objects(_) => "objects",
        Request::Repair(_) => "repair",
        Request::Watch { .. } => "watch",
    }
}

async fn ask(client: &dyn Peer, request: Request) -> Result<Answer, PeerError> {
    match request {
        Request::Hello(hello) => client.hello(hello).await.map(Answer::Hello),
        Request::Pull(pull) => client.pull(pull).await.map(Answer::Pull),
        Request::Push(push) => client.push(push).await.map(Answer::Push),
        Request::Objects(objects) => client.objects(objects).await.map(Answer::Objects),
        Request::Repair(repair) => client.repair(repair).await.map(Answer::Repair),
        Request::Watch { library } => client.watch(library).await.map(|_| Answer::Watching),
    }
}
