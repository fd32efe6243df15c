//! Where a library stands: read under the write lock at the beginning of each write, saved with its end.
//!
//! Invariant: memory keeps no copy of it from one transaction to the next, because another process may have
//! written in between.

use std::collections::HashMap;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use crate::{
    ids::{DeviceId, LibraryId, LogId, Seq, StateHash},
    merge::Digest,
    runtime::Runtime,
    stamp::{HybridClock, Stamp},
    store::{FORMAT, NameKind, Names, StoreError, Write, sql},
    vector::Vector,
};

/// Who this replica is; kept in `sync_metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: DeviceId,
    pub(crate) library: LibraryId,
    pub(crate) log_id: LogId,
}

/// What the log no longer holds: everything up to a position, which `vector` covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) seq: Seq,
    pub(crate) hash: StateHash,
    pub(crate) vector: Vector,
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
    /// The largest id in `sync_objects`.
    last_object: i64,
}

/// The `sync_metadata` table as a map.
type Metadata = HashMap<String, Vec<u8>>;

const KEY_FORMAT: &str = "format";
const KEY_DEVICE: &str = "device_id";
const KEY_LIBRARY: &str = "library_id";
const KEY_LOG: &str = "log_id";
const KEY_STAMP: &str = "last_stamp";

fn key_head(library: i64) -> String {
    format!("head/{library}")
}

impl Identity {
    /// The identity in the database; a new one where there is none. `library` is the one asked for: the
    /// database's own if it is `None`.
    ///
    /// The error says which library the database holds if it is another.
    pub(crate) async fn open(
        write: &mut Write<'_>,
        library: Option<LibraryId>,
        runtime: &Runtime,
    ) -> Result<Result<Self, LibraryId>, LedgerError> {
        let metadata = read(write.db).await?;
        check_format(&metadata)?;
        if let Some(identity) = parse(&metadata)? {
            return Ok(match library {
                Some(asked) if asked != identity.library => Err(identity.library),
                _ => Ok(identity),
            });
        }
        let random = runtime.random.as_ref();
        let identity = Self {
            device: DeviceId::random(random),
            library: library.unwrap_or_else(|| LibraryId::random(random)),
            log_id: LogId::random(random),
        };
        write.names.intern(write.db, NameKind::Library, identity.library.as_bytes()).await?;
        write.names.intern(write.db, NameKind::Device, identity.device.as_bytes()).await?;
        let rows = vec![
            KEY_FORMAT.into(),
            FORMAT.to_be_bytes().to_vec().into(),
            KEY_DEVICE.into(),
            identity.device.as_bytes().to_vec().into(),
            KEY_LIBRARY.into(),
            identity.library.as_bytes().to_vec().into(),
            KEY_LOG.into(),
            identity.log_id.as_bytes().to_vec().into(),
        ];
        save(write.db, rows).await?;
        Ok(Ok(identity))
    }
}

impl Head {
    /// Reads where the library stands. Call it first in every write.
    pub(crate) async fn load<C: ConnectionTrait>(db: &C, names: &Names) -> Result<Self, LedgerError> {
        let metadata = read(db).await?;
        check_format(&metadata)?;
        let identity = parse(&metadata)?
            .ok_or_else(|| LedgerError::Corrupt("sync_metadata does not say who this replica is".into()))?;
        let library = names
            .id(NameKind::Library, identity.library.as_bytes())
            .ok_or_else(|| LedgerError::Corrupt("the library has no name".into()))?;
        let saved: Saved = match metadata.get(&key_head(library)) {
            Some(bytes) => rmp_serde::from_slice(bytes)
                .map_err(|error| LedgerError::Corrupt(format!("the head of the log: {error}")))?,
            None => Saved::default(),
        };
        let last = match metadata.get(KEY_STAMP) {
            Some(bytes) => Stamp::from_bytes(sql::bytes(bytes, KEY_STAMP)?)
                .ok_or_else(|| LedgerError::Corrupt("the last stamp is none".into()))?,
            None => Stamp::NIL,
        };
        let row = sql::one(db, "SELECT max(id) FROM sync_objects", []).await?;
        let last_object = row.map_or(Ok(None), |row| sql::column::<Option<i64>>(&row, 0))?.unwrap_or(0);
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
            last_object,
        })
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
        };
        let bytes =
            rmp_serde::to_vec_named(&saved).map_err(|error| LedgerError::Corrupt(error.to_string()))?;
        let rows = vec![
            key_head(self.library).into(),
            bytes.into(),
            KEY_STAMP.into(),
            self.clock.last().as_bytes().to_vec().into(),
        ];
        save(db, rows).await
    }
}

async fn read<C: ConnectionTrait>(db: &C) -> Result<Metadata, LedgerError> {
    let rows = sql::all(db, "SELECT key, value FROM sync_metadata", []).await?;
    rows.iter().map(|row| Ok((sql::column(row, 0)?, sql::column(row, 1)?))).collect()
}

async fn save<C: ConnectionTrait>(db: &C, rows: Vec<sea_orm::Value>) -> Result<(), LedgerError> {
    let tail = "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    Ok(sql::insert_rows(db, "INSERT INTO sync_metadata (key, value)", 2, tail, rows).await?)
}

fn check_format(metadata: &Metadata) -> Result<(), LedgerError> {
    let Some(format) = metadata.get(KEY_FORMAT) else { return Ok(()) };
    let found = u64::from_be_bytes(sql::bytes(format, KEY_FORMAT)?);
    if found > FORMAT {
        return Err(StoreError::NewerFormat { found, known: FORMAT }.into());
    }
    Ok(())
}

fn parse(metadata: &Metadata) -> Result<Option<Identity>, LedgerError> {
    let part = |key: &str| metadata.get(key).map(|bytes| sql::bytes::<16>(bytes, key)).transpose();
    match (part(KEY_DEVICE)?, part(KEY_LIBRARY)?, part(KEY_LOG)?) {
        (None, None, None) => Ok(None),
        (Some(device), Some(library), Some(log)) => Ok(Some(Identity {
            device: DeviceId::from_bytes(device),
            library: LibraryId::from_bytes(library),
            log_id: LogId::from_bytes(log),
        })),
        _ => Err(LedgerError::Corrupt("sync_metadata says only in part who this replica is".into())),
    }
}
