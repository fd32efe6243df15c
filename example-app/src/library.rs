//! The library of one device: its database, its tables, its engine.

use std::path::Path;

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, Database, DatabaseConnection, EntityTrait, Schema, Set,
    sea_query::{Index, IndexCreateStatement, TableCreateStatement},
};
use sync_core::{LibraryId, SyncEngine};

use crate::{
    entities::{device, entry, entry_tag, location, tag, temp_file, user_metadata, volume},
    error::AppError,
};

/// An open library.
#[derive(Debug)]
pub(crate) struct Library {
    /// The application's connection.
    pub db: DatabaseConnection,
    /// The engine.
    pub engine: SyncEngine,
}

impl Library {
    /// Opens the library in `path`, made if it is absent. `library` is the one that the file must belong to.
    pub(crate) async fn open(path: &Path, name: &str, library: Option<LibraryId>) -> Result<Self, AppError> {
        let db = Database::connect(sync_core::sqlite(path)).await?;
        create_tables(&db).await?;
        let mut builder = SyncEngine::builder(db.clone());
        if let Some(library) = library {
            builder = builder.library(library);
        }
        let engine = builder.start().await?;
        let this = Self { db, engine };
        this.introduce(name).await?;
        Ok(this)
    }

    /// Sees to it that the library knows this device by its name.
    async fn introduce(&self, name: &str) -> Result<(), AppError> {
        let id = self.engine.device_id().uuid();
        if device::Entity::find_by_id(id).one(&self.db).await?.is_none() {
            device::ActiveModel { id: Set(id), name: Set(name.to_owned()) }.insert(&self.db).await?;
        }
        Ok(())
    }
}

async fn create_tables(db: &DatabaseConnection) -> Result<(), AppError> {
    let schema = Schema::new(db.get_database_backend());
    let tables: [TableCreateStatement; 8] = [
        schema.create_table_from_entity(device::Entity),
        schema.create_table_from_entity(volume::Entity),
        schema.create_table_from_entity(location::Entity),
        schema.create_table_from_entity(entry::Entity),
        schema.create_table_from_entity(tag::Entity),
        schema.create_table_from_entity(entry_tag::Entity),
        schema.create_table_from_entity(user_metadata::Entity),
        schema.create_table_from_entity(temp_file::Entity),
    ];
    for mut table in tables {
        db.execute(table.if_not_exists()).await?;
    }
    let indexes: [IndexCreateStatement; 2] = [
        Index::create()
            .name("entries_parent")
            .table(entry::Entity)
            .col(entry::Column::ParentId)
            .if_not_exists()
            .to_owned(),
        Index::create()
            .name("entries_location")
            .table(entry::Entity)
            .col(entry::Column::LocationId)
            .if_not_exists()
            .to_owned(),
    ];
    for index in indexes {
        db.execute(&index).await?;
    }
    Ok(())
}
