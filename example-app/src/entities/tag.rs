//! A tag. Its name is unique: two devices that make the same one show the same one.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// A tag. Its name is unique: two devices that make the same one show the same one.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "tags")]
#[sync(id = "tag")]
pub(crate) struct Model {
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its name.
    #[sea_orm(unique)]
    pub name: String,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}
