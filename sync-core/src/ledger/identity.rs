//! Who this replica is, and how it becomes another: an id is used by one database only.
//!
//! Invariant: a database that may be a copy takes a new id before its next write. What it wrote under the old one stays as it
//! is and travels on; its clock goes on too, so later stamps are greater than all before.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    Forgotten, Head, LedgerError,
    head::Floor,
    metadata::{
        self, KEY_DEVICE, KEY_FINGERPRINT, KEY_FORMAT, KEY_LIBRARY, KEY_LOG, KEY_PROBE, KEY_RENEWALS,
        Metadata, key_head, pack,
    },
};
use crate::{
    ids::{DeviceId, LibraryId, LogId, Seq, StateHash},
    merge::Digest,
    runtime::{Random, Runtime},
    stamp::HybridClock,
    store::{FORMAT, Fingerprint, NameKind, Names, Write, sql},
};

/// Who this replica is; kept in `sync_metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: DeviceId,
    pub(crate) library: LibraryId,
    pub(crate) log_id: LogId,
}

/// Why a replica took a new device id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RenewalReason {
    /// The database is in another file than when it was last opened: it is a copy, or was moved.
    Copied,
    /// A peer has changes of this device that are not here: the database was restored from a backup, or copied.
    Restored,
    /// A peer uses the same device id: one database is a copy of the other.
    SameDevice,
    /// Two databases have written under the device id, as others know.
    Forked,
    /// The database joined a library, or left one.
    Joined,
    /// The clock was ahead: what nobody had accepted was taken back and written again under stamps of now.
    ClockAhead,
}

impl RenewalReason {
    /// True if the database stayed in the library that it was of.
    pub(crate) fn stays_in_the_library(self) -> bool {
        self != Self::Joined
    }
}

/// A device id that this database left, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Renewal {
    /// The id that was left. What was written under it keeps it.
    pub former: DeviceId,
    /// Why.
    pub reason: RenewalReason,
    /// When, in milliseconds since the Unix epoch, as this machine believed.
    pub at_ms: u64,
}

/// How many renewals are kept.
const MAX_RENEWALS: usize = 64;

impl Identity {
    /// The identity in the database, which is in the file of `fingerprint`; a new one where there is none, and where
    /// the file is another than before. `library` is the one asked for: the database's own if it is `None`.
    ///
    /// The error says which library the database holds if it is another.
    pub(crate) async fn open(
        write: &mut Write<'_>,
        library: Option<LibraryId>,
        fingerprint: &Fingerprint,
        runtime: &Runtime,
    ) -> Result<Result<Self, LibraryId>, LedgerError> {
        let metadata = Metadata::read(write.db).await?;
        let Some(identity) = Self::parse(&metadata)? else {
            let identity = Self::found(write, library, runtime.random.as_ref()).await?;
            metadata::save(write.db, [(KEY_FINGERPRINT.into(), pack(fingerprint)?)]).await?;
            return Ok(Ok(identity));
        };
        if let Some(asked) = library
            && asked != identity.library
        {
            return Ok(Err(identity.library));
        }
        let before: Option<Fingerprint> = metadata.packed(KEY_FINGERPRINT)?;
        if before.as_ref() != Some(fingerprint) {
            metadata::save(write.db, [(KEY_FINGERPRINT.into(), pack(fingerprint)?)]).await?;
        }
        match before {
            Some(before) if !before.may_be(fingerprint) => {
                let mut head = Head::load(write.db, &write.names).await?;
                head.renew(write, RenewalReason::Copied, runtime).await?;
                Ok(Ok(head.identity))
            }
            _ => {
                // It may have been restored in a way that nothing tells.
                let mut head = Head::load(write.db, &write.names).await?;
                if head.clock.leap(runtime.time.now_ms(), runtime.random.as_ref()) {
                    head.save(write.db).await?;
                }
                Ok(Ok(identity))
            }
        }
    }

    async fn found(
        write: &mut Write<'_>,
        library: Option<LibraryId>,
        random: &dyn Random,
    ) -> Result<Self, LedgerError> {
        let identity = Self {
            device: DeviceId::random(random),
            library: library.unwrap_or_else(|| LibraryId::random(random)),
            log_id: LogId::random(random),
        };
        write.names.intern(write.db, NameKind::Library, identity.library.as_bytes()).await?;
        write.names.intern(write.db, NameKind::Device, identity.device.as_bytes()).await?;
        metadata::save(write.db, [(KEY_FORMAT.into(), FORMAT.to_be_bytes().to_vec())]).await?;
        identity.save(write.db).await?;
        Ok(identity)
    }

    async fn save<C: ConnectionTrait>(&self, db: &C) -> Result<(), LedgerError> {
        let ids = [
            (KEY_DEVICE.into(), self.device.as_bytes().to_vec()),
            (KEY_LIBRARY.into(), self.library.as_bytes().to_vec()),
            (KEY_LOG.into(), self.log_id.as_bytes().to_vec()),
        ];
        metadata::save(db, ids).await
    }

