//! The entities of these tests.

/// One column of every kind.
pub(crate) mod thing {
    use sea_orm::{FromJsonQueryResult, entity::prelude::*};
    use serde::{Deserialize, Serialize};
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::None)")]
    pub(crate) enum Status {
        #[sea_orm(string_value = "open")]
        Open,
        #[sea_orm(string_value = "done")]
        Done,
    }

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "i32", db_type = "Integer")]
    pub(crate) enum Rank {
        #[sea_orm(num_value = 0)]
        Low,
        #[sea_orm(num_value = 1)]
        High,
    }

    #[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
    pub(crate) struct Title(pub(crate) String);

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
    pub(crate) struct Settings {
        pub(crate) depth: u8,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "things", schema_name = "main")]
    #[sync(id = "thing", merge = longer, should_sync = shared, triggers = "log")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub title: Title,
        pub status: Status,
        pub rank: Option<Rank>,
        pub settings: Option<Settings>,
        #[sea_orm(column_name = "total")]
        #[sync(name = "sum")]
        pub total_size: u64,
        pub r#type: String,
        pub price: Option<Decimal>,
        pub at: Option<DateTimeUtc>,
        #[sea_orm(ignore)]
        pub cached: Vec<String>,
        #[sync(skip)]
        pub here: Option<String>,
        #[sync(skip, default = Status::Done)]
        pub local_status: Status,
    }

    fn longer(mut local: Model, remote: Model) -> Model {
        assert_ne!(local.title.0, "panic", "cannot decide");
        if local.title.0.len() > remote.title.0.len() {
            local.id = Uuid::nil();
            return local;
        }
        remote
    }

    fn shared(model: &Model) -> bool {
        assert_ne!(model.r#type, "panic");
        model.r#type != "private"
    }
}

/// Saved together with its lines through `ActiveModelEx`.
pub(crate) mod order {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "orders")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        #[sea_orm(has_many)]
        pub lines: HasMany<super::line::Entity>,
    }
}

/// A line of an order.
pub(crate) mod line {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "lines")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub order_id: Uuid,
        pub text: String,
        #[sea_orm(belongs_to, from = "order_id", to = "id")]
        pub order: HasOne<super::order::Entity>,
    }
}

/// A key of two parts.
pub(crate) mod seat {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "seats")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub row: String,
        pub taken: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}
}

/// Hooks of its own: stamps, refuses, returns early.
pub(crate) mod note {
    use sea_orm::{ActiveValue::Set, entity::prelude::*};
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "notes")]
    #[sync(hooks = "manual")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C>(mut self, _db: &C, insert: bool) -> Result<Self, DbErr>
        where
            C: ConnectionTrait,
        {
            if !insert {
                return Ok(self);
            }
            if self.text.as_ref() == "refused" {
                Err(DbErr::Custom("refused".into()))?;
            }
            self.text = Set(format!("{}!", self.text.as_ref()));
            Ok(self)
        }

        async fn after_save<C>(Model { id, text }: Model, _db: &C, _: bool) -> Result<Model, DbErr>
        where
            C: ConnectionTrait,
        {
            if text.starts_with("late") {
                Err(DbErr::Custom("too late".into()))?;
            }
            Ok(Model { id, text: format!("{text}?") })
        }
    }
}

/// A key that is the application's.
pub(crate) mod manual {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "manual")]
    #[sync(key = "manual")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}
}

/// Hooks and a key of its own.
pub(crate) mod both {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "both")]
    #[sync(key = "manual", hooks = "manual")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}
