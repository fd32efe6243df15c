//! What the engine's own models have in common: how their records are read and written, and what they go without.

use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::store::{StoreError, sql};

/// A record of one of the engine's own models, as it lies in the table.
pub(super) trait Record: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Its columns, the key first.
    const COLUMNS: &'static [&'static str];

    /// The record in a row that has [`COLUMNS`](Self::COLUMNS).
    fn read(row: &QueryResult) -> Result<Self, StoreError>;

    /// What [`COLUMNS`](Self::COLUMNS) are to hold.
    fn values(&self) -> Result<Vec<Value>, StoreError>;
}

/// The records that `clauses` leave, which follow the statement's `FROM`.
pub(super) async fn select<R: Record, C: ConnectionTrait>(
    db: &C,
    clauses: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<R>, StoreError> {
    let statement = format!("SELECT {} FROM {} {clauses}", R::COLUMNS.join(", "), R::TABLE);
    sql::all(db, &statement, values).await?.iter().map(R::read).collect()
}

/// Writes a record as it is to be; the guard notes it and a flush logs what differs.
pub(super) async fn put<R: Record, C: ConnectionTrait>(db: &C, record: &R) -> Result<(), StoreError> {
    let set: Vec<String> =
        R::COLUMNS[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let statement = format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        R::TABLE,
        R::COLUMNS.join(", "),
        vec!["?"; R::COLUMNS.len()].join(", "),
        R::COLUMNS[0],
        set.join(", ")
    );
    sql::execute(db, &statement, record.values()?).await?;
    Ok(())
}

/// Makes the entity `Model` beside it a model of the engine's own: no relations, hooks or functions, for no program but the engine
/// writes it. `$rules` are those of its columns, if it has any.
macro_rules! system_model {
    ($name:expr) => {
        system_model!($name, crate::model::Rules::new());
    };
    ($name:expr, $rules:expr) => {
        /// None.
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub(crate) enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}

        impl crate::model::Syncable for ActiveModel {
            const SYNC_ID: &'static str = $name;

            fn rules() -> crate::model::Rules {
                $rules.without_merge().without_should_sync()
            }
        }
    };
}

pub(super) use system_model;
