//! How far a replica of a part has another's state, whether it read it or was given it.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::super::positions::{self, save_as};
use crate::{
    ids::{DeviceId, LogId, Seq, StateHash},
    ledger::{Head, LedgerError, Selected},
    store::sql,
};

/// Under what a position is saved: another selection has another, so it begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) struct PlaceOf {
    pub(in crate::peer) device: DeviceId,
    key: Vec<u8>,
}

impl PlaceOf {
    pub(in crate::peer) fn new(device: DeviceId, selected: &Selected) -> Self {
        Self { device, key: [b"r", selected.fingerprint.as_slice()].concat() }
    }
}

/// See the [module](self). Saved in the transaction that takes in what it says was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::peer) struct PartPosition {
    /// The incarnation of the log whose feed the cursor is in.
    pub(in crate::peer) log_id: Option<LogId>,
    /// Where the feed goes on; `None` at its beginning.
    #[serde(default)]
    pub(in crate::peer) cursor: Option<ByteBuf>,
    /// What the peer said of itself when its state was last read to the end, if it does not say where the feed goes on then: a
    /// program from before that could. It is read from its beginning when it says something else.
    #[serde(default)]
    pub(in crate::peer) told: Option<(Seq, StateHash, ByteBuf)>,
    /// The number of the last commit here when a reading from the beginning began, until what it did not list was looked at:
    /// each record that it lists is written, so those written before then are not in the peer's part.
    #[serde(default)]
    pub(in crate::peer) began: Option<i64>,
    /// Objects here were looked at up to this commit and place: those after it may be out of scope.
    #[serde(default)]
    pub(in crate::peer) swept: (i64, i64),
    /// How many records were read before this reading was broken off.
    #[serde(default)]
    pub(in crate::peer) records: u64,
}

impl PartPosition {
    /// The position at this place; a new one if it is in another log than `log_id`.
    pub(in crate::peer) async fn load<C: ConnectionTrait>(
        db: &C,
        library: i64,
        place: &PlaceOf,
        log_id: LogId,
    ) -> Result<Self, LedgerError> {
        let saved = Self::find(db, library, place).await?;
        let saved = saved.filter(|saved| saved.log_id == Some(log_id));
        Ok(saved.unwrap_or_else(|| Self { log_id: Some(log_id), ..Self::default() }))
    }

    /// The position at this place, if there is one.
    pub(in crate::peer) async fn find<C: ConnectionTrait>(
        db: &C,
        library: i64,
        place: &PlaceOf,
    ) -> Result<Option<Self>, LedgerError> {
        positions::find(db, library, place.device, &place.key).await
    }

    /// A reading from the beginning of the peer's feed begins: what it does not list of what stands here now is not in the part.
    pub(in crate::peer) fn begin(&mut self, head: &Head) {
        (self.began, self.swept) = (Some(head.order), (0, 0));
    }

    pub(in crate::peer) async fn save<C: ConnectionTrait>(
        &self,
        db: &C,
        library: i64,
        place: &PlaceOf,
    ) -> Result<(), LedgerError> {
        save_as(db, library, place.device, &place.key, self).await?;
        // A peer that asks for another part does not come back to the one before.
        let statement = "DELETE FROM sync_positions WHERE device = ? AND library = ? AND length(scope) = ? \
                         AND substr(scope, 1, 1) = ? AND scope <> ?";
        let key = &place.key;
        let length = i64::try_from(key.len()).unwrap_or(i64::MAX);
        let values = [
            place.device.as_bytes().to_vec().into(),
            library.into(),
            length.into(),
            key[..1].to_vec().into(),
            key.clone().into(),
        ];
        sql::execute(db, statement, values).await?;
        Ok(())
    }
}

/// Forgets how far others' states were read, and with whom: they are read from their beginning.
pub(in crate::peer) async fn forget_reads<C: ConnectionTrait>(
    db: &C,
    library: i64,
) -> Result<(), LedgerError> {
    let statement =
        "DELETE FROM sync_positions WHERE library = ? AND length(scope) = 17 AND substr(scope, 1, 1) = x'72'";
    sql::execute(db, statement, [library.into()]).await?;
    Ok(())
}
