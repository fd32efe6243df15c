//! A device: a database, its tables, an engine on it.

use std::path::PathBuf;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr, Schema};
pub use sync_core::testing::ManualClock;
use sync_core::{LibraryId, SyncEngine, SyncError};
use tempfile::TempDir;

use crate::{
    entities::{branch, item, label, leaf, memo, tally},
    nested::{author, biography, book, book_genre, genre},
    ruled::{basket, card, draft, gauge, product},
    tangled::{folder, shelf, tagging},
};

/// The models of [`create_tables`].
pub const MODELS: [&str; 9] =
    ["item", "label", "branch", "leaf", "memo", "folder", "tagging", "shelf", "gauge"];

/// The models that a [`Device`] holds beside them.
const MORE_MODELS: [&str; 10] =
    ["tally", "author", "biography", "book", "genre", "book_genre", "product", "card", "draft", "basket"];

/// A device with a database file of its own.
#[derive(Debug)]
pub struct Device {
    /// The application's connection.
    pub db: DatabaseConnection,
    /// The engine.
    pub engine: SyncEngine,
    /// The database file.
    pub path: PathBuf,
    _dir: Option<TempDir>,
}

impl Device {
    /// A device of `library`, with all of the harness's tables, whose engine works only when called.
    pub async fn new(library: LibraryId) -> Self {
        Self::with(library, |builder| builder.without_background()).await
    }

    /// A device whose engine is built as `configure` says.
    pub async fn with(
        library: LibraryId,
        configure: impl FnOnce(sync_core::EngineBuilder) -> sync_core::EngineBuilder,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("app.db");
        Self { _dir: Some(dir), ..Self::open(path, library, configure).await }
    }

    /// A device whose database holds what `prepare` makes before its engine starts.
    pub async fn prepared(
        library: LibraryId,
        prepare: impl AsyncFnOnce(&DatabaseConnection),
        configure: impl FnOnce(sync_core::EngineBuilder) -> sync_core::EngineBuilder,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("app.db");
        let db = Database::connect(sync_core::sqlite(&path)).await.expect("a database");
        create_tables(&db).await.expect("tables");
        prepare(&db).await;
        db.close().await.expect("a closed database");
        Self { _dir: Some(dir), ..Self::open(path, library, configure).await }
    }

    /// Stops the engine and starts one anew on the same database.
    pub async fn restart(
        mut self,
        configure: impl FnOnce(sync_core::EngineBuilder) -> sync_core::EngineBuilder,
    ) -> Self {
        let (dir, path, library) = (self._dir.take(), self.path.clone(), self.engine.library_id());
        self.close().await;
        Self { _dir: dir, ..Self::open(path, library, configure).await }
    }

    /// Stops the engine, runs a migration on the database, and starts an engine anew.
    pub async fn migrated(
        mut self,
        statements: [&str; 2],
        configure: impl FnOnce(sync_core::EngineBuilder) -> sync_core::EngineBuilder,
    ) -> Self {
        let (dir, path, library) = (self._dir.take(), self.path.clone(), self.engine.library_id());
        self.engine.shutdown().await.expect("a shutdown");
        for statement in statements {
            self.db.execute_unprepared(statement).await.expect("a migration");
        }
        self.db.close().await.expect("a closed database");
        Self { _dir: dir, ..Self::open(path, library, configure).await }
    }

    /// A device on the database file at `path`, which is made if there is none.
    pub async fn open(
        path: PathBuf,
        library: LibraryId,
        configure: impl FnOnce(sync_core::EngineBuilder) -> sync_core::EngineBuilder,
    ) -> Self {
        let db = Database::connect(sync_core::sqlite(&path)).await.expect("a database");
        create_tables(&db).await.expect("tables");
        create_more_tables(&db).await.expect("tables");
        let models = MODELS.into_iter().chain(MORE_MODELS);
        let builder = SyncEngine::builder(db.clone()).library(library).models(models);
        let engine = configure(builder).start().await.expect("an engine");
        Self { db, engine, path, _dir: None }
    }

    /// Stops the engine and closes the database.
    pub async fn close(self) {
        self.engine.shutdown().await.expect("a shutdown");
        self.db.close().await.expect("a closed database");
    }

    /// One round with `other`.
    ///
    /// # Errors
    /// Those of [`SyncEngine::sync_with`].
    pub async fn sync(&self, other: &Device) -> Result<sync_core::SyncReport, SyncError> {
        self.engine.sync_with(&other.engine).await
    }

    /// How many changes of the application's records are logged, once everything is.
    pub async fn logged(&self) -> u64 {
        self.engine.flush().await.expect("a flush");
        let count = "SELECT CAST(count(*) AS TEXT) FROM sync_changes WHERE model_type NOT IN \
                     ('sync_devices', 'sync_schema')";
        self.text(count).await.parse().expect("a number")
    }

    /// Every row of every table that travels, as text, in order: equal on devices with equal data.
    pub async fn dump(&self) -> String {
        dump_of(&self.db).await
    }

