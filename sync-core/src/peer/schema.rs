//! The schema of the library: changed here by its one author, carried out on all.

use std::sync::Arc;

use super::{SyncError, replica::Replica};
use crate::{
    apply::{PendingReason, PendingRecord},
    capture::Batch,
    ids::{DeviceId, Name},
    ledger::{self, Head},
    members::schema::{self, Listed, Record, SchemaChange, SchemaError, State, Step},
    store::{Bindings, Write},
};

impl Replica {
    /// Changes the schema here and, as a record, everywhere.
    pub(crate) async fn change_schema(self: &Arc<Self>, change: SchemaChange) -> Result<(), SyncError> {
        change.check()?;
        self.take_step(Step::Change(change)).await
    }

    /// Makes this device the one that changes the schema.
    pub(crate) async fn take_over_schema(self: &Arc<Self>) -> Result<(), SyncError> {
        self.take_step(Step::TakeOver).await
    }

    async fn take_step(self: &Arc<Self>, step: Step) -> Result<(), SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    let adapters = replica.models.adapters();
                    schema::carry_out(write, &mut head, adapters).await?;
                    let mut state = State::load(write.db, head.identity.library).await?;
                    replica.may_change(write, &head, &state, &step).await?;
                    let mut steps = vec![step];
                    let author = state.author.unwrap_or(head.identity.device);
                    if author != head.identity.device && steps[0] != Step::TakeOver {
                        // It was made under an id that this database had.
                        steps.insert(0, Step::TakeOver);
                    }
                    for step in steps {
                        schema::carry_out_step(write, &mut head, adapters, &state, &step).await??;
                        let record = replica.record(&mut head, &state, &step)?;
                        replica.log_step(write, &bindings, &mut head, &record).await?;
                        state.took(&record, &step);
                    }
                    state.save(write.db, head.identity.library).await?;
                    Ok::<_, SyncError>(())
                })
            })
            .await?;
        // What was made is bound and guarded before anybody writes to it.
        self.flush_all().await
    }

    async fn may_change(
        &self,
        write: &Write<'_>,
        head: &Head,
        state: &State,
        step: &Step,
    ) -> Result<(), SyncError> {
        let known = schema::list(write.db, head.identity.library).await?;
        let waits = known.iter().any(|(record, waits)| waits.is_some() && record.number == state.applied + 1);
        if waits && *step != Step::TakeOver {
            return Err(SchemaError::Earlier { number: state.applied + 1 }.into());
        }
        let Some(author) = state.author else { return Ok(()) };
        let former = ledger::renewals(write.db).await?;
        let mine = author == head.identity.device || former.iter().any(|renewal| renewal.former == author);
        if mine || *step == Step::TakeOver {
            Ok(())
        } else {
            Err(SchemaError::NotTheAuthor { author }.into())
        }
    }

    fn record(&self, head: &mut Head, state: &State, step: &Step) -> Result<Record, SyncError> {
        let stamp = head.clock.tick(self.now_ms(), self.runtime().random.as_ref());
        Ok(Record {
            id: stamp.uuid(),
            number: state.applied + 1,
            author: head.identity.device,
            text: serde_json::to_string(step).map_err(|error| SyncError::Ledger(error.to_string()))?,
        })
    }

    async fn log_step(
        &self,
        write: &mut Write<'_>,
        bindings: &Bindings,
        head: &mut Head,
        record: &Record,
    ) -> Result<(), SyncError> {
        schema::put(write.db, record).await?;
        self.log_written(write, bindings, head).await
    }

    /// Carries out the changes that have come and wait for nothing.
    pub(crate) async fn follow_schema(self: &Arc<Self>) -> Result<(), SyncError> {
        let replica = self.clone();
        let changed = self
            .store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    Ok::<_, SyncError>(schema::carry_out(write, &mut head, replica.models.adapters()).await?)
                })
            })
            .await?;
        // Tables that are another now are bound and guarded, and take what waited for them.
        if changed { self.flush_all().await } else { Ok(()) }
    }

    /// The changes of the schema that are known here, in order.
    pub(crate) async fn schema_changes(&self) -> Result<Vec<Listed>, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        Ok(schema::list(&db, head.identity.library).await?)
    }

    /// Who changes the schema, once somebody does.
    pub(crate) async fn schema_author(&self) -> Result<Option<DeviceId>, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        Ok(State::load(&db, head.identity.library).await?.author)
    }

    /// The changes of the schema that wait, as records that do.
    pub(crate) async fn pending_schema(&self) -> Result<Vec<PendingRecord>, SyncError> {
        let listed = self.schema_changes().await?;
        let waiting = listed.into_iter().filter_map(|(record, waits)| Some((record, waits?)));
        Ok(waiting
            .map(|(record, detail)| PendingRecord {
                model: Name::new_static(schema::MODEL),
                record: record.key(),
                reason: PendingReason::Schema,
                detail,
                attempts: 1,
                since: crate::stamp::Stamp::from_bytes(*record.id.as_bytes()).map_or(0, |stamp| stamp.ms()),
            })
            .collect())
    }
}
