//! Plain rusqlite: what the database itself takes.

use std::path::Path;

use ::rusqlite::{Connection, params};
use uuid::Uuid;

use super::{
    BATCH, Outcome, PAGE, Plan,
    data::{self, Model},
    meter::{Meter, Start},
};

/// The peer's name.
pub const PEER: &str = "plain-rusqlite";

const INSERT: &str = "INSERT OR REPLACE INTO items (id, title, body, qty, price, done, created_at, category, data) \
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Runs all of it.
///
/// # Errors
/// What the database says.
pub fn run(plan: &Plan) -> Outcome<()> {
    let meter = Meter::new(PEER);
    let db = open(&plan.file(PEER, "a")?)?;
    let rows = data::rows(1, plan.rows);
    let keys = data::shuffled(&rows, 3);

    let start = Start::now();
    insert(&db, &rows, BATCH)?;
    meter.rate("insert_batch", plan.rows as u64, start.took());
    meter.figure("size_after_insert", size(&db)?, "bytes");

    let start = Start::now();
    let copied = all(&db)?;
    meter.rate("extract_all", plan.rows as u64, start.took());
    let replica = open(&plan.file(PEER, "b")?)?;
    let start = Start::now();
    insert(&replica, &copied, BATCH)?;
    meter.rate("apply_empty", plan.rows as u64, start.took());
    meter.figure("size_replica", size(&replica)?, "bytes");
    meter.holds("replica_equal", all(&replica)? == copied);

    let rows = data::rows(2, plan.auto);
    let start = Start::now();
    insert(&db, &rows, 1)?;
    meter.rate("insert_auto", plan.auto as u64, start.took());
    let start = Start::now();
    keyed(&db, "UPDATE items SET qty = qty + 1000000 WHERE id = ?", &keys)?;
    meter.rate("update_1col_keyed", keys.len() as u64, start.took());
    let start = Start::now();
    let updated = db.execute("UPDATE items SET price = price + 1 WHERE qty >= 0", [])?;
    meter.rate("update_1col_bulk_stmt", updated as u64, start.took());
    let (gone, left) = keys.split_at(plan.deleted());
    let start = Start::now();
    keyed(&db, "DELETE FROM items WHERE id = ?", gone)?;
    meter.rate("delete_keyed", gone.len() as u64, start.took());
    let read = &left[..left.len().min(PAGE as usize)];
    let start = Start::now();
    let mut statement = db.prepare("SELECT * FROM items WHERE id = ?")?;
    for id in read {
        statement.query_row([id.as_bytes()], model)?;
    }
    meter.rate("point_read", read.len() as u64, start.took());
    drop(statement);
    meter.figure("size_after_updates", size(&db)?, "bytes");
    meter.peak_rss();
    Ok(())
}

fn open(path: &Path) -> Outcome<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.execute(data::CREATE_TABLE, [])?;
    Ok(db)
}

fn insert(db: &Connection, rows: &[Model], batch: usize) -> Outcome<()> {
    for chunk in rows.chunks(batch) {
        let transaction = db.unchecked_transaction()?;
        let mut statement = transaction.prepare_cached(INSERT)?;
        for row in chunk {
            statement.execute(params![
                row.id.as_bytes(),
                row.title,
                row.body,
                row.qty,
                row.price,
                row.done,
                row.created_at,
                row.category,
                row.data
            ])?;
        }
        drop(statement);
        transaction.commit()?;
    }
    Ok(())
}

fn keyed(db: &Connection, sql: &str, keys: &[Uuid]) -> Outcome<()> {
    for chunk in keys.chunks(BATCH) {
        let transaction = db.unchecked_transaction()?;
        let mut statement = transaction.prepare_cached(sql)?;
        for id in chunk {
            statement.execute([id.as_bytes()])?;
        }
        drop(statement);
        transaction.commit()?;
    }
    Ok(())
}

fn all(db: &Connection) -> Outcome<Vec<Model>> {
    let mut statement = db.prepare("SELECT * FROM items ORDER BY id")?;
    let rows = statement.query_map([], model)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn model(row: &::rusqlite::Row<'_>) -> ::rusqlite::Result<Model> {
    Ok(Model {
        id: Uuid::from_bytes(row.get(0)?),
        title: row.get(1)?,
        body: row.get(2)?,
        qty: row.get(3)?,
        price: row.get(4)?,
        done: row.get(5)?,
        created_at: row.get(6)?,
        category: row.get(7)?,
        data: row.get(8)?,
    })
}

fn size(db: &Connection) -> Outcome<f64> {
    let count: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let size: i64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok((count * size) as f64)
}