    /// The one value that `sql` selects, as text.
    pub async fn text(&self, sql: impl Into<String>) -> String {
        let statement = sea_orm::Statement::from_string(self.db.get_database_backend(), sql.into());
        let row = self.db.query_one_raw(statement).await.expect("a query").expect("a row");
        row.try_get_by_index(0).expect("a text")
    }

    /// The values of a query's only column, as text.
    pub async fn texts(&self, sql: impl Into<String>) -> Vec<String> {
        let statement = sea_orm::Statement::from_string(self.db.get_database_backend(), sql.into());
        let rows = self.db.query_all_raw(statement).await.expect("rows");
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }

    /// What the database is made of: every table, index, trigger and view.
    pub async fn schema(&self) -> String {
        self.text(
            "SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), char(10)) FROM \
                   (SELECT * FROM sqlite_schema ORDER BY type, name)",
        )
        .await
    }

    /// The digest of the objects.
    pub async fn digest(&self) -> [u8; 16] {
        self.engine.status().await.expect("a status").digest
    }
}

/// What [`Device::dump`] gives, as another connection sees it.
pub async fn dump_of(db: &DatabaseConnection) -> String {
    let mut dump = String::new();
    for (table, columns) in [
        ("items", "id, title, qty, note"),
        ("labels", "id, name, color"),
        ("branches", "id, name"),
        ("leaves", "id, branch_id, name"),
        ("memos", "id, words"),
        ("folders", "id, parent_id, name"),
        ("taggings", "folder_id, label_id, why"),
        ("shelves", "id, room, slot, code, note"),
        ("gauges", "id, count, peak, low, x, y"),
        ("tallies", "id, name, total"),
        ("baskets", "id, tags"),
        ("authors", "id, name"),
        ("biographies", "id, author_id, text"),
        ("books", "id, author_id, title"),
        ("genres", "id, name"),
        ("book_genres", "book_id, genre_id"),
        ("products", "id, name, stock, few, seen_at, lowest, shelf, slot"),
        ("cards", "id, front, back, hint"),
        ("drafts", "id, text, author, merges, longest"),
    ] {
        let quoted: Vec<String> = columns.split(", ").map(|column| format!("quote({column})")).collect();
        let statement = format!("SELECT {} AS line FROM {table} ORDER BY 1", quoted.join(" || ',' || "));
        let rows = db
            .query_all_raw(sea_orm::Statement::from_string(db.get_database_backend(), statement))
            .await
            .expect("rows");
        for row in rows {
            let line: String = row.try_get_by_index(0).expect("a line");
            dump.push_str(&format!("{table}: {line}\n"));
        }
    }
    dump
}

/// Makes the tables of [`MODELS`].
///
/// # Errors
/// What the database says.
pub async fn create_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    for mut table in [
        schema.create_table_from_entity(item::Entity),
        schema.create_table_from_entity(label::Entity),
        schema.create_table_from_entity(branch::Entity),
        schema.create_table_from_entity(leaf::Entity),
        schema.create_table_from_entity(memo::Entity),
        schema.create_table_from_entity(folder::Entity),
        schema.create_table_from_entity(tagging::Entity),
        schema.create_table_from_entity(shelf::Entity),
        schema.create_table_from_entity(gauge::Entity),
    ] {
        db.execute(table.if_not_exists()).await?;
    }
    for mut index in schema.create_index_from_entity(shelf::Entity) {
        db.execute(index.if_not_exists()).await?;
    }
    Ok(())
}

/// Makes the tables of the models that a [`Device`] holds beside [`MODELS`].
///
/// # Errors
/// What the database says.
pub async fn create_more_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    for mut table in [
        schema.create_table_from_entity(tally::Entity),
        schema.create_table_from_entity(author::Entity),
        schema.create_table_from_entity(biography::Entity),
        schema.create_table_from_entity(book::Entity),
        schema.create_table_from_entity(genre::Entity),
        schema.create_table_from_entity(book_genre::Entity),
        schema.create_table_from_entity(product::Entity),
        schema.create_table_from_entity(card::Entity),
        schema.create_table_from_entity(draft::Entity),
        schema.create_table_from_entity(basket::Entity),
    ] {
        db.execute(table.if_not_exists()).await?;
    }
    Ok(())
}

/// Makes rounds until each of `devices` knows all the others: what they log from then on is what the test lets them write.
pub async fn introduce(devices: &[&Device]) {
    for _ in 0..2 {
        for pair in devices.windows(2) {
            pair[1].sync(pair[0]).await.expect("a round");
        }
        for other in &devices[1..] {
            other.sync(devices[0]).await.expect("a round");
        }
    }
}

/// Two devices of a new library that have met.
pub async fn acquainted() -> (Device, Device) {
    let library = library();
    let (a, b) = (Device::new(library).await, Device::new(library).await);
    introduce(&[&a, &b]).await;
    (a, b)
}

/// A new library.
pub fn library() -> LibraryId {
    LibraryId::from(uuid::Uuid::new_v4())
}
