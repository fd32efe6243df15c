//! The whole ledger, a part at a time: for checks.

use sea_orm::ConnectionTrait;

use super::{Head, LedgerError, commit::seq_value, extend, objects, pages::digest_of};
use crate::{
    ids::{RecordId, Seq, StateHash},
    merge::StoredObject,
    store::{Names, sql},
};

/// A walk along the chain from the floor to the end.
#[derive(Debug)]
pub(crate) struct LogWalk {
    seq: Seq,
    hash: StateHash,
    done: bool,
}

/// What a step of a walk saw.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) entries: u64,
    /// The chain breaks at or before this position.
    pub(crate) broken: Option<Seq>,
}

impl LogWalk {
    pub(crate) fn begin(head: &Head) -> Self {
        Self { seq: head.floor.seq, hash: head.floor.hash, done: false }
    }

    /// Looks at the next thousand entries; `None` at the end.
    pub(crate) async fn next<C: ConnectionTrait>(
        &mut self,
        db: &C,
        head: &Head,
    ) -> Result<Option<Step>, LedgerError> {
        if self.done {
            return Ok(None);
        }
        let rows = sql::all(
            db,
            "SELECT seq, data, digest, chain FROM sync_log WHERE library = ? AND seq > ? ORDER BY seq LIMIT 1000",
            [head.library.into(), seq_value(self.seq)],
        )
        .await?;
        let mut step = Step::default();
        if rows.is_empty() {
            self.done = true;
            if self.seq != head.seq || self.hash != head.chain {
                step.broken = Some(head.seq);
            }
            return Ok(Some(step));
        }
        for row in &rows {
            let seq = Seq(u64::try_from(sql::column::<i64>(row, 0)?).unwrap_or(0));
            self.hash = extend(self.hash, digest_of(head, row)?);
            step.entries += 1;
            let chain: Option<Vec<u8>> = sql::column(row, 3)?;
            let differs = chain.is_some_and(|chain| chain != self.hash.0);
            if differs || seq.0 != self.seq.0 + 1 {
                self.done = true;
                step.broken = Some(seq);
                return Ok(Some(step));
            }
            self.seq = seq;
        }
        Ok(Some(step))
    }
}

/// An object and its place.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) id: i64,
    pub(crate) model: i64,
    pub(crate) record: RecordId,
    pub(crate) object: StoredObject,
}

/// Objects in the order of their places.
pub(crate) async fn objects_after<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    after: i64,
    most: u32,
) -> Result<Vec<Placed>, LedgerError> {
    let rows = sql::all(
        db,
        &format!(
            "SELECT {}, model FROM sync_objects WHERE library = ? AND id > ? ORDER BY id LIMIT ?",
            objects::COLUMNS
        ),
        [library.into(), after.into(), i64::from(most).into()],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let (record, loaded) = objects::decode(row, names)?;
            Ok(Placed { id: loaded.id, model: sql::column(row, 6)?, record, object: loaded.object })
        })
        .collect()
}

/// Objects in the order in which they were last written, after a commit's number and a place, with those of each.
pub(crate) async fn objects_since<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    after: (i64, i64),
    most: u32,
) -> Result<Vec<(i64, Placed)>, LedgerError> {
    let rows = sql::all(
        db,
        &format!(
            "SELECT {}, model, seq FROM sync_objects WHERE library = ? AND (seq, id) > (?, ?) ORDER BY seq, id LIMIT ?",
            objects::COLUMNS
        ),
        [library.into(), after.0.into(), after.1.into(), i64::from(most).into()],
    )
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let (record, loaded) = objects::decode(row, names)?;
        let one = Placed { id: loaded.id, model: sql::column(row, 6)?, record, object: loaded.object };
        found.push((sql::column(row, 7)?, one));
    }
    Ok(found)
}
