//! The tables and the view, as they were first.

#![expect(
    elided_lifetimes_in_paths,
    reason = "the trait's own signatures, which cannot be written otherwise"
)]

use async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, sea_orm::DbErr};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000001_sync_tables"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sync_core::install_tables(manager.get_connection()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sync_core::remove_tables(manager.get_connection()).await
    }
}
