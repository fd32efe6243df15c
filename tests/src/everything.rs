//! Entities with a column of every type: nullable ones, ones that must have a value, and those that SeaORM writes to
//! SQLite and cannot read from it.

use sea_orm::{ConnectionTrait, DatabaseConnection, Schema};

/// The ids of these models.
pub const MODELS: [&str; 3] = ["everything", "solid", "wide"];

/// A column of every type that SeaORM reads from SQLite, each of which may be absent.
pub mod every {
    use sea_orm::{FromJsonQueryResult, entity::prelude::*};
    use serde::{Deserialize, Serialize};
    use sync_core::Syncable;

    /// An enum kept as text.
    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::None)")]
    pub enum Status {
        /// Not done.
        #[sea_orm(string_value = "open")]
        Open,
        /// Done; the value has a quote in it.
        #[sea_orm(string_value = "it's done")]
        Done,
    }

    /// An enum kept as a number.
    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "i32", db_type = "Integer")]
    pub enum Rank {
        /// Below zero.
        #[sea_orm(num_value = -1)]
        Low,
        /// Far above.
        #[sea_orm(num_value = 2147483647)]
        High,
    }

    /// A newtype around text.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
    pub struct Title(pub String);

    /// A newtype around a number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, DeriveValueType)]
    pub struct Meters(pub i64);

    /// A struct kept as JSON.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
    pub struct Settings {
        /// A number.
        pub depth: u64,
        /// Texts.
        pub names: Vec<String>,
    }

    /// One row of `everything`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "everything")]
    #[sync(id = "everything")]
    #[expect(missing_docs, reason = "each is named for its type")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub bool: Option<bool>,
        pub i8: Option<i8>,
        pub i16: Option<i16>,
        pub i32: Option<i32>,
        pub i64: Option<i64>,
        pub u8: Option<u8>,
        pub u16: Option<u16>,
        pub u32: Option<u32>,
        pub f32: Option<f32>,
        pub f64: Option<f64>,
        pub text: Option<String>,
        pub bytes: Option<Vec<u8>>,
        pub json: Option<Json>,
        pub uuid: Option<Uuid>,
        pub decimal: Option<Decimal>,
        pub big_decimal: Option<BigDecimal>,
        pub chrono_date: Option<ChronoDate>,
        pub chrono_time: Option<ChronoTime>,
        pub chrono_date_time: Option<ChronoDateTime>,
        pub chrono_utc: Option<ChronoDateTimeUtc>,
        pub chrono_local: Option<ChronoDateTimeLocal>,
        pub chrono_zone: Option<ChronoDateTimeWithTimeZone>,
        pub time_date: Option<TimeDate>,
        pub time_time: Option<TimeTime>,
        pub time_date_time: Option<TimeDateTime>,
        pub time_zone: Option<TimeDateTimeWithTimeZone>,
        pub status: Option<Status>,
        pub rank: Option<Rank>,
        pub title: Option<Title>,
        pub meters: Option<Meters>,
        pub settings: Option<Settings>,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// Columns that must have a value, and a key of text.
pub mod solid {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    pub use super::every::{Meters, Rank, Settings, Status, Title};

    /// One row of `solids`.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "solids")]
    #[sync(id = "solid")]
    #[expect(missing_docs, reason = "each is named for its type")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub bool: bool,
        pub i64: i64,
        pub u32: u32,
        pub f64: f64,
        pub bytes: Vec<u8>,
        pub json: Json,
        pub uuid: Uuid,
        pub decimal: Decimal,
        pub utc: ChronoDateTimeUtc,
        pub date: TimeDate,
        pub status: Status,
        pub rank: Rank,
        pub title: Title,
        pub meters: Meters,
        pub settings: Settings,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// A number that SeaORM writes to SQLite up to `i64::MAX` and does not read.
pub mod wide {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `wides`.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "wides")]
    #[sync(id = "wide")]
    #[expect(missing_docs, reason = "each is named for its type")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub u64: Option<u64>,
        pub text: String,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

/// Makes their tables.
pub async fn create_tables(db: &DatabaseConnection) {
    let schema = Schema::new(db.get_database_backend());
    for table in [
        schema.create_table_from_entity(every::Entity),
        schema.create_table_from_entity(solid::Entity),
        schema.create_table_from_entity(wide::Entity),
    ] {
        db.execute(&table).await.expect("a table");
    }
}
