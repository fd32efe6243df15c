//! Every kind of column: enums, newtypes, JSON, renamed, ignored, skipped, `Option` of everything.

use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};
use sync_core::Syncable;

#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::None)")]
pub enum Status {
    #[sea_orm(string_value = "open")]
    Open,
    #[sea_orm(string_value = "done")]
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i32", db_type = "Integer")]
pub enum Rank {
    #[sea_orm(num_value = 0)]
    Low,
    #[sea_orm(num_value = 1)]
    High,
}

#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "mood")]
pub enum Mood {
    #[sea_orm(string_value = "good")]
    Good,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
pub struct Title(pub String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Settings {
    pub depth: u8,
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "everything")]
#[sync(id = "everything", merge = keep, should_sync = shared, triggers = "log", key = "manual")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub title: Title,
    pub maybe_title: Option<Title>,
    pub status: Status,
    pub maybe_status: Option<Status>,
    pub rank: Rank,
    pub mood: Option<Mood>,
    pub json: Json,
    pub settings: Settings,
    pub maybe_settings: Option<Settings>,
    pub r#type: String,
    #[sea_orm(column_name = "other_name", enum_name = "Elsewhere")]
    #[sync(name = "name", strategy = "lww")]
    pub this_name: Option<String>,
    #[sea_orm(column_type = "Decimal(Some((20, 4)))")]
    pub price: Decimal,
    pub at: DateTimeUtc,
    pub time_at: Option<TimeDateTimeWithTimeZone>,
    pub bytes: Vec<u8>,
    pub single: f32,
    #[sea_orm(ignore)]
    pub cached: Vec<String>,
    #[sync(skip)]
    pub here: Option<String>,
    #[sync(skip)]
    #[sea_orm(default_value = 0)]
    pub seen: i32,
    #[sync(skip)]
    #[sea_orm(default_expr = "Expr::current_timestamp()")]
    pub opened: DateTimeUtc,
    #[sync(skip, default = Status::Open)]
    pub local_status: Status,
}

impl ActiveModelBehavior for AnotherActiveModel {}
pub use another::ActiveModel as AnotherActiveModel;

/// An entity that does not sync stays as it was.
mod another {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "another")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

fn keep(local: Model, _remote: Model) -> Model {
    local
}

fn shared(model: &Model) -> bool {
    model.status != Status::Open
}

fn main() {
    sync_core::Registration::of::<ActiveModel>().adapter().unwrap();
}
