//! A look at everything: chain, objects and rows, to find what is damaged and to count what is not.
//!
//! Invariant: it changes nothing. It costs one pass over log, objects and rows, so it is made when somebody asks or
//! when two digests differ, never on the way of a change.

use std::collections::{HashMap, HashSet};

use sea_orm::ConnectionTrait;

use super::{
    Fault, Head, LedgerError, LogWalk,
    compact::says_all,
    found::{Found, Sight, found_after},
};
use crate::{
    ids::{Name, RecordId, Seq},
    merge::{Census, Counted, Digest, place_of},
    store::{Bindings, Names, Write, rows, sql},
};

/// What a survey goes by.
#[derive(Debug)]
pub(crate) struct Sights {
    /// The records that are noted and not logged yet.
    pub(crate) noted: HashSet<(i64, RecordId)>,
    /// Stamps later than this were made by nobody.
    pub(crate) latest_ms: u64,
}

/// A record that is not what it should be.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) model: Name,
    pub(crate) record: RecordId,
    pub(crate) fault: Fault,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) entries: u64,
    pub(crate) objects: u64,
    pub(crate) rows: u64,
    /// Where the chain of the log breaks.
    pub(crate) broken: Option<Seq>,
    /// The digest of the objects that can be read.
    pub(crate) digest: Digest,
    pub(crate) damages: Vec<Damage>,
    pub(crate) census: Census,
}

/// How many objects are looked at together.
const SLICE: u32 = 2_000;

/// Looks at everything.
pub(crate) async fn survey<C: ConnectionTrait>(
    db: &C,
    names: &Names,
    bindings: &Bindings,
    head: &Head,
    sights: &Sights,
) -> Result<Survey, LedgerError> {
    let mut survey = Survey::default();
    survey.broken = walk(db, head, &mut survey.entries).await?;
    let salt = head.identity.device;
    let mut counted = Vec::new();
    let mut after = 0;
    loop {
        let found = found_after(db, names, head.library, after, SLICE).await?;
        let Some(last) = found.last() else { break };
        after = last.id;
        let table = rows_of(db, bindings, &found).await?;
        survey.rows += table.len() as u64;
        for one in found {
            survey.objects += 1;
            let model = names.text(one.model).unwrap_or_default();
            let key = (one.model, one.record.clone());
            let sight = if sights.noted.contains(&key) { Sight::Noted } else { Sight::Quiet };
            let binding = bindings.by_model(one.model).map(AsRef::as_ref);
            let fault = one.fault(binding, table.get(&key), sight, sights.latest_ms);
            let digest = one.object.as_ref().ok().map(|object| object.digest(&model, &one.record));
            let digest = digest.unwrap_or_default();
            survey.digest.add(digest);
            let place = place_of(&model, &one.record);
            match (fault, one.object) {
                (Some(fault), _) => {
                    counted.push(Counted::damaged(place, one.id, salt.as_bytes()));
                    survey.damages.push(Damage { model, record: one.record, fault });
                }
                (None, Ok(object)) if object.is_alive() => {
                    counted.push(Counted { place, digest, damaged: false, id: one.id });
                }
                (None, _) => {}
            }
        }
    }
    survey.census = Census::new(counted);
    Ok(survey)
}

/// Walks along the chain; gives where it breaks.
async fn walk<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    entries: &mut u64,
) -> Result<Option<Seq>, LedgerError> {
    let mut at = LogWalk::begin(head);
    while let Some(step) = at.next(db, head).await? {
        *entries += step.entries;
        if step.broken.is_some() {
            return Ok(step.broken);
        }
    }
    Ok(None)
}

/// The rows of those that say that theirs stands in the table.
async fn rows_of<C: ConnectionTrait>(
    db: &C,
    bindings: &Bindings,
    found: &[Found],
) -> Result<HashMap<(i64, RecordId), rows::RowState>, LedgerError> {
    let mut all = HashMap::new();
    for binding in bindings.iter() {
        let shown = found.iter().filter(|one| one.model == binding.model && one.is_shown());
        let table = rows::by_record(db, binding, shown.map(|one| &one.record)).await?;
        all.extend(table.into_iter().map(|(record, row)| ((binding.model, record), row)));
    }
    Ok(all)
}

/// How far the log can be trusted to say what is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogTrust {
    /// It holds every change, and its chain confirms them: what it says of a record is all there is.
    Whole,
    /// Its chain confirms what it holds; a part came as state or is gone.
    Part,
    /// Its chain is broken.
    None,
}

/// How far the log can be trusted, whose chain was walked and found `broken` or not; it is walked here if it was not yet.
pub(crate) async fn log_trust<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    broken: Option<bool>,
) -> Result<LogTrust, LedgerError> {
    let broken = match broken {
        Some(broken) => broken,
        None => walk(db, head, &mut 0).await?.is_some(),
    };
    if broken {
        return Ok(LogTrust::None);
    }
    let gap = sql::one(
        db,
        "SELECT EXISTS (SELECT 1 FROM sync_log WHERE library = ? AND data IS NULL AND kind >= 0)",
        [head.library.into()],
    )
    .await?;
    let gap = gap.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0;
    let whole = !gap && head.floor.seq == Seq(0) && head.extent.is_whole() && says_all(db, head).await?;
    Ok(if whole { LogTrust::Whole } else { LogTrust::Part })
}

/// Sets the kept digest to that of the objects. True if it was another.
pub(crate) async fn recount(write: &Write<'_>, head: &mut Head) -> Result<bool, LedgerError> {
    let mut digest = Digest::default();
    let mut after = 0;
    loop {
        let found = found_after(write.db, &write.names, head.library, after, SLICE).await?;
        let Some(last) = found.last() else { break };
        after = last.id;
        for one in found {
            if let (Ok(object), Ok(model)) = (&one.object, write.names.text(one.model)) {
                digest.add(object.digest(&model, &one.record));
            }
        }
    }
    if digest == head.digest {
        return Ok(false);
    }
    head.digest = digest;
    head.save(write.db).await?;
    Ok(true)
}
