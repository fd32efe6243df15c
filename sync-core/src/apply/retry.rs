//! Another look at what waits: the program may know more than when it was put aside, or the table allow more.

use super::{
    ApplyError,
    group::{Applied, RemoteChange, bring_in_line},
    pending,
    working::WorkingSet,
};
use crate::{
    change::ChangeKind,
    ids::{Name, RecordId},
    ledger::{Commit, Head},
    store::{Bindings, Write},
};

/// How many records are looked at together.
const SLICE: u32 = 2_000;

/// Tries again to write every pending record whose object is to be in its row.
pub(crate) async fn retry_all(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    now_ms: u64,
) -> Result<Applied, ApplyError> {
    let mut all = Applied { to: head.seq, ..Applied::default() };
    let mut last = (0, RecordId::from_bytes([]));
    loop {
        let waiting = pending::to_retry(write.db, head.library, &last, SLICE).await?;
        let Some(end) = waiting.last() else { return Ok(all) };
        last = end.clone();
        let mut set = WorkingSet::default();
        for of_model in waiting.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(binding) = bindings.by_model(of_model[0].0) else { continue };
            let records = of_model.iter().map(|(_, record)| record.clone());
            set.load(write, bindings, head, binding.name(), records).await?;
        }
        look(write, bindings, head, set, &mut all, now_ms).await?;
    }
}

/// Looks again at these records, as if they had just come.
pub(crate) async fn retry(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    records: Vec<(Name, RecordId)>,
    now_ms: u64,
) -> Result<Applied, ApplyError> {
    let mut all = Applied { to: head.seq, ..Applied::default() };
    for slice in records.chunks(SLICE as usize) {
        let mut set = WorkingSet::default();
        for of_model in slice.chunk_by(|(one, _), (other, _)| one == other) {
            let records = of_model.iter().map(|(_, record)| record.clone());
            set.load(write, bindings, head, &of_model[0].0, records).await?;
        }
        look(write, bindings, head, set, &mut all, now_ms).await?;
    }
    Ok(all)
}

async fn look(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    mut set: WorkingSet,
    all: &mut Applied,
    now_ms: u64,
) -> Result<(), ApplyError> {
    for working in set.records.values_mut() {
        // As if it had just come: what keeps it out is found out anew.
        working.changed = working.is_alive();
    }
    let mut applied = Applied::default();
    bring_in_line(write, bindings, head, &mut set, Commit::default(), &mut applied, now_ms).await?;
    let written = set.records.iter().filter(|(_, working)| working.changed && working.wait.is_none());
    applied.changes.extend(written.map(|(key, working)| RemoteChange {
        model: working.model.clone(),
        record: key.1.clone(),
        kind: ChangeKind::Edit,
    }));
    all.changes.append(&mut applied.changes);
    all.pending.append(&mut applied.pending);
    Ok(())
}
