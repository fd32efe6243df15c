//! Words that will mean something one day.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
#[sync(policy = "record")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sync(strategy = "max")]
    pub updated_at: DateTimeUtc,
    #[sync(strategy = "magic")]
    pub total: i64,
    #[sync(group = "place")]
    pub x: i32,
    #[sync(tag = "colour")]
    pub colour: String,
    #[sync(library)]
    pub library_id: Uuid,
    #[sync(library)]
    pub tenant_id: Uuid,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
