//! An entity whose merge function is as bad as a function can be.

use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// The table, for a device that wants it.
pub const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS quarrels (id BLOB PRIMARY KEY NOT NULL, manner TEXT NOT NULL, words TEXT NOT NULL)";

/// Another number in each call.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// One row of `quarrels`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "quarrels")]
#[sync(id = "quarrel", merge = as_it_likes)]
pub struct Model {
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// How the function is to behave: one of [`MANNERS`].
    pub manner: String,
    /// What is quarrelled about.
    pub words: String,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// `loser` gives whatever lost, `random` something else each time, `growing` more than there was, `panicking` nothing.
pub const MANNERS: [&str; 4] = ["loser", "random", "growing", "panicking"];

fn as_it_likes(local: Model, remote: Model) -> Model {
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let words = match remote.manner.as_str() {
        "loser" => local.words,
        "random" => format!("call {call}"),
        "growing" => format!("({} {})", local.words, remote.words),
        _ => panic!("a function that panics"),
    };
    Model { words, ..remote }
}
