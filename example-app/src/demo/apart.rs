//! What each device writes while it is offline.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Set, TransactionTrait, sea_query::Expr,
};

use super::stage::Stage;
use crate::{
    entities::{entry, tag, temp_file, user_metadata},
    error::AppError,
    library::Library,
};

/// What was written, and what must come of it.
#[derive(Debug)]
pub(super) struct Plan {
    /// What was done, in words.
    pub told: Vec<String>,
    /// Renamed on two devices; the later name is the phone's.
    pub renamed: entry::Model,
    /// Its size was written on one device, its star on another.
    pub two_columns: entry::Model,
    /// Deleted on one device, written on another.
    pub deleted: entry::Model,
    /// Noted on two devices.
    pub noted: entry::Model,
    /// How many entries are to be starred in the end: by the bulk update, and one by hand.
    pub starred: u64,
    /// How many entries there were.
    pub entries: u64,
}

/// Writes on all three devices, none of which hears of the others.
pub(super) async fn write(stage: &Stage) -> Result<Plan, AppError> {
    let entries = entry::Entity::find().count(&stage.nas.db).await?;
    let mut files = entry::Entity::find()
        .filter(entry::Column::Kind.eq(entry::Kind::File))
        .order_by_asc(entry::Column::Id)
        .limit(4)
        .all(&stage.nas.db)
        .await?
        .into_iter();
    let mut next =
        || files.next().ok_or_else(|| AppError::Broken("fewer than four files were indexed".into()));
    let (renamed, two_columns, deleted, noted) = (next()?, next()?, next()?, next()?);
    let mut told = Vec::new();

    for (device, library) in [("laptop", &stage.laptop), ("phone", &stage.phone)] {
        let mut edit = renamed.clone().into_active_model();
        edit.name = Set(format!("{} ({device})", renamed.name));
        edit.update(&library.db).await?;
        library.engine.flush().await?;
    }
    told.push(format!("laptop, then phone rename `{}`: the same column", renamed.name));

    let mut edit = two_columns.clone().into_active_model();
    edit.size = Set(two_columns.size + 1_000_000);
    edit.update(&stage.laptop.db).await?;
    let mut edit = two_columns.clone().into_active_model();
    edit.starred = Set(true);
    edit.update(&stage.nas.db).await?;
    told.push(format!("laptop writes the size, nas the star of `{}`: different columns", two_columns.name));

    deleted.clone().into_active_model().delete(&stage.laptop.db).await?;
    let mut edit = deleted.clone().into_active_model();
    edit.size = Set(0);
    edit.update(&stage.phone.db).await?;
    told.push(format!("laptop deletes, phone writes `{}`: delete against update", deleted.name));

    let starred = entry::Entity::update_many()
        .col_expr(entry::Column::Starred, Expr::value(true))
        .filter(entry::Column::Name.like("%.md"))
        .filter(entry::Column::Id.ne(deleted.id))
        .exec(&stage.phone.db)
        .await?
        .rows_affected;
    told.push(format!("phone stars {starred} entries with one `update_many`"));
    // `LIKE` is case-insensitive for ASCII.
    let by_bulk_too = two_columns.name.to_ascii_lowercase().ends_with(".md");
    let starred = if by_bulk_too { starred } else { starred + 1 };

    let raw = "UPDATE entries SET size = size + 1 WHERE name LIKE '%.toml'";
    let touched = stage.laptop.db.execute_unprepared(raw).await?.rows_affected();
    told.push(format!("laptop changes {touched} entries with raw SQL"));

    let txn = stage.nas.db.begin().await?;
    entry::Entity::delete_many().exec(&txn).await?;
    txn.rollback().await?;
    told.push(format!("nas deletes all {entries} entries in a transaction and rolls it back"));

    for library in [&stage.laptop, &stage.phone] {
        tag::ActiveModel { name: Set("work".into()), ..Default::default() }.insert(&library.db).await?;
        library.engine.flush().await?;
    }
    told.push("laptop and phone each make a tag `work`: a unique clash".into());

    let temporary = temp_file::ActiveModel { path: Set("laptop/upload.part".into()), ..Default::default() };
    temporary.insert(&stage.laptop.db).await?;
    told.push("laptop keeps a temporary file: its entity does not sync".into());

    note(&stage.laptop, &noted, "photos holiday", "from the laptop").await?;
    note(&stage.phone, &noted, "holiday beach", "from the phone").await?;
    told.push(format!("laptop and phone each write about `{}`: the user's function merges", noted.name));

    Ok(Plan { told, renamed, two_columns, deleted, noted, starred, entries })
}

async fn note(library: &Library, entry: &entry::Model, keywords: &str, note: &str) -> Result<(), AppError> {
    let metadata = user_metadata::ActiveModel {
        entry_id: Set(entry.id),
        keywords: Set(keywords.to_owned()),
        note: Set(note.to_owned()),
    };
    metadata.insert(&library.db).await?;
    Ok(())
}
