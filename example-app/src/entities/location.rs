//! A directory that was indexed.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// A directory that was indexed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "locations")]
#[sync(id = "location")]
pub(crate) struct Model {
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The volume it is on.
    pub volume_id: Uuid,
    /// Its absolute path on its device.
    pub path: String,
    /// When it was last indexed.
    pub indexed_at: DateTimeUtc,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    /// Its volume.
    #[sea_orm(
        belongs_to = "super::volume::Entity",
        from = "Column::VolumeId",
        to = "super::volume::Column::Id",
        on_delete = "Cascade"
    )]
    Volume,
}
