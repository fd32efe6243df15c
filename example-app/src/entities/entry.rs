//! A file or directory.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "entries")]
#[sync(id = "entry")]
pub(crate) struct Model {
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The indexed directory that it is in.
    pub location_id: Uuid,
    /// The directory that it is in; none at the top of its location.
    pub parent_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: i64,
    /// When it was last modified.
    pub modified_at: Option<DateTimeUtc>,
    /// True if its user marked it.
    pub starred: bool,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    /// Its location.
    #[sea_orm(
        belongs_to = "super::location::Entity",
        from = "Column::LocationId",
        to = "super::location::Column::Id",
        on_delete = "Cascade"
    )]
    Location,
    /// The directory that it is in.
    #[sea_orm(belongs_to = "Entity", from = "Column::ParentId", to = "Column::Id", on_delete = "Cascade")]
    Parent,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum Kind {
    /// A file.
    #[sea_orm(string_value = "file")]
    File,
    /// A directory.
    #[sea_orm(string_value = "directory")]
    Directory,
    /// A symbolic link, which is not followed.
    #[sea_orm(string_value = "link")]
    Link,
}
