//! Objects and rows rebuilt from the log.
//!
//! Invariant: only a log that is whole and confirmed by its chain is believed. Everything happens in one transaction.

use std::sync::Arc;

use super::{
    super::{SyncError, replica::Replica},
    RepairedRecord,
};
use crate::{
    apply::{self, Means, Named},
    capture::Batch,
    ledger::{self, Head, LogTrust},
    vector::Vector,
};

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Entries of the log.
    pub entries: u64,
    /// Records that the log names.
    pub records: u64,
    /// Records whose objects or rows were not what the log says and are now, in order.
    pub rebuilt: Vec<RepairedRecord>,
    /// True if the kept digest was not that of the objects and was counted anew.
    pub recounted: bool,
}

/// About how many records are held in memory at once.
const PART: u64 = 50_000;

/// How many of them are mended together.
const SLICE: usize = 1_000;

/// Rebuilds objects and rows from the log.
pub(crate) async fn replay(replica: &Arc<Replica>) -> Result<ReplayReport, SyncError> {
    let inner = replica.clone();
    replica
        .store
        .write(move |write| {
            Box::pin(async move {
                let bindings = inner.models.refresh(write).await?;
                let mut head = Head::load(write.db, &write.names).await?;
                match ledger::log_trust(write.db, &head, None).await? {
                    LogTrust::Whole => {}
                    LogTrust::Part => {
                        return Err(SyncError::LogIncomplete(
                            "it began with another replica's state, a part of it was removed, or only a part of the library \
                             is kept here"
                                .into(),
                        ));
                    }
                    LogTrust::None => {
                        return Err(SyncError::LogIncomplete("its chain is broken".into()));
                    }
                }
                let mut report = ReplayReport { entries: head.seq.0, ..ReplayReport::default() };
                let latest_ms = head.latest_ms(inner.now_ms(), inner.limits.max_drift_ms);
                let means =
                    Means { log: LogTrust::Whole, theirs: Vector::new(), theirs_whole: false, latest_ms };
                let parts = head.seq.0.div_ceil(PART).max(1);
                for part in 0..parts {
                    let logged =
                        ledger::logged_part(write.db, &write.names, head.library, part, parts).await?;
                    report.records += logged.len() as u64;
                    let mut changes = Vec::with_capacity(logged.len());
                    for ((model, record), object) in logged {
                        changes.push(object.to_change(
                            write.names.text(model)?,
                            record,
                            head.identity.device,
                        ));
                    }
                    while !changes.is_empty() {
                        let some = changes.split_off(changes.len().saturating_sub(SLICE));
                        let records: Vec<Named> =
                            some.iter().map(|one| (one.model.clone(), one.record.clone())).collect();
                        let salvaged =
                            apply::salvage(write, &bindings, &mut head, &records, &some, &means).await?;
                        let (bindings, mut flushed, _) = inner.begin(write, Batch::All).await?;
                        let now_ms = inner.now_ms();
                        let joined = apply::join_repairs(
                            write,
                            &bindings,
                            &mut flushed,
                            some,
                            &salvaged,
                            LogTrust::Whole,
                            now_ms,
                        )
                        .await?;
                        head = flushed;
                        let rebuilt = joined.mended.into_iter();
                        report
                            .rebuilt
                            .extend(rebuilt.map(|(model, record)| RepairedRecord { model, record }));
                        inner.report_applied(write, joined.applied);
                    }
                }
                report.rebuilt.sort_unstable();
                report.recounted = ledger::recount(write, &mut head).await?;
                Ok(report)
            })
        })
        .await
}
