//! How things stand, for people and for monitoring.

use super::handle::SyncEngine;
use crate::{
    capture,
    ids::{DeviceId, LibraryId, Seq},
    ledger::{self, Extent, Head, Renewal},
    members::schema,
    peer::{Member, RepairReport, SyncError, peers_called, position_with},
    scope::Scope,
    stamp::Stamp,
    store::sql,
};

/// How a replica stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// This replica.
    pub device: DeviceId,
    /// Its library.
    pub library: LibraryId,
    /// The end of its log.
    pub latest_seq: Seq,
    /// True if something committed is not logged yet.
    pub dirty: bool,
    /// The part of the library that is kept here.
    pub scope: Scope,
    /// True if everything is to be kept, and what an earlier scope left out has not come yet: the next round with a peer that has
    /// everything brings it.
    pub widening: bool,
    /// The digest of all alive objects: equal on replicas with equal data.
    pub digest: [u8; 16],
    /// Records whose rows are not what their objects say, and changes of the schema that wait: as many as
    /// [`SyncEngine::pending`] lists.
    pub pending: u64,
    /// Conflicts that nobody has settled.
    pub conflicts: u64,
    /// Changes kept and not merged yet.
    pub held: u64,
    /// The peers that a round was made with.
    pub peers: Vec<PeerStatus>,
    /// The log begins after this position: what stood before is pruned, or came as state.
    pub floor: Seq,
    /// How many entries the log has.
    pub entries: u64,
    /// The devices of the library, as [`members`](SyncEngine::members) lists them.
    pub members: Vec<Member>,
    /// The device ids that this database had before, oldest first, each with the reason why it was left: the last 64.
    pub renewals: Vec<Renewal>,
}

/// How a replica stands with a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer.
    pub device: DeviceId,
    /// Everything of the peer's log up to here is here.
    pub received: Seq,
    /// Everything of our log up to here was offered to the peer.
    pub sent: Seq,
    /// Entries of our log behind `sent`.
    pub unsent: u64,
    /// The time of the oldest of them, in milliseconds since the Unix epoch.
    pub oldest_unsent_ms: Option<u64>,
    /// How far the peer's clock was ahead of this one's when it last spoke, in milliseconds; negative if behind.
    pub clock_offset_ms: Option<i64>,
    /// What the last round said if it failed after the peer had answered `hello`. Why a peer cannot be reached at all,
    /// [`Follow::status`](crate::Follow::status) says.
    pub last_error: Option<String>,
    /// True if the last round since the engine started ended with the same changes here and there and other objects,
    /// and no repair has mended that.
    pub diverged: bool,
    /// What the last repair with it did, if one came to its end since the engine started.
    pub last_repair: Option<RepairReport>,
}

impl SyncEngine {
    /// How things stand.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn status(&self) -> Result<Status, SyncError> {
        let replica = &self.inner.replica;
        let (db, names) = replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut counts = [0_u64; 3];
        let counted = [
            "sync_pending WHERE library = ?",
            "sync_conflicts WHERE judged < 2 AND library = ?",
            "sync_held WHERE library = ?",
        ];
        for (count, what) in counts.iter_mut().zip(counted) {
            let statement = format!("SELECT count(*) FROM {what}");
            let row = sql::one(&db, &statement, [head.library.into()]).await?;
            *count = row
                .map_or(Ok(0), |row| sql::column::<i64>(&row, 0))
                .map(|n| u64::try_from(n).unwrap_or(0))?;
        }
        let devices = peers_called(&db, head.library).await?;
        let mut peers = Vec::with_capacity(devices.len());
        for device in devices {
            let position = position_with(&db, head.library, device).await?;
            let sent = i64::try_from(position.sent.0).unwrap_or(i64::MAX);
            let unsent = sql::one(
                &db,
                "SELECT count(*), min(change_id) FROM sync_log WHERE library = ? AND seq > ? AND kind >= 0",
                [head.library.into(), sent.into()],
            )
            .await?;
            let (unsent, oldest) = match unsent {
                Some(row) => (sql::column::<i64>(&row, 0)?, sql::column::<Option<Vec<u8>>>(&row, 1)?),
                None => (0, None),
            };
            let last_round = replica.last_round(device);
            let oldest = oldest.map(|bytes| sql::bytes(&bytes, "a stamp")).transpose()?;
            peers.push(PeerStatus {
                device,
                received: position.seq,
                sent: position.sent,
                unsent: u64::try_from(unsent).unwrap_or(0),
                oldest_unsent_ms: oldest.and_then(Stamp::from_bytes).map(|stamp| stamp.ms()),
                clock_offset_ms: replica.clock_offset(device).or(position.clock_offset_ms),
                diverged: last_round.as_ref().is_some_and(|round| round.diverged),
                last_error: last_round.and_then(|round| round.error),
                last_repair: replica.last_repair(device).and_then(|repair| repair.report),
            });
        }
        let schema = schema::list(&db, head.identity.library).await?.into_iter();
        Ok(Status {
            device: head.identity.device,
            library: head.identity.library,
            latest_seq: ledger::complete_end(&db, &head).await?,
            dirty: capture::any_dirty(&db).await?,
            scope: head.extent.scope(),
            widening: head.extent == Extent::Widening,
            digest: head.digest.to_bytes(),
            pending: counts[0] + schema.filter(|(_, waits)| waits.is_some()).count() as u64,
            conflicts: counts[1],
            held: counts[2],
            peers,
            floor: head.floor.seq,
            entries: ledger::log_entries(&db).await?,
            members: replica.members_of(&db, &names, &head).await?,
            renewals: ledger::renewals(&db).await?,
        })
    }
}
