//! A peer in memory: records what it is asked, answers by a script, sends notices when told to.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::sync::{mpsc, watch};

use crate::{
    ids::LibraryId,
    peer::{
        Answer, Hello, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse,
        PushRequest, PushResponse, Request,
    },
};

type Script = dyn Fn(Request) -> BoxFuture<'static, Result<Answer, PeerError>> + Send + Sync;

/// See the [module](self). Clones are the same peer.
#[derive(Clone)]
pub(super) struct Double(Arc<State>);

struct State {
    script: Box<Script>,
    asked: Mutex<Vec<Request>>,
    entered: watch::Sender<usize>,
    watchers: Mutex<Vec<mpsc::UnboundedSender<Notice>>>,
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Double").finish_non_exhaustive()
    }
}

impl Double {
    /// Answers at once, as `script` says.
    pub(super) fn new(script: impl Fn(Request) -> Result<Answer, PeerError> + Send + Sync + 'static) -> Self {
        Self::waiting(move |request| Box::pin(std::future::ready(script(request))))
    }

    /// Answers when `script` does.
    pub(super) fn waiting(
        script: impl Fn(Request) -> BoxFuture<'static, Result<Answer, PeerError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(State {
            script: Box::new(script),
            asked: Mutex::default(),
            entered: watch::Sender::new(0),
            watchers: Mutex::default(),
        }))
    }

    /// What it was asked since the last time.
    pub(super) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.0.asked))
    }

    /// Waits until `count` requests have come in, answered or not.
    pub(super) async fn entered(&self, count: usize) {
        // The sender lives as long as this peer.
        let _ = self.0.entered.subscribe().wait_for(|entered| *entered >= count).await;
    }

    /// Tells everybody who watches.
    pub(super) fn notify(&self, notice: &Notice) {
        lock(&self.0.watchers).retain(|watcher| watcher.send(notice.clone()).is_ok());
    }

    /// How many streams of notices are open here.
    pub(super) fn watchers(&self) -> usize {
        let mut watchers = lock(&self.0.watchers);
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.len()
    }

    /// Ends the streams of notices.
    pub(super) fn end_watches(&self) {
        lock(&self.0.watchers).clear();
    }

    async fn answer(&self, request: Request) -> Result<Answer, PeerError> {
        lock(&self.0.asked).push(request.clone());
        self.0.entered.send_modify(|entered| *entered += 1);
        (self.0.script)(request).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Peer for Double {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.answer(hello.into()).await?.try_into()
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.answer(request.into()).await?.try_into()
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.answer(request.into()).await?.try_into()
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.answer(request.into()).await?.try_into()
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        let (watcher, notices) = mpsc::unbounded_channel();
        self.answer(Request::Watch { library }).await?;
        lock(&self.0.watchers).push(watcher);
        Ok(stream::unfold(notices, async |mut notices| Some((notices.recv().await?, notices))).boxed())
    }
}
