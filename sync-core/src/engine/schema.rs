//! Changes of the schema that travel.

use super::handle::SyncEngine;
use crate::{
    ids::DeviceId,
    members::schema::{SchemaChange, Step},
    peer::SyncError,
};

/// The schema of the library; made by [`SyncEngine::schema`].
#[derive(Clone, Debug)]
pub struct Schema(SyncEngine);

/// A change of the schema, as it is known here.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KnownChange {
    /// Its place among the changes of the library, from 1.
    pub number: u64,
    /// Who made it.
    pub author: DeviceId,
    /// What it is. `None` where its author took over the schema with it, and for a change of a later version.
    pub change: Option<SchemaChange>,
    /// Why it is not carried out here; `None` if it is.
    pub waits: Option<String>,
}

impl SyncEngine {
    /// The schema of the library: changes that are made once and carried out on all devices.
    pub fn schema(&self) -> Schema {
        Schema(self.clone())
    }
}

impl Schema {
    /// Changes the tables here, in one transaction with the record that has every other device do the same. The device that does so first
    /// is the one that changes the schema of this library from then on.
    ///
    /// A change that the database has already, because a migration of the application made it, is recorded and does nothing
    /// here. No change is carried out on a device whose program has the column or table that goes: it waits there, and with it
    /// those after it, until the program is one without.
    ///
    /// ```no_run
    /// # use sync_core::{NewColumn, SchemaChange, SchemaType};
    /// # async fn f(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError> {
    /// let column = NewColumn::new("stars", SchemaType::Integer).with_default(0);
    /// engine.schema().apply(SchemaChange::AddColumn { table: "notes".into(), column }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Schema`] says why it cannot be made: nothing was changed then, here or elsewhere.
    pub async fn apply(&self, change: SchemaChange) -> Result<(), SyncError> {
        self.0.running()?;
        self.0.inner.replica.change_schema(change).await
    }

    /// Makes this device the one that changes the schema, because the one that did is gone. Should that one make a change at the same
    /// time, the older of the two is carried out, on each device that knows both.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn take_over(&self) -> Result<(), SyncError> {
        self.0.running()?;
        self.0.inner.replica.take_over_schema().await
    }

    /// The device that changes the schema of this library, once one did.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn author(&self) -> Result<Option<DeviceId>, SyncError> {
        self.0.inner.replica.schema_author().await
    }

    /// All changes that are known here, in order.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn changes(&self) -> Result<Vec<KnownChange>, SyncError> {
        let listed = self.0.inner.replica.schema_changes().await?;
        let known = listed.into_iter().map(|(record, waits)| KnownChange {
            number: record.number,
            author: record.author,
            change: record.step().ok().and_then(|step| match step {
                Step::Change(change) => Some(change),
                Step::TakeOver => None,
            }),
            waits,
        });
        Ok(known.collect())
    }
}
