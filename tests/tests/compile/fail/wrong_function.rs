//! A merge function of another shape, and a default of another type.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
#[sync(merge = newest)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sync(skip, default = "none")]
    pub seen: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn newest(local: &Model, remote: &Model) -> Model {
    if local.seen > remote.seen { local.clone() } else { remote.clone() }
}

fn main() {}
