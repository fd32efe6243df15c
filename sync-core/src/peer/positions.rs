//! How far this replica is with each peer: its cursor in the peer's log, the peer's in ours.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::scoped::forget_reads;
use crate::{
    ids::{DeviceId, LogId, Seq, StateHash},
    ledger::LedgerError,
    store::sql,
    vector::Vector,
};

/// See the [module](self). Saved in the transaction that applies what it says was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The incarnation of the peer's log that the cursor is in.
    pub(crate) log_id: Option<LogId>,
    /// Everything of the peer's log up to here is here.
    pub(crate) seq: Seq,
    /// The head of the peer's chain at `seq`, computed here.
    pub(crate) state_hash: StateHash,
    /// Everything of our log up to here was offered to the peer.
    pub(crate) sent: Seq,
    /// The peer's vector as last told.
    pub(crate) vector: Vector,
    /// Where a first sync that was interrupted goes on in the peer's state feed.
    #[serde(default)]
    pub(crate) feed: Option<ByteBuf>,
    /// How far the peer's clock was ahead in the last round.
    #[serde(default)]
    pub(crate) clock_offset_ms: Option<i64>,
    /// How many records of the feed are here.
    #[serde(default)]
    pub(crate) feed_records: u64,
    /// True if one of them was new here.
    #[serde(default)]
    pub(crate) feed_news: bool,
    /// The floor of our log up to which the peer has our state: it brought it here, or was given it.
    #[serde(default)]
    pub(crate) given: Seq,
    /// When the peer last answered, in milliseconds since the Unix epoch, as this machine believed.
    #[serde(default)]
    pub(crate) seen_ms: u64,
    /// How many authors were known to be forked when it began. Until one is known, its head stands for changes of
    /// two databases, and those below it were spared although they may never have come: a position from before says nothing.
    #[serde(default)]
    pub(crate) marks: u64,
    /// True if the peer keeps a part of the library: it needs no history.
    #[serde(default)]
    pub(crate) part: bool,
}

impl Position {
    /// The beginning of a log, for a replica that knows this many forked authors.
    pub(crate) fn beginning(log_id: Option<LogId>, marks: u64) -> Self {
        Self { log_id, marks, ..Self::default() }
    }
}

/// How many authors are known to be forked.
pub(crate) async fn marks<C: ConnectionTrait>(db: &C, library: i64) -> Result<u64, LedgerError> {
    let statement = "SELECT count(*) FROM sync_origins WHERE library = ? AND forked <> 0";
    let row = sql::one(db, statement, [library.into()]).await?;
    Ok(u64::try_from(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?).unwrap_or(0))
}

/// The position with a peer; a new one if the two never met, or if an author was found to be forked since.
pub(crate) async fn load<C: ConnectionTrait>(
    db: &C,
    library: i64,
    device: DeviceId,
) -> Result<Position, LedgerError> {
    let saved: Option<Position> = find(db, library, device, CALLED).await?;
    let marks = marks(db, library).await?;
    Ok(saved.filter(|saved| saved.marks == marks).unwrap_or_else(|| Position::beginning(None, marks)))
}

/// What is saved of a peer in this scope.
pub(super) async fn find<C: ConnectionTrait, T: DeserializeOwned>(
    db: &C,
    library: i64,
    device: DeviceId,
    scope: &[u8],
) -> Result<Option<T>, LedgerError> {
    let row = sql::one(
        db,
        "SELECT state FROM sync_positions WHERE device = ? AND library = ? AND scope = ?",
        [device.as_bytes().to_vec().into(), library.into(), scope.to_vec().into()],
    )
    .await?;
    row.map(|row| {
        rmp_serde::from_slice(&sql::column::<Vec<u8>>(&row, 0)?)
            .map_err(|error| LedgerError::Corrupt(format!("the position with {device}: {error}")))
    })
    .transpose()
}

/// The scope of a position with a peer that this replica calls.
pub(crate) const CALLED: &[u8] = b"";

/// The scope of what a caller said of itself.
pub(crate) const CALLS: &[u8] = b"caller";

/// What is known of all peers in this scope.
pub(crate) async fn all<C: ConnectionTrait, T: DeserializeOwned>(
    db: &C,
    library: i64,
    scope: &[u8],
) -> Result<Vec<(DeviceId, T)>, LedgerError> {
    let statement =
        "SELECT device, state FROM sync_positions WHERE library = ? AND scope = ? ORDER BY device";
    let rows = sql::all(db, statement, [library.into(), scope.to_vec().into()]).await?;
    rows.iter()
        .map(|row| {
            let device = DeviceId::from_bytes(sql::bytes(&sql::column::<Vec<u8>>(row, 0)?, "a device")?);
            let state = rmp_serde::from_slice(&sql::column::<Vec<u8>>(row, 1)?)
                .map_err(|error| LedgerError::Corrupt(format!("the position with {device}: {error}")))?;
            Ok((device, state))
        })
        .collect()
}

