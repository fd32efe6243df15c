//! Objects as they are found, damaged ones among them.
//!
//! Invariant: nothing here fails because of what an object's bytes say. What is wrong with an object is part of the
//! answer, so that one that is damaged hides none of the others.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, QueryResult};

use super::{LedgerError, objects::COLUMNS};
use crate::{
    change::Change,
    ids::RecordId,
    merge::{Object, StoredObject, join, place_of},
    store::{Binding, Names, rows, sql},
};

/// An object and its place, whatever its bytes say.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) model: i64,
    pub(crate) record: RecordId,
    /// The generation that stands beside the object for those who look for alive ones.
    generation: i64,
    /// The object, or why it cannot be read.
    pub(crate) object: Result<StoredObject, String>,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The object cannot be read, or says what no object can.
    Object(String),
    /// The row, which nobody noted, is not what the object says; or the object is not what it was.
    Row,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(what) => f.write_str(what),
            Self::Row => f.write_str("the row is not what its object says"),
        }
    }
}

/// Whether a record's row says something about its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It was not written since it was last looked at.
    Quiet,
    /// A guard noted a write that is not logged yet: what differs is an edit.
    Noted,
}

impl Found {
    fn read(row: &QueryResult, names: &Names) -> Result<Self, LedgerError> {
        let record: Vec<u8> = sql::column(row, 1)?;
        let clock: Vec<u8> = sql::column(row, 3)?;
        let cells: Vec<u8> = sql::column(row, 4)?;
        let payload: Option<Vec<u8>> = sql::column(row, 5)?;
        let object = StoredObject::decode(&cells, &clock, payload.as_deref(), names);
        Ok(Self {
            id: sql::column(row, 0)?,
            model: sql::column(row, 6)?,
            record: RecordId::from_bytes(record),
            generation: sql::column(row, 2)?,
            object: object.map_err(|error| error.to_string()),
        })
    }

    /// True if the object says that its row stands in the table.
    pub(crate) fn is_shown(&self) -> bool {
        self.object.as_ref().is_ok_and(|object| object.shown && object.is_alive())
    }

    /// What is wrong with the record, if anything is; `row` is what its table holds. Stamps later than `latest_ms`
    /// were made by nobody.
    pub(crate) fn fault(
        &self,
        binding: Option<&Binding>,
        row: Option<&rows::RowState>,
        sight: Sight,
        latest_ms: u64,
    ) -> Option<Fault> {
        let object = match &self.object {
            Ok(object) => object,
            Err(what) => return Some(Fault::Object(what.clone())),
        };
        if i64::try_from(object.generation).ok() != Some(self.generation) {
            return Some(Fault::Object("two generations for one object".into()));
        }
        if object.clock.newest().ms().max(object.born.ms()) > latest_ms {
            return Some(Fault::Object("a stamp from the future".into()));
        }
        let kept = |cell: &&crate::merge::StoredCell| {
            cell.payload.as_ref().is_some_and(|value| value.hash64() != cell.hash)
        };
        if let Some(cell) = object.cells.iter().find(kept) {
            return Some(Fault::Object(format!("the kept value of {} is not its author's", cell.column)));
        }
        if !object.is_alive() {
            return None;
        }
        if !object.shown {
            let missing = object.cells.iter().find(|cell| cell.payload.is_none());
            return missing.map(|cell| Fault::Object(format!("no value of {} is kept", cell.column)));
        }
        let binding = binding.filter(|_| sight == Sight::Quiet)?;
        let row = match row {
            Some(Ok(row)) => row,
            // A row that cannot be read is pending, and listed there.
            Some(Err(_)) => return None,
            None => return Some(Fault::Row),
        };
        let same = |cell: &crate::merge::StoredCell| {
            binding.column_of(&cell.column).is_none_or(|index| row[index].hash64() == cell.row_hash())
        };
        (!object.cells.iter().all(same)).then_some(Fault::Row)
    }
}

