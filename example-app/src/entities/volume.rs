//! A disk of a device. Where it is mounted is the device's own business.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// A disk of a device. Where it is mounted is the device's own business.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
#[sync(id = "volume")]
pub(crate) struct Model {
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The device it is in.
    pub device_id: Uuid,
    /// What its user calls it.
    pub name: String,
    /// How many bytes were found on it.
    pub indexed_bytes: i64,
    /// Where it is mounted on this device.
    #[sync(skip)]
    pub mount_point: Option<String>,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    /// Its device.
    #[sea_orm(
        belongs_to = "super::device::Entity",
        from = "Column::DeviceId",
        to = "super::device::Column::Id",
        on_delete = "Cascade"
    )]
    Device,
}
