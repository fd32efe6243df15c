//! Another look at what waits: the program may know more than when it was put aside, or the table allow more.

use super::{
    ApplyError,
    group::{Applied, RemoteChange, bring_in_line},
    pending::{self, PendingReason},
    working::WorkingSet,
};
use crate::{
    change::ChangeKind,
    ledger::{Commit, Head},
    store::{Bindings, Write},
};

/// Tries again to write every pending record whose object is to be in its row. Those that wait for a local write are left
/// alone: a row that cannot be read, one that was deleted without sync.
pub(crate) async fn retry(
    write: &mut Write<'_>,
    bindings: &Bindings,
    head: &mut Head,
    now_ms: u64,
) -> Result<Applied, ApplyError> {
    let mut set = WorkingSet::default();
    for waiting in pending::list(write.db, &write.names, head.library).await? {
        let local = matches!(waiting.reason, PendingReason::Unreadable | PendingReason::Absorbed);
        if !local && bindings.by_name(&waiting.model).is_some() {
            set.load(write, bindings, head, &waiting.model, [waiting.record]).await?;
        }
    }
    for working in set.records.values_mut() {
        // As if it had just come: what keeps it out is found out anew.
        working.changed = working.is_alive();
    }
    let mut applied = Applied { to: head.seq, ..Applied::default() };
    bring_in_line(write, bindings, head, &mut set, Commit::default(), &mut applied, now_ms).await?;
    let written = set.records.iter().filter(|(_, working)| working.changed && working.wait.is_none());
    applied.changes.extend(written.map(|(key, working)| RemoteChange {
        model: working.model.clone(),
        record: key.1.clone(),
        kind: ChangeKind::Edit,
    }));
    Ok(applied)
}
