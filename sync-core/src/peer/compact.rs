//! Values that later changes wrote again go from the log, a bounded part at a time.

use std::sync::Arc;

use super::{SyncError, replica::Replica};
use crate::{
    ids::Seq,
    ledger::{self, CompactedSlice, Head},
};

/// What [`compact`](crate::SyncEngine::compact) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Entries of the log that were looked at.
    pub entries: u64,
    /// Those of them that lost their values now.
    pub compacted: u64,
    /// How many bytes less the log takes. The file does not become smaller by itself: SQLite uses the space again.
    pub freed: u64,
}

impl Replica {
    /// Takes out of the log the values that later changes wrote again.
    pub(crate) async fn compact(self: &Arc<Self>) -> Result<CompactReport, SyncError> {
        let mut report = CompactReport::default();
        let mut after = Some(Seq(0));
        while let Some(from) = after {
            let slice = self.compact_once(from).await?;
            report.entries += slice.looked_at;
            report.compacted += slice.compacted;
            report.freed += slice.freed;
            after = slice.next;
            tokio::task::yield_now().await;
        }
        tracing::debug!(compacted = report.compacted, freed = report.freed, "the log was compacted");
        Ok(report)
    }

    async fn compact_once(self: &Arc<Self>, after: Seq) -> Result<CompactedSlice, SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let head = Head::load(write.db, &write.names).await?;
                    replica.identify(write, &head);
                    if !head.extent.is_whole() {
                        // The log has its own changes only, and those until they are sent.
                        return Ok(CompactedSlice::default());
                    }
                    Ok::<_, SyncError>(ledger::compact_slice(write, &head, after).await?)
                })
            })
            .await
    }
}
