//! What each command does.

use std::path::{Path, PathBuf};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set, Statement,
};

use crate::{
    cli::{Cli, Command},
    conflicts, demo,
    entities::{entry, entry_tag, location, tag, user_metadata},
    error::AppError,
    index,
    library::Library,
    network, show,
};

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result<(), AppError> {
    if let Command::Demo { dir, least, most } = cli.command {
        return demo::run(dir, least, most).await;
    }
    let library = Library::open(&cli.db, &cli.name, cli.library).await?;
    let done = match cli.command {
        Command::Index { dir } => index_dir(&library, &dir).await,
        Command::Tag { tag, paths } => tag_entries(&library, &tag, &paths).await,
        Command::Note { path, text } => note(&library, &path, text).await,
        Command::Ls { path } => list(&library, path.as_deref()).await,
        Command::Serve { listen, token } => serve(&library, listen, token.as_deref()).await,
        Command::Sync { url, token } => sync(&library, &url, token.as_deref()).await,
        Command::Follow { url, token } => follow(&library, &url, token.as_deref()).await,
        Command::Status => status(&library).await,
        Command::Log { most } => log(&library, most).await,
        Command::Conflicts(asked) => conflicts::run(&library, asked).await,
        Command::Resolve { id, right } => conflicts::resolve(&library, id, right).await,
        Command::Verify => verify(&library).await,
        Command::Demo { .. } => Ok(()),
    };
    library.engine.shutdown().await?;
    done
}

async fn index_dir(library: &Library, dir: &Path) -> Result<(), AppError> {
    let bar = index::progress();
    let indexed = index::index(library, dir, None, &bar).await?;
    bar.finish_and_clear();
    println!("{} added, {} updated, {} removed", indexed.added, indexed.updated, indexed.removed);
    Ok(())
}

/// The entry of a path of this machine.
async fn entry_at(library: &Library, path: &Path) -> Result<entry::Model, AppError> {
    let missing = || AppError::NotIndexed(path.display().to_string());
    let path =
        path.canonicalize().map_err(|source| AppError::Io { path: path.display().to_string(), source })?;
    for location in location::Entity::find().all(&library.db).await? {
        let Ok(rest) = path.strip_prefix(&location.path) else { continue };
        let mut found: Option<entry::Model> = None;
        for name in rest.components() {
            let parent = match &found {
                Some(entry) => entry::Column::ParentId.eq(entry.id),
                None => entry::Column::ParentId.is_null(),
            };
            found = entry::Entity::find()
                .filter(entry::Column::LocationId.eq(location.id))
                .filter(parent)
                .filter(entry::Column::Name.eq(name.as_os_str().to_string_lossy().into_owned()))
                .one(&library.db)
                .await?;
            if found.is_none() {
                break;
            }
        }
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(missing())
}

async fn tag_entries(library: &Library, name: &str, paths: &[PathBuf]) -> Result<(), AppError> {
    let known = tag::Entity::find().filter(tag::Column::Name.eq(name)).one(&library.db).await?;
    let tag = match known {
        Some(tag) => tag,
        None => {
            tag::ActiveModel { name: Set(name.to_owned()), ..Default::default() }.insert(&library.db).await?
        }
    };
    for path in paths {
        let entry = entry_at(library, path).await?;
        if entry_tag::Entity::find_by_id((entry.id, tag.id)).one(&library.db).await?.is_none() {
            let tagged = entry_tag::ActiveModel { entry_id: Set(entry.id), tag_id: Set(tag.id) };
            tagged.insert(&library.db).await?;
        }
        println!("{name}: {}", path.display());
    }
    Ok(())
}

async fn note(library: &Library, path: &Path, text: String) -> Result<(), AppError> {
    let entry = entry_at(library, path).await?;
    match user_metadata::Entity::find_by_id(entry.id).one(&library.db).await? {
        Some(known) => {
            let mut known = known.into_active_model();
            known.note = Set(text);
            known.update(&library.db).await?;
        }
        None => {
            let new = user_metadata::ActiveModel {
                entry_id: Set(entry.id),
                keywords: Set(String::new()),
                note: Set(text),
            };
            new.insert(&library.db).await?;
        }
    }
    println!("noted: {}", path.display());
    Ok(())
}

async fn list(library: &Library, path: Option<&Path>) -> Result<(), AppError> {
    let Some(path) = path else {
        let mut table = show::table(["directory", "entries", "indexed"]);
        for location in location::Entity::find().order_by_asc(location::Column::Path).all(&library.db).await?
        {
            let entries = entry::Entity::find()
                .filter(entry::Column::LocationId.eq(location.id))
                .count(&library.db)
                .await?;
            table.add_row([location.path, entries.to_string(), location.indexed_at.to_rfc3339()]);
        }
        println!("{table}");
        return Ok(());
    };
    let shown = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let top = location::Entity::find()
        .filter(location::Column::Path.eq(shown.display().to_string()))
        .one(&library.db)
        .await?;
    let inside = match top {
        Some(location) => entry::Column::LocationId.eq(location.id).and(entry::Column::ParentId.is_null()),
        None => entry::Column::ParentId.eq(entry_at(library, path).await?.id),
    };
    let mut table = show::table(["name", "kind", "size", "tags", "note"]);
    for entry in
        entry::Entity::find().filter(inside).order_by_asc(entry::Column::Name).all(&library.db).await?
    {
        let tagged = entry_tag::Entity::find()
            .filter(entry_tag::Column::EntryId.eq(entry.id))
            .all(&library.db)
            .await?;
        let tags = tag::Entity::find()
            .filter(tag::Column::Id.is_in(tagged.iter().map(|tagged| tagged.tag_id)))
            .order_by_asc(tag::Column::Name)
            .all(&library.db)
            .await?;
        let tags: Vec<String> = tags.into_iter().map(|tag| tag.name).collect();
        let metadata = user_metadata::Entity::find_by_id(entry.id).one(&library.db).await?;
        let note = metadata.map(|metadata| metadata.note).unwrap_or_default();
        let kind = format!("{:?}", entry.kind).to_lowercase();
        table.add_row([entry.name, kind, entry.size.to_string(), tags.join(", "), note]);
    }
    println!("{table}");
    Ok(())
}

async fn serve(library: &Library, listen: std::net::SocketAddr, token: Option<&str>) -> Result<(), AppError> {
    let server = network::serve(library, listen, token).await?;
    println!("library {} at http://{}", library.engine.library_id(), server.local_addr());
    interrupted().await;
    server.shutdown().await;
    Ok(())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C cannot be heard");
        std::future::pending::<()>().await;
    }
}

