//! Rules that a column cannot have.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "volumes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[sync(strategy = "max")]
    pub id: Uuid,
    #[sync(skip, strategy = "min")]
    pub cache: Option<String>,
    #[sync(strategy = "max")]
    pub settings: Json,
    #[sync(strategy = "counter")]
    pub title: String,
    #[sync(strategy = "counter")]
    pub price: f64,
    #[sync(strategy = "counter")]
    pub size: u64,
    #[sync(strategy = "counter")]
    pub views: Option<i64>,
    #[sync(strategy = "set")]
    pub names: Vec<u8>,
    #[sync(strategy = "set")]
    pub tags: Option<Json>,
    #[sync(group = "place")]
    pub x: i32,
    #[sync(group = "span")]
    pub from: i32,
    #[sync(group = "span", strategy = "max")]
    pub to: i32,
    #[sync(rule = 1)]
    pub note: String,
    #[sync(strategy = "max", rule = 256)]
    pub seen: i64,
    #[sync(strategy = "siblings")]
    pub text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
