//! The rows: the table of the design's section 17, filled the same way in every run.

use sea_orm::{Set, entity::prelude::*};
use sync_core::Syncable;

/// The table.
pub const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS items (id BLOB PRIMARY KEY NOT NULL, title TEXT NOT NULL, \
     body TEXT NOT NULL, qty INTEGER NOT NULL, price REAL NOT NULL, done BOOLEAN NOT NULL, created_at INTEGER NOT NULL, \
     category TEXT, data BLOB)";

/// One row of `items`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "items")]
#[sync(id = "workload")]
pub struct Model {
    /// The key: random.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// A short text.
    pub title: String,
    /// About 80 bytes.
    pub body: String,
    /// A number.
    pub qty: i64,
    /// A float.
    pub price: f64,
    /// A truth value.
    pub done: bool,
    /// Milliseconds.
    pub created_at: i64,
    /// One of ten, or absent.
    pub category: Option<String>,
    /// 32 bytes.
    pub data: Option<Vec<u8>>,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// A small generator of numbers that look random (SplitMix64): the same rows in every run.
#[derive(Clone, Debug)]
pub struct Numbers(pub u64);

impl Iterator for Numbers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(z ^ (z >> 31))
    }
}

impl Numbers {
    fn one(&mut self) -> u64 {
        self.next().unwrap_or_default()
    }
}

/// `count` rows; another `seed` gives others.
pub fn rows(seed: u64, count: usize) -> Vec<Model> {
    let mut numbers = Numbers(seed);
    (0..count).map(|index| row(&mut numbers, index)).collect()
}

/// Rows without end; the first of them are [`rows`] of the same `seed`.
pub fn endless(seed: u64) -> impl Iterator<Item = Model> {
    let mut numbers = Numbers(seed);
    (0..).map(move |index| row(&mut numbers, index))
}

fn row(numbers: &mut Numbers, index: usize) -> Model {
    let id = Uuid::from_u64_pair(numbers.one(), numbers.one());
    let id = uuid::Builder::from_bytes(*id.as_bytes()).with_version(uuid::Version::Random).into_uuid();
    let body: String = (0..5).map(|_| format!("{:016x}", numbers.one())).collect();
    let data: Vec<u8> = (0..4).flat_map(|_| numbers.one().to_be_bytes()).collect();
    Model {
        id,
        title: format!("item number {index}"),
        body,
        qty: (numbers.one() % 1000) as i64,
        price: (numbers.one() % 100_000) as f64 / 100.0,
        done: numbers.one().is_multiple_of(2),
        created_at: 1_700_000_000_000 + index as i64,
        category: (!index.is_multiple_of(10)).then(|| format!("category {}", index % 10)),
        data: Some(data),
    }
}

/// The row as something to insert.
pub fn active(row: Model) -> ActiveModel {
    ActiveModel {
        id: Set(row.id),
        title: Set(row.title),
        body: Set(row.body),
        qty: Set(row.qty),
        price: Set(row.price),
        done: Set(row.done),
        created_at: Set(row.created_at),
        category: Set(row.category),
        data: Set(row.data),
    }
}

/// The keys of `rows` in random order.
pub fn shuffled(rows: &[Model], seed: u64) -> Vec<Uuid> {
    let mut keys: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut numbers = Numbers(seed);
    for at in (1..keys.len()).rev() {
        let other = (numbers.one() % (at as u64 + 1)) as usize;
        keys.swap(at, other);
    }
    keys
}