/// Objects in the order of their places.
pub(crate) async fn found_after<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    after: i64,
    most: u32,
) -> Result<Vec<Found>, LedgerError> {
    let rows = sql::all(
        db,
        &format!(
            "SELECT {COLUMNS}, model FROM sync_objects WHERE library = ? AND id > ? ORDER BY id LIMIT ?"
        ),
        [library.into(), after.into(), i64::from(most).into()],
    )
    .await?;
    rows.iter().map(|row| Found::read(row, names)).collect()
}

/// The objects with these places that exist.
pub(crate) async fn found_at<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    ids: impl IntoIterator<Item = i64>,
) -> Result<Vec<Found>, LedgerError> {
    let ids = ids.into_iter().map(Into::into).collect();
    let head = format!("SELECT {COLUMNS}, model FROM sync_objects WHERE id IN");
    let rows = sql::select_in(db, &head, "", ids).await?;
    rows.iter().map(|row| Found::read(row, names)).collect()
}

/// The objects of these records that exist.
pub(crate) async fn found_of<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    model: i64,
    records: impl IntoIterator<Item = &RecordId>,
) -> Result<Vec<Found>, LedgerError> {
    let keys = records.into_iter().map(|record| record.as_bytes().to_vec().into()).collect();
    let head = format!(
        "SELECT {COLUMNS}, model FROM sync_objects WHERE library = {library} AND model = {model} AND record IN"
    );
    let rows = sql::select_in(db, &head, "", keys).await?;
    rows.iter().map(|row| Found::read(row, names)).collect()
}

/// What the log knows of these records: all that it holds of each, joined. It reads the whole log once for a thousand
/// of them: there is no index by record, because nothing else would use it.
pub(crate) async fn logged_objects<C: ConnectionTrait>(
    db: &C,
    library: i64,
    keys: &[(i64, RecordId)],
) -> Result<HashMap<(i64, RecordId), Object>, LedgerError> {
    let values = keys
        .iter()
        .flat_map(|(model, record)| [(*model).into(), record.as_bytes().to_vec().into()])
        .collect();
    let head = format!(
        "SELECT model, data FROM sync_log WHERE library = {library} AND data IS NOT NULL AND (model, record) IN"
    );
    let mut objects: HashMap<(i64, RecordId), Object> = HashMap::new();
    for row in &sql::select_values(db, &head, 2, "", values).await? {
        let bytes: Vec<u8> = sql::column(row, 1)?;
        if Change::is_compacted(&bytes) {
            continue;
        }
        let change = Change::decode(&bytes)?;
        let object = objects.entry((sql::column(row, 0)?, change.record.clone())).or_default();
        join(object, &change);
    }
    Ok(objects)
}

/// What the log knows of a part of all records: those whose place leaves `part` when divided by `parts`.
pub(crate) async fn logged_part<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    library: i64,
    part: u64,
    parts: u64,
) -> Result<HashMap<(i64, RecordId), Object>, LedgerError> {
    const SLICE: i64 = 5_000;
    let mut objects: HashMap<(i64, RecordId), Object> = HashMap::new();
    let mut after = 0_i64;
    loop {
        let rows = sql::all(
            db,
            "SELECT seq, model, record, data FROM sync_log WHERE library = ? AND seq > ? AND kind >= 0 \
             ORDER BY seq LIMIT ?",
            [library.into(), after.into(), SLICE.into()],
        )
        .await?;
        let Some(last) = rows.last() else { return Ok(objects) };
        after = sql::column(last, 0)?;
        for row in &rows {
            let model: i64 = sql::column(row, 1)?;
            let record = RecordId::from_bytes(sql::column::<Vec<u8>>(row, 2)?);
            if place_of(&names.text(model)?, &record) % parts != part {
                continue;
            }
            let data: Option<Vec<u8>> = sql::column(row, 3)?;
            let data = data.unwrap_or_default();
            if Change::is_compacted(&data) {
                continue;
            }
            let change = Change::decode(&data)?;
            // An entry that ends a group by itself is about no record.
            join(objects.entry((model, record)).or_default(), &change);
        }
    }
}
