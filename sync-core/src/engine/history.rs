//! How much history a replica keeps, and for whom.

use super::handle::SyncEngine;
use crate::peer::{PruneReport, SyncError};

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
}
