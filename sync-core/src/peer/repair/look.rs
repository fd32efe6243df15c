//! What a replica knows of its own damage, and what it mends by itself.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use super::{super::replica::Replica, RepairReport};
use crate::{
    apply::{self, Means, Named},
    capture::{self, Batch},
    change::Change,
    ledger::{self, Fault, Head, LogTrust, Sight, Sights, Survey},
    peer::SyncError,
    store::{NameKind, rows},
    vector::Vector,
};

/// A look at everything, and what came of it.
#[derive(Debug)]
pub(crate) struct LastLook {
    pub(crate) survey: Survey,
    pub(crate) log: LogTrust,
    /// The records mended from this replica's own log.
    pub(super) mended: Vec<Named>,
}

/// The last repair with a peer.
#[derive(Clone, Debug)]
pub(crate) struct LastRepair {
    /// When it began, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// What it did; `None` if it failed.
    pub(crate) report: Option<RepairReport>,
}

/// What mending did.
#[derive(Debug, Default)]
pub(super) struct Mended {
    pub(super) mended: Vec<Named>,
    pub(super) unmended: Vec<(Named, String)>,
    /// Objects that are not what was sent.
    pub(super) differ: Vec<Change>,
}

impl Replica {
    fn latest_ms(&self) -> u64 {
        self.now_ms().saturating_add(self.limits.max_drift_ms)
    }

    fn latest_here(&self, head: &Head) -> u64 {
        head.latest_ms(self.now_ms(), self.limits.max_drift_ms)
    }

    async fn survey(self: &Arc<Self>) -> Result<(Survey, LogTrust), SyncError> {
        // A damaged object that was written since cannot be logged before it is mended.
        match self.flush().await {
            Ok(_) | Err(SyncError::Ledger(_)) => {}
            Err(error) => return Err(error),
        }
        let bindings = self.models.bound();
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut sights = Sights { noted: HashSet::new(), latest_ms: self.latest_here(&head) };
        for binding in bindings.iter() {
            let noted = capture::dirty_records(&db, binding).await?;
            sights.noted.extend(noted.into_iter().map(|record| (binding.model, record)));
        }
        let survey = ledger::survey(&db, &names, &bindings, &head, &sights).await?;
        let log = ledger::log_trust(&db, &head, Some(survey.broken.is_some())).await?;
        Ok((survey, log))
    }

