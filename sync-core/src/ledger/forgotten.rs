//! Deleted records of which nothing is kept any more.
//!
//! Invariant: a tombstone goes only where the history of its record went before, so whoever lacks the delete reads the state; and
//! in the same transaction the replica remembers that generation, above which every later life of a record begins here.

use serde::{Deserialize, Serialize};

use super::{
    Head, LedgerError,
    objects::{self, Loaded},
    origins::vector,
    walk::objects_after,
};
use crate::{
    change::Change,
    merge::Past,
    store::{Write, sql},
    vector::Vector,
};

/// What a replica says of the tombstones that it removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// No record that it knows nothing of had a higher generation. New records begin above. It is even and only grows.
    pub generation: u64,
    /// How many it removed itself: another number means that a record that was there may have gone since.
    pub removed: u64,
}

impl Forgotten {
    /// True if no record is unknown that once was known.
    pub const fn is_nothing(&self) -> bool {
        self.generation == 0
    }

    /// Says why nobody may have forgotten that: a deleted record's generation is even, and no record has one above 2^32.
    pub(crate) const fn check(&self) -> Result<(), &'static str> {
        match self.generation.is_multiple_of(2) && self.generation < 1 << 32 {
            true => Ok(()),
            false => Err("no record can have the generation that the state says is forgotten"),
        }
    }

    /// Takes over what another replica forgot, with its state.
    pub(crate) fn learn(&mut self, other: Self) {
        self.generation = self.generation.max(other.generation);
    }
}

/// Which tombstones may go.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    /// What each member has merged.
    pub(crate) members: Vec<Vector>,
    /// Only those of which nobody wrote since this time, in milliseconds since the Unix epoch.
    pub(crate) before_ms: u64,
    /// Only those behind this place.
    pub(crate) after: i64,
}

/// What one transaction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) removed: u64,
    /// Where the next part begins, if there is one.
    pub(crate) next: Option<i64>,
}

/// How many tombstones one transaction looks at.
const SLICE: i64 = 5_000;

/// Removes a part of the tombstones that may go.
pub(crate) async fn sweep_slice(
    write: &mut Write<'_>,
    head: &mut Head,
    sweep: &Sweep,
) -> Result<Swept, LedgerError> {
    // A tombstone that an open conflict speaks of is what settles it. The last place stays taken: places are not given twice.
    let rows = sql::all(
        write.db,
        &format!(
            "SELECT {}, seq FROM sync_objects WHERE library = ? AND generation % 2 = 0 AND id > ? AND id < ? \
             AND NOT EXISTS (SELECT 1 FROM sync_conflicts AS open WHERE open.library = sync_objects.library \
             AND open.model = sync_objects.model AND open.record = sync_objects.record AND open.judged < 2) \
             ORDER BY id LIMIT ?",
            objects::COLUMNS
        ),
        [head.library.into(), sweep.after.into(), head.last_object().into(), SLICE.into()],
    )
    .await?;
    let mine = vector(write.db, &write.names, head.library).await?;
    let floor = Past::of(&head.floor.vector);
    let all_have = [Past::of(&mine)].into_iter().chain(sweep.members.iter().map(Past::of));
    let all_have: Vec<Past> = all_have.chain([floor]).collect();
    let mut swept = Swept::default();
    let mut gone = Vec::new();
    for row in &rows {
        swept.next = Some(sql::column(row, 0)?).filter(|_| rows.len() as i64 == SLICE);
        // One that is damaged is for `verify` to tell, and for a repair to mend.
        let Ok((_, Loaded { id, object })) = objects::decode(row, &write.names) else { continue };
        let old = object.clock.newest().ms() < sweep.before_ms;
        if old && object.generation > 0 && all_have.iter().all(|past| past.covers(&object.clock)) {
            gone.push(id.into());
            head.forgotten.generation = head.forgotten.generation.max(object.generation);
            head.swept = head.swept.max(sql::column(row, 6)?);
        }
    }
    if !gone.is_empty() {
        swept.removed = gone.len() as u64;
        head.forgotten.removed += swept.removed;
        sql::select_in(write.db, "DELETE FROM sync_objects WHERE id IN", "", gone).await?;
        head.save(write.db).await?;
    }
    Ok(swept)
}

/// Ends the records up to the place `known` that a complete state did not have though its giver had merged their birth: what was
/// deleted there and forgotten. `met` says which the state had.
pub(crate) async fn missed(
    write: &Write<'_>,
    head: &Head,
    covered: &Vector,
    known: i64,
    met: impl Fn(i64) -> bool,
) -> Result<Vec<Change>, LedgerError> {
    const PAGE: u32 = 2_000;
    let past = Past::of(covered);
    let (mut after, mut ended) = (0, Vec::new());
    while after < known {
        let page = objects_after(write.db, &write.names, head.library, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for one in page.into_iter().filter(|one| one.id <= known && !met(one.id)) {
            let model = write.names.text(one.model)?;
            ended.extend(past.end_of(model, one.record, &one.object, head.identity.device));
        }
    }
    Ok(ended)
}
