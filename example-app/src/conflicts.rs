//! What was lost in conflicts: shown, counted, settled.

use chrono::{DateTime, Utc};
use sync_core::{
    Bucket, ConflictReason, ConflictState, Conflicts, DeviceId, Resolution, Stamp,
    runtime::{SystemClock, Time},
};

use crate::{
    cli::{Asked, Right, Width},
    error::AppError,
    library::Library,
    show,
};

/// Lists or counts what was asked for, or settles all of it.
pub(crate) async fn run(library: &Library, asked: Asked) -> Result<(), AppError> {
    let question = question(library, &asked)?;
    match (asked.settle, asked.per) {
        (Some(right), _) => {
            println!("{} settled", question.settle(resolution(right)).await?);
            Ok(())
        }
        (None, Some(width)) => count(question, width).await,
        (None, None) => list(library, question).await,
    }
}

/// Settles one.
pub(crate) async fn resolve(library: &Library, id: i64, right: Right) -> Result<(), AppError> {
    library.engine.resolve(id, resolution(right)).await?;
    match right {
        Right::Neither => println!("listed no more here"),
        Right::Winner | Right::Loser => println!("settled; the next sync tells the other devices"),
    }
    Ok(())
}

fn resolution(right: Right) -> Resolution {
    match right {
        Right::Winner => Resolution::KeepWinner,
        Right::Loser => Resolution::RestoreLoser,
        Right::Neither => Resolution::Dismiss,
    }
}

fn question(library: &Library, asked: &Asked) -> Result<Conflicts, AppError> {
    let mut question = library.engine.conflicts();
    if let Some(model) = &asked.model {
        question = question.model(model);
    }
    if let Some(field) = &asked.field {
        question = question.field(field);
    }
    if let Some(reason) = &asked.reason {
        let known = ConflictReason::from_name(reason);
        question = question.reason(known.ok_or_else(|| AppError::NoReason(reason.clone()))?);
    }
    if let Some(hours) = asked.hours {
        let width_ms = u64::from(hours) * 3_600_000;
        question = question.since_ms(SystemClock.now_ms().saturating_sub(width_ms));
    }
    if asked.all {
        question = question.with_settled();
    }
    if let Some(before) = asked.before {
        question = question.before(before);
    }
    Ok(question.limit(asked.most))
}

async fn list(library: &Library, question: Conflicts) -> Result<(), AppError> {
    let names = show::Names::load(library).await?;
    let who = |device: Option<DeviceId>, stamp: Stamp| match device {
        Some(device) => names.of(device),
        None => names.author(stamp),
    };
    let headings =
        ["id", "found", "model", "record", "field", "reason", "stands", "written by", "lost", "written by "];
    let mut table = show::table(headings);
    for conflict in question.await? {
        let stands = conflict.winner_value.as_ref().map_or("-".to_owned(), ToString::to_string);
        let settled = if conflict.state == ConflictState::Open { "" } else { " (settled)" };
        table.add_row([
            format!("{}{settled}", conflict.id),
            time(conflict.detected_ms),
            conflict.model.to_string(),
            conflict.record.to_string(),
            conflict.field.to_string(),
            conflict.reason.to_string(),
            stands,
            who(conflict.winner_device, conflict.winner),
            conflict.loser_value.to_string(),
            who(conflict.loser_device, conflict.loser),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn count(question: Conflicts, width: Width) -> Result<(), AppError> {
    let bucket = match width {
        Width::Hour => Bucket::Hour,
        Width::Day => Bucket::Day,
    };
    let mut table = show::table(["from", "conflicts"]);
    for count in question.over_time(bucket).await? {
        table.add_row([time(count.from_ms), count.conflicts.to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    time.map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%d %H:%M").to_string())
}
