//! The program's models bound to their tables, and watched.
//!
//! Invariant: a table that a program's model lives in has its guards, or is guarded and compared row by row before
//! anything else is logged.

use std::sync::{Arc, PoisonError, RwLock};

use super::{
    CaptureError,
    guard::{self, Guarded},
    notes,
};
use crate::{
    model::Adapter,
    store::{Binding, Bindings, Write, sql, sqlite},
};

/// The models of an engine. The bindings are those of the schema version at which they were last read.
#[derive(Debug)]
pub(crate) struct Models {
    adapters: Vec<Arc<dyn Adapter>>,
    bound: Arc<RwLock<Arc<Bindings>>>,
}

impl Models {
    /// The models of these adapters, not bound yet.
    pub(crate) fn new(adapters: Vec<Arc<dyn Adapter>>) -> Self {
        Self { adapters, bound: Arc::default() }
    }

    /// The adapters.
    pub(crate) fn adapters(&self) -> &[Arc<dyn Adapter>] {
        &self.adapters
    }

    /// The bindings as they were last read and committed.
    pub(crate) fn bound(&self) -> Arc<Bindings> {
        self.bound.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bindings as they are in this transaction. Where the schema has changed since they were read, tables are
    /// bound and guarded anew, and what was written to an unguarded table is noted.
    ///
    /// Others see them once the transaction is committed: after a rollback a later schema could have the same version,
    /// and its guards would be taken for standing.
    pub(crate) async fn refresh(&self, write: &mut Write<'_>) -> Result<Arc<Bindings>, CaptureError> {
        let bound = self.bound();
        if bound.schema_version == sqlite::schema_version(write.db).await? && bound.schema_version != 0 {
            return Ok(bound);
        }
        let mut bindings = Bindings::bind(write, &self.adapters).await?;
        for binding in bindings.iter() {
            match guard::install(write.db, binding).await? {
                Guarded::Standing => {}
                Guarded::Installed if !known_before(write, binding).await? => {
                    notes::note_adopted(write.db, binding).await?;
                }
                Guarded::Installed | Guarded::Mended => {
                    tracing::info!(model = %binding.name(), "the table was not fully guarded: comparing every row");
                    notes::note_all(write, binding).await?;
                }
            }
        }
        bindings.schema_version = sqlite::schema_version(write.db).await?;
        let bindings = Arc::new(bindings);
        let (bound, committed) = (self.bound.clone(), bindings.clone());
        write.after_commit(move || *bound.write().unwrap_or_else(PoisonError::into_inner) = committed);
        Ok(bindings)
    }
}

/// True if the ledger knows a record of the model: then its table was guarded once.
async fn known_before(write: &Write<'_>, binding: &Binding) -> Result<bool, CaptureError> {
    let row = sql::one(
        write.db,
        "SELECT EXISTS (SELECT 1 FROM sync_objects WHERE model = ?)",
        [binding.model.into()],
    )
    .await?;
    Ok(row.map_or(Ok(0), |row| sql::column::<i64>(&row, 0))? != 0)
}
