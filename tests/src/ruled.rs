//! Entities whose columns merge by rules of their own.

/// One column of each strategy, and two that are decided together.
pub mod product {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `products`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "products")]
    #[sync(id = "product")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text: the last writer wins.
        pub name: String,
        /// How many there are.
        #[sync(strategy = "counter")]
        pub stock: i64,
        /// A counter that is soon full.
        #[sync(strategy = "counter")]
        pub few: u8,
        /// When it was last seen.
        #[sync(strategy = "max")]
        pub seen_at: DateTimeUtc,
        /// The lowest price.
        #[sync(strategy = "min")]
        pub lowest: Option<Decimal>,
        /// Where it is.
        #[sync(group = "place")]
        pub shelf: i32,
        /// Where on the shelf.
        #[sync(group = "place")]
        pub slot: i32,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// An entity whose rows merge as wholes.
pub mod card {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `cards`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "cards")]
    #[sync(id = "card", policy = "record")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub front: String,
        /// A text.
        pub back: String,
        /// A text that may be absent.
        pub hint: Option<String>,
        /// Stays on this device.
        #[sync(skip)]
        pub local: Option<String>,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// An entity with every rule and a merge function of the user's.
pub mod draft {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `drafts`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "drafts")]
    #[sync(id = "draft", merge = both)]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        #[sync(group = "text")]
        pub text: String,
        /// Who wrote it.
        #[sync(group = "text")]
        pub author: String,
        /// How often it was merged.
        #[sync(strategy = "counter")]
        pub merges: i64,
        /// The longest text there was.
        #[sync(strategy = "max")]
        pub longest: i64,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    /// Both texts, and one more merge.
    fn both(local: Model, remote: Model) -> Model {
        let mut texts = [local.text, remote.text];
        texts.sort_unstable();
        let text = texts.join(" ");
        Model { longest: text.len() as i64, text, merges: remote.merges + 1, ..remote }
    }
}

/// An entity of numbers, each with a rule of its own.
pub mod gauge {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `gauges`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "gauges")]
    #[sync(id = "gauge")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A count.
        #[sync(strategy = "counter")]
        pub count: i64,
        /// The largest.
        #[sync(strategy = "max")]
        pub peak: Option<i64>,
        /// The smallest.
        #[sync(strategy = "min")]
        pub low: i64,
        /// Half of a place.
        #[sync(group = "place")]
        pub x: i64,
        /// The other half.
        #[sync(group = "place")]
        pub y: i64,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// An entity with a set.
pub mod basket {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `baskets`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "baskets")]
    #[sync(id = "basket")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Anything, each once.
        #[sync(strategy = "set", tag)]
        pub tags: Json,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}
