//! How much history a replica keeps, and for whom.

use super::handle::SyncEngine;
use crate::peer::{CompactReport, PruneReport, SyncError};

impl SyncEngine {
    /// Takes changes out of the log that nobody needs any more, as the
    /// [`retention`](crate::EngineBuilder::retention) says. The engine does so by itself every minute.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses. What went before the fault is gone, and all else is as it was.
    pub async fn prune(&self) -> Result<PruneReport, SyncError> {
        self.running()?;
        self.inner.replica.prune().await
    }

    /// Takes out of the log the values that later changes wrote again: of a note that was edited a thousand times, the last
    /// text stays. Each change keeps its place, who made it and when, and its digest, so for other replicas nothing begins anew.
    /// [`history`](Self::history) no longer tells what such a change wrote. Changes that a conflict names stay whole, as do those of
    /// columns with a rule other than the last writer's.
    ///
    /// The engine never does so by itself. It looks at the whole log, a thousand entries per transaction; one that is broken off
    /// leaves what it did so far.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses. What was compacted before the fault is, and all else is as it was.
    pub async fn compact(&self) -> Result<CompactReport, SyncError> {
        self.running()?;
        self.inner.replica.compact().await
    }
}
