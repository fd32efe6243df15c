//! Conflicts as they are found.
//!
//! Invariant: reports of the engine only wake it. What it gives is read from the database, from where it stopped, so a slow
//! reader misses nothing.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream, Stream},
};
use tokio::sync::broadcast::{self, error::RecvError};

use super::conflicts::{ConflictRecord, Filter};
use crate::{
    ids::LibraryId,
    ledger::Head,
    peer::{Replica, Report, SyncError},
    store::sql,
};

/// The stream that [`Conflicts::watch`](crate::Conflicts::watch) gives, oldest first. It ends with the engine.
pub struct ConflictEvents {
    found: BoxStream<'static, Result<ConflictRecord, SyncError>>,
}

impl fmt::Debug for ConflictEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConflictEvents").finish_non_exhaustive()
    }
}

impl ConflictEvents {
    pub(super) async fn new(replica: &Arc<Replica>, filter: Filter) -> Result<Self, SyncError> {
        let reports = replica.reports();
        let mut watcher = Watcher {
            reports,
            replica: Arc::downgrade(replica),
            library: replica.identity().library,
            filter,
            ready: VecDeque::new(),
        };
        // Each is given once, in the order in which they are found.
        (watcher.filter.limit, watcher.filter.before) = (None, None);
        watcher.filter.after = Some(newest(replica).await?);
        let found = stream::unfold(watcher, |mut watcher| async move {
            let next = watcher.next().await?;
            Some((next, watcher))
        });
        Ok(Self { found: found.boxed() })
    }

    /// The next conflict; `None` when the engine is gone.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses; the next call goes on where this one stopped.
    pub async fn next(&mut self) -> Option<Result<ConflictRecord, SyncError>> {
        self.found.next().await
    }
}

impl Stream for ConflictEvents {
    type Item = Result<ConflictRecord, SyncError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.found).poll_next(context)
    }
}

struct Watcher {
    reports: broadcast::Receiver<Report>,
    replica: Weak<Replica>,
    library: LibraryId,
    filter: Filter,
    ready: VecDeque<ConflictRecord>,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<ConflictRecord, SyncError>> {
        loop {
            if let Some(conflict) = self.ready.pop_front() {
                return Some(Ok(conflict));
            }
            match self.reports.recv().await {
                // A local write may lose too, below a rule of another program.
                Ok(Report::Local { .. }) | Err(RecvError::Lagged(_)) => {}
                Ok(Report::Applied(applied)) if !applied.conflicts.is_empty() => {}
                Ok(Report::NewDevice { .. }) => {}
                Ok(_) => continue,
                Err(RecvError::Closed) => return None,
            }
            let replica = self.replica.upgrade()?;
            if let Err(error) = self.look(&replica).await {
                return Some(Err(error));
            }
        }
    }

    async fn look(&mut self, replica: &Replica) -> Result<(), SyncError> {
        let (db, names) = replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        if head.identity.library != self.library {
            // The database has joined another library; the numbers may begin anew.
            self.library = head.identity.library;
            self.filter.after = Some(newest(replica).await?);
            return Ok(());
        }
        let mut found = self.filter.list(&db, &names, head.library).await?;
        found.reverse();
        self.filter.after = found.last().map(|conflict| conflict.id).or(self.filter.after);
        self.ready.extend(found);
        Ok(())
    }
}

/// The number of the newest conflict.
async fn newest(replica: &Replica) -> Result<i64, SyncError> {
    let row = sql::one(replica.store.db(), "SELECT max(id) FROM sync_conflicts", []).await?;
    Ok(row.map_or(Ok(None), |row| sql::column::<Option<i64>>(&row, 0))?.unwrap_or(0))
}
