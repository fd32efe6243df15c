//! Entities whose rows depend on one another: a tree, a junction, a composite unique key.

/// A tree: children outlive their parent.
pub mod folder {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `folders`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "folders")]
    #[sync(id = "folder")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// The folder that this one is in.
        pub parent_id: Option<Uuid>,
        /// A text.
        pub name: String,
    }

    /// Its parent.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its parent.
        #[sea_orm(belongs_to = "Entity", from = "Column::ParentId", to = "Column::Id", on_delete = "SetNull")]
        Parent,
    }
}

/// A junction with a key of two parts: goes with either end.
pub mod tagging {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `taggings`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "taggings")]
    #[sync(id = "tagging")]
    pub struct Model {
        /// What is tagged.
        #[sea_orm(primary_key, auto_increment = false)]
        pub folder_id: Uuid,
        /// The tag.
        #[sea_orm(primary_key, auto_increment = false)]
        pub label_id: Uuid,
        /// A text that may be absent.
        pub why: Option<String>,
    }

    /// Both ends.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// What is tagged.
        #[sea_orm(
            belongs_to = "super::folder::Entity",
            from = "Column::FolderId",
            to = "super::folder::Column::Id",
            on_delete = "Cascade"
        )]
        Folder,
        /// The tag.
        #[sea_orm(
            belongs_to = "crate::entities::label::Entity",
            from = "Column::LabelId",
            to = "crate::entities::label::Column::Id",
            on_delete = "Cascade"
        )]
        Label,
    }
}

/// A unique key of two columns, one of which may be absent, beside one of a single column.
pub mod shelf {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `shelves`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "shelves")]
    #[sync(id = "shelf")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Unique with `slot`.
        #[sea_orm(unique_key = "room_slot")]
        pub room: String,
        /// Unique with `room`, where there is one.
        #[sea_orm(unique_key = "room_slot")]
        pub slot: Option<i64>,
        /// Unique, where there is one.
        #[sea_orm(unique)]
        pub code: Option<String>,
        /// A text.
        pub note: String,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}
