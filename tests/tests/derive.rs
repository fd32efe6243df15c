//! What `#[derive(Syncable)]` makes of an entity: its spec, its adapter, its hooks.

use sea_orm::{ActiveValue::Set, ConnectionTrait, Database, DatabaseConnection, Schema, entity::prelude::*};
use sync_core::{Syncable, hooks};

mod volume {
    use super::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "volumes")]
    #[sync(id = "volume", merge = prefer)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        #[sync(skip)]
        pub mount_point: Option<String>,
    }

    fn prefer(local: Model, _remote: Model) -> Model {
        local
    }
}

async fn database<E: EntityTrait>(entity: E) -> DatabaseConnection {
    let db = Database::connect("sqlite::memory:").await.unwrap();
    let table = Schema::new(db.get_database_backend()).create_table_from_entity(entity);
    db.execute(&table).await.unwrap();
    db
}

#[tokio::test]
async fn first() {
    let db = database(volume::Entity).await;
    let queue = hooks::subscribe(["volume".into()], 8, std::sync::Arc::new(sync_core::runtime::SystemClock));
    let model =
        volume::ActiveModel { name: Set("Photos".into()), mount_point: Set(None), ..Default::default() }
            .insert(&db)
            .await
            .unwrap();
    assert_eq!(model.id.get_version_num(), 7);
    model.delete(&db).await.unwrap();
    println!("{:?}", queue.drain());
    println!("{:?}", sync_core::adapters(sync_core::registered()).unwrap());
}
