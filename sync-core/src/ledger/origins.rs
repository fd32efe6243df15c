//! The vector: for each author, how far its chain of changes is here without a gap.
//!
//! It moves from `a` to `b` only by merging a change whose `previous` is `a`. A change beyond a gap is merged all
//! the same, is marked `ahead`, and counts as soon as the gap closes.

use std::collections::HashMap;

use sea_orm::ConnectionTrait;

use super::LedgerError;
use crate::{
    change::Change,
    ids::{DeviceId, LibraryId},
    stamp::Stamp,
    store::{NameKind, Names, StoreError, Write, sql},
    vector::Vector,
};

/// The vector of a library.
pub(crate) async fn vector<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
) -> Result<Vector, LedgerError> {
    let rows =
        sql::all(db, "SELECT device, head, forked FROM sync_origins WHERE library = ?", [library.into()])
            .await?;
    let mut vector = Vector::new();
    for row in &rows {
        let device = device_of(names, sql::column(row, 0)?)?;
        if let Some(head) = sql::column::<Option<Vec<u8>>>(row, 1)? {
            vector.advance(device, stamp(&head)?);
        }
        if sql::column::<i64>(row, 2)? != 0 {
            vector.mark_forked(device);
        }
    }
    Ok(vector)
}

/// The newest change of `device` in the log, gap or not.
pub(crate) async fn head_of<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    device: DeviceId,
) -> Result<Option<Stamp>, LedgerError> {
    let Some(id) = names.id(NameKind::Device, device.as_bytes()) else { return Ok(None) };
    let row = sql::one(
        db,
        "SELECT max(change_id) FROM sync_log WHERE library = ? AND device = ? AND ahead = 1",
        [library.into(), id.into()],
    )
    .await?;
    let ahead = match row {
        Some(row) => sql::column::<Option<Vec<u8>>>(&row, 0)?,
        None => None,
    };
    let head = vector(db, names, library).await?.head(device);
    Ok(ahead.map(|bytes| stamp(&bytes)).transpose()?.max(head))
}

/// True if any change stands beyond a gap in its author's chain.
pub(crate) async fn any_ahead<C: ConnectionTrait>(db: &C) -> Result<bool, StoreError> {
    let statement = "SELECT EXISTS (SELECT 1 FROM sync_log INDEXED BY sync_log_ahead WHERE ahead = 1)";
    let row = sql::one(db, statement, []).await?;
    Ok(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0)
}

/// What the log holds of `ids`, and which of them stand beyond a gap.
pub(crate) async fn logged<C: ConnectionTrait>(
    db: &C,
    ids: impl IntoIterator<Item = Stamp>,
) -> Result<HashMap<Stamp, bool>, LedgerError> {
    let ids = ids.into_iter().map(|id| id.as_bytes().to_vec().into()).collect();
    let rows =
        sql::select_in(db, "SELECT change_id, ahead FROM sync_log WHERE change_id IN", "", ids).await?;
    rows.iter()
        .map(|row| Ok((stamp(&sql::column::<Vec<u8>>(row, 0)?)?, sql::column::<i64>(row, 1)? != 0)))
        .collect()
}

/// Those of `changes`, each with its bytes, under whose id the log has other ones. What the log no longer has is not looked for.
pub(crate) async fn with_other_bytes<'a, C: ConnectionTrait>(
    db: &C,
    library: LibraryId,
    changes: impl IntoIterator<Item = (Stamp, &'a [u8])>,
) -> Result<Vec<Stamp>, LedgerError> {
    let given: HashMap<Stamp, &[u8]> = changes.into_iter().collect();
    let ids = given.keys().map(|id| id.as_bytes().to_vec().into()).collect();
    let rows = "SELECT change_id, data, digest FROM sync_log WHERE change_id IN";
    let mut others = Vec::new();
    for row in &sql::select_in(db, rows, "", ids).await? {
        let id = stamp(&sql::column::<Vec<u8>>(row, 0)?)?;
        let Some(bytes) = given.get(&id) else { continue };
        let same = match sql::column::<Option<Vec<u8>>>(row, 1)? {
            // Either of the two may be compacted.
            Some(logged) => {
                logged == *bytes || Change::digest(library, &logged) == Change::digest(library, bytes)
            }
            None => {
                let digest: Option<Vec<u8>> = sql::column(row, 2)?;
                digest.is_none_or(|digest| digest == Change::digest(library, bytes).0)
            }
        };
        if !same {
            others.push(id);
        }
    }
    Ok(others)
}

/// Marks authors as forked. True if one was not marked before.
pub(crate) async fn mark_forked(
    write: &mut Write<'_>,
    library: i64,
    forked: impl IntoIterator<Item = DeviceId>,
) -> Result<bool, LedgerError> {
    let mut origins = Origins::load(write, library).await?;
    let mut ids = HashMap::new();
    let mut marks = Vector::new();
    for device in forked {
        ids.insert(device, write.names.intern(write.db, NameKind::Device, device.as_bytes()).await?);
        marks.mark_forked(device);
    }
    origins.adopt(&marks, &ids);
    origins.save(write.db).await?;
    Ok(origins.forked())
}

