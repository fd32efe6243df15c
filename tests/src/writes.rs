//! Writes that can be told to another process and repeated there: what a killed writer was doing.
//!
//! A [`Write`] says which rows it leaves, so that whoever is told of it knows what must be found afterwards.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, Set,
    TransactionTrait, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use sync_core::{SyncEngine, SyncError};
use uuid::Uuid;

use crate::entities::item;

/// One committed unit of work on `items`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Write {
    /// One `insert`, with its hooks.
    Insert(Uuid),
    /// One `update`, with its hooks.
    Update(Uuid, i64),
    /// One `delete`, with its hooks.
    Delete(Uuid),
    /// `insert_many` of as many rows, with ids that follow this one.
    Many(Uuid, u32),
    /// `update_many` of the column that the other device's rows are edited in.
    Note(Vec<Uuid>, String),
    /// `delete_many`.
    DeleteMany(Vec<Uuid>),
    /// All of it in one transaction.
    Together(Vec<Write>),
    /// All of it in one transaction of the engine.
    Engine(Vec<Write>),
    /// All of it in one transaction that is rolled back.
    RolledBack(Vec<Write>),
}

/// The id that comes `by` after `first`.
pub fn after(first: Uuid, by: u32) -> Uuid {
    Uuid::from_u128(first.as_u128() + u128::from(by))
}

/// What a device's own writes leave: its rows as title and number, and its notes on any row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The rows.
    pub rows: BTreeMap<Uuid, (String, i64)>,
    /// The notes.
    pub notes: BTreeMap<Uuid, String>,
}

impl Expected {
    /// Takes in a committed write.
    pub fn take(&mut self, write: &Write) {
        match write {
            Write::Insert(id) => {
                self.rows.insert(*id, (id.to_string(), 0));
            }
            Write::Update(id, qty) => {
                if let Some(row) = self.rows.get_mut(id) {
                    row.1 = *qty;
                }
            }
            Write::Delete(id) => {
                self.rows.remove(id);
            }
            Write::Many(first, count) => {
                for by in 0..*count {
                    let id = after(*first, by);
                    self.rows.insert(id, (id.to_string(), 0));
                }
            }
            Write::Note(ids, note) => {
                for id in ids {
                    self.notes.insert(*id, note.clone());
                }
            }
            Write::DeleteMany(ids) => {
                for id in ids {
                    self.rows.remove(id);
                }
            }
            Write::Together(writes) | Write::Engine(writes) => {
                for write in writes {
                    self.take(write);
                }
            }
            Write::RolledBack(_) => {}
        }
    }
}

fn new_row(id: Uuid) -> item::ActiveModel {
    item::ActiveModel { id: Set(id), title: Set(id.to_string()), qty: Set(0), ..Default::default() }
}

impl Write {
    /// Does it; it is committed when this returns.
    ///
    /// # Errors
    /// What database or engine say.
    pub async fn run(&self, db: &DatabaseConnection, engine: &SyncEngine) -> Result<(), SyncError> {
        match self {
            Self::Together(writes) => {
                let txn = db.begin().await?;
                for write in writes {
                    write.one(&txn).await?;
                }
                Ok(txn.commit().await?)
            }
            Self::RolledBack(writes) => {
                let txn = db.begin().await?;
                for write in writes {
                    write.one(&txn).await?;
                }
                Ok(txn.rollback().await?)
            }
            Self::Engine(writes) => {
                engine
                    .transaction(async |txn| {
                        for write in writes {
                            write.one(txn).await?;
                        }
                        Ok::<_, SyncError>(())
                    })
                    .await
            }
            write => Ok(write.one(db).await?),
        }
    }

    async fn one<C: ConnectionTrait>(&self, db: &C) -> Result<(), DbErr> {
        match self {
            Self::Insert(id) => {
                new_row(*id).insert(db).await?;
            }
            Self::Update(id, qty) => {
                item::ActiveModel { id: Set(*id), qty: Set(*qty), ..Default::default() }.update(db).await?;
            }
            Self::Delete(id) => {
                item::ActiveModel { id: Set(*id), ..Default::default() }.delete(db).await?;
            }
            Self::Many(first, count) => {
                let rows = (0..*count).map(|by| new_row(after(*first, by)));
                item::Entity::insert_many(rows).exec_without_returning(db).await?;
            }
            Self::Note(ids, note) => {
                item::Entity::update_many()
                    .col_expr(item::Column::Note, Expr::value(note.clone()))
                    .filter(item::Column::Id.is_in(ids.iter().copied()))
                    .exec(db)
                    .await?;
            }
            Self::DeleteMany(ids) => {
                item::Entity::delete_many()
                    .filter(item::Column::Id.is_in(ids.iter().copied()))
                    .exec(db)
                    .await?;
            }
            Self::Together(_) | Self::Engine(_) | Self::RolledBack(_) => {
                return Err(DbErr::Custom("a transaction in a transaction".into()));
            }
        }
        Ok(())
    }
}

/// A line that a writer tells its watcher, each in one write to the pipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Line {
    /// Device number and what it is about to do.
    Try(usize, Write),
    /// The device has committed what it tried last.
    Done(usize),
}

/// A small generator of numbers: the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}