/// The logs of all peers are read from their beginning again, without what is here.
pub(crate) async fn forget_all<C: ConnectionTrait>(db: &C, library: i64) -> Result<(), LedgerError> {
    let statement = "DELETE FROM sync_positions WHERE library = ? AND scope = ?";
    sql::execute(db, statement, [library.into(), CALLED.to_vec().into()]).await?;
    forget_reads(db, library).await
}

/// The logs of all peers are read from their beginning again, without what is here: what was read before may have been let go.
pub(super) async fn read_logs_again<C: ConnectionTrait>(db: &C, library: i64) -> Result<(), LedgerError> {
    for device in called(db, library).await? {
        let mut position = load(db, library, device).await?;
        (position.seq, position.state_hash, position.feed) = (Seq(0), StateHash::default(), None);
        save(db, library, device, &position).await?;
    }
    Ok(())
}

/// The peers that this replica calls.
pub(crate) async fn called<C: ConnectionTrait>(db: &C, library: i64) -> Result<Vec<DeviceId>, LedgerError> {
    Ok(all::<_, Position>(db, library, CALLED).await?.into_iter().map(|(device, _)| device).collect())
}

/// The next round with each peer begins with the peer's state feed.
pub(crate) async fn read_states_again<C: ConnectionTrait>(db: &C, library: i64) -> Result<(), LedgerError> {
    for device in called(db, library).await? {
        let mut position = load(db, library, device).await?;
        position.feed = Some(ByteBuf::new());
        save(db, library, device, &position).await?;
    }
    forget_reads(db, library).await
}

/// Saves the position with a peer.
pub(crate) async fn save<C: ConnectionTrait>(
    db: &C,
    library: i64,
    device: DeviceId,
    position: &Position,
) -> Result<(), LedgerError> {
    save_as(db, library, device, CALLED, position).await
}

/// What is known of a peer in this scope.
pub(crate) async fn load_as<C: ConnectionTrait, T: DeserializeOwned>(
    db: &C,
    library: i64,
    device: DeviceId,
    scope: &[u8],
) -> Result<Option<T>, LedgerError> {
    let statement = "SELECT state FROM sync_positions WHERE device = ? AND library = ? AND scope = ?";
    let values = [device.as_bytes().to_vec().into(), library.into(), scope.to_vec().into()];
    let row = sql::one(db, statement, values).await?;
    row.map(|row| {
        rmp_serde::from_slice(&sql::column::<Vec<u8>>(&row, 0)?)
            .map_err(|error| LedgerError::Corrupt(format!("what is known of {device}: {error}")))
    })
    .transpose()
}

/// Forgets what is known of a peer in this scope.
pub(crate) async fn drop_as<C: ConnectionTrait>(
    db: &C,
    library: i64,
    device: DeviceId,
    scope: &[u8],
) -> Result<(), LedgerError> {
    let statement = "DELETE FROM sync_positions WHERE device = ? AND library = ? AND scope = ?";
    let values = [device.as_bytes().to_vec().into(), library.into(), scope.to_vec().into()];
    sql::execute(db, statement, values).await?;
    Ok(())
}

/// Saves what is known of a peer in this scope.
pub(crate) async fn save_as<C: ConnectionTrait, T: Serialize>(
    db: &C,
    library: i64,
    device: DeviceId,
    scope: &[u8],
    state: &T,
) -> Result<(), LedgerError> {
    let bytes = rmp_serde::to_vec_named(state).map_err(|error| LedgerError::Corrupt(error.to_string()))?;
    sql::execute(
        db,
        "INSERT INTO sync_positions (device, library, scope, state) VALUES (?, ?, ?, ?) \
         ON CONFLICT (device, library, scope) DO UPDATE SET state = excluded.state",
        [device.as_bytes().to_vec().into(), library.into(), scope.to_vec().into(), bytes.into()],
    )
    .await?;
    Ok(())
}

/// Forgets a peer. True if it was known.
pub(crate) async fn forget<C: ConnectionTrait>(
    db: &C,
    library: i64,
    device: DeviceId,
) -> Result<bool, LedgerError> {
    let statement = "DELETE FROM sync_positions WHERE device = ? AND library = ?";
    let gone = sql::execute(db, statement, [device.as_bytes().to_vec().into(), library.into()]).await?;
    Ok(gone > 0)
}
