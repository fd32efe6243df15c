//! The gate: every write transaction of the engine begins, runs and ends here.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::{
    StoreError,
    fingerprint::Fingerprint,
    names::{NameCache, Names},
    sqlite, tables,
};
use crate::runtime::Runtime;

/// How long a call waits for a connection before it says that it waits for itself.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// The database as the engine uses it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// For reads.
    db: DatabaseConnection,
    /// For writes: on a file a connection of its own, whose prepared statements and pages are those of the last write.
    writer: DatabaseConnection,
    gate: Arc<Mutex<()>>,
    names: NameCache,
    runtime: Runtime,
    /// True if the connections are the engine's own, which it closes.
    own: bool,
}

/// A write transaction, as the stages see it.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    /// The transaction.
    pub(crate) db: &'a DatabaseTransaction,
    /// The names it sees.
    pub(crate) names: Names,
    after: &'a AfterCommit,
}

impl Write<'_> {
    /// Does `work` when the transaction is committed, and never otherwise: before the next one begins, and also if the
    /// caller has stopped waiting.
    pub(crate) fn after_commit(&self, work: impl FnOnce() + Send + 'static) {
        self.after.lock().push(Box::new(work));
    }
}

/// What is done when a transaction is committed.
#[derive(Default)]
struct AfterCommit(std::sync::Mutex<Vec<Box<dyn FnOnce() + Send>>>);

impl AfterCommit {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn FnOnce() + Send>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn run(self) {
        for work in self.lock().drain(..) {
            work();
        }
    }
}

impl fmt::Debug for AfterCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AfterCommit").field(&self.lock().len()).finish()
    }
}

/// A write transaction that somebody else runs; the gate stays shut until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenWrite {
    /// The transaction.
    pub(crate) db: DatabaseTransaction,
    after: AfterCommit,
    _gate: OwnedMutexGuard<()>,
}

impl Store {
    /// Opens the store over the application's connection. A file database gets a small pool of the engine's own,
    /// unless `given` is one; an in-memory database is shared.
    pub(crate) async fn open(
        db: &DatabaseConnection,
        given: Option<DatabaseConnection>,
        runtime: Runtime,
    ) -> Result<Self, StoreError> {
        match db.get_database_backend() {
            DatabaseBackend::Sqlite => {}
            other => return Err(StoreError::Backend(other)),
        }
        let (db, writer, own) = match given {
            Some(given) => (given.clone(), given, false),
            None => match sqlite::file_of(db).await? {
                Some(path) => (sqlite::readers(&path).await?, sqlite::writer(&path).await?, true),
                None => (db.clone(), db.clone(), false),
            },
        };
        let (gate, names) = (Arc::default(), NameCache::default());
        let store = Self { inner: Arc::new(Inner { db, writer, gate, names, runtime, own }) };
        store.install().await?;
        Ok(store)
    }

    async fn install(&self) -> Result<(), StoreError> {
        let open = self.begin().await?;
        tables::install_tables(&open.db).await?;
        open.db.commit().await?;
        Ok(())
    }

    /// Removes guards and `sync_*` tables.
    pub(crate) async fn uninstall(&self) -> Result<(), StoreError> {
        let open = self.begin().await?;
        tables::remove_tables(&open.db).await?;
        open.db.commit().await?;
        self.inner.names.clear();
        Ok(())
    }

