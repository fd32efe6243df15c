//! Words that will mean something one day, and words that never will.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
#[sync(policy = "table")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sync(strategy = "text")]
    pub words: String,
    #[sync(strategy = "magic")]
    pub total: i64,
    #[sync(library)]
    pub library_id: Uuid,
    #[sync(library)]
    pub tenant_id: Uuid,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
