//! Records that wait, looked at again or given up by a person.
//!
//! Invariant: giving up is a change like any other. What the record is here becomes what it is everywhere; nothing is forgotten on one
//! replica only.

use std::sync::Arc;

use super::{
    SyncError,
    judge::{author, write_changes},
    replica::Replica,
};
use crate::{
    apply::{self, PendingReason},
    capture::{self, Batch},
    change::ChangeKind,
    ids::{Name, RecordId},
    ledger::{self, Loaded},
    store::rows,
};

impl Replica {
    /// Looks again at records that are pending. Gives how many are pending no more.
    pub(crate) async fn retry_pending(
        self: &Arc<Self>,
        records: Vec<(Name, RecordId, PendingReason)>,
    ) -> Result<u64, SyncError> {
        self.follow_schema().await?;
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let before = apply::count_pending(write.db).await?;
                    // A changed schema makes it look by itself.
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let waits = |reason: PendingReason| {
                        !matches!(reason, PendingReason::Unreadable | PendingReason::Absorbed)
                    };
                    let again = records.into_iter().filter(|(_, _, reason)| waits(*reason));
                    let again = again.map(|(model, record, _)| (model, record)).collect();
                    let applied = apply::retry(write, &bindings, &mut head, again, replica.now_ms()).await?;
                    replica.report_applied(write, applied);
                    Ok(before.saturating_sub(apply::count_pending(write.db).await?))
                })
            })
            .await
    }

    /// Makes a pending record what it is here: the values of its row, or deleted if it has none. False if it is not pending.
    pub(crate) async fn give_up(self: &Arc<Self>, model: Name, record: RecordId) -> Result<bool, SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let binding = bindings.by_name(&model).cloned();
                    let Some(binding) = binding else { return Ok(false) };
                    if !apply::is_pending(write, &head, binding.model, &record).await? {
                        return Ok(false);
                    }
                    let mut objects = ledger::by_records(
                        write.db,
                        &write.names,
                        head.library,
                        binding.model,
                        [&record],
                    )
                    .await?;
                    let Some(Loaded { object, .. }) = objects.remove(&record).filter(|one| one.object.is_alive())
                    else {
                        return Ok(false);
                    };
                    match rows::by_record(write.db, &binding, [&record]).await?.remove(&record) {
                        Some(Ok(_)) => {
                            let runtime = replica.runtime();
                            let forced =
                                capture::log_whole(write, &binding, &mut head, runtime, &record).await?;
                            let changes: Vec<_> = forced.into_iter().collect();
                            replica.report(
                                write,
                                super::Report::Local { changes: changes.into(), to: head.seq },
                            );
                        }
                        Some(Err(unreadable)) => {
                            return Err(SyncError::UnknownRecord(format!(
                                "{model} {record}: its row cannot be read ({unreadable:?}): repair it or delete it"
                            )));
                        }
                        None => {
                            let mut change = author(
                                &replica,
                                &mut head,
                                model.clone(),
                                record.clone(),
                                &object,
                                |_| Vec::new(),
                            );
                            change.kind = ChangeKind::Delete;
                            change.generation += 1;
                            change.born = change.id;
                            let applied =
                                write_changes(write, &replica, &bindings, &mut head, vec![change]).await?;
                            replica.report_applied(write, applied);
                        }
                    }
                    let now_ms = replica.now_ms();
                    let applied =
                        apply::retry(write, &bindings, &mut head, vec![(model, record)], now_ms).await?;
                    replica.report_applied(write, applied);
                    Ok(true)
                })
            })
            .await
    }
}
