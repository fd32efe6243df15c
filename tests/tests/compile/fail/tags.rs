//! Columns that no scope can choose by.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[sync(tag)]
    pub id: Uuid,
    #[sync(skip, tag)]
    pub mount_point: Option<String>,
    #[sync(tag, strategy = "counter")]
    pub uses: i64,
    #[sync(tag)]
    pub labels: Json,
    #[sync(tag = "colour")]
    pub colour: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
