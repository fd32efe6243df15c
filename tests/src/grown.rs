//! One table at two times: before and after a migration that adds columns.
//!
//! The two entities have one `SYNC_ID` and one table, as in two versions of a program, so neither registers itself: a
//! test names the one it means to the engine's builder.

use sync_core::EngineBuilder;

/// The migration between the two.
pub const MIGRATION: [&str; 2] = [
    "ALTER TABLE grown ADD COLUMN note TEXT",
    "ALTER TABLE grown ADD COLUMN stars BIGINT NOT NULL DEFAULT 5",
];

/// A program of the first version, with no other model, whose engine works only when called.
pub fn old(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["grown"]).register::<before::ActiveModel>()
}

/// A program of the second version, likewise.
pub fn new(builder: EngineBuilder) -> EngineBuilder {
    builder.without_background().models(["grown"]).register::<after::ActiveModel>()
}

/// The first version.
pub mod before {
    use sea_orm::entity::prelude::*;
    use sync_core::{Rules, Syncable};

    /// One row of `grown`.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "grown")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub name: String,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "grown";

        fn rules() -> Rules {
            Rules::new().without_merge().without_should_sync()
        }
    }

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}

/// The second version.
pub mod after {
    use sea_orm::entity::prelude::*;
    use sync_core::{Rules, Syncable};

    /// One row of `grown`.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "grown")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub name: String,
        /// Added, and may be absent.
        pub note: Option<String>,
        /// Added with a default.
        pub stars: i64,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "grown";

        fn rules() -> Rules {
            Rules::new().without_merge().without_should_sync()
        }
    }

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}
