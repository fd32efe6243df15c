//! Changes of the schema that travel: made by one author, carried out once everywhere, in order.

mod refused;
mod travels;

use sea_orm::{ActiveModelTrait, Set, prelude::Uuid};
use sync_core::{
    EngineBuilder, LibraryId, NewColumn, NewTable, SchemaChange, SchemaError, SchemaType, SyncError,
};
use sync_tests::{
    Device,
    grown::{before, old},
};

/// A program that does not have the model any more.
fn without(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["item"])
}

async fn device(library: LibraryId) -> Device {
    Device::with(library, old).await
}

fn table() -> SchemaChange {
    let table = NewTable::new("grown")
        .column(NewColumn::new("id", SchemaType::Uuid))
        .column(NewColumn::new("name", SchemaType::Text))
        .key(["id"]);
    SchemaChange::CreateTable(table)
}

fn note() -> SchemaChange {
    let column = NewColumn::new("note", SchemaType::Text).nullable();
    SchemaChange::AddColumn { table: "grown".into(), column }
}

fn stars() -> SchemaChange {
    let column = NewColumn::new("stars", SchemaType::Integer).with_default(5);
    SchemaChange::AddColumn { table: "grown".into(), column }
}

async fn apply(device: &Device, changes: impl IntoIterator<Item = SchemaChange>) {
    for change in changes {
        device.engine.schema().apply(change).await.expect("a change of the schema");
    }
}

async fn refused(device: &Device, change: SchemaChange) -> SchemaError {
    let before = (device.schema().await, device.state().await);
    match device.engine.schema().apply(change).await {
        Err(SyncError::Schema(error)) => {
            assert_eq!((device.schema().await, device.state().await), before, "{error}");
            error
        }
        other => panic!("{other:?}"),
    }
}

async fn columns(device: &Device, table: &str) -> String {
    device
        .text(format!("SELECT coalesce(group_concat(name, ' '), '') FROM pragma_table_info('{table}')"))
        .await
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

async fn insert(device: &Device, n: u128, name: &str) {
    let row = before::ActiveModel { id: Set(id(n)), name: Set(name.into()) };
    row.insert(&device.db).await.expect("a row");
    device.engine.flush().await.expect("a flush");
}

async fn waiting(device: &Device) -> Vec<String> {
    let changes = device.engine.schema().changes().await.expect("changes");
    changes.into_iter().filter_map(|change| change.waits).collect()
}
