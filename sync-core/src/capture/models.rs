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
    ledger::{self, Head},
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
                    list_unshown(write, binding).await?;
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

/// Lists the model's records that came while this program did not know the model or had no table for it.
async fn list_unshown(write: &Write<'_>, binding: &Binding) -> Result<(), CaptureError> {
    let head = Head::load(write.db, &write.names).await?;
    let now_ms = i64::try_from(head.clock.last().ms()).unwrap_or(i64::MAX);
    let mut after = 0;
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, 2_000).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        let unshown = page
            .iter()
            .filter(|one| one.model == binding.model && one.object.is_alive() && !one.object.shown);
        let mut rows = Vec::new();
        for one in unshown {
            rows.extend([
                head.library.into(),
                binding.model.into(),
                one.record.as_bytes().to_vec().into(),
                "unknown_model".into(),
                "it came while this program did not know the model".into(),
                0_i64.into(),
                now_ms.into(),
            ]);
        }
        let insert = "INSERT INTO sync_pending (library, model, record, reason, detail, attempts, since)";
        sql::insert_rows(write.db, insert, 7, "ON CONFLICT DO NOTHING", rows).await?;
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