    pub(super) fn parse(metadata: &Metadata) -> Result<Option<Self>, LedgerError> {
        match (metadata.id(KEY_DEVICE)?, metadata.id(KEY_LIBRARY)?, metadata.id(KEY_LOG)?) {
            (None, None, None) => Ok(None),
            (Some(device), Some(library), Some(log)) => Ok(Some(Self {
                device: DeviceId::from_bytes(device),
                library: LibraryId::from_bytes(library),
                log_id: LogId::from_bytes(log),
            })),
            _ => Err(LedgerError::Corrupt("sync_metadata says only in part who this replica is".into())),
        }
    }
}

impl Head {
    /// Goes on under a new device id and in a new incarnation of the log. Nothing else changes: what the log holds is
    /// relayed like what others wrote.
    pub(crate) async fn renew(
        &mut self,
        write: &mut Write<'_>,
        reason: RenewalReason,
        runtime: &Runtime,
    ) -> Result<(), LedgerError> {
        let former = self.identity.device;
        let random = runtime.random.as_ref();
        let mut device = DeviceId::random(random);
        while tail_taken(&write.names, device).is_some() {
            device = DeviceId::random(random);
        }
        write.names.intern(write.db, NameKind::Device, device.as_bytes()).await?;
        self.identity.device = device;
        self.identity.log_id = LogId::random(random);
        self.clock = HybridClock::new(device.node(), self.clock.last());
        self.previous = None;
        self.identity.save(write.db).await?;
        self.save(write.db).await?;
        let mut renewals = renewals(write.db).await?;
        renewals.push(Renewal { former, reason, at_ms: runtime.time.now_ms() });
        let kept = &renewals[renewals.len().saturating_sub(MAX_RENEWALS)..];
        metadata::save(write.db, [(KEY_RENEWALS.into(), pack(&kept)?)]).await?;
        tracing::warn!(%former, %device, ?reason, "this database goes on under a new device id");
        Ok(())
    }
}

/// The device ids that this database left, oldest first.
pub(crate) async fn renewals<C: ConnectionTrait>(db: &C) -> Result<Vec<Renewal>, LedgerError> {
    Ok(Metadata::read(db).await?.packed(KEY_RENEWALS)?.unwrap_or_default())
}

/// The mark that this database last left for itself, to be known again over the wire.
pub(crate) async fn probe<C: ConnectionTrait>(db: &C) -> Result<Option<[u8; 16]>, LedgerError> {
    Metadata::read(db).await?.id(KEY_PROBE)
}

/// Leaves a mark in this database and no other.
pub(crate) async fn leave_probe(write: &Write<'_>, random: &dyn Random) -> Result<[u8; 16], LedgerError> {
    let mut probe = [0; 16];
    random.fill(&mut probe);
    metadata::save(write.db, [(KEY_PROBE.into(), probe.to_vec())]).await?;
    Ok(probe)
}

/// The other device that the stamps of `device` would be taken for.
pub(crate) fn tail_taken(names: &Names, device: DeviceId) -> Option<DeviceId> {
    names.devices().find(|known| *known != device && known.node() == device.node())
}

/// Makes the database one of `library`, under a new device id, with an empty log. Alive objects come along without having been
/// logged, with what is listed of them; tombstones, cursors and what was held stay behind.
pub(crate) async fn move_to(
    write: &mut Write<'_>,
    head: &mut Head,
    library: LibraryId,
    runtime: &Runtime,
) -> Result<(), LedgerError> {
    let former = head.library;
    for statement in [
        "DELETE FROM sync_log",
        "DELETE FROM sync_pruned",
        "DELETE FROM sync_origins",
        "DELETE FROM sync_positions",
        "DELETE FROM sync_held",
        "DELETE FROM sync_objects WHERE generation % 2 = 0",
        "DELETE FROM sync_keys WHERE object NOT IN (SELECT id FROM sync_objects)",
        "DELETE FROM sync_pending WHERE NOT EXISTS (SELECT 1 FROM sync_objects AS o WHERE o.model = sync_pending.model \
         AND o.record = sync_pending.record)",
        "DELETE FROM sync_conflicts WHERE NOT EXISTS (SELECT 1 FROM sync_objects AS o WHERE o.model = sync_conflicts.model \
         AND o.record = sync_conflicts.record)",
    ] {
        sql::execute(write.db, statement, []).await?;
    }
    let id = write.names.intern(write.db, NameKind::Library, library.as_bytes()).await?;
    for table in ["sync_objects", "sync_keys", "sync_pending", "sync_conflicts"] {
        sql::execute(write.db, &format!("UPDATE {table} SET library = ?"), [id.into()]).await?;
    }
    sql::execute(write.db, "DELETE FROM sync_metadata WHERE key = ?", [key_head(former).into()]).await?;
    head.identity.library = library;
    head.library = id;
    head.seq = Seq::default();
    head.chain = StateHash::default();
    head.digest = Digest::default();
    head.open_txn = None;
    head.floor = Floor::default();
    head.forgotten = Forgotten::default();
    head.offered = None;
    head.renew(write, RenewalReason::Joined, runtime).await
}
