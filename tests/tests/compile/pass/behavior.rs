//! Hooks of the user's own, in every shape, with ours around them.

mod early {
    use sea_orm::{ActiveValue::Set, entity::prelude::*};
    use sync_core::Syncable;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "early")]
    #[sync(hooks = "manual")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
    }

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {
        fn new() -> Self {
            Self { name: Set("new".into()), ..ActiveModelTrait::default() }
        }

        async fn before_save<C>(mut self, _: &C, _: bool) -> Result<Self, DbErr>
        where
            C: ConnectionTrait,
        {
            if self.name.is_not_set() {
                return Ok(self);
            }
            self.name = Set("seen".into());
            Ok(self)
        }

        async fn after_save<C>(Model { id, name }: Model, db: &C, _insert: bool) -> Result<Model, DbErr>
        where
            C: ConnectionTrait,
        {
            Entity::find_by_id(id).one(db).await?;
            Ok(Model { id, name })
        }

        async fn before_delete<C>(self, _db: &C) -> Result<Self, DbErr>
        where
            C: ConnectionTrait,
        {
            Ok(self)
        }
    }
}

mod attributed {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "attributed")]
    #[sync(hooks = "manual")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[sync_core::behavior(crate = "sync_core")]
    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_delete<C>(self, _db: &C) -> Result<Self, DbErr>
        where
            C: ConnectionTrait,
        {
            Err(DbErr::Custom("no".into()))
        }
    }
}

mod nothing {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "nothing")]
    #[sync(hooks = "manual")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}

fn main() {}
