//! Mending what `verify` finds: with a peer, or from this replica's own log.

use super::handle::SyncEngine;
use crate::peer::{Peer, RepairReport, ReplayReport, SyncError, repair_with, replay, sync_with};

impl SyncEngine {
    /// One round with `peer`, then a comparison of all objects, here and there, by digests over ranges; what differs or
    /// is damaged is mended on both sides. It looks at everything once on each side; what is exchanged follows the
    /// difference. A round that ends [`diverged`](crate::SyncReport::diverged) does it by itself.
    ///
    /// Damage is what nobody wrote: an object whose bytes or hashes are not what they were, a row changed behind the
    /// guards. It is replaced by what its author wrote, from the log or from the peer, and never logged as an edit. Edits made
    /// meanwhile, here or there, are kept.
    ///
    /// # Errors
    /// [`SyncError::Peer`] if the peer cannot be reached, or with [`PeerError::Unsupported`](crate::PeerError::Unsupported)
    /// if it cannot repair. What was mended before stays; call it again for the rest.
    pub async fn repair_with(&self, peer: &dyn Peer) -> Result<RepairReport, SyncError> {
        self.running()?;
        match sync_with(&self.inner.replica, peer).await {
            Ok(report) => {
                if let Some(repair) = report.repair {
                    return Ok(*repair);
                }
            }
            // What is damaged may be in the way of the round.
            Err(SyncError::Ledger(error)) => tracing::warn!(%error, "repairing before a round can be made"),
            Err(error) => return Err(error),
        }
        repair_with(&self.inner.replica, peer).await
    }

    /// Rebuilds objects and rows from the log where they are not what it says. It holds the write lock while it works,
    /// and reads the log once for each 50,000 entries in it.
    ///
    /// # Errors
    /// [`SyncError::LogIncomplete`] if the log does not tell all that is here: its chain is broken, or this replica began
    /// with another's state. Nothing is changed then; [`repair_with`](Self::repair_with) mends from a peer.
    pub async fn replay(&self) -> Result<ReplayReport, SyncError> {
        self.running()?;
        replay(&self.inner.replica).await
    }
}
