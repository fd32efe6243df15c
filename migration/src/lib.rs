//! sync-core's tables as migrations, for applications that keep all of their schema in one migrator.
//!
//! The engine makes its tables by itself when it starts, so nobody needs this crate. With it the tables stand in the
//! host's own list of migrations, and go with `down`. Either may come first: every statement does nothing where its
//! work is done already.
//!
//! ```
//! use sea_orm_migration::prelude::*;
//!
//! struct Migrator;
//!
//! #[async_trait::async_trait]
//! impl MigratorTrait for Migrator {
//!     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
//!         let mut migrations: Vec<Box<dyn MigrationTrait>> = vec![/* the application's own */];
//!         migrations.extend(sync_migration::migrations());
//!         migrations
//!     }
//! }
//! ```

mod m20261121_000001_sync_tables;

use sea_orm_migration::MigrationTrait;

/// The migrations that make and remove the `sync_*` tables, in order. Their names begin with a date and `sync`, so
/// they do not meet the host's.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261121_000001_sync_tables::Migration)]
}
