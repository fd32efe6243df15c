//! A real directory, walked and compared with what the library knows of it.

use std::{
    collections::{HashMap, HashSet},
    fs::Metadata,
    path::Path,
};

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set, TransactionTrait,
};
use uuid::Uuid;
use walkdir::WalkDir;

use crate::{
    entities::{entry, location, volume},
    error::AppError,
    library::Library,
};

/// How many rows go into one transaction.
const BATCH: usize = 1000;

/// What indexing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indexed {
    /// Entries added.
    pub added: usize,
    /// Entries brought up to date.
    pub updated: usize,
    /// Entries that are gone.
    pub removed: usize,
}

/// Indexes `root`, at most `most` entries of it. What is as the library knows it is left alone.
pub(crate) async fn index(
    library: &Library,
    root: &Path,
    most: Option<usize>,
    bar: &ProgressBar,
) -> Result<Indexed, AppError> {
    let root =
        root.canonicalize().map_err(|source| AppError::Io { path: root.display().to_string(), source })?;
    let location = location_of(library, &root).await?;
    let known =
        entry::Entity::find().filter(entry::Column::LocationId.eq(location.id)).all(&library.db).await?;
    let by_place: HashMap<(Option<Uuid>, String), entry::Model> =
        known.into_iter().map(|entry| ((entry.parent_id, entry.name.clone()), entry)).collect();
    let mut seen = HashSet::new();
    let mut directories: HashMap<std::path::PathBuf, Uuid> = HashMap::new();
    let mut added = Vec::new();
    let mut updated = Vec::new();
    let mut bytes = 0;
    // Names in order, so that two runs on one tree that reach the limit see the same part of it.
    let walk =
        WalkDir::new(&root).min_depth(1).sort_by_file_name().into_iter().take(most.unwrap_or(usize::MAX));
    for found in walk {
        // A file that vanishes while it is looked at is one that is not there.
        let Ok(found) = found else { continue };
        let Ok(metadata) = found.metadata() else { continue };
        let parent = found.path().parent().filter(|parent| *parent != root);
        let parent_id = parent.and_then(|parent| directories.get(parent)).copied();
        let name = found.file_name().to_string_lossy().into_owned();
        let now = describe(&metadata);
        bytes += now.size;
        let id = match by_place.get(&(parent_id, name.clone())) {
            Some(entry) => {
                seen.insert(entry.id);
                if (entry.kind, entry.size, entry.modified_at) != (now.kind, now.size, now.modified_at) {
                    let mut changed = entry.clone().into_active_model();
                    changed.kind = Set(now.kind);
                    changed.size = Set(now.size);
                    changed.modified_at = Set(now.modified_at);
                    updated.push(changed);
                }
                entry.id
            }
            None => {
                let id = Uuid::now_v7();
                added.push(entry::ActiveModel {
                    id: Set(id),
                    location_id: Set(location.id),
                    parent_id: Set(parent_id),
                    name: Set(name),
                    kind: Set(now.kind),
                    size: Set(now.size),
                    modified_at: Set(now.modified_at),
                    starred: Set(false),
                });
                id
            }
        };
        if now.kind == entry::Kind::Directory {
            directories.insert(found.path().to_owned(), id);
        }
        bar.inc(1);
    }
    let removed: Vec<Uuid> =
        by_place.values().map(|entry| entry.id).filter(|id| most.is_none() && !seen.contains(id)).collect();
    let indexed = Indexed { added: added.len(), updated: updated.len(), removed: removed.len() };
    write(library, added, updated, removed).await?;
    finish(library, location, bytes).await?;
    Ok(indexed)
}

/// A progress bar for a walk whose length is not known.
pub(crate) fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} entries, {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

struct Described {
    kind: entry::Kind,
    size: i64,
    modified_at: Option<DateTime<Utc>>,
}

fn describe(metadata: &Metadata) -> Described {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => entry::Kind::Directory,
        kind if kind.is_symlink() => entry::Kind::Link,
        _ => entry::Kind::File,
    };
    let size = if kind == entry::Kind::File { i64::try_from(metadata.len()).unwrap_or(i64::MAX) } else { 0 };
    Described { kind, size, modified_at: metadata.modified().ok().map(DateTime::from) }
}

async fn write(
    library: &Library,
    added: Vec<entry::ActiveModel>,
    updated: Vec<entry::ActiveModel>,
    removed: Vec<Uuid>,
) -> Result<(), AppError> {
    let mut added = added.into_iter().peekable();
    while added.peek().is_some() {
        let txn = library.db.begin().await?;
        entry::Entity::insert_many(added.by_ref().take(BATCH)).exec(&txn).await?;
        txn.commit().await?;
    }
    for batch in updated.chunks(BATCH) {
        let txn = library.db.begin().await?;
        for entry in batch {
            entry.clone().update(&txn).await?;
        }
        txn.commit().await?;
    }
    for batch in removed.chunks(BATCH) {
        entry::Entity::delete_many()
            .filter(entry::Column::Id.is_in(batch.iter().copied()))
            .exec(&library.db)
            .await?;
    }
    Ok(())
}

async fn location_of(library: &Library, root: &Path) -> Result<location::Model, AppError> {
    let path = root.display().to_string();
    let device = library.engine.device_id().uuid();
    let volumes = volume::Entity::find().filter(volume::Column::DeviceId.eq(device)).all(&library.db).await?;
    let on_device = volumes.iter().map(|volume| volume.id);
    let known = location::Entity::find()
        .filter(location::Column::Path.eq(&path))
        .filter(location::Column::VolumeId.is_in(on_device))
        .one(&library.db)
        .await?;
    if let Some(known) = known {
        return Ok(known);
    }
    let volume = match volumes.into_iter().next() {
        Some(volume) => volume,
        None => {
            volume::ActiveModel {
                device_id: Set(device),
                name: Set("disk".to_owned()),
                indexed_bytes: Set(0),
                mount_point: Set(Some("/".to_owned())),
                ..Default::default()
            }
            .insert(&library.db)
            .await?
        }
    };
    let location = location::ActiveModel {
        volume_id: Set(volume.id),
        path: Set(path),
        indexed_at: Set(DateTime::UNIX_EPOCH),
        ..Default::default()
    };
    Ok(location.insert(&library.db).await?)
}

async fn finish(library: &Library, location: location::Model, bytes: i64) -> Result<(), AppError> {
    let volume_id = location.volume_id;
    let mut location = location.into_active_model();
    location.indexed_at = Set(now());
    location.update(&library.db).await?;
    if let Some(volume) = volume::Entity::find_by_id(volume_id).one(&library.db).await? {
        let mut volume = volume.into_active_model();
        volume.indexed_bytes = Set(bytes);
        volume.update(&library.db).await?;
    }
    Ok(())
}

/// The time, to the millisecond.
#[expect(clippy::disallowed_methods, reason = "an application reads its own clock")]
fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}
