//! Transactions that do not fit into a page, and feeds that break off: nobody sees a part of a transaction, and what
//! was read is not read again.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::{FutureExt, stream::BoxStream};
use sea_orm::{ActiveModelTrait, DatabaseConnection, EntityTrait, PaginatorTrait, Set};
use sync_core::{
    Change, EngineBuilder, Entry, Event, Hello, LibraryId, Limits, Notice, ObjectsPage, ObjectsRequest, Peer,
    PeerError, PullRequest, PullResponse, PushRequest, PushResponse, SyncError,
};
use sync_tests::{
    Device, Served,
    device::library,
    entities::item,
    faulty::{Fault, Faulty},
};

use crate::{add, items};

const GROUP: u64 = 50;

/// Looks at a database before and after each page that passes, and may break the line.
#[derive(Clone, Debug)]
struct Observed {
    peer: Arc<dyn Peer>,
    receiver: DatabaseConnection,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// How many items the receiver showed, each time.
    counts: Vec<u64>,
    pages: u64,
    /// Pages that ended inside a group.
    open_pages: u64,
    /// The line breaks after this many pages more.
    breaks_after: Option<u64>,
}

impl Observed {
    fn new(peer: impl Peer + 'static, receiver: &Device) -> Self {
        Self { peer: Arc::new(peer), receiver: receiver.db.clone(), seen: Arc::default() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic under the lock")
    }

    async fn look(&self) {
        let count = item::Entity::find().count(&self.receiver).await.expect("a count");
        self.seen().counts.push(count);
    }

    /// A page with this last change passes.
    fn passes(&self, last: Option<&[u8]>) -> Result<(), PeerError> {
        let mut seen = self.seen();
        if let Some(left) = &mut seen.breaks_after {
            if *left == 0 {
                return Err(PeerError::Unreachable("the line is broken".into()));
            }
            *left -= 1;
        }
        seen.pages += 1;
        seen.open_pages += u64::from(last.is_some_and(|last| Change::decode(last).expect("a change").more));
        Ok(())
    }
}

#[async_trait]
impl Peer for Observed {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.peer.hello(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.look().await;
        let page = self.peer.pull(request).await?;
        let last = page.entries.iter().rev().find_map(|entry| match entry {
            Entry::Change(bytes) => Some(bytes.as_slice()),
            Entry::Digest(_) => None,
        });
        self.passes(last)?;
        Ok(page)
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.passes(request.changes.last().map(|bytes| bytes.as_slice()))?;
        let answer = self.peer.push(request).await?;
        self.look().await;
        Ok(answer)
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.peer.objects(request).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.peer.watch(library).await
    }
}

fn small_pages(builder: EngineBuilder) -> EngineBuilder {
    let mut limits = Limits::default();
    limits.page_entries = 7;
    builder.without_background().limits(limits)
}

/// Writes a transaction of [`GROUP`] items.
async fn write_group(device: &Device) {
    device
        .engine
        .transaction(async |txn| {
            for number in 0..GROUP {
                item::ActiveModel {
                    title: Set(format!("group {number}")),
                    qty: Set(1),
                    ..Default::default()
                }
                .insert(txn)
                .await?;
            }
            Ok::<_, SyncError>(())
        })
        .await
        .expect("a transaction");
}

/// The sizes of the remote groups told so far.
fn told(events: &mut sync_core::Events) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        match event {
            Event::Remote { changes, .. } => sizes.push(changes.len()),
            event => panic!("not expected: {event:?}"),
        }
    }
    sizes
}

