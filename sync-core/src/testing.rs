//! For the tests of applications: devices in memory, and a clock that a test sets.
//!
//! ```
//! use sea_orm::{ConnectionTrait, Schema, Set, entity::prelude::*};
//! use sync_core::{Syncable, testing};
//!
//! mod note {
//!     use super::*;
//!
//!     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
//!     #[sea_orm(table_name = "notes")]
//!     pub struct Model {
//!         #[sea_orm(primary_key, auto_increment = false)]
//!         pub id: Uuid,
//!         pub text: String,
//!     }
//!
//!     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//!     pub enum Relation {}
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = testing::ManualClock::at(1_700_000_000_000);
//! let library = testing::library();
//! let tables = async |db: &DatabaseConnection| {
//!     let table = Schema::new(db.get_database_backend()).create_table_from_entity(note::Entity);
//!     db.execute(&table).await.map(drop)
//! };
//! let laptop = testing::device(library, &clock, tables).await?;
//! let phone = testing::device(library, &clock, tables).await?;
//!
//! note::ActiveModel { text: Set("milk".into()), ..Default::default() }.insert(laptop.db()).await?;
//! laptop.sync_with(&phone).await?;
//! assert_eq!(note::Entity::find().count(phone.db()).await?, 1);
//! # Ok(())
//! # }
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sea_orm::{Database, DatabaseConnection, DbErr};

use crate::{
    engine::SyncEngine,
    ids::LibraryId,
    peer::SyncError,
    runtime::{SystemRandom, Time},
};

/// A wall clock that a test sets. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at `ms` milliseconds since the Unix epoch.
    pub fn at(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    /// Moves the clock by `ms` milliseconds, which may be negative.
    pub fn step(&self, ms: i64) {
        let now = self.0.load(Ordering::SeqCst);
        self.0.store(now.saturating_add_signed(ms), Ordering::SeqCst);
    }
}

impl Time for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A new library.
pub fn library() -> LibraryId {
    LibraryId::random(&SystemRandom)
}

/// A device with a database in memory, whose tables `create_tables` makes. Its engine works only when called: a
/// flush comes with each round, or with [`SyncEngine::flush`].
///
/// # Errors
/// [`SyncError`] if the tables cannot be made or the engine does not start.
pub async fn device(
    library: LibraryId,
    clock: &ManualClock,
    create_tables: impl AsyncFn(&DatabaseConnection) -> Result<(), DbErr>,
) -> Result<SyncEngine, SyncError> {
    let db = Database::connect("sqlite::memory:").await?;
    create_tables(&db).await?;
    SyncEngine::builder(db).library(library).time(Arc::new(clock.clone())).without_background().start().await
}