    /// Looks at everything, mends what this replica can mend by itself, and keeps what it saw for the questions that
    /// follow.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Arc<LastLook>, SyncError> {
        let (mut survey, log) = self.survey().await?;
        let mut mended = Vec::new();
        if !survey.damages.is_empty() {
            let damaged: Vec<Named> =
                survey.damages.iter().map(|one| (one.model.clone(), one.record.clone())).collect();
            let means = self.means_of(log, Vector::new(), false);
            for some in damaged.chunks(SLICE) {
                match self.mend(some.to_vec(), Vec::new(), means.clone()).await {
                    Ok(done) => mended.extend(done.mended),
                    // One of them was written since and cannot be logged before a peer has told what it was.
                    Err(SyncError::Ledger(error)) => tracing::warn!(%error, "left to the peer"),
                    Err(error) => return Err(error),
                }
            }
            if !mended.is_empty() {
                survey = self.survey().await?.0;
            }
        }
        let look = Arc::new(LastLook { survey, log, mended });
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(look.clone());
        Ok(look)
    }

    /// What the last look saw, if it is still kept.
    pub(super) fn last_look(&self) -> Option<Arc<LastLook>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget_look(&self) {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn means(&self, look: &LastLook, theirs: Vector, theirs_whole: bool) -> Means {
        self.means_of(look.log, theirs, theirs_whole)
    }

    fn means_of(&self, log: LogTrust, theirs: Vector, theirs_whole: bool) -> Means {
        Means { log, theirs, theirs_whole, latest_ms: self.latest_ms() }
    }

    /// Mends `suspects` and the records of `incoming`, in one transaction with the flush of what was noted.
    pub(super) async fn mend(
        self: &Arc<Self>,
        suspects: Vec<Named>,
        incoming: Vec<Change>,
        means: Means,
    ) -> Result<Mended, SyncError> {
        let (replica, library) = (self.clone(), self.identity().library);
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut unmended = Vec::new();
                    let (incoming, late): (Vec<_>, Vec<_>) = incoming
                        .into_iter()
                        .partition(|change| change.newest_stamp().ms() <= means.latest_ms);
                    for change in late {
                        let why = "the peer's object has a stamp from the future".to_owned();
                        unmended.push(((change.model, change.record), why));
                    }
                    let bindings = replica.models.refresh(write).await?;
                    let mut head = Head::load(write.db, &write.names).await?;
                    // Another process may have joined another library since.
                    head.is_of(library)?;
                    let (incoming, past) = apply::refuse_past(write, &head, incoming, &means).await?;
                    unmended.extend(past);
                    let named = incoming.iter().map(|change| (change.model.clone(), change.record.clone()));
                    let records: Vec<Named> = suspects.into_iter().chain(named).collect();
                    let salvaged =
                        apply::salvage(write, &bindings, &mut head, &records, &incoming, &means).await?;
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let now_ms = replica.now_ms();
                    let joined = apply::join_repairs(
                        write, &bindings, &mut head, incoming, &salvaged, means.log, now_ms,
                    )
                    .await?;
                    for ((model, record), why) in salvaged.unmended {
                        unmended.push(((write.names.text(model)?, record), why));
                    }
                    unmended.extend(joined.refused);
                    replica.report_applied(write, joined.applied);
                    Ok::<_, SyncError>(Mended { mended: joined.mended, unmended, differ: joined.differ })
                })
            })
            .await
    }

    /// The objects of these records for a peer, as far as they are sound.
    pub(super) async fn sound_objects(self: &Arc<Self>, records: &[Named]) -> Result<Vec<Change>, SyncError> {
        let bindings = self.models.bound();
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut changes = Vec::with_capacity(records.len());
        for (model, record) in records {
            let Some(id) = names.id(NameKind::Model, model.as_bytes()) else { continue };
            let binding = bindings.by_model(id).map(AsRef::as_ref);
            let found = ledger::found_of(&db, &names, head.library, id, [record]).await?;
            let Some(found) = found.into_iter().next() else { continue };
            let row = match binding.filter(|_| found.is_shown()) {
                Some(binding) => rows::by_record(&db, binding, [record]).await?.remove(record),
                None => None,
            };
            let fault: Option<Fault> =
                found.fault(binding, row.as_ref(), Sight::Quiet, self.latest_here(&head));
            let Ok(stored) = found.object else { continue };
            if fault.is_some() {
                continue;
            }
            // A row that was just written is not what the object says: the next round brings the edit.
            if let Some(object) = ledger::assemble(stored, binding, row.as_ref())? {
                changes.push(object.to_change(model.clone(), record.clone(), head.identity.device));
            }
        }
        Ok(changes)
    }

    /// The names of the records with these places in `sync_objects`.
    pub(super) async fn named(&self, ids: Vec<i64>) -> Result<Vec<Named>, SyncError> {
        let (db, names) = self.store.read().await?;
        let found = ledger::found_at(&db, &names, ids).await?;
        Ok(found.into_iter().filter_map(|one| Some((names.text(one.model).ok()?, one.record))).collect())
    }

    /// Sets the kept digest to that of the objects, and tells vector and digest as they are then.
    pub(super) async fn recount(self: &Arc<Self>) -> Result<(Vector, [u8; 16]), SyncError> {
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    if ledger::recount(write, &mut head).await? {
                        tracing::warn!("the kept digest was not that of the objects: it is counted anew");
                    }
                    let vector = ledger::vector(write.db, &write.names, head.library).await?;
                    Ok::<_, SyncError>((vector, head.digest.to_bytes()))
                })
            })
            .await
    }

    /// Vector and digest as they are.
    pub(super) async fn standing(&self) -> Result<(Vector, [u8; 16]), SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        Ok((ledger::vector(&db, &names, head.library).await?, head.digest.to_bytes()))
    }
}

/// How many records are mended in one transaction.
pub(super) const SLICE: usize = 256;
