//! A peer that fails as told: a decorator over the real seam.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sync_core::{
    Entry, Hello, LibraryId, LogId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, RepairAnswer, RepairRequest,
};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every call is lost on its way there.
    LostBefore,
    /// Every answer of a push or pull is lost on its way back.
    LostAfter,
    /// A page loses its last entry.
    Truncated,
    /// A byte of a page's first change is another.
    Corrupted,
    /// The hash under a page is another.
    WrongHash,
    /// A page comes from another log than `hello` said.
    WrongLog,
    /// A push arrives twice.
    Twice,
    /// A push arrives with its changes in reverse order.
    Reversed,
    /// The peer's objects are others than its changes say.
    OtherObjects,
    /// This many more calls of a repair are answered; the peer is gone then.
    RepairLost(u64),
    /// Every call of a repair is answered, and its answer lost from this call on.
    RepairAnswerLost(u64),
    /// The peer cannot repair.
    NoRepair,
    /// The digests of all ranges are others than the peer's objects have, and its objects are not what was asked for.
    Lies,
    /// The state feed answers this many more calls.
    ObjectsLost(u64),
    /// This many more pulls and pushes are answered; the peer is gone then.
    PagesLost(u64),
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Faulty {
    peer: Arc<dyn Peer>,
    fault: Arc<Mutex<Fault>>,
    /// How many pages of the state feed were asked for and given.
    objects: Arc<AtomicU64>,
    /// How many calls of a repair arrived.
    repairs: Arc<AtomicU64>,
}

impl Faulty {
    /// `peer` with this fault.
    pub fn new(peer: impl Peer + 'static, fault: Fault) -> Self {
        Self {
            peer: Arc::new(peer),
            fault: Arc::new(Mutex::new(fault)),
            objects: Arc::default(),
            repairs: Arc::default(),
        }
    }

    /// From now on another fault.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().expect("no panic under the lock") = fault;
    }

    /// How many calls of a repair arrived.
    pub fn repairs_asked(&self) -> u64 {
        self.repairs.load(Ordering::SeqCst)
    }

    /// How many pages of the state feed were given.
    pub fn objects_given(&self) -> u64 {
        self.objects.load(Ordering::SeqCst)
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().expect("no panic under the lock")
    }

    fn arrives(&self) -> Result<(), PeerError> {
        match self.fault() {
            Fault::LostBefore => Err(PeerError::Unreachable("lost on the way there".into())),
            _ => Ok(()),
        }
    }

    fn turns_a_page(&self) -> Result<(), PeerError> {
        if let Fault::PagesLost(left) = self.fault() {
            if left == 0 {
                return Err(PeerError::Unreachable("lost on the way there".into()));
            }
            self.set(Fault::PagesLost(left - 1));
        }
        Ok(())
    }

    fn page(&self, mut page: PullResponse) -> PullResponse {
        match self.fault() {
            Fault::Truncated => {
                page.entries.pop();
            }
            Fault::Corrupted => {
                let change = page.entries.iter_mut().find_map(|entry| match entry {
                    Entry::Change(bytes) => Some(bytes),
                    Entry::Digest(_) => None,
                });
                if let Some(last) = change.and_then(|bytes| bytes.last_mut()) {
                    *last ^= 1;
                }
            }
            Fault::WrongHash => page.state_hash.0[0] ^= 1,
            Fault::OtherObjects => page.digest[0] ^= 1,
            Fault::WrongLog => page.log_id = LogId::from_bytes([7; 16]),
            _ => {}
        }
        page
    }
}

#[async_trait]
impl Peer for Faulty {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.arrives()?;
        self.peer.hello(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.arrives()?;
        self.turns_a_page()?;
        let page = self.peer.pull(request).await?;
        if self.fault() == Fault::LostAfter {
            return Err(PeerError::Unreachable("lost on the way back".into()));
        }
        Ok(self.page(page))
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse, PeerError> {
        self.arrives()?;
        self.turns_a_page()?;
        match self.fault() {
            Fault::Twice => {
                self.peer.push(request.clone()).await?;
            }
            Fault::Reversed => request.changes.reverse(),
            _ => {}
        }
        let mut answer = self.peer.push(request).await?;
        if self.fault() == Fault::LostAfter {
            return Err(PeerError::Unreachable("lost on the way back".into()));
        }
        answer.pull = answer.pull.map(|page| self.page(page));
        if self.fault() == Fault::OtherObjects {
            answer.digest[0] ^= 1;
        }
        Ok(answer)
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.arrives()?;
        if let Fault::ObjectsLost(left) = self.fault() {
            if left == 0 {
                return Err(PeerError::Unreachable("lost on the way there".into()));
            }
            self.set(Fault::ObjectsLost(left - 1));
        }
        self.objects.fetch_add(1, Ordering::SeqCst);
        self.peer.objects(request).await
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.arrives()?;
        let lost = || PeerError::Unreachable("lost in the middle of a repair".into());
        match self.fault() {
            Fault::NoRepair => return Err(PeerError::Unsupported("repair".into())),
            Fault::RepairLost(0) => return Err(lost()),
            Fault::RepairLost(left) => self.set(Fault::RepairLost(left - 1)),
            _ => {}
        }
        self.repairs.fetch_add(1, Ordering::SeqCst);
        let mut answer = self.peer.repair(request).await?;
        match self.fault() {
            Fault::RepairAnswerLost(0) => return Err(lost()),
            Fault::RepairAnswerLost(left) => self.set(Fault::RepairAnswerLost(left - 1)),
            Fault::Lies => {
                for range in &mut answer.ranges {
                    range
                        .parts
                        .iter_mut()
                        .chain(range.entries.iter_mut().skip(8).step_by(16))
                        .for_each(|byte| *byte ^= 1);
                }
                answer.digest[0] ^= 1;
            }
            _ => {}
        }
        Ok(answer)
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.arrives()?;
        self.peer.watch(library).await
    }
}