/// The device with this integer.
pub(crate) fn device_of(names: &Names, id: i64) -> Result<DeviceId, LedgerError> {
    let bytes = names.name(id).ok_or_else(|| StoreError::Corrupt(format!("device {id} has no name")))?;
    Ok(DeviceId::from_bytes(sql::bytes(bytes, "a device's name")?))
}

/// A stamp from a column.
pub(crate) fn stamp(bytes: &[u8]) -> Result<Stamp, LedgerError> {
    Stamp::from_bytes(sql::bytes(bytes, "a stamp")?)
        .ok_or_else(|| LedgerError::Corrupt("a stamp in the ledger is none".into()))
}

/// The vector while a commit moves it.
#[derive(Debug)]
pub(crate) struct Origins {
    library: i64,
    vector: Vector,
    moved: HashMap<DeviceId, i64>,
    /// True where this commit adds changes beyond a gap.
    ahead: bool,
    /// True once an author was found to be forked.
    forked: bool,
}

impl Origins {
    /// Reads the vector.
    pub(crate) async fn load(write: &Write<'_>, library: i64) -> Result<Self, LedgerError> {
        let vector = vector(write.db, &write.names, library).await?;
        Ok(Self { library, vector, moved: HashMap::new(), ahead: false, forked: false })
    }

    /// Takes in a change. True if it stands beyond a gap.
    pub(crate) fn merge(
        &mut self,
        device: DeviceId,
        device_id: i64,
        previous: Option<Stamp>,
        id: Stamp,
    ) -> bool {
        if self.vector.is_forked(device) {
            return false;
        }
        let head = self.vector.head(device);
        if previous == head {
            self.vector.advance(device, id);
            self.moved.insert(device, device_id);
            return false;
        }
        // All of the author up to `head` is here, and what follows `previous` among it is another change: two
        // databases wrote under this id.
        if previous < head {
            self.fork(device, device_id);
            return false;
        }
        self.ahead = true;
        true
    }

    fn fork(&mut self, device: DeviceId, device_id: i64) {
        tracing::warn!(%device, "two databases wrote under one device id");
        self.vector.mark_forked(device);
        self.moved.insert(device, device_id);
        self.forked = true;
    }

    /// Learns that everything `vector` says is here: a complete snapshot says so.
    pub(crate) fn adopt(&mut self, vector: &Vector, ids: &HashMap<DeviceId, i64>) {
        for (device, head) in vector.heads() {
            if let Some(id) = ids.get(&device) {
                self.vector.advance(device, head);
                self.moved.insert(device, *id);
            }
        }
        for device in vector.forked() {
            if let Some(id) = ids.get(&device) {
                self.forked |= !self.vector.is_forked(device);
                self.vector.mark_forked(device);
                self.moved.insert(device, *id);
            }
        }
    }

    /// True once an author was found to be forked that was not before.
    pub(crate) fn forked(&self) -> bool {
        self.forked
    }

    /// The vector as it is now.
    pub(crate) fn vector(&self) -> &Vector {
        &self.vector
    }

    /// Closes the gaps that can be closed and saves what moved. The commit's log entries are written already.
    pub(crate) async fn save<C: ConnectionTrait>(&mut self, db: &C) -> Result<(), LedgerError> {
        if self.moved.is_empty() {
            return Ok(());
        }
        let ahead = self.ahead || any_ahead(db).await?;
        if ahead {
            for (device, id) in self.moved.clone() {
                self.close_gap(db, device, id).await?;
            }
        }
        let mut rows = Vec::with_capacity(4 * self.moved.len());
        for (device, id) in self.moved.drain() {
            if ahead && self.vector.is_forked(device) {
                // Nothing waits for a gap in two chains to close.
                let statement =
                    "UPDATE sync_log SET ahead = 0 WHERE device = ? AND ahead = 1 AND library = ?";
                sql::execute(db, statement, [id.into(), self.library.into()]).await?;
            }
            let head = self.vector.head(device).map(|head| head.as_bytes().to_vec());
            let forked = i64::from(self.vector.is_forked(device));
            rows.extend([self.library.into(), id.into(), head.into(), forked.into()]);
        }
        let tail =
            "ON CONFLICT (library, device) DO UPDATE SET head = excluded.head, forked = excluded.forked";
        let head = "INSERT INTO sync_origins (library, device, head, forked)";
        Ok(sql::insert_rows(db, head, 4, tail, rows).await?)
    }

    async fn close_gap<C: ConnectionTrait>(
        &mut self,
        db: &C,
        device: DeviceId,
        id: i64,
    ) -> Result<(), LedgerError> {
        while let Some(head) = self.vector.head(device) {
            let rows = sql::all(
                db,
                "SELECT change_id FROM sync_log WHERE device = ? AND previous = ? AND ahead = 1 AND library = ?",
                [id.into(), head.as_bytes().to_vec().into(), self.library.into()],
            )
            .await?;
            let [row] = rows.as_slice() else {
                if !rows.is_empty() {
                    // Two changes follow the same one.
                    self.fork(device, id);
                }
                break;
            };
            let next = stamp(&sql::column::<Vec<u8>>(row, 0)?)?;
            sql::execute(
                db,
                "UPDATE sync_log SET ahead = 0 WHERE change_id = ?",
                [next.as_bytes().to_vec().into()],
            )
            .await?;
            self.vector.advance(device, next);
        }
        Ok(())
    }
}
