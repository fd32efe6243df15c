//! A peer that answers from pages read before, so that reading and applying are measured apart.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sync_core::{
    DeviceId, Entry, Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, Seq, SyncEngine, Vector,
};
use uuid::Uuid;

use crate::workload::{Outcome, PAGE};

/// Pages of a log or of a state feed, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    log: Vec<PullResponse>,
    state: Vec<ObjectsPage>,
}

const MAX_BYTES: u64 = 16 << 20;

fn reader() -> DeviceId {
    DeviceId::from(Uuid::from_u128(9))
}

impl Pages {
    /// The position behind the last page.
    pub(super) fn end(&self) -> Seq {
        self.log.last().map_or(Seq(0), |page| page.next_seq)
    }

    /// The log behind `from_seq`, to its end.
    pub(super) async fn after(engine: &SyncEngine, mut from_seq: Seq) -> Outcome<Self> {
        let mut pages = Self::default();
        loop {
            let page = engine
                .pull(PullRequest {
                    library: engine.library_id(),
                    device: reader(),
                    log_id: None,
                    from_seq,
                    have: Vector::new(),
                    max_entries: PAGE,
                    max_bytes: MAX_BYTES,
                    takes_compacted: true,
                })
                .await?;
            from_seq = page.next_seq;
            let end = page.next_seq >= page.latest_seq;
            pages.log.push(page);
            if end {
                return Ok(pages);
            }
        }
    }

    /// The state feed, to its end.
    pub(super) async fn state(engine: &SyncEngine) -> Outcome<Self> {
        let mut pages = Self::default();
        let mut after = None;
        loop {
            let whole = ObjectsRequest::new(engine.library_id(), reader());
            let request = ObjectsRequest { after, max_objects: PAGE, max_bytes: MAX_BYTES, ..whole };
            let page = engine.objects(request).await?;
            after = page.next.clone();
            pages.state.push(page);
            if after.is_none() {
                return Ok(pages);
            }
        }
    }

    pub(super) fn changes(&self) -> u64 {
        self.log.iter().map(|page| page.entries.len() as u64).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        let log = self.log.iter().flat_map(|page| &page.entries).map(|entry| match entry {
            Entry::Change(bytes) => bytes.len(),
            Entry::Digest(_) => 32,
        });
        let state = self.state.iter().flat_map(|page| &page.objects).map(|bytes| bytes.len());
        log.chain(state).sum::<usize>() as u64
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Replay {
    engine: SyncEngine,
    /// Newest first: each page is given once.
    pages: Mutex<Pages>,
}

impl Replay {
    pub(super) fn new(engine: &SyncEngine, mut pages: Pages) -> Self {
        pages.log.reverse();
        pages.state.reverse();
        Self { engine: engine.clone(), pages: Mutex::new(pages) }
    }

    fn page<T>(&self, take: impl FnOnce(&mut Pages) -> Option<T>) -> Option<T> {
        take(&mut self.pages.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[async_trait]
impl Peer for Replay {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.engine.hello(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        match self.page(|pages| pages.log.pop()) {
            Some(page) if page.base_seq == request.from_seq => Ok(page),
            Some(_) => Err(PeerError::Invalid("the pages are not those asked for".into())),
            None => self.engine.pull(request).await,
        }
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse, PeerError> {
        // What is asked for in the same breath is read before, too.
        let asked = request.pull.take();
        let mut answer = self.engine.push(request).await?;
        if let Some(asked) = asked {
            answer.pull = Some(self.pull(asked).await?);
        }
        Ok(answer)
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        match self.page(|pages| pages.state.pop()) {
            Some(page) => Ok(page),
            None => self.engine.objects(request).await,
        }
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.engine.watch(library).await
    }
}
