//! What was lost in conflicts: listed, counted, watched, settled.

use std::{fmt::Write as _, future::IntoFuture};

use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, EntityTrait, QueryResult, Value};

use super::{
    conflict_events::ConflictEvents,
    handle::SyncEngine,
    keys::{self, ActiveOf, KeyOf},
    which::{Which, asks_of_records},
};
use crate::{
    change::Change,
    ids::{DeviceId, Name, RecordId},
    ledger::{self, Head, LedgerError},
    merge::{ConflictReason, shown},
    model::Syncable,
    peer::{self, Resolution, SyncError},
    stamp::Stamp,
    store::{NameKind, Names, sql},
    value::SyncValue,
};

/// Whether somebody has decided a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictState {
    /// Nobody has.
    Open,
    /// A person did, here or on another device, or the model's merge function.
    Settled,
}

/// A value that was lost to another write.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConflictRecord {
    /// Names the conflict on this replica. Later ones have larger numbers.
    pub id: i64,
    /// The model's name on the wire.
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// The column.
    pub field: Name,
    /// The change that won.
    pub winner: Stamp,
    /// Who made it; `None` for adopted rows.
    pub winner_device: Option<DeviceId>,
    /// What it wrote; `None` for a delete, and where the log does not tell it.
    pub winner_value: Option<SyncValue>,
    /// The change that lost.
    pub loser: Stamp,
    /// Who made it; `None` for adopted rows.
    pub loser_device: Option<DeviceId>,
    /// What was lost.
    pub loser_value: SyncValue,
    /// Why.
    pub reason: ConflictReason,
    /// When it was found here, in milliseconds since the Unix epoch.
    pub detected_ms: u64,
    /// Whether somebody has decided it.
    pub state: ConflictState,
}

impl ConflictRecord {
    /// The primary key, as `find_by_id` takes it, if the record is one of this entity.
    pub fn key<E>(&self) -> Option<KeyOf<E>>
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable<Entity = E>,
    {
        keys::key_of::<E>(&self.model, &self.record)
    }
}

/// A width of time to count in. Buckets begin with the hours and days of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Bucket {
    /// Its width in milliseconds.
    pub const fn ms(self) -> u64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// How many conflicts were found within one bucket of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictCount {
    /// When the bucket begins, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// How many conflicts were found in it.
    pub conflicts: u64,
}

/// Which conflicts are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    which: Which,
    field: Option<String>,
    reason: Option<ConflictReason>,
    settled: Settled,
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    pub(super) before: Option<i64>,
    pub(super) after: Option<i64>,
    pub(super) limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Settled {
    #[default]
    Left,
    Only,
    Too,
}

/// A question about conflicts, made by [`SyncEngine::conflicts`]. Awaiting it lists those that match, newest first.
#[derive(Clone, Debug)]
#[must_use = "a question is asked by awaiting it, or by one of its last calls"]
pub struct Conflicts {
    engine: SyncEngine,
    filter: Filter,
}

impl SyncEngine {
    /// What was lost on this device to other writes and nobody has decided yet; narrow it down, then await it.
    ///
    /// ```no_run
    /// # async fn f(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError> {
    /// use sync_core::{Bucket, Resolution};
    ///
    /// for lost in engine.conflicts().model("volume").field("name").limit(50).await? {
    ///     println!("{}: {} was lost", lost.record, lost.loser_value);
    ///     engine.resolve(lost.id, Resolution::RestoreLoser).await?;
    /// }
    /// for day in engine.conflicts().with_settled().over_time(Bucket::Day).await? {
    ///     println!("{} on the day that began at {} ms", day.conflicts, day.from_ms);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn conflicts(&self) -> Conflicts {
        Conflicts { engine: self.clone(), filter: Filter::default() }
    }

    /// Settles a conflict of [`conflicts`](Self::conflicts), by its `id`: it is listed no more. What is written travels
    /// to the other devices and settles it there too.
    ///
    /// # Errors
    /// [`SyncError::UnknownConflict`] if there is none with this number, or it is settled; [`SyncError::UnknownRecord`] if this
    /// program lacks the model or column, or the record was deleted and the log does not tell what it was.
    pub async fn resolve(&self, id: i64, resolution: Resolution) -> Result<(), SyncError> {
        self.running()?;
        peer::resolve(&self.inner.replica, id, resolution).await
    }
}

asks_of_records!(Conflicts, filter.which);

