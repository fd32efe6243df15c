//! What users say about an entry. Two devices that write about one entry both keep their words: `both` merges them.

use sea_orm::entity::prelude::*;
use sync_core::Syncable;

/// What users say about an entry. Two devices that write about one entry both keep their words: `both` merges them.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "user_metadata")]
#[sync(id = "user_metadata", merge = both, key = "manual")]
pub(crate) struct Model {
    /// The entry: its key is the key, so that two devices write about the same record.
    #[sea_orm(primary_key, auto_increment = false)]
    pub entry_id: Uuid,
    /// Words, separated by spaces.
    pub keywords: String,
    /// A note.
    pub note: String,
}

/// What it refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    /// The entry.
    #[sea_orm(
        belongs_to = "super::entry::Entity",
        from = "Column::EntryId",
        to = "super::entry::Column::Id",
        on_delete = "Cascade"
    )]
    Entry,
}

/// Keywords of both, each once; notes of both, one below the other.
fn both(local: Model, remote: Model) -> Model {
    let mut keywords: Vec<&str> =
        local.keywords.split_whitespace().chain(remote.keywords.split_whitespace()).collect();
    keywords.sort_unstable();
    keywords.dedup();
    let mut notes: Vec<&str> =
        local.note.lines().chain(remote.note.lines()).filter(|line| !line.is_empty()).collect();
    notes.sort_unstable();
    notes.dedup();
    Model { keywords: keywords.join(" "), note: notes.join("\n"), ..remote }
}
