//! A peer whose connection breaks, before or after a call is delivered, and which remembers what was pushed.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sync_core::{
    Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse,
    PushRequest, PushResponse, RepairAnswer, RepairRequest, SyncEngine,
};

/// When a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// At which call of a round.
    pub(crate) call: usize,
    /// True if the call was delivered and only its answer is lost.
    pub(crate) delivered: bool,
}

/// A connection to an engine.
#[derive(Debug)]
pub(crate) struct Connection {
    to: SyncEngine,
    breaks: Option<Break>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    broke: bool,
    pushed: Vec<PushRequest>,
}

impl Connection {
    pub(crate) fn new(to: &SyncEngine, breaks: Option<Break>) -> Self {
        Self { to: to.clone(), breaks, state: Mutex::default() }
    }

    /// Whether it broke, and what was pushed over it.
    pub(crate) fn end(self) -> (bool, Vec<PushRequest>) {
        let state = self.state.into_inner().expect("no thread panicked with it");
        (state.broke, state.pushed)
    }

    /// Whether the call that begins now breaks.
    fn call(&self) -> Option<Break> {
        let mut state = self.state.lock().expect("no thread panicked with it");
        let call = state.calls;
        state.calls += 1;
        let breaks = self.breaks.filter(|one| one.call == call);
        state.broke |= breaks.is_some();
        breaks
    }

    async fn through<T>(&self, call: impl Future<Output = Result<T, PeerError>>) -> Result<T, PeerError> {
        let gone = || PeerError::Unreachable("the test broke the connection".into());
        match self.call() {
            None => call.await,
            Some(Break { delivered: false, .. }) => Err(gone()),
            Some(Break { delivered: true, .. }) => {
                call.await?;
                Err(gone())
            }
        }
    }
}

#[async_trait]
impl Peer for Connection {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.through(self.to.hello(hello)).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.through(self.to.pull(request)).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        let again = PushRequest { pull: None, ..request.clone() };
        self.state.lock().expect("no thread panicked with it").pushed.push(again);
        self.through(self.to.push(request)).await
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.through(self.to.objects(request)).await
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.through(self.to.repair(request)).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.to.watch(library).await
    }
}
