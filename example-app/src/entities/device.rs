//! A device that takes part in the library.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// A device that takes part in the library.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "devices")]
#[sync(id = "device", key = "manual")]
pub(crate) struct Model {
    /// The engine's device id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What its user calls it.
    pub name: String,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}