impl Conflicts {
    /// Only those of a column, by its name on the wire.
    pub fn field(mut self, field: &str) -> Self {
        self.filter.field = Some(field.to_owned());
        self
    }

    /// Only those that were lost for this reason.
    pub fn reason(mut self, reason: ConflictReason) -> Self {
        self.filter.reason = Some(reason);
        self
    }

    /// Only those found at this time or later, in milliseconds since the Unix epoch.
    pub fn since_ms(mut self, ms: u64) -> Self {
        self.filter.since_ms = Some(ms);
        self
    }

    /// Only those found before this time, in milliseconds since the Unix epoch.
    pub fn until_ms(mut self, ms: u64) -> Self {
        self.filter.until_ms = Some(ms);
        self
    }

    /// Those that somebody has decided, too.
    pub fn with_settled(mut self) -> Self {
        self.filter.settled = Settled::Too;
        self
    }

    /// Only those that somebody has decided.
    pub fn settled(mut self) -> Self {
        self.filter.settled = Settled::Only;
        self
    }

    /// At most so many; go on with [`before`](Self::before) the last one's `id`.
    pub fn limit(mut self, most: u32) -> Self {
        self.filter.limit = Some(most);
        self
    }

    /// Only those older than this one.
    pub fn before(mut self, id: i64) -> Self {
        self.filter.before = Some(id);
        self
    }

    /// How many match; [`limit`](Self::limit) aside.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn count(self) -> Result<u64, SyncError> {
        let (db, names) = self.engine.inner.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let Some((found, values)) = self.filter.condition(&names, head.library) else { return Ok(0) };
        let statement = format!("SELECT count(*) FROM sync_conflicts WHERE {found}");
        let row = sql::one(&db, &statement, values).await?;
        Ok(u64::try_from(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))?).unwrap_or(0))
    }

    /// How many of those that match were found in each hour or day, oldest first. Times without any are left out.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn over_time(self, bucket: Bucket) -> Result<Vec<ConflictCount>, SyncError> {
        let (db, names) = self.engine.inner.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let Some((found, values)) = self.filter.condition(&names, head.library) else {
            return Ok(Vec::new());
        };
        let width = bucket.ms();
        let statement = format!(
            "SELECT detected_at / {width} AS bucket, count(*) FROM sync_conflicts WHERE {found} \
             GROUP BY bucket ORDER BY bucket"
        );
        let rows = sql::all(&db, &statement, values).await?;
        rows.iter()
            .map(|row| {
                let at = u64::try_from(sql::column::<i64>(row, 0)?).unwrap_or(0);
                let conflicts = u64::try_from(sql::column::<i64>(row, 1)?).unwrap_or(0);
                Ok(ConflictCount { from_ms: at.saturating_mul(width), conflicts })
            })
            .collect()
    }

    /// Settles all that match, oldest first, each in a transaction of its own; gives how many. Of several values that
    /// one column lost, `RestoreLoser` leaves the one that was found last.
    ///
    /// # Errors
    /// Those of [`SyncEngine::resolve`]; what was settled before stays settled.
    pub async fn settle(self, resolution: Resolution) -> Result<u64, SyncError> {
        let engine = self.engine.clone();
        let mut found = self.await?;
        found.sort_by_key(|conflict| conflict.id);
        let mut settled = 0;
        for conflict in found {
            match engine.resolve(conflict.id, resolution).await {
                Ok(()) => settled += 1,
                // It went with one before: another column of the same group.
                Err(SyncError::UnknownConflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(settled)
    }

    /// The conflicts that match and are found from now on, as a stream. It skips none, however slowly it is read.
    ///
    /// ```no_run
    /// # async fn f(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError> {
    /// let mut found = engine.conflicts().model("volume").watch().await?;
    /// while let Some(conflict) = found.next().await {
    ///     println!("{} was lost", conflict?.loser_value);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn watch(self) -> Result<ConflictEvents, SyncError> {
        self.engine.running()?;
        ConflictEvents::new(&self.engine.inner.replica, self.filter).await
    }
}

impl IntoFuture for Conflicts {
    type Output = Result<Vec<ConflictRecord>, SyncError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (db, names) = self.engine.inner.replica.store.read().await?;
            let head = Head::load(&db, &names).await?;
            self.filter.list(&db, &names, head.library).await
        })
    }
}

