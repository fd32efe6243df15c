//! The devices of the suite: engines on databases in memory, with one table. The entity does not register itself,
//! so that no program's engine looks for its table.

use std::sync::Arc;

use sea_orm::{
    ActiveModelBehavior, ConnectionTrait, Database, QueryOrder, Schema, Set, TransactionTrait,
    entity::prelude::*,
};
use uuid::Uuid;

use super::{
    report::{Outcome, fail, same},
    sample,
};
use crate::{
    engine::SyncEngine,
    ids::LibraryId,
    model::Syncable,
    peer::{Limits, SyncError},
    testing::ManualClock,
};

const MODEL: &str = "conformance_note";

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "conformance_notes")]
pub(super) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) body: Vec<u8>,
    pub(super) size: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Syncable for ActiveModel {
    const SYNC_ID: &'static str = MODEL;
}

/// A device of `library`.
pub(super) async fn device(library: LibraryId, limits: Limits) -> Outcome<SyncEngine> {
    started(library, limits)
        .await
        .or_else(|error| fail("an engine on a database in memory", error.to_string()))
}

async fn started(library: LibraryId, limits: Limits) -> Result<SyncEngine, SyncError> {
    let db = Database::connect("sqlite::memory:").await?;
    db.execute(&Schema::new(db.get_database_backend()).create_table_from_entity(Entity)).await?;
    let clock = ManualClock::at(sample::NOW);
    let builder = SyncEngine::builder(db).library(library).register::<ActiveModel>().models([MODEL]);
    builder.limits(limits).time(Arc::new(clock)).without_background().start().await
}

/// Writes `count` rows in one transaction.
pub(super) async fn write(device: &SyncEngine, title: &str, count: u8) -> Outcome {
    written(device, title, count)
        .await
        .or_else(|error| fail("a write to a database in memory", error.to_string()))
}

async fn written(device: &SyncEngine, title: &str, count: u8) -> Result<(), DbErr> {
    let transaction = device.db().begin().await?;
    for n in 0..count {
        let row = ActiveModel {
            id: Set(Uuid::now_v7()),
            title: Set(format!("{title} {n} \u{1f600} “\"")),
            body: Set((0..=255).cycle().take(usize::from(n) * 40).collect()),
            size: Set(i64::MIN + i64::from(n)),
        };
        row.insert(&transaction).await?;
    }
    transaction.commit().await
}

/// All rows, by key.
pub(super) async fn rows(device: &SyncEngine) -> Outcome<Vec<Model>> {
    let rows = Entity::find().order_by_asc(Column::Id).all(device.db()).await;
    rows.or_else(|error| fail("rows of a database in memory", error.to_string()))
}

/// How a device stands: its rows and the digest of its objects.
pub(super) async fn state(device: &SyncEngine) -> Outcome<(Vec<Model>, [u8; 16])> {
    match device.status().await {
        Ok(status) => Ok((rows(device).await?, status.digest)),
        Err(error) => fail("the status of an engine", error.to_string()),
    }
}

/// Both have `count` rows, the same ones, and equal objects.
pub(super) async fn equal(one: &SyncEngine, other: &SyncEngine, count: usize) -> Outcome {
    let (one, other) = (state(one).await?, state(other).await?);
    same("how many rows the two devices have", &(one.0.len(), other.0.len()), &(count, count))?;
    same("the rows of the two devices, and the digests of their objects", &other, &one)
}
