//! One change carried out, or the reason why not.
//!
//! Invariant: carrying out a change that was carried out already, or that a migration of the application made, does nothing. What the
//! rows of a column or a table held that goes stays beside the objects.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use sea_orm::ConnectionTrait;

use super::{
    SchemaError,
    change::{NewTable, SchemaChange},
    statements::statement,
};
use crate::{
    apply::{self, ApplyError},
    capture,
    ledger::Head,
    model::Adapter,
    store::{Catalog, StoreError, Table, Write},
};

pub(super) async fn perform(
    write: &mut Write<'_>,
    head: &mut Head,
    adapters: &[Arc<dyn Adapter>],
    made: &BTreeSet<String>,
    change: &SchemaChange,
) -> Result<Result<(), SchemaError>, ApplyError> {
    let name = change.table().to_owned();
    let catalog = Catalog::read(write.db, &HashSet::from([name.clone()])).await?;
    match is_needed(change, catalog.table(&name)) {
        Ok(true) => {}
        Ok(false) => return Ok(Ok(())),
        Err(error) => return Ok(Err(error)),
    }
    if let Some(model) = user_of(adapters, change) {
        return Ok(Err(SchemaError::InUse { table: name, model }));
    }
    let guarded = capture::guarded_model(write.db, &name).await?;
    let creates = matches!(change, SchemaChange::CreateTable(_));
    if !creates && guarded.is_none() && !made.contains(&name.to_ascii_lowercase()) {
        return Ok(Err(SchemaError::NotSynced { table: name }));
    }
    write.db.execute_unprepared("SAVEPOINT sync_schema_change").await.map_err(StoreError::from)?;
    if let Err(error) = write.db.execute_unprepared(&statement(change)).await {
        for undo in ["ROLLBACK TO sync_schema_change", "RELEASE sync_schema_change"] {
            write.db.execute_unprepared(undo).await.map_err(StoreError::from)?;
        }
        return Ok(Err(SchemaError::Database(error.to_string())));
    }
    write.db.execute_unprepared("RELEASE sync_schema_change").await.map_err(StoreError::from)?;
    if let (SchemaChange::DropTable { .. }, Some(model)) = (change, guarded) {
        apply::take_off(write, head, model).await?;
    }
    tracing::info!(table = %name, "the schema was changed");
    Ok(Ok(()))
}

/// Whether the database is not yet as `change` wants it.
fn is_needed(change: &SchemaChange, there: Option<&Table>) -> Result<bool, SchemaError> {
    let has = |name: &str| {
        there.is_some_and(|table| table.columns.iter().any(|one| one.name.eq_ignore_ascii_case(name)))
    };
    match change {
        SchemaChange::CreateTable(NewTable { name, columns, .. }) => {
            let missing = columns.iter().find(|column| !has(&column.name));
            match missing {
                Some(column) if there.is_some() => {
                    Err(SchemaError::NoColumn { table: name.clone(), column: column.name.clone() })
                }
                missing => Ok(missing.is_some()),
            }
        }
        // A table that is not here has nothing to change: who makes it later makes it as it is to be.
        _ if there.is_none() => Ok(false),
        SchemaChange::AddColumn { column, .. } => Ok(!has(&column.name)),
        SchemaChange::RenameColumn { table, from, to } => match (has(from), has(to)) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(SchemaError::NoColumn { table: table.clone(), column: from.clone() }),
            (true, true) => Err(SchemaError::Invalid {
                table: table.clone(),
                what: format!("it has `{from}` and `{to}` already"),
            }),
        },
        SchemaChange::DropColumn { column, .. } => Ok(has(column)),
        SchemaChange::DropTable { .. } => Ok(true),
    }
}

/// The model of this program that could not go on after `change`.
fn user_of(adapters: &[Arc<dyn Adapter>], change: &SchemaChange) -> Option<String> {
    let column = match change {
        SchemaChange::CreateTable(_) | SchemaChange::AddColumn { .. } => return None,
        SchemaChange::DropTable { .. } => None,
        SchemaChange::RenameColumn { from: column, .. } | SchemaChange::DropColumn { column, .. } => {
            Some(column)
        }
    };
    let uses = |adapter: &&Arc<dyn Adapter>| {
        let spec = adapter.spec();
        let here = spec.table.eq_ignore_ascii_case(change.table());
        here && column.is_none_or(|name| spec.columns.iter().any(|one| one.name.eq_ignore_ascii_case(name)))
    };
    adapters.iter().find(uses).map(|adapter| adapter.spec().id.to_string())
}