async fn sync(library: &Library, url: &str, token: Option<&str>) -> Result<(), AppError> {
    let report = library.engine.sync_with(&network::peer(url, token)?).await?;
    println!(
        "sent {} changes ({}), received {} changes and {} records ({}), {} conflicts, {} pending{}",
        report.sent,
        show::bytes(report.bytes_sent),
        report.received,
        report.snapshot_records,
        show::bytes(report.bytes_received),
        report.conflicts,
        report.pending,
        if report.in_sync { "; in sync" } else { "" },
    );
    if report.diverged {
        println!("the same changes gave other records there than here: run `verify` on both");
    }
    for refused in &report.refused {
        println!("refused {}: {}", refused.id, refused.reason);
    }
    Ok(())
}

async fn follow(library: &Library, url: &str, token: Option<&str>) -> Result<(), AppError> {
    let follow = library.engine.follow(network::peer(url, token)?);
    println!("following {url}; Ctrl-C ends it");
    loop {
        tokio::select! {
            () = interrupted() => break,
            state = follow.next_round() => {
                let state = state?;
                match (&state.last_error, &state.last_report) {
                    (Some(error), _) => println!("{error}; trying again"),
                    (None, Some(report)) if report.sent + report.received + report.snapshot_records > 0 => {
                        println!("sent {}, received {}", report.sent, report.received + report.snapshot_records);
                    }
                    _ => {}
                }
            }
        }
    }
    follow.stop().await;
    Ok(())
}

async fn status(library: &Library) -> Result<(), AppError> {
    let status = library.engine.status().await?;
    let names = show::Names::load(library).await?;
    let mut table = show::table(["", ""]);
    table.add_row(["library".to_owned(), status.library.to_string()]);
    table.add_row(["device".to_owned(), format!("{} ({})", names.of(status.device), status.device)]);
    table.add_row(["log".to_owned(), status.latest_seq.to_string()]);
    table.add_row(["digest".to_owned(), show::digest(status.digest)]);
    table.add_row(["pending".to_owned(), status.pending.to_string()]);
    table.add_row(["conflicts".to_owned(), status.conflicts.to_string()]);
    table.add_row(["held".to_owned(), status.held.to_string()]);
    for peer in status.peers {
        let clock = match peer.clock_offset_ms {
            Some(ms) => format!("; its clock is {:+.1} s from ours", ms as f64 / 1_000.0),
            None => String::new(),
        };
        let stands = format!("{} received, {} to send{clock}", peer.received, peer.unsent);
        table.add_row([names.of(peer.device), stands]);
    }
    println!("{table}");
    Ok(())
}

async fn log(library: &Library, most: u32) -> Result<(), AppError> {
    let statement = Statement::from_sql_and_values(
        library.db.get_database_backend(),
        "SELECT seq, timestamp, model_type, change_type, record_id, data FROM sync_changes ORDER BY seq DESC LIMIT ?",
        [most.into()],
    );
    let mut table = show::table(["seq", "time", "model", "change", "record", "data"]);
    for row in library.db.query_all_raw(statement).await? {
        let seq: i64 = row.try_get_by_index(0)?;
        let mut cells = vec![seq.to_string()];
        for index in 1..6 {
            cells.push(row.try_get_by_index::<Option<String>>(index)?.unwrap_or_default());
        }
        table.add_row(cells);
    }
    println!("{table}");
    Ok(())
}

async fn verify(library: &Library) -> Result<(), AppError> {
    let verified = library.engine.verify().await?;
    println!(
        "{} log entries, {} objects, {} rows checked",
        verified.entries, verified.objects, verified.rows
    );
    if verified.is_clean() {
        println!("all is as it should be");
        return Ok(());
    }
    let findings: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
    Err(AppError::Broken(findings.join("; ")))
}
