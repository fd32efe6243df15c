//! Every rule that a column can have.

use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
#[sync(policy = "column")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sync(strategy = "lww", rule = 2)]
    pub name: String,
    #[sync(strategy = "max", name = "changed_at")]
    pub updated_at: DateTimeUtc,
    #[sync(strategy = "min", rule = 1)]
    pub first_seen: Option<DateTimeUtc>,
    #[sync(strategy = "counter")]
    pub opened: i64,
    #[sync(strategy = "set")]
    pub labels: Json,
    #[sync(strategy = "set", tag)]
    pub words: Words,
    #[sync(tag)]
    pub project: Option<String>,
    #[sync(group = "place")]
    pub x: i32,
    #[sync(group = "place")]
    pub y: i32,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, FromJsonQueryResult)]
pub struct Words(Vec<String>);

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

mod whole {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "cards")]
    #[sync(policy = "record", merge = later)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub front: String,
        #[sync(skip)]
        pub cache: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    fn later(_local: Model, remote: Model) -> Model {
        remote
    }
}

fn main() {
    for adapter in sync_core::adapters(sync_core::registered()).expect("both sync") {
        println!("{:?}", adapter.spec());
    }
}
