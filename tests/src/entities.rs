//! The entities that the tests write.

/// A plain entity: text and numbers, one column that stays on its device.
pub mod item {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `items`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "items")]
    #[sync(id = "item")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub title: String,
        /// A number.
        pub qty: i64,
        /// A text that may be absent: a scope may choose items by it.
        #[sync(tag)]
        pub note: Option<String>,
        /// Stays on this device.
        #[sync(skip)]
        pub local: Option<String>,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// An entity with a unique column.
pub mod label {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `labels`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "labels")]
    #[sync(id = "label")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Unique.
        #[sea_orm(unique)]
        pub name: String,
        /// A text.
        pub color: Option<String>,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// A parent of `leaf`.
pub mod branch {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `branches`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "branches")]
    #[sync(id = "branch")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub name: String,
    }

    /// Its leaves.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its leaves.
        #[sea_orm(has_many = "super::leaf::Entity")]
        Leaf,
    }

    impl Related<super::leaf::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Leaf.def()
        }
    }
}

/// A child of `branch`: deleted with it by a cascade.
pub mod leaf {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `leaves`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "leaves")]
    #[sync(id = "leaf")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// The parent.
        pub branch_id: Uuid,
        /// A text.
        pub name: String,
        /// Stays on this device.
        #[sync(skip)]
        pub seen: Option<i64>,
    }

    /// Its branch.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its branch.
        #[sea_orm(
            belongs_to = "super::branch::Entity",
            from = "Column::BranchId",
            to = "super::branch::Column::Id",
            on_delete = "Cascade"
        )]
        Branch,
    }

    impl Related<super::branch::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Branch.def()
        }
    }
}

/// An entity with a merge function of the user's.
pub mod memo {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `memos`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "memos")]
    #[sync(id = "memo", merge = both)]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Words, separated by spaces.
        pub words: String,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    /// The words of both, each once, in order.
    fn both(local: Model, remote: Model) -> Model {
        let mut words: Vec<&str> = local.words.split(' ').chain(remote.words.split(' ')).collect();
        words.sort_unstable();
        words.dedup();
        Model { words: words.join(" "), ..remote }
    }
}

/// An entity that logs what the database's triggers do to it.
pub mod tally {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `tallies`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "tallies")]
    #[sync(id = "tally", triggers = "log")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub name: String,
        /// A number.
        pub total: i64,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}
