//! Records that wait: listed, tried again, given up.

use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use sea_orm::EntityTrait;

use super::{
    handle::SyncEngine,
    keys::{self, ActiveOf, KeyOf},
    which::{Which, asks_of_records},
};
use crate::{
    apply::{self, PendingReason},
    ids::{Name, RecordId},
    ledger::Head,
    model::Syncable,
    peer::SyncError,
};

/// A record whose row is not, or not quite, what its object says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The model's name on the wire.
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// Why.
    pub reason: PendingReason,
    /// Why, in words.
    pub detail: String,
    /// How often it was looked at.
    pub attempts: u64,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

impl Pending {
    /// The primary key, as `find_by_id` takes it, if the record is one of this entity.
    pub fn key<E>(&self) -> Option<KeyOf<E>>
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable<Entity = E>,
    {
        keys::key_of::<E>(&self.model, &self.record)
    }
}

/// A question about pending records, made by [`SyncEngine::pending`]. Awaiting it lists those that match, longest waiting
/// first.
#[derive(Clone, Debug)]
#[must_use = "a question is asked by awaiting it, or by one of its last calls"]
pub struct PendingRecords {
    engine: SyncEngine,
    which: Which,
    reason: Option<PendingReason>,
    limit: usize,
}

impl SyncEngine {
    /// The records whose rows are not what their objects say; narrow it down, then await it.
    ///
    /// ```no_run
    /// # async fn f(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError> {
    /// use sync_core::PendingReason;
    ///
    /// for waiting in engine.pending().await? {
    ///     println!("{} {}: {}", waiting.model, waiting.record, waiting.detail);
    /// }
    /// engine.pending().reason(PendingReason::Invalid).retry().await?;     // a migration lifted a check
    /// engine.pending().model("label").reason(PendingReason::Hidden).give_up().await?; // duplicates are deleted
    /// # Ok(()) }
    /// ```
    pub fn pending(&self) -> PendingRecords {
        PendingRecords { engine: self.clone(), which: Which::default(), reason: None, limit: usize::MAX }
    }
}

asks_of_records!(PendingRecords, which);

impl PendingRecords {
    /// Only those that wait for this reason.
    pub fn reason(mut self, reason: PendingReason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// At most so many.
    pub fn limit(mut self, most: usize) -> Self {
        self.limit = most;
        self
    }

    /// Tries again to write the rows, as each start of the engine does: after a migration lifted what kept them out.
    /// Rows that cannot be read and rows deleted without sync stay as they are. Gives how many records are pending no
    /// more.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn retry(self) -> Result<u64, SyncError> {
        let engine = self.engine.clone();
        engine.running()?;
        let records = self.await?.into_iter().map(|one| (one.model, one.record, one.reason)).collect();
        engine.inner.replica.retry_pending(records).await
    }

    /// Gives up waiting: what the record is here becomes what it is on every device. If it has a row, the row's values
    /// are written as a change; if it has none, the record is deleted. Gives how many were given up, each in a
    /// transaction of its own.
    ///
    /// # Errors
    /// [`SyncError::UnknownRecord`] names a record whose row cannot be read; [`SyncError::Store`] if the database refuses. What was
    /// given up before stays so.
    pub async fn give_up(self) -> Result<u64, SyncError> {
        let engine = self.engine.clone();
        engine.running()?;
        let mut given_up = 0;
        for one in self.await? {
            given_up += u64::from(engine.inner.replica.give_up(one.model, one.record).await?);
        }
        Ok(given_up)
    }
}

impl IntoFuture for PendingRecords {
    type Output = Result<Vec<Pending>, SyncError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (db, names) = self.engine.inner.replica.store.read().await?;
            let head = Head::load(&db, &names).await?;
            let mut records = apply::pending_records(&db, &names, head.library).await?;
            drop(db);
            records.extend(self.engine.inner.replica.pending_schema().await?);
            Ok(records
                .into_iter()
                .filter(|one| self.which.model.as_ref().is_none_or(|model| one.model == *model))
                .filter(|one| self.which.record.as_ref().is_none_or(|record| one.record == *record))
                .filter(|one| self.reason.is_none_or(|reason| one.reason == reason))
                .take(self.limit)
                .map(|one| Pending {
                    model: one.model,
                    record: one.record,
                    reason: one.reason,
                    detail: one.detail,
                    attempts: one.attempts,
                    since_ms: one.since,
                })
                .collect())
        })
    }
}
