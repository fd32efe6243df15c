//! What both SeaORM peers do to the table, by the same calls.

use std::path::Path;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, Database, DatabaseConnection, EntityTrait, QueryFilter,
    QueryOrder, Set, TransactionTrait, Unchanged,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{
    BATCH, Outcome,
    data::{self, ActiveModel, Column, Entity, Model},
};

pub(crate) async fn open(path: &Path) -> Outcome<DatabaseConnection> {
    let db = Database::connect(sync_core::sqlite(path)).await?;
    db.execute_unprepared(data::CREATE_TABLE).await?;
    Ok(db)
}

pub(crate) async fn insert_batch(db: &DatabaseConnection, rows: Vec<Model>) -> Outcome<()> {
    let mut rows = rows.into_iter().map(data::active).peekable();
    while rows.peek().is_some() {
        let transaction = db.begin().await?;
        Entity::insert_many(rows.by_ref().take(BATCH)).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

pub(super) async fn insert_auto(db: &DatabaseConnection, rows: Vec<Model>) -> Outcome<()> {
    for row in rows {
        data::active(row).insert(db).await?;
    }
    Ok(())
}

/// Gives each row of `keys` a new `qty`.
pub(super) async fn update_qty(db: &DatabaseConnection, keys: &[Uuid]) -> Outcome<()> {
    for (batch, chunk) in keys.chunks(BATCH).enumerate() {
        let transaction = db.begin().await?;
        for (at, id) in chunk.iter().enumerate() {
            let qty = (1_000_000 + batch * BATCH + at) as i64;
            ActiveModel { id: Unchanged(*id), qty: Set(qty), ..Default::default() }
                .update(&transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// Gives each row of `keys` the title `title`.
pub(super) async fn update_title(db: &DatabaseConnection, keys: &[Uuid], title: &str) -> Outcome<()> {
    for chunk in keys.chunks(BATCH) {
        let transaction = db.begin().await?;
        for id in chunk {
            ActiveModel { id: Unchanged(*id), title: Set(title.into()), ..Default::default() }
                .update(&transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

pub(super) async fn update_bulk(db: &DatabaseConnection) -> Outcome<u64> {
    let done = Entity::update_many()
        .col_expr(Column::Price, Expr::col(Column::Price).add(1.0))
        .filter(Column::Qty.gte(0))
        .exec(db)
        .await?;
    Ok(done.rows_affected)
}

pub(super) async fn delete_keyed(db: &DatabaseConnection, keys: &[Uuid]) -> Outcome<()> {
    for chunk in keys.chunks(BATCH) {
        let transaction = db.begin().await?;
        for id in chunk {
            ActiveModel { id: Unchanged(*id), ..Default::default() }.delete(&transaction).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

pub(super) async fn point_read(db: &DatabaseConnection, keys: &[Uuid]) -> Outcome<()> {
    for id in keys {
        Entity::find_by_id(*id).one(db).await?.ok_or("a row is missing")?;
    }
    Ok(())
}

pub(super) async fn all(db: &DatabaseConnection) -> Outcome<Vec<Model>> {
    Ok(Entity::find().order_by_asc(Column::Id).all(db).await?)
}

pub(super) async fn equal(a: &DatabaseConnection, b: &DatabaseConnection) -> Outcome<bool> {
    Ok(all(a).await? == all(b).await?)
}

/// The size of the database, whatever of it still stands in the write-ahead log.
pub(super) async fn size(db: &DatabaseConnection) -> Outcome<f64> {
    let mut size = 1.0;
    for pragma in ["PRAGMA page_count", "PRAGMA page_size"] {
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), pragma);
        let row = db.query_one_raw(statement).await?.ok_or("a pragma without an answer")?;
        size *= row.try_get_by_index::<i64>(0)? as f64;
    }
    Ok(size)
}