#[tokio::test]
async fn a_transaction_larger_than_a_page_is_pulled_whole_although_the_line_breaks_in_it() {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::with(library, small_pages).await);
    add(&a, "before", 3).await;
    a.engine.flush().await.expect("a flush");
    write_group(&a).await;
    add(&a, "after", 2).await;
    let served = Served::new(a.engine.clone(), library).await;
    let observed = Observed::new(served.client(), &b);
    let mut events = b.engine.events();

    observed.seen().breaks_after = Some(4);
    let error = b.engine.sync_with(&observed).await.expect_err("a broken line");
    assert!(error.is_retryable(), "{error}");
    let interrupted = b.state().await;
    assert_eq!(items(&b).await, 3, "what is whole is shown");
    assert_eq!(interrupted.held, 3 * 7, "what came of the transaction is kept and reported");
    assert_eq!(observed.seen().pages, 4);

    observed.seen().breaks_after = None;
    b.engine.sync_with(&observed).await.expect("a round");
    b.assert_equal(&a).await;
    let seen = observed.seen();
    assert!(
        seen.counts.iter().all(|count| [0, 3, 53, 55].contains(count)),
        "a part was seen: {:?}",
        seen.counts
    );
    assert!(seen.open_pages >= 7, "{seen:?}");
    // 3, seven times 7 and 1 more, 2: no page was read twice.
    assert!(seen.pages <= 1 + 8 + 1, "{seen:?}");
    drop(seen);
    let told = told(&mut events);
    assert_eq!(told.iter().sum::<usize>(), 55);
    assert!(told.iter().any(|size| *size >= GROUP as usize), "told in parts: {told:?}");
}

#[tokio::test]
async fn a_transaction_larger_than_a_request_is_pushed_whole_although_the_line_breaks_in_it() {
    let library = library();
    let (a, b) = (Device::with(library, small_pages).await, Device::new(library).await);
    write_group(&a).await;
    let served = Served::new(b.engine.clone(), library).await;
    let observed = Observed::new(served.client(), &b);
    let mut events = b.engine.events();
    observed.seen().breaks_after = Some(3);
    a.engine.sync_with(&observed).await.expect_err("a broken line");
    let interrupted = b.state().await;
    assert_eq!((items(&b).await, interrupted.held), (0, 3 * 7));

    observed.seen().breaks_after = None;
    a.engine.sync_with(&observed).await.expect("a round");
    a.assert_equal(&b).await;
    let seen = observed.seen();
    assert!(seen.counts.iter().all(|count| [0, GROUP].contains(count)), "a part was seen: {:?}", seen.counts);
    assert!(seen.open_pages >= 7, "{seen:?}");
    drop(seen);
    assert_eq!(told(&mut events), [GROUP as usize]);
}

#[tokio::test]
async fn a_first_sync_that_breaks_off_goes_on_after_a_restart() {
    let library = library();
    let small = |builder: EngineBuilder| {
        let mut limits = Limits::default();
        limits.page_entries = 20;
        limits.snapshot_above = 50;
        builder.without_background().limits(limits)
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let open = async |path: &Path| Device::open(path.to_owned(), library, small).await;
    let (a, mut b) = (Device::new(library).await, open(&dir.path().join("b.db")).await);
    let rows = (0..205).map(|number| item::ActiveModel {
        id: Set(uuid::Uuid::new_v4()),
        title: Set(number.to_string()),
        qty: Set(0),
        ..Default::default()
    });
    item::Entity::insert_many(rows).exec_without_returning(&a.db).await.expect("rows");
    let served = Served::new(a.engine.clone(), library).await;
    let faulty = Faulty::new(served.client(), Fault::None);
    let mut failures = 0;
    loop {
        faulty.set(Fault::ObjectsLost(3));
        match b.engine.sync_with(&faulty).await {
            Ok(report) => break assert!(report.snapshot_records > 0, "{report:?}"),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        failures += 1;
        assert!(failures < 10, "no progress");
        // Both go on with their lives.
        add(&a, "meanwhile", 1).await;
        add(&b, "here", 1).await;
        let path = b.path.clone();
        b.close().await;
        b = open(&path).await;
    }
    assert_eq!(failures, 3);
    // 205 records and three of the meanwhile, 20 to a page.
    assert_eq!(faulty.objects_given(), 11, "a page was read twice");
    b.engine.sync_with(&faulty).await.expect("a round");
    b.assert_equal(&a).await;
    assert_eq!(items(&b).await, 211);
}