    /// The runtime.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    /// The connection, for reads of a single statement.
    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.inner.db
    }

    /// Runs `work` in a write transaction and commits it if it succeeds. It runs to its end even if the caller
    /// stops waiting.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Write<'a>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        let store = self.clone();
        self.inner.runtime.spawn.spawn(Box::pin(async move {
            // The receiver is gone if the caller stopped waiting; the work is done all the same.
            let _ = send.send(store.write_here(work).await);
        }));
        receive.await.unwrap_or_else(|_| {
            Err(StoreError::Corrupt("a write transaction was cut off: the runtime is shutting down".into())
                .into())
        })
    }

    async fn write_here<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Write<'a>) -> BoxFuture<'a, Result<T, E>>,
        E: From<StoreError>,
    {
        let open = self.begin_here().await?;
        let result = self.within(&open, work).await;
        let OpenWrite { db, after, _gate } = open;
        match result {
            Ok(value) => {
                db.commit().await.map_err(StoreError::from)?;
                after.run();
                Ok(value)
            }
            Err(error) => {
                if let Err(rollback) = db.rollback().await {
                    tracing::warn!(%rollback, "a failed write could not be rolled back at once");
                }
                Err(error)
            }
        }
    }

    /// Begins a write transaction that the caller ends with [`finish`](Self::finish), or drops to roll back.
    pub(crate) async fn begin(&self) -> Result<OpenWrite, StoreError> {
        let (send, receive) = oneshot::channel();
        let store = self.clone();
        self.inner.runtime.spawn.spawn(Box::pin(async move {
            let _ = send.send(store.begin_here().await);
        }));
        receive.await.unwrap_or_else(|_| Err(StoreError::Corrupt("the runtime is shutting down".into())))
    }

    /// Runs `work` in `open` and commits it, in a task of its own.
    pub(crate) async fn finish<T, E, F>(&self, open: OpenWrite, work: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Write<'a>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        let store = self.clone();
        self.inner.runtime.spawn.spawn(Box::pin(async move {
            let result = async {
                let value = store.within(&open, work).await?;
                let OpenWrite { db, after, _gate } = open;
                db.commit().await.map_err(StoreError::from)?;
                after.run();
                Ok(value)
            };
            let _ = send.send(result.await);
        }));
        receive
            .await
            .unwrap_or_else(|_| Err(StoreError::Corrupt("the runtime is shutting down".into()).into()))
    }

    /// Runs `work` inside `open`, which stays open.
    pub(crate) async fn within<T, E, F>(&self, open: &OpenWrite, work: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Write<'a>) -> BoxFuture<'a, Result<T, E>>,
        E: From<StoreError>,
    {
        let names = self.inner.names.begin(&open.db).await?;
        let mut write = Write { db: &open.db, names, after: &open.after };
        work(&mut write).await
    }

    /// Begins a read transaction: everything read in it is of one moment. Dropping it ends it.
    pub(crate) async fn read(&self) -> Result<(DatabaseTransaction, Names), StoreError> {
        let db = waited(self.inner.db.begin()).await?;
        let names = self.inner.names.begin(&db).await?;
        Ok((db, names))
    }

    async fn begin_here(&self) -> Result<OpenWrite, StoreError> {
        let gate = self.inner.gate.clone().lock_owned().await;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let db = waited(self.inner.writer.begin_with_options(options)).await?;
        Ok(OpenWrite { db, after: AfterCommit::default(), _gate: gate })
    }

    /// What tells the database's file from its copies.
    pub(crate) async fn fingerprint(&self) -> Result<Fingerprint, StoreError> {
        Ok(Fingerprint::of(sqlite::file_of(&self.inner.db).await?.as_deref()))
    }

    /// True if the store works on a pool of its own, beside the application's.
    pub(crate) fn has_own_pool(&self) -> bool {
        self.inner.own
    }

    /// Closes the pool if it is the engine's own.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        if self.inner.own {
            self.inner.writer.clone().close().await?;
            self.inner.db.clone().close().await?;
        }
        Ok(())
    }
}

/// Waits for a transaction to begin, but not for ever: `busy_timeout` bounds the wait for the lock, this the wait
/// for a connection.
async fn waited(
    begin: impl Future<Output = Result<DatabaseTransaction, sea_orm::DbErr>>,
) -> Result<DatabaseTransaction, StoreError> {
    let limit = CONNECTION_WAIT + sqlite::BUSY_TIMEOUT;
    match tokio::time::timeout(limit, begin).await {
        Ok(begun) => Ok(begun?),
        Err(_) => {
            Err(StoreError::NoConnection { waited_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) })
        }
    }
}
