//! Short words for statements. Names never come from the wire: callers quote what the registry gave them.

use std::{task::Poll, time::Duration};

use futures_util::StreamExt;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, StreamTrait, Value};

use super::StoreError;

/// How many rows go into one statement; each size is one prepared statement in the connection's cache.
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];

/// So many rows of a query are fetched as they come.
const FIRST_ROWS: usize = 64;

/// How long the others may gather: the least that the runtime's clock tells.
const ROWS_PAUSE: Duration = Duration::from_millis(1);

/// Runs `sql` with `values`; gives the number of rows it touched.
pub(crate) async fn execute<C: ConnectionTrait>(
    db: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, StoreError> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}

/// All rows of `sql`.
pub(crate) async fn all<C: ConnectionTrait>(
    db: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.query_all_raw(statement).await?)
}

/// All rows of `sql`, which may be many. SQLite's thread hands them over one by one, and to be woken for each few of
/// them costs more than to read them: after the first ones they are fetched when some hundred lie ready.
pub(crate) async fn all_of_many<C: ConnectionTrait + StreamTrait>(
    db: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    let backend = ConnectionTrait::get_database_backend(db);
    let stream = db.stream_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let mut stream = std::pin::pin!(stream);
    let mut rows = Vec::new();
    loop {
        let next = match futures_util::poll!(stream.next()) {
            Poll::Ready(next) => next,
            Poll::Pending if rows.len() < FIRST_ROWS => stream.next().await,
            Poll::Pending => {
                tokio::time::sleep(ROWS_PAUSE).await;
                continue;
            }
        };
        match next {
            Some(row) => rows.push(row?),
            None => return Ok(rows),
        }
    }
}

/// The first row of `sql`.
pub(crate) async fn one<C: ConnectionTrait>(
    db: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, StoreError> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.query_one_raw(statement).await?)
}

/// Runs `{head} VALUES (..), (..) {tail}` for all of `rows`, some hundred at a time. `rows` has `width` values a
/// row.
pub(crate) async fn insert_rows<C: ConnectionTrait>(
    db: &C,
    head: &str,
    width: usize,
    tail: &str,
    rows: Vec<Value>,
) -> Result<(), StoreError> {
    debug_assert_eq!(rows.len() % width, 0, "whole rows");
    let mut rows = rows.into_iter();
    for size in CHUNKS.iter().copied().filter(|size| size * width <= MAX_VARIABLES) {
        let (mut sql, mut shared) = (String::new(), Vec::new());
        while rows.len() >= size * width {
            let found = shared_columns(&rows.as_slice()[..size * width], width);
            if sql.is_empty() || found != shared {
                shared = found;
                sql = format!("{head} VALUES {} {tail}", tuples_sharing(size, &shared));
            }
            execute(db, &sql, each_once(rows.by_ref().take(size * width), size, &shared)).await?;
        }
    }
    Ok(())
}

/// Which of `width` columns hold one integer, or NULL, in all of `rows`: such a value is bound once.
fn shared_columns(rows: &[Value], width: usize) -> Vec<bool> {
    let (first, others) = rows.split_at(width);
    let mut shared: Vec<bool> =
        first.iter().map(|value| !others.is_empty() && is_shared(value, value)).collect();
    for row in others.chunks_exact(width) {
        for ((shared, value), first) in shared.iter_mut().zip(row).zip(first) {
            *shared = *shared && is_shared(first, value);
        }
    }
    shared
}

fn is_shared(first: &Value, value: &Value) -> bool {
    match (first, value) {
        (Value::BigInt(first), Value::BigInt(value)) => first == value,
        (Value::Bytes(first), Value::Bytes(value)) => first.is_none() && value.is_none(),
        _ => false,
    }
}

/// The values of `size` rows without repeating the shared ones, which come last.
fn each_once(rows: impl Iterator<Item = Value>, size: usize, shared: &[bool]) -> Vec<Value> {
    let width = shared.len();
    let mut values = Vec::with_capacity(size * width);
    let mut once = Vec::new();
    for (at, value) in rows.enumerate() {
        if !shared[at % width] {
            values.push(value);
        } else if at < width {
            once.push(value);
        }
    }
    values.append(&mut once);
    values
}

/// `size` tuples, whose shared columns name the variables behind all others.
fn tuples_sharing(size: usize, shared: &[bool]) -> String {
    let own = shared.iter().filter(|shared| !**shared).count();
    let mut next = size * own;
    let columns: Vec<String> = shared
        .iter()
        .map(|shared| {
            next += usize::from(*shared);
            if *shared { format!("${next}") } else { "?".into() }
        })
        .collect();
    vec![format!("({})", columns.join(",")); size].join(",")
}

/// The rows of `{head} (?, ?, ..) {tail}` for all of `keys`, some hundred at a time.
pub(crate) async fn select_in<C: ConnectionTrait>(
    db: &C,
    head: &str,
    tail: &str,
    keys: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    let mut found = Vec::with_capacity(keys.len());
    let mut keys = keys.into_iter();
    let mut left = keys.len();
    for size in CHUNKS {
        if left < size {
            continue;
        }
        let sql = format!("{head} {} {tail}", tuples(1, size));
        while left >= size {
            found.extend(all(db, &sql, keys.by_ref().take(size)).await?);
            left -= size;
        }
    }
    Ok(found)
}

/// The rows of `{head} (VALUES (..), (..)) {tail}` for all of `keys`, which have `width` values each.
pub(crate) async fn select_values<C: ConnectionTrait>(
    db: &C,
    head: &str,
    width: usize,
    tail: &str,
    keys: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    let mut found = Vec::with_capacity(keys.len() / width);
    let mut left = keys.len() / width;
    let mut keys = keys.into_iter();
    for size in CHUNKS {
        if left < size {
            continue;
        }
        let sql = format!("{head} (VALUES {}) {tail}", tuples(size, width));
        while left >= size {
            found.extend(all(db, &sql, keys.by_ref().take(size * width)).await?);
            left -= size;
        }
    }
    Ok(found)
}

/// SQLite's default limit on the variables of a statement is 32,766.
const MAX_VARIABLES: usize = 30_000;

fn tuples(rows: usize, width: usize) -> String {
    let mut tuple = String::with_capacity(2 * width + 2);
    tuple.push('(');
    for column in 0..width {
        tuple.push_str(if column == 0 { "?" } else { ",?" });
    }
    tuple.push(')');
    let mut sql = String::with_capacity(rows * (tuple.len() + 1));
    for row in 0..rows {
        if row > 0 {
            sql.push(',');
        }
        sql.push_str(&tuple);
    }
    sql
}

/// `name` as an SQL identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as an SQL string.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column of a row that this crate wrote.
pub(crate) fn column<T: sea_orm::TryGetable>(row: &QueryResult, index: usize) -> Result<T, StoreError> {
    row.try_get_by_index(index).map_err(|error: DbErr| StoreError::Corrupt(error.to_string()))
}

/// A blob of exactly `N` bytes.
pub(crate) fn bytes<const N: usize>(blob: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    blob.try_into().map_err(|_| StoreError::Corrupt(format!("{what} has {} bytes, not {N}", blob.len())))
}
