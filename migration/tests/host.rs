//! A host's migrator with the sync tables in its list.

#![expect(
    elided_lifetimes_in_paths,
    reason = "the trait's own signatures, which cannot be written otherwise"
)]

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement},
};

struct Volumes;

impl MigrationName for Volumes {
    fn name(&self) -> &str {
        "m20260101_000001_volumes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Volumes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let volumes =
            Table::create().table("volumes").col(ColumnDef::new("id").uuid().primary_key()).to_owned();
        manager.create_table(volumes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("volumes").to_owned()).await
    }
}

struct Host;

#[async_trait::async_trait]
impl MigratorTrait for Host {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations: Vec<Box<dyn MigrationTrait>> = vec![Box::new(Volumes)];
        migrations.extend(sync_migration::migrations());
        migrations
    }
}

async fn tables(db: &DatabaseConnection) -> Vec<String> {
    let statement =
        "SELECT name FROM sqlite_master WHERE name GLOB 'sync_*' AND type IN ('table', 'view') ORDER BY name";
    let rows =
        db.query_all_raw(Statement::from_string(db.get_database_backend(), statement)).await.expect("names");
    rows.iter().map(|row| row.try_get_by_index(0).expect("a name")).collect()
}

#[tokio::test]
async fn up_makes_the_tables_and_down_removes_them() {
    let db = Database::connect("sqlite::memory:").await.expect("a database");
    Host::up(&db, None).await.expect("up");
    let made = tables(&db).await;
    assert!(made.contains(&"sync_log".to_owned()) && made.contains(&"sync_changes".to_owned()), "{made:?}");
    Host::up(&db, None).await.expect("up again");
    Host::refresh(&db).await.expect("refresh");
    assert_eq!(tables(&db).await, made);
    Host::down(&db, None).await.expect("down");
    assert_eq!(tables(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_tables_may_be_there_before_the_migrator() {
    let db = Database::connect("sqlite::memory:").await.expect("a database");
    sync_core::install_tables(&db).await.expect("tables");
    Host::up(&db, None).await.expect("up");
    assert!(Host::get_pending_migrations(&db).await.expect("a list").is_empty());
}

#[tokio::test]
async fn down_takes_guards_away_so_that_the_application_can_go_on() {
    let db = Database::connect("sqlite::memory:").await.expect("a database");
    Host::up(&db, None).await.expect("up");
    db.execute_unprepared(
        "CREATE TRIGGER sync_guard_insert_volumes AFTER INSERT ON volumes \
         BEGIN INSERT INTO sync_dirty (model, record) VALUES (1, NEW.id); END",
    )
    .await
    .expect("a guard");
    Host::down(&db, Some(1)).await.expect("down by one");
    db.execute_unprepared("INSERT INTO volumes (id) VALUES (x'00')").await.expect("a write without guards");
}
