//! Where a library stands: read under the write lock at the beginning of each write, saved with its end.
//!
//! Invariant: memory keeps no copy of it from one transaction to the next, because another process may have
//! written in between.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    LedgerError,
    extent::Extent,
    forgotten::Forgotten,
    identity::Identity,
    metadata::{self, KEY_RETIRED, KEY_STAMP, Metadata, key_head, pack},
    taken_back::Retired,
};
use crate::{
    ids::{DeviceId, Seq, StateHash},
    merge::Digest,
    stamp::{HybridClock, Stamp},
    store::{NameKind, Names, sql},
    vector::Vector,
};

/// What the log no longer holds: everything up to a position, which `vector` covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) seq: Seq,
    pub(crate) hash: StateHash,
    pub(crate) vector: Vector,
    /// Up to here something of forked authors went: no vector tells who has it.
    #[serde(default)]
    pub(crate) doubt: Seq,
}

impl Floor {
    /// True if a reader with all of `have`, and with everything up to `from`, lacks nothing of what went.
    pub(crate) fn is_had(&self, from: Seq, have: &Vector) -> bool {
        from >= self.seq || (from >= self.doubt && have.includes(&self.vector))
    }

    /// True if somebody with all of `theirs` surely lacks something of what went; `mine` has the marks that are known
    /// here.
    pub(crate) fn is_lacked(&self, theirs: &Vector, mine: &Vector) -> bool {
        let certain = |device: &DeviceId| !mine.is_forked(*device);
        self.vector
            .heads()
            .filter(|(device, _)| certain(device))
            .any(|(device, head)| !theirs.covers(device, head))
    }

    /// Up to which position something of forked authors went. One that was found to be forked later may have had changes
    /// anywhere.
    pub(crate) fn doubt(&self, mine: &Vector) -> Seq {
        let later = self.vector.heads().any(|(device, _)| mine.is_forked(device));
        if later { self.seq } else { self.doubt }
    }
}

/// The part of a head that is saved, as MessagePack with names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Saved {
    seq: Seq,
    chain: StateHash,
    #[serde(with = "serde_bytes")]
    digest: [u8; 16],
    /// The newest change of this device in this library.
    previous: Option<Stamp>,
    /// The group that a flush has begun and not ended.
    open_txn: Option<Stamp>,
    floor: Floor,
    #[serde(default)]
    forgotten: Forgotten,
    #[serde(default)]
    swept: i64,
    #[serde(default)]
    offered: Option<Seq>,
    #[serde(default)]
    order: i64,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) identity: Identity,
    /// The library's integer in `sync_names`.
    pub(crate) library: i64,
    /// Makes the stamps of this device.
    pub(crate) clock: HybridClock,
    /// The end of the log.
    pub(crate) seq: Seq,
    /// The chain at the end of the log.
    pub(crate) chain: StateHash,
    pub(crate) digest: Digest,
    pub(crate) previous: Option<Stamp>,
    pub(crate) open_txn: Option<Stamp>,
    pub(crate) floor: Floor,
    /// What the tombstones were that are gone.
    pub(crate) forgotten: Forgotten,
    /// The place in the state feed of the newest tombstone that is gone.
    pub(crate) swept: i64,
    /// Where unsent changes of one record are made one before they are sent: nobody has seen what stands behind this.
    pub(crate) offered: Option<Seq>,
    /// The number of the last commit that wrote objects: each has one of its own, by which the state feed is ordered. Before they
    /// were numbered, objects had the position of the log.
    pub(crate) order: i64,
    /// How much of the library is kept here.
    pub(crate) extent: Extent,
    /// The device ids of which a part was taken back.
    pub(crate) retired: Vec<Retired>,
    /// The largest id in `sync_objects`.
    last_object: i64,
}

impl Head {
    /// Reads where the library stands. Call it first in every write.
    pub(crate) async fn load<C: ConnectionTrait>(db: &C, names: &Names) -> Result<Self, LedgerError> {
        let (metadata, last_object) = Metadata::with_last_object(db).await?;
        let identity = Identity::parse(&metadata)?
            .ok_or_else(|| LedgerError::Corrupt("sync_metadata does not say who this replica is".into()))?;
        let library = names
            .id(NameKind::Library, identity.library.as_bytes())
            .ok_or_else(|| LedgerError::Corrupt("the library has no name".into()))?;
        let saved: Saved = metadata.packed(&key_head(library))?.unwrap_or_default();
        let last = match metadata.get(KEY_STAMP) {
            Some(bytes) => Stamp::from_bytes(sql::bytes(bytes, KEY_STAMP)?)
                .ok_or_else(|| LedgerError::Corrupt("the last stamp is none".into()))?,
            None => Stamp::NIL,
        };
        Ok(Self {
            identity,
            library,
            clock: HybridClock::new(identity.device.node(), last),
            seq: saved.seq,
            chain: saved.chain,
            digest: Digest::from_bytes(saved.digest),
            previous: saved.previous,
            open_txn: saved.open_txn,
            floor: saved.floor,
            forgotten: saved.forgotten,
            swept: saved.swept,
            offered: saved.offered,
            order: saved.order.max(i64::try_from(saved.seq.0).unwrap_or(i64::MAX)),
            extent: Extent::parse(&metadata)?,
            retired: metadata.packed(KEY_RETIRED)?.unwrap_or_default(),
            last_object,
        })
    }

    /// The latest time that a stamp here can have, where one may be ahead of the clock by `max_drift_ms`. A clock that was set back
    /// makes no older stamp one from the future: it was in order when it came.
    pub(crate) fn latest_ms(&self, now_ms: u64, max_drift_ms: u64) -> u64 {
        now_ms.max(self.clock.last().ms()).saturating_add(max_drift_ms)
    }

    /// The largest place in `sync_objects`.
    pub(crate) const fn last_object(&self) -> i64 {
        self.last_object
    }

    /// The id that a record never seen before gets in `sync_objects`.
    pub(crate) fn new_object(&mut self) -> i64 {
        self.last_object += 1;
        self.last_object
    }

    /// Saves where the library stands now.
    pub(crate) async fn save<C: ConnectionTrait>(&self, db: &C) -> Result<(), LedgerError> {
        let saved = Saved {
            seq: self.seq,
            chain: self.chain,
            digest: self.digest.to_bytes(),
            previous: self.previous,
            open_txn: self.open_txn,
            floor: self.floor.clone(),
            forgotten: self.forgotten,
            swept: self.swept,
            offered: self.offered,
            order: self.order,
        };
        let values = [
            (key_head(self.library), pack(&saved)?),
            (KEY_STAMP.into(), self.clock.last().as_bytes().to_vec()),
        ];
        metadata::save(db, values).await
    }
}
