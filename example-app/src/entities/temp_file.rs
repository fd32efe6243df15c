//! A file of the moment: no `Syncable`, so it never leaves its device.

use sea_orm::entity::prelude::*;

/// A file of the moment: no `Syncable`, so it never leaves its device.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "temp_files")]
pub(crate) struct Model {
    /// The key: nothing syncs, so a counter does.
    #[sea_orm(primary_key)]
    pub id: i32,
    /// Where it is.
    pub path: String,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
