//! A peer whose program is from before there were scopes and compacted changes: it passes over the words that it does not know.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sync_core::{
    Change, Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, RepairAnswer, RepairRequest,
};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Older {
    peer: Arc<dyn Peer>,
    objects: Arc<AtomicU64>,
}

impl Older {
    /// `peer` without what came with scopes and compacted changes.
    pub fn new(peer: impl Peer + 'static) -> Self {
        Self { peer: Arc::new(peer), objects: Arc::default() }
    }

    /// How many records it gave as state.
    pub fn records_given(&self) -> u64 {
        self.objects.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Peer for Older {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        let hello = Hello { scope: None, takes_compacted: false, ..hello };
        Ok(Hello { scope: None, takes_compacted: false, ..self.peer.hello(hello).await? })
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        let page = self.peer.pull(PullRequest { takes_compacted: false, ..request }).await?;
        assert!(page.objects.is_empty(), "it would pass over them");
        Ok(page)
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse, PeerError> {
        if let Some(state) = &mut request.state {
            state.part = None;
        }
        assert!(
            !request.changes.iter().any(|bytes| Change::is_compacted(bytes)),
            "it would take them for whole"
        );
        if let Some(pull) = &mut request.pull {
            pull.takes_compacted = false;
        }
        self.peer.push(request).await
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        let page = self.peer.objects(ObjectsRequest { scope: None, ..request }).await?;
        self.objects.fetch_add(page.objects.len() as u64, Ordering::SeqCst);
        Ok(ObjectsPage { gone: Vec::new(), resume: None, ..page })
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.peer.repair(request).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.peer.watch(library).await
    }
}
