//! Values of the wrong form, or missing.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
#[sync(id, merge, should_sync = "is_shared", key = "auto", triggers)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sync(skip = true, default)]
    pub name: Option<String>,
    #[sync(name = "")]
    pub other: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