impl Filter {
    /// The condition and its values; `None` if nothing can match.
    fn condition(&self, names: &Names, library: i64) -> Option<(String, Vec<Value>)> {
        let mut values: Vec<Value> = vec![library.into()];
        let mut text = String::from(match self.settled {
            Settled::Left => "library = ? AND judged < 2",
            Settled::Only => "library = ? AND judged >= 2",
            Settled::Too => "library = ?",
        });
        let ms = |ms: u64| Value::from(i64::try_from(ms).unwrap_or(i64::MAX));
        let model = match &self.which.model {
            Some(model) => Some(names.id(NameKind::Model, model.as_bytes())?),
            None => None,
        };
        let parts = [
            ("model =", model.map(Value::from)),
            ("record =", self.which.record.as_ref().map(|record| record.as_bytes().to_vec().into())),
            ("field =", self.field.clone().map(Value::from)),
            ("reason =", self.reason.map(|reason| reason.as_str().into())),
            ("detected_at >=", self.since_ms.map(ms)),
            ("detected_at <", self.until_ms.map(ms)),
            ("id <", self.before.map(Value::from)),
            ("id >", self.after.map(Value::from)),
        ];
        for (what, value) in parts {
            if let Some(value) = value {
                let _ = write!(text, " AND {what} ?");
                values.push(value);
            }
        }
        Some((text, values))
    }

    /// Those that match, newest first.
    pub(super) async fn list<C: ConnectionTrait>(
        &self,
        db: &C,
        names: &Names,
        library: i64,
    ) -> Result<Vec<ConflictRecord>, SyncError> {
        let Some((found, values)) = self.condition(names, library) else { return Ok(Vec::new()) };
        let limit = self.limit.map_or(String::new(), |most| format!(" LIMIT {most}"));
        let statement = format!(
            "SELECT id, model, record, field, winner_id, loser_id, reason, loser_value, detected_at, judged \
             FROM sync_conflicts WHERE {found} ORDER BY id DESC{limit}"
        );
        let rows = sql::all(db, &statement, values).await?;
        let mut conflicts =
            rows.iter().map(|row| decode(row, names)).collect::<Result<Vec<_>, SyncError>>()?;
        tell_winners(db, &mut conflicts).await?;
        Ok(conflicts)
    }
}

fn decode(row: &QueryResult, names: &Names) -> Result<ConflictRecord, SyncError> {
    let author = |stamp: Stamp| names.devices().find(|device| device.node() == stamp.node());
    let winner = ledger::stamp(&sql::column::<Vec<u8>>(row, 4)?)?;
    let loser = ledger::stamp(&sql::column::<Vec<u8>>(row, 5)?)?;
    let reason: String = sql::column(row, 6)?;
    let value: Vec<u8> = sql::column(row, 7)?;
    Ok(ConflictRecord {
        id: sql::column(row, 0)?,
        model: names.text(sql::column(row, 1)?)?,
        record: RecordId::from_bytes(sql::column::<Vec<u8>>(row, 2)?),
        field: Name::from(sql::column::<String>(row, 3)?),
        winner,
        winner_device: author(winner),
        winner_value: None,
        loser,
        loser_device: author(loser),
        loser_value: SyncValue::decode(&value).map_err(|error| SyncError::Ledger(error.to_string()))?,
        reason: ConflictReason::from_name(&reason)
            .ok_or_else(|| SyncError::Ledger(format!("conflict reason {reason}")))?,
        detected_ms: u64::try_from(sql::column::<i64>(row, 8)?).unwrap_or(0),
        state: if sql::column::<i64>(row, 9)? < 2 { ConflictState::Open } else { ConflictState::Settled },
    })
}

/// What the winners wrote, as the log tells it.
async fn tell_winners<C: ConnectionTrait>(db: &C, conflicts: &mut [ConflictRecord]) -> Result<(), SyncError> {
    let mut winners: Vec<Stamp> = conflicts.iter().map(|conflict| conflict.winner).collect();
    winners.sort_unstable();
    winners.dedup();
    let ids = winners.iter().map(|id| id.as_bytes().to_vec().into()).collect();
    let head = "SELECT data FROM sync_log WHERE data IS NOT NULL AND change_id IN";
    for row in &sql::select_in(db, head, "", ids).await? {
        let change = Change::decode(&sql::column::<Vec<u8>>(row, 0)?).map_err(LedgerError::from)?;
        for conflict in conflicts.iter_mut().filter(|conflict| conflict.winner == change.id) {
            let cell = change.cells.iter().find(|cell| cell.column == conflict.field);
            conflict.winner_value = cell.map(|cell| shown(cell.tag, cell.version, &cell.value).into_owned());
        }
    }
    Ok(())
}
