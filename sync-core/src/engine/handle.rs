//! What an application holds and calls.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sea_orm::{DatabaseConnection, EntityTrait, ModelTrait};
use tokio::sync::{OnceCell, watch};

use super::{
    builder::{Background, EngineBuilder},
    events::Events,
    follow::Follow,
    keys::{self, ActiveOf},
    tasks,
};
use crate::{
    capture,
    ids::{DeviceId, LibraryId, Seq},
    model::Syncable,
    peer::{
        Hello, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse, PushRequest,
        PushResponse, RepairAnswer, RepairRequest, Replica, Served, SyncError, SyncReport, sync_with,
    },
};

/// A running sync engine on one database. Cloning gives another handle to the same engine; when the last one is
/// dropped it stops at a safe point.
///
/// It is itself a [`Peer`]: another engine can sync with it directly, and a transport's server wraps it.
#[derive(Clone)]
pub struct SyncEngine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) replica: Arc<Replica>,
    pub(crate) db: DatabaseConnection,
    /// Tells the background tasks to stop when it becomes true or the engine is gone.
    stop: watch::Sender<bool>,
    /// Set once the last flush is done.
    flushed: OnceCell<()>,
    pub(crate) follows: std::sync::Mutex<Vec<watch::Receiver<super::FollowState>>>,
}

impl fmt::Debug for SyncEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.inner.replica.identity();
        f.debug_struct("SyncEngine")
            .field("device", &identity.device)
            .field("library", &identity.library)
            .finish_non_exhaustive()
    }
}

impl SyncEngine {
    /// Begins to configure an engine on the application's connection.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let db = sea_orm::Database::connect(sync_core::sqlite("app.db")).await?;
    /// let engine = sync_core::SyncEngine::builder(db).start().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(db: DatabaseConnection) -> EngineBuilder {
        EngineBuilder::new(db)
    }

    pub(super) fn start(db: DatabaseConnection, replica: Arc<Replica>, background: Background) -> Self {
        let (stop, stopped) = watch::channel(false);
        if background == Background::Running {
            tasks::spawn_flusher(&replica, stopped);
        }
        let (flushed, follows) = (OnceCell::new(), std::sync::Mutex::default());
        Self { inner: Arc::new(Inner { replica, db, stop, flushed, follows }) }
    }

    /// This replica's device id.
    pub fn device_id(&self) -> DeviceId {
        self.inner.replica.identity().device
    }

    /// The library of this database.
    pub fn library_id(&self) -> LibraryId {
        self.inner.replica.identity().library
    }

    /// The application's connection.
    pub fn db(&self) -> &DatabaseConnection {
        &self.inner.db
    }

    /// Logs everything that is committed now; gives the end of the log.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses; nothing is lost, what was noted stays noted.
    pub async fn flush(&self) -> Result<Seq, SyncError> {
        self.running()?;
        Ok(self.inner.replica.flush().await?.to)
    }

    /// One round with `peer`: flushes, sends what it lacks, brings what is missing here.
    ///
    /// # Errors
    /// [`SyncError::Peer`] if the peer refuses or cannot be reached, [`SyncError::Store`] if the database refuses.
    /// Whole groups that came before the fault stay; the next round goes on from there.
    pub async fn sync_with(&self, peer: &dyn Peer) -> Result<SyncReport, SyncError> {
        self.running()?;
        sync_with(&self.inner.replica, peer).await
    }

    /// Keeps up with `peer` from now on: pushes what is written here, pulls when the peer says that something is new,
    /// and tries again with growing pauses when it cannot be reached. Stops with the handle's
    /// [`stop`](Follow::stop) or with the engine.
    pub fn follow(&self, peer: impl Peer + 'static) -> Follow {
        Follow::start(self, Arc::new(peer), self.inner.stop.subscribe())
    }

    /// What happens from now on, per committed group.
    pub fn events(&self) -> Events {
        Events::new(self.inner.replica.reports())
    }

    /// Compares every row with what the ledger knows and logs what differs: after writes that no guard saw. Gives
    /// the number of changes logged.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn reconcile(&self) -> Result<u64, SyncError> {
        self.running()?;
        let replica = self.inner.replica.clone();
        self.inner
            .replica
            .store
            .write(move |write| {
                Box::pin(async move {
                    let bindings = replica.models.refresh(write).await?;
                    for binding in bindings.iter() {
                        capture::note_all(write, binding).await?;
                    }
                    Ok::<_, SyncError>(())
                })
            })
            .await?;
        Ok(self.inner.replica.flush().await?.changes)
    }

    /// Logs a whole record again, under a new stamp: every column as it is here now. For rows written without sync.
    ///
    /// # Errors
    /// [`SyncError::UnknownRecord`] if the model does not sync or has no row with this key.
    pub async fn force_record<M>(&self, model: &M) -> Result<(), SyncError>
    where
        M: ModelTrait,
        M::Entity: EntityTrait<Model = M>,
        ActiveOf<M::Entity>: Syncable,
    {
        self.running()?;
        let record = keys::record_of_model::<M::Entity>(model)?;
        self.inner.replica.force(<ActiveOf<M::Entity>>::SYNC_ID, record).await
    }

    /// Logs what is committed, stops the background work and closes the engine's connections. Dropping the engine
    /// instead loses nothing either: what was not logged is logged at the next start. Calling it again is no error: a call that
    /// was dropped midway is made up for by the next.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the last flush fails. The engine is stopped all the same, and a further call fails too.
    pub async fn shutdown(&self) -> Result<(), SyncError> {
        self.inner.stop.send_replace(true);
        let flushed = self.inner.flushed.get_or_try_init(|| self.inner.replica.flush_all()).await.copied();
        self.inner.replica.store.close().await?;
        flushed
    }

    /// Removes guards and sync tables from the database and stops the engine. The application's rows stay.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn uninstall(&self) -> Result<(), SyncError> {
        self.running()?;
        self.inner.stop.send_replace(true);
        self.inner.replica.store.uninstall().await?;
        // There is nothing to flush into.
        let _ = self.inner.flushed.set(());
        self.inner.replica.store.close().await?;
        Ok(())
    }

    pub(super) fn running(&self) -> Result<(), SyncError> {
        if *self.inner.stop.borrow() { Err(SyncError::Shutdown) } else { Ok(()) }
    }

    fn served(&self) -> Result<Served, PeerError> {
        self.running().map_err(|error| PeerError::Unreachable(error.to_string()))?;
        Ok(Served(self.inner.replica.clone()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

#[async_trait]
impl Peer for SyncEngine {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.served()?.hello(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.served()?.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.served()?.push(request).await
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.served()?.objects(request).await
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.served()?.repair(request).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.served()?.watch(library).await
    }
}
