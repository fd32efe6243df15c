//! A peer that fails once as told, behind the transport.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{
    ids::LibraryId,
    peer::{
        Entry, Hello, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse,
        PushRequest, PushResponse,
    },
};

/// What goes wrong at the next push or pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not done.
    Before,
    /// It is done, and its answer is lost.
    After,
    /// The page lost its last entry.
    Truncated,
    /// A byte of the page's first change is another.
    Corrupted,
    /// It is done twice.
    Twice,
}

/// All of them.
pub(super) const FAULTS: [Fault; 5] =
    [Fault::Before, Fault::After, Fault::Truncated, Fault::Corrupted, Fault::Twice];

/// See the [module](self). Clones are the same peer.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    peer: Arc<dyn Peer>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Faulty {
    pub(super) fn new(peer: impl Peer + 'static, fault: Fault) -> Self {
        Self { peer: Arc::new(peer), fault: Arc::new(Mutex::new(Some(fault))) }
    }

    fn fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn spoiled(fault: Option<Fault>, mut page: PullResponse) -> Result<PullResponse, PeerError> {
    match fault {
        Some(Fault::After) => return Err(PeerError::Unreachable("lost on the way back".into())),
        Some(Fault::Truncated) => drop(page.entries.pop()),
        Some(Fault::Corrupted) => {
            for entry in &mut page.entries {
                if let Entry::Change(bytes) = entry
                    && let Some(last) = bytes.last_mut()
                {
                    *last ^= 1;
                    break;
                }
            }
        }
        _ => {}
    }
    Ok(page)
}

#[async_trait]
impl Peer for Faulty {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.peer.hello(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        let fault = self.fault();
        if fault == Some(Fault::Before) {
            return Err(PeerError::Unreachable("lost on the way there".into()));
        }
        spoiled(fault, self.peer.pull(request).await?)
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        let fault = self.fault();
        if fault == Some(Fault::Before) {
            return Err(PeerError::Unreachable("lost on the way there".into()));
        }
        if fault == Some(Fault::Twice) {
            self.peer.push(request.clone()).await?;
        }
        let mut answer = self.peer.push(request).await?;
        if fault == Some(Fault::After) {
            return Err(PeerError::Unreachable("lost on the way back".into()));
        }
        answer.pull = answer.pull.map(|page| spoiled(fault, page)).transpose()?;
        Ok(answer)
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.peer.objects(request).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.peer.watch(library).await
    }
}
