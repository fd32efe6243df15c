//! What must hold in the end, and the tables that show it.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Statement};
use sync_core::{ConflictReason, DeviceId, PendingReason, SyncValue};

use super::{apart::Plan, stage::Stage};
use crate::{
    entities::{entry, tag, temp_file, user_metadata, volume},
    error::AppError,
    library::Library,
    show,
};

/// The tables that travel, with the columns that do.
const SYNCED: [(&str, &str); 7] = [
    ("devices", "id, name"),
    ("volumes", "id, device_id, name, indexed_bytes"),
    ("locations", "id, volume_id, path, indexed_at"),
    ("entries", "id, location_id, parent_id, name, kind, size, modified_at, starred"),
    ("tags", "id, name"),
    ("entry_tags", "entry_id, tag_id"),
    ("user_metadata", "entry_id, keywords, note"),
];

/// Most rows of a table of details that are shown.
const MOST_ROWS: usize = 12;

/// Prints how the devices stand.
pub(super) async fn show(stage: &Stage) -> Result<(), AppError> {
    let mut rows = show::table(["rows", "laptop", "nas", "phone"]);
    for (table, _) in SYNCED {
        let mut line = vec![table.to_owned()];
        for (_, library) in stage.devices() {
            line.push(count(library, table).await?.to_string());
        }
        rows.add_row(line);
    }
    let mut digests = vec!["digest".to_owned()];
    for (_, library) in stage.devices() {
        digests.push(show::digest(library.engine.status().await?.digest));
    }
    rows.add_row(digests);
    println!("\nDevices\n{rows}");

    let names = show::Names::load(&stage.nas).await?;
    let mut conflicts = show::table(["seen by", "model", "field", "reason", "winner", "loser", "lost value"]);
    let mut pending = show::table(["on", "model", "reason", "why"]);
    for (device, library) in stage.devices() {
        for conflict in library.engine.conflicts().await?.into_iter().rev().take(MOST_ROWS) {
            conflicts.add_row([
                device.to_owned(),
                conflict.model.to_string(),
                conflict.field.to_string(),
                conflict.reason.to_string(),
                names.author(conflict.winner),
                names.author(conflict.loser),
                conflict.loser_value.to_string(),
            ]);
        }
        for waiting in library.engine.pending().await?.into_iter().take(MOST_ROWS) {
            pending.add_row([
                device.to_owned(),
                waiting.model.to_string(),
                waiting.reason.to_string(),
                waiting.detail,
            ]);
        }
    }
    println!("Conflicts\n{conflicts}\nPending\n{pending}");
    Ok(())
}

async fn count(library: &Library, table: &str) -> Result<i64, AppError> {
    let statement = format!("SELECT count(*) FROM {table}");
    let row = library
        .db
        .query_one_raw(Statement::from_string(library.db.get_database_backend(), statement))
        .await?;
    Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
}

/// Fails unless everything ended as promised.
pub(super) async fn check(stage: &Stage, plan: &Plan) -> Result<(), AppError> {
    let first = dump(&stage.laptop).await?;
    let digest = stage.laptop.engine.status().await?.digest;
    for (device, library) in stage.devices() {
        must(dump(library).await? == first, &format!("{device} has the laptop's rows"))?;
        must(library.engine.status().await?.digest == digest, &format!("{device} has the laptop's digest"))?;
        let verified = library.engine.verify().await?;
        must(verified.is_clean(), &format!("{device} verifies: {:?}", verified.findings))?;
        staged(library, plan).await?;
        conflicts(device, library, stage, plan).await?;
        let here = u64::from(device == "laptop");
        let temporary = temp_file::Entity::find().count(&library.db).await?;
        must(temporary == here, "an entity that does not sync stays where it was written")?;
        let mounted = volume::Entity::find().filter(volume::Column::MountPoint.is_not_null());
        must(mounted.count(&library.db).await? == here, "a skipped column stays where it was written")?;
    }
    Ok(())
}

/// The device lists each loss once, with the right winner.
async fn conflicts(device: &str, library: &Library, stage: &Stage, plan: &Plan) -> Result<(), AppError> {
    let (laptop, phone) = (device_of(&stage.laptop).await?, device_of(&stage.phone).await?);
    let lost_name = SyncValue::Text(format!("{} (laptop)", plan.renamed.name));
    let expected = [
        ("name", ConflictReason::ConcurrentWrite, phone, laptop, lost_name),
        ("size", ConflictReason::DeleteWins, laptop, phone, SyncValue::I64(0)),
    ];
    let listed = library.engine.conflicts().await?;
    for (field, reason, winner, loser, value) in expected {
        let same = listed.iter().filter(|one| {
            one.model == "entry"
                && one.field == field
                && one.reason == reason
                && one.winner.node() == winner.node()
                && one.loser.node() == loser.node()
                && one.loser_value == value
        });
        must(same.count() == 1, &format!("{device} lists the lost {field}, and who won"))?;
    }
    Ok(())
}

async fn device_of(library: &Library) -> Result<DeviceId, AppError> {
    Ok(library.engine.status().await?.device)
}

/// What was staged ended as it should.
async fn staged(library: &Library, plan: &Plan) -> Result<(), AppError> {
    let db = &library.db;
    let find = |id| entry::Entity::find_by_id(id).one(db);
    let renamed = find(plan.renamed.id).await?.map(|entry| entry.name);
    must(renamed == Some(format!("{} (phone)", plan.renamed.name)), "the later name won")?;
    let both = find(plan.two_columns.id).await?;
    let kept = both.is_some_and(|entry| entry.starred && entry.size >= plan.two_columns.size + 1_000_000);
    must(kept, "edits of different columns both stayed")?;
    must(find(plan.deleted.id).await?.is_none(), "the delete won over the update")?;
    let entries = entry::Entity::find().count(db).await?;
    must(entries == plan.entries - 1, "the rolled back delete left no trace")?;
    let starred = entry::Entity::find().filter(entry::Column::Starred.eq(true)).count(db).await?;
    must(starred == plan.starred, "the bulk update arrived whole")?;
    must(tag::Entity::find().count(db).await? == 1, "one of two equal tags is shown")?;
    let hidden = library.engine.pending().await?;
    must(
        hidden.iter().any(|one| one.model == "tag" && one.reason == PendingReason::Hidden),
        "the other tag is listed as hidden",
    )?;
    let noted = user_metadata::Entity::find_by_id(plan.noted.id).one(db).await?;
    let words = noted
        .is_some_and(|noted| noted.keywords == "beach holiday photos" && noted.note.lines().count() == 2);
    must(words, "the user's function kept the words of both")
}

fn must(holds: bool, what: &str) -> Result<(), AppError> {
    if holds { Ok(()) } else { Err(AppError::Broken(what.to_owned())) }
}

/// Every travelling column of every row, in order.
async fn dump(library: &Library) -> Result<Vec<String>, AppError> {
    let mut lines = Vec::new();
    for (table, columns) in SYNCED {
        let quoted: Vec<String> = columns.split(", ").map(|column| format!("quote({column})")).collect();
        let statement = format!("SELECT {} AS line FROM {table} ORDER BY line", quoted.join(" || ',' || "));
        let statement = Statement::from_string(library.db.get_database_backend(), statement);
        for row in library.db.query_all_raw(statement).await? {
            lines.push(format!("{table} {}", row.try_get_by_index::<String>(0)?));
        }
    }
    Ok(lines)
}
