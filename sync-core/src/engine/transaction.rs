//! Data and log as one unit, and writes without sync.

use sea_orm::DatabaseTransaction;

use super::handle::SyncEngine;
use crate::{
    capture::{self, AbsorbScope, Batch, Images},
    ledger::Head,
    peer::SyncError,
    store::{OpenWrite, rows},
};

impl SyncEngine {
    /// Runs `work` in a transaction whose writes are logged as one group in the same commit. What was dirty before is
    /// logged as a group of its own. If `work` fails, nothing of it stays.
    ///
    /// The transaction is one of the engine's own connection and holds the write lock from its beginning.
    ///
    /// # Errors
    /// The error of `work`, or [`SyncError`] if the database refuses.
    ///
    /// ```no_run
    /// # use sea_orm::ConnectionTrait;
    /// # async fn f(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError> {
    /// engine
    ///     .transaction(async |txn| {
    ///         txn.execute_unprepared("UPDATE accounts SET balance = balance - 5 WHERE id = x'01'").await?;
    ///         txn.execute_unprepared("UPDATE accounts SET balance = balance + 5 WHERE id = x'02'").await?;
    ///         Ok::<_, sync_core::SyncError>(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn transaction<F, T, E>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
        E: From<SyncError>,
    {
        let open = self.open().await?;
        let value = work(&open.db).await?;
        let replica = self.inner.replica.clone();
        self.inner
            .replica
            .store
            .finish(open, move |write| {
                Box::pin(async move {
                    replica.begin(write, Batch::All).await?;
                    Ok::<_, SyncError>(())
                })
            })
            .await?;
        Ok(value)
    }

    /// Runs `work` in a transaction whose writes stay on this device: nothing of it is logged, and the engine takes
    /// the rows as known. A column written so travels again when it is next written with sync; a row inserted so when
    /// one of its columns is. [`force_record`](Self::force_record) sends it as it is.
    ///
    /// # Errors
    /// The error of `work`, or [`SyncError`] if the database refuses.
    pub async fn transaction_with_no_sync<F, T, E>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
        E: From<SyncError>,
    {
        let open = self.open().await?;
        let value = work(&open.db).await?;
        let images = self.images(&open).await?;
        let replica = self.inner.replica.clone();
        self.inner
            .replica
            .store
            .finish(open, move |write| {
                Box::pin(async move {
                    let bindings = replica.models.refresh(write).await?;
                    let mut head = Head::load(write.db, &write.names).await?;
                    capture::absorb(write, &bindings, &mut head, &images, AbsorbScope::Everything).await?;
                    Ok::<_, SyncError>(())
                })
            })
            .await?;
        Ok(value)
    }

    /// Begins a transaction in which everything that was dirty is logged already.
    async fn open(&self) -> Result<OpenWrite, SyncError> {
        self.running()?;
        let replica = &self.inner.replica;
        replica.flush().await?;
        let open = replica.store.begin().await?;
        let inner = replica.clone();
        replica
            .store
            .within(&open, move |write| {
                Box::pin(async move {
                    inner.begin(write, Batch::All).await?;
                    Ok::<_, SyncError>(())
                })
            })
            .await?;
        Ok(open)
    }

    /// The rows that `open` has written, as they were before: another connection still sees them. A database in
    /// memory has no other connection; there the log must do.
    async fn images(&self, open: &OpenWrite) -> Result<Images, SyncError> {
        let replica = &self.inner.replica;
        let mut images = Images::new();
        if !replica.store.has_own_pool() {
            return Ok(images);
        }
        let bindings = replica.models.bound();
        for binding in bindings.iter() {
            let records = capture::dirty_records(&open.db, binding).await?;
            for (record, row) in rows::by_record(replica.store.db(), binding, &records).await? {
                images.insert((binding.model, record), row);
            }
        }
        Ok(images)
    }
}
