//! A host's migrator with the sync tables in its list, around an engine that makes them by itself.

#![expect(
    elided_lifetimes_in_paths,
    reason = "the trait's own signatures, which cannot be written otherwise"
)]

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    ExecResult, QueryResult, Schema, Set, Statement,
};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager};
use sync_core::SyncEngine;
use sync_tests::{Device, device::library, entities::item};

struct Items;

impl MigrationName for Items {
    fn name(&self) -> &str {
        "m20260101_000001_items"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Items {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Schema::new(manager.get_database_backend()).create_table_from_entity(item::Entity);
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE items").await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A column added inside a transaction, with a row written in the same transaction.
struct Wider;

impl MigrationName for Wider {
    fn name(&self) -> &str {
        "m20270101_000001_wider"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Wider {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("ALTER TABLE items ADD COLUMN extra TEXT").await?;
        db.execute_unprepared(
            "INSERT INTO items (id, title, qty) VALUES (x'00112233445566778899aabbccddeeff', 'made', 1)",
        )
        .await
        .map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("ALTER TABLE items DROP COLUMN extra").await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A migration of `sync_migration` in a transaction.
struct InTransaction(Box<dyn MigrationTrait>);

impl MigrationName for InTransaction {
    fn name(&self) -> &str {
        self.0.name()
    }
}

#[async_trait::async_trait]
impl MigrationTrait for InTransaction {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.0.up(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.0.down(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The application's tables, then the sync tables.
struct Host;

#[async_trait::async_trait]
impl MigratorTrait for Host {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut list: Vec<Box<dyn MigrationTrait>> = vec![Box::new(Items)];
        list.extend(sync_migration::migrations());
        list
    }
}

/// The sync tables in transactions, and one more migration of the application's.
struct Later;

#[async_trait::async_trait]
impl MigratorTrait for Later {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut list: Vec<Box<dyn MigrationTrait>> = vec![Box::new(Items)];
        let sync = sync_migration::migrations().into_iter();
        list.extend(sync.map(|one| Box::new(InTransaction(one)) as Box<dyn MigrationTrait>));
        list.push(Box::new(Wider));
        list
    }
}

async fn engine(db: &DatabaseConnection, library: sync_core::LibraryId) -> SyncEngine {
    let builder = SyncEngine::builder(db.clone()).library(library).models(["item"]).without_background();
    builder.start().await.expect("an engine")
}

async fn names(db: &DatabaseConnection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE name LIKE 'sync%' ORDER BY name";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("names");
    rows.iter().map(|row| row.try_get_by_index(0).expect("a name")).collect()
}

async fn add(db: &DatabaseConnection, title: &str) {
    let item = item::ActiveModel { title: Set(title.into()), qty: Set(1), ..Default::default() };
    item.insert(db).await.expect("an item");
}

async fn file() -> (tempfile::TempDir, DatabaseConnection) {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Database::connect(sync_core::sqlite(dir.path().join("app.db"))).await.expect("a database");
    (dir, db)
}

#[tokio::test]
async fn migrator_and_engine_may_come_in_either_order_and_down_takes_all_away() {
    let library = library();
    let other = Device::new(library).await;
    for migrator_first in [true, false] {
        let (_dir, db) = file().await;
        if migrator_first {
            Host::up(&db, None).await.expect("up");
        }
        let running = engine(&db, library).await;
        // Without the application's table the engine runs all the same, and takes it in when it comes.
        Host::up(&db, None).await.expect("up beside a running engine");
        Host::up(&db, None).await.expect("up again");
        add(&db, "written").await;
        running.sync_with(&other.engine).await.expect("a round");
        let arrived = item::Entity::find().all(&other.db).await.expect("items");
        assert_eq!(arrived.iter().filter(|item| item.title == "written").count(), 1);
        running.shutdown().await.expect("a shutdown");
        // A restart on what both have made finds all of it.
        let again = engine(&db, library).await;
        assert_eq!(again.device_id(), running.device_id());
        assert!(again.verify().await.expect("verify").is_clean());
        again.shutdown().await.expect("a shutdown");
        // Down removes tables and guards, up makes them again, and the application's rows are never touched.
        let rows = item::Entity::find().all(&db).await.expect("items");
        Host::down(&db, Some(1)).await.expect("down by one");
        assert_eq!(names(&db).await, Vec::<String>::new());
        add(&db, "unguarded").await;
        assert_eq!(item::Entity::find().all(&db).await.expect("items").len(), rows.len() + 1);
        Host::up(&db, None).await.expect("up");
        let anew = engine(&db, library).await;
        assert_ne!(anew.device_id(), running.device_id(), "another life of the log is another device");
        assert_eq!(anew.status().await.expect("a status").latest_seq.0, rows.len() as u64 + 1);
        anew.shutdown().await.expect("a shutdown");
        other.db.execute_unprepared("DELETE FROM items").await.expect("a delete");
    }
}

#[tokio::test]
async fn migrations_in_transactions_are_captured_whole() {
    let library = library();
    let other = Device::new(library).await;
    let (_dir, db) = file().await;
    Later::up(&db, Some(2)).await.expect("up to the sync tables");
    let running = engine(&db, library).await;
    Later::up(&db, None).await.expect("up beside a running engine");
    running.sync_with(&other.engine).await.expect("a round");
    let made = item::Entity::find().all(&other.db).await.expect("items");
    assert_eq!(made.iter().map(|item| item.title.as_str()).collect::<Vec<_>>(), ["made"]);
    running.shutdown().await.expect("a shutdown");
    Later::down(&db, None).await.expect("down to nothing");
    assert_eq!(names(&db).await, Vec::<String>::new());
    Later::up(&db, None).await.expect("up from nothing, all in transactions");
    let running = engine(&db, library).await;
    assert_eq!(running.status().await.expect("a status").latest_seq.0, 1);
    assert!(running.verify().await.expect("verify").is_clean());
}

/// A database of another kind, of which nothing may be asked.
struct Elsewhere(DbBackend);

#[async_trait::async_trait]
impl ConnectionTrait for Elsewhere {
    fn get_database_backend(&self) -> DbBackend {
        self.0
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        panic!("{statement}")
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        panic!("{sql}")
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        panic!("{statement}")
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        panic!("{statement}")
    }
}

#[tokio::test]
async fn another_kind_of_database_is_refused_before_any_statement() {
    for backend in [DbBackend::Postgres, DbBackend::MySql] {
        for error in [
            sync_core::install_tables(&Elsewhere(backend)).await.expect_err("no tables"),
            sync_core::remove_tables(&Elsewhere(backend)).await.expect_err("no tables"),
        ] {
            assert!(matches!(error, DbErr::BackendNotSupported { .. }), "{error:?}");
            assert!(error.to_string().contains("SQLite"), "{error}");
        }
    }
}
