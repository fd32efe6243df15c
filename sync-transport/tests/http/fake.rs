//! A peer in memory: records what it is asked, answers what it was given, waits or fails when told to.

use std::sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use sync_core::{
    Answer, Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, RepairAnswer, RepairRequest, Seq, conformance::sample,
};
use tokio::sync::{Semaphore, watch};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Hello(Hello),
    Pull(PullRequest),
    Push(PushRequest),
    Objects(ObjectsRequest),
    Repair(RepairRequest),
    Watch(LibraryId),
}

#[derive(Debug)]
struct State {
    library: LibraryId,
    asked: Mutex<Vec<Asked>>,
    failure: Mutex<Option<PeerError>>,
    entered: watch::Sender<usize>,
    holds: AtomicBool,
    gate: Semaphore,
    log: watch::Sender<Seq>,
}

/// Clones are the same peer.
#[derive(Clone, Debug)]
pub(crate) struct FakePeer(Arc<State>);

impl FakePeer {
    pub(crate) fn new() -> Self {
        Self::keeping(sample::LIBRARY)
    }

    pub(crate) fn keeping(library: LibraryId) -> Self {
        Self(Arc::new(State {
            library,
            asked: Mutex::default(),
            failure: Mutex::default(),
            entered: watch::Sender::new(0),
            holds: AtomicBool::new(false),
            gate: Semaphore::new(0),
            log: watch::Sender::new(Seq(0)),
        }))
    }

    /// What it was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.0.asked.lock().unwrap())
    }

    /// Fails every call from now on.
    pub(crate) fn fail(&self, failure: impl Into<Option<PeerError>>) {
        *self.0.failure.lock().unwrap() = failure.into();
    }

    /// Lets calls wait until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.0.holds.store(true, Ordering::SeqCst);
    }

    pub(crate) fn release(&self) {
        self.0.holds.store(false, Ordering::SeqCst);
        self.0.gate.add_permits(1000);
    }

    /// Waits until `count` calls have come in.
    pub(crate) async fn entered(&self, count: usize) {
        self.0.entered.subscribe().wait_for(|entered| *entered >= count).await.unwrap();
    }

    /// The log grows: everybody who watches is told.
    pub(crate) fn grow(&self, to: u64) {
        self.0.log.send_replace(Seq(to));
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        self.0.log.receiver_count()
    }

    /// Waits until nobody watches.
    pub(crate) async fn unwatched(&self) {
        self.0.log.closed().await;
    }

    async fn take(&self, library: LibraryId, asked: Asked) -> Result<(), PeerError> {
        self.0.asked.lock().unwrap().push(asked);
        self.0.entered.send_modify(|entered| *entered += 1);
        if self.0.holds.load(Ordering::SeqCst) {
            self.0.gate.acquire().await.unwrap().forget();
        }
        match self.0.failure.lock().unwrap().clone() {
            Some(failure) => Err(failure),
            None if library != self.0.library => Err(PeerError::WrongLibrary { asked: library }),
            None => Ok(()),
        }
    }
}

/// What the samples answer to a request.
macro_rules! answer {
    ($kind:ident, $request:expr) => {
        match sample::answer($request.into()) {
            Answer::$kind(answer) => Ok(answer),
            other => panic!("{other:?}"),
        }
    };
}

#[async_trait]
impl Peer for FakePeer {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.take(hello.library, Asked::Hello(hello.clone())).await?;
        answer!(Hello, hello)
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.take(request.library, Asked::Pull(request.clone())).await?;
        answer!(Pull, request)
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.take(request.library, Asked::Push(request.clone())).await?;
        answer!(Push, request)
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.take(request.library, Asked::Objects(request.clone())).await?;
        answer!(Objects, request)
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.take(request.library, Asked::Repair(request.clone())).await?;
        answer!(Repair, request)
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        let log = self.0.log.subscribe();
        self.take(library, Asked::Watch(library)).await?;
        let notices = futures_util::stream::unfold(log, move |mut log| async move {
            log.changed().await.ok()?;
            let latest_seq = *log.borrow_and_update();
            Some((Notice { library, latest_seq }, log))
        });
        Ok(notices.boxed())
    }
}
