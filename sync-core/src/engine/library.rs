//! Joining a library and leaving one.

use super::handle::SyncEngine;
use crate::{
    ids::LibraryId,
    peer::{Founds, Join, JoinReport, Leave, SyncError, join},
};

impl SyncEngine {
    /// Makes this database one of `library`, which another device founded, and gives it a new device id. With
    /// [`Join::Merge`] the records that are here become part of the library; with [`Join::Replace`] they are removed. The
    /// library's own records come with the next rounds.
    ///
    /// It is one transaction: a process that is killed in the middle leaves the database as it was. Joining the library that
    /// the database is of already does nothing, so the call may be repeated. From then on `.library(..)` of the builder must
    /// name the new library, or be left out.
    ///
    /// ```no_run
    /// # async fn f(engine: sync_core::SyncEngine, invited: sync_core::LibraryId, peer: &dyn sync_core::Peer)
    /// #     -> Result<(), sync_core::SyncError> {
    /// engine.join(invited, sync_core::Join::Merge).await?;
    /// engine.sync_with(peer).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Ledger`] names a record whose row cannot be read, for `Merge`; [`SyncError::Store`] if the database
    /// refuses, for example because a row that does not sync refers to one that would go. Nothing was changed then.
    pub async fn join(&self, library: LibraryId, how: Join) -> Result<JoinReport, SyncError> {
        self.running()?;
        join(&self.inner.replica, library, how, Founds::Nothing).await
    }

    /// Leaves the library: this database founds one of its own, with the records that are here or with none, and takes
    /// part in the former one no more. Gives the new library.
    ///
    /// What was written here and never sent is not in the former library afterwards: make a round first. The records on the
    /// other devices stay as they are.
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    pub async fn leave(&self, how: Leave) -> Result<JoinReport, SyncError> {
        self.running()?;
        let replica = &self.inner.replica;
        let library = LibraryId::random(replica.runtime().random.as_ref());
        let how = match how {
            Leave::Keep => Join::Merge,
            Leave::Wipe => Join::Replace,
        };
        join(replica, library, how, Founds::Library).await
    }
}
