//! A database joins a library that others founded, or leaves one.

use std::sync::Arc;

use super::{SyncError, replica::Replica};
use crate::{apply, capture::Batch, ids::LibraryId, ledger::Extent, store::sql};

/// What becomes of the data that a device has when it joins a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Join {
    /// Its records become part of the library. Where both have a record with one key, each column keeps the later write.
    Merge,
    /// Its records are removed, and those of the library come with the next rounds.
    Replace,
}

/// What becomes of the data of a library on a device that leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leave {
    /// It stays, as a library of its own.
    Keep,
    /// It is removed.
    Wipe,
}

/// What joining or leaving did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinReport {
    /// The library that the database was of.
    pub former: LibraryId,
    /// The library that it is of now. Equal to `former` if it was that already: then nothing was done.
    pub library: LibraryId,
    /// Records that came along, or were removed.
    pub records: u64,
    /// Changes of the former library that were held and not merged yet. They stay behind; its other devices have them.
    pub held: u64,
}

/// Whether the library is one that others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Founds {
    Nothing,
    Library,
}

/// Makes the database one of `library`.
pub(crate) async fn join(
    replica: &Arc<Replica>,
    library: LibraryId,
    how: Join,
    founds: Founds,
) -> Result<JoinReport, SyncError> {
    let inner = replica.clone();
    replica
        .store
        .write(move |write| {
            Box::pin(async move {
                let (bindings, mut head, _) = inner.begin(write, Batch::All).await?;
                let former = head.identity;
                if former.library == library {
                    return Ok(JoinReport { former: library, library, records: 0, held: 0 });
                }
                let held = sql::one(write.db, "SELECT count(*) FROM sync_held", []).await?;
                let held = held.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?;
                let runtime = inner.runtime();
                let records = match how {
                    Join::Merge => apply::give_to(write, &bindings, &mut head, library, runtime).await?,
                    Join::Replace => {
                        let removed =
                            apply::make_room_for(write, &bindings, &mut head, library, runtime).await?;
                        let records = removed.merged;
                        inner.report_applied(write, removed);
                        records
                    }
                };
                if founds == Founds::Library {
                    // Of a library of its own a database has everything.
                    head.set_extent(write, Extent::Everything).await?;
                }
                inner.renewed(write, &head, former.device, crate::ledger::RenewalReason::Joined);
                Ok(JoinReport {
                    former: former.library,
                    library,
                    records,
                    held: u64::try_from(held).unwrap_or(0),
                })
            })
        })
        .await
}
