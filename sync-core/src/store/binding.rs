//! Models bound to their tables: the entity's word and the database's word about one table, brought together.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sea_orm::{ConnectionTrait, sqlx::sqlite::SqliteRow};

use super::{
    Catalog, NameKind, StoreError, Table, Write, catalog::TableColumn, sql, tables::MAX_KEY_COLUMNS,
};
use crate::{
    change::Tag,
    ids::{Name, RecordId},
    model::{Adapter, ColumnSpec, ModelSpec, Role},
    value::{SyncValue, Unreadable, decode_key, read_sqlite, to_database},
};

/// Why a model cannot be bound to its table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The entity has a column that the table lacks.
    #[error(
        "table `{table}` has no column `{column}`: run the application's migrations before the engine starts"
    )]
    MissingColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The key has more columns than a guard can note.
    #[error("the primary key of `{table}` has {columns} columns; at most {most} can sync")]
    WideKey {
        /// The table.
        table: String,
        /// How many columns the key has.
        columns: usize,
        /// How many it may have.
        most: usize,
    },
    /// The key's collation makes different bytes one key.
    #[error("the primary key of `{table}` compares with collation {collation}; only BINARY keys can sync")]
    KeyCollation {
        /// The table.
        table: String,
        /// The collation.
        collation: String,
    },
    /// A column that stays on this device must be filled for rows that arrive from others, and nothing can.
    #[error(
        "`{table}`.`{column}` is skipped, NOT NULL and has no default: rows from other devices could not be inserted. \
         Make it nullable, give the column a default, or sync it"
    )]
    Unfillable {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A foreign key leads to a table whose rows do not travel, so a child could wait for its parent for ever.
    #[error(
        "`{table}` has a foreign key to `{parent}`, which does not sync: derive Syncable on its entity as well, or skip \
         the column"
    )]
    UnsyncedParent {
        /// The child's table.
        table: String,
        /// The parent's table.
        parent: String,
    },
    /// The database could not be read.
    #[error("{0}")]
    Store(String),
}

/// A model and its table.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) adapter: Arc<dyn Adapter>,
    /// The table as the database has it.
    pub(crate) table: Table,
    /// The model's integer in `sync_names`.
    pub(crate) model: i64,
    /// Per column of the spec: true if its cells travel.
    pub(crate) travels: Vec<bool>,
    /// The columns that travel, by index, in the order of an object's cells: by wire name.
    pub(crate) by_wire: Vec<usize>,
    /// Per column of the spec: its place in `by_wire`, which is its cell's place in an object that has them all.
    pub(crate) places: Vec<usize>,
    /// Per column of the spec: what a row holds that was there before the column was.
    pub(crate) defaults: Vec<SyncValue>,
    /// True if a column has a rule of its own, or is written together with others.
    pub(crate) ruled: bool,
    /// The columns of the spec as a select list on alias `t`.
    pub(crate) select: String,
}

impl Binding {
    /// The entity's word.
    pub(crate) fn spec(&self) -> &ModelSpec {
        self.adapter.spec()
    }

    /// The model's name on the wire.
    pub(crate) fn name(&self) -> &Name {
        &self.spec().id
    }

    /// The table's name, quoted.
    pub(crate) fn quoted_table(&self) -> String {
        sql::quote(&self.spec().table)
    }

    /// The key columns, in key order.
    pub(crate) fn key_columns(&self) -> impl Iterator<Item = &ColumnSpec> {
        let spec = self.spec();
        spec.keys.iter().map(|index| &spec.columns[*index])
    }

    /// The index of the travelling column with this wire name.
    pub(crate) fn column_of(&self, wire: &str) -> Option<usize> {
        let columns = &self.spec().columns;
        let at = self.by_wire.binary_search_by(|index| columns[*index].wire.as_str().cmp(wire)).ok()?;
        Some(self.by_wire[at])
    }

    /// The indexes of the columns whose cells travel.
    pub(crate) fn travelling(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.travels.len()).filter(|index| self.travels[*index])
    }

    /// Reads a row selected with [`select`](Self::select), whose columns begin at `offset`.
    pub(crate) fn read(&self, row: &SqliteRow, offset: usize) -> Result<Vec<SyncValue>, UnreadableColumn> {
        let columns = &self.spec().columns;
        columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                read_sqlite(column.kind, row, offset + index)
                    .map_err(|source| UnreadableColumn { column: column.name.clone(), source })
            })
            .collect()
    }

    /// The key of a record as values for the database, in key order. An error says why no row can have this key.
    pub(crate) fn key_values(&self, record: &RecordId) -> Result<Vec<sea_orm::Value>, String> {
        let key = decode_key(record.as_bytes()).map_err(|error| error.to_string())?;
        let spec = self.spec();
        if key.len() != spec.keys.len() {
            return Err(format!("a key of {} parts where `{}` has {}", key.len(), spec.id, spec.keys.len()));
        }
        spec.keys
            .iter()
            .zip(&key)
            .map(|(index, value)| {
                if matches!(value, SyncValue::Null) {
                    return Err("NULL in a key".to_owned());
                }
                self.adapter.check(*index, value).map_err(|error| error.to_string())?;
                to_database(spec.columns[*index].kind, value).map_err(|error| error.to_string())
            })
            .collect()
    }
}

/// A column of a row that does not hold what its type says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}`: {source}")]
pub(crate) struct UnreadableColumn {
    pub(crate) column: String,
    pub(crate) source: Unreadable,
}

/// The models of this program whose tables exist, and what their tables were like at one version of the schema.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    list: Vec<Arc<Binding>>,
    by_name: HashMap<Name, usize>,
    by_model: HashMap<i64, usize>,
    by_table: HashMap<String, usize>,
    /// `PRAGMA schema_version` when they were read.
    pub(crate) schema_version: i64,
}

impl Bindings {
    /// Binds those of `adapters` whose tables exist.
    pub(crate) async fn bind(
        write: &mut Write<'_>,
        adapters: &[Arc<dyn Adapter>],
    ) -> Result<Self, BindError> {
        let store = |error: StoreError| BindError::Store(error.to_string());
        let schema_version = super::sqlite::schema_version(write.db).await.map_err(store)?;
        let tables: HashSet<String> = adapters.iter().map(|adapter| adapter.spec().table.clone()).collect();
        let catalog = Catalog::read(write.db, &tables).await.map_err(store)?;
        let mut bindings = Self { schema_version, ..Self::default() };
        for adapter in adapters {
            let spec = adapter.spec();
            let Some(table) = catalog.table(&spec.table) else { continue };
            check(spec, table, &tables)?;
            let model =
                write.names.intern(write.db, NameKind::Model, spec.id.as_bytes()).await.map_err(store)?;
            for column in &spec.columns {
                write
                    .names
                    .intern(write.db, NameKind::Column, column.wire.as_bytes())
                    .await
                    .map_err(store)?;
            }
            let defaults = defaults(write, spec, table).await.map_err(store)?;
            let travels: Vec<bool> = spec.columns.iter().map(|column| travels(column, table)).collect();
            let by_wire = by_wire(spec, &travels);
            bindings.push(Binding {
                places: places(spec, &by_wire),
                by_wire,
                travels,
                defaults,
                ruled: spec.columns.iter().any(|column| column.tag != Tag::LWW || column.group.is_some()),
                select: select(spec),
                table: table.clone(),
                model,
                adapter: adapter.clone(),
            });
        }
        Ok(bindings)
    }

    fn push(&mut self, binding: Binding) {
        let at = self.list.len();
        self.by_name.insert(binding.name().clone(), at);
        self.by_model.insert(binding.model, at);
        self.by_table.insert(binding.spec().table.clone(), at);
        self.list.push(Arc::new(binding));
    }

    /// All of them, by model name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.list.iter()
    }

    /// The binding of the model with this name on the wire.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Arc<Binding>> {
        self.by_name.get(name).map(|at| &self.list[*at])
    }

    /// The binding of the model with this integer.
    pub(crate) fn by_model(&self, model: i64) -> Option<&Arc<Binding>> {
        self.by_model.get(&model).map(|at| &self.list[*at])
    }

    /// The binding of the table with this name.
    pub(crate) fn by_table(&self, table: &str) -> Option<&Arc<Binding>> {
        self.by_table.get(table).map(|at| &self.list[*at])
    }
}

fn travels(column: &ColumnSpec, table: &Table) -> bool {
    column.role == Role::Synced && table.column(&column.name).is_some_and(|column| !column.generated)
}

fn by_wire(spec: &ModelSpec, travels: &[bool]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..travels.len()).filter(|index| travels[*index]).collect();
    order.sort_unstable_by(|a, b| spec.columns[*a].wire.cmp(&spec.columns[*b].wire));
    order
}

fn places(spec: &ModelSpec, by_wire: &[usize]) -> Vec<usize> {
    let mut places = vec![0; spec.columns.len()];
    by_wire.iter().enumerate().for_each(|(place, index)| places[*index] = place);
    places
}

fn select(spec: &ModelSpec) -> String {
    let columns: Vec<String> =
        spec.columns.iter().map(|column| format!("t.{}", sql::quote(&column.name))).collect();
    columns.join(", ")
}

fn check(spec: &ModelSpec, table: &Table, synced_tables: &HashSet<String>) -> Result<(), BindError> {
    if spec.keys.len() > MAX_KEY_COLUMNS {
        return Err(BindError::WideKey {
            table: spec.table.clone(),
            columns: spec.keys.len(),
            most: MAX_KEY_COLUMNS,
        });
    }
    if let Some(collation) = table.key_collations.first() {
        return Err(BindError::KeyCollation { table: spec.table.clone(), collation: collation.clone() });
    }
    for column in &spec.columns {
        let missing = || BindError::MissingColumn { table: spec.table.clone(), column: column.name.clone() };
        let there = table.column(&column.name).ok_or_else(missing)?;
        let fillable = !there.not_null || there.default.is_some() || there.generated;
        if column.role == Role::Skipped && !fillable {
            return Err(BindError::Unfillable { table: spec.table.clone(), column: column.name.clone() });
        }
    }
    for key in &table.foreign_keys {
        let carried = key.columns.iter().all(|name| {
            spec.columns.iter().any(|column| &column.name == name && column.role != Role::Skipped)
        });
        if carried && !synced_tables.contains(&key.parent) {
            return Err(BindError::UnsyncedParent { table: spec.table.clone(), parent: key.parent.clone() });
        }
    }
    Ok(())
}

/// What each column holds in a row that is older than the column.
async fn defaults(write: &Write<'_>, spec: &ModelSpec, table: &Table) -> Result<Vec<SyncValue>, StoreError> {
    let mut values = Vec::with_capacity(spec.columns.len());
    for column in &spec.columns {
        let default = table.column(&column.name).and_then(|there: &TableColumn| there.default.as_deref());
        values.push(match default {
            Some(expression) => evaluate(write.db, column, table, expression).await?,
            None => SyncValue::Null,
        });
    }
    Ok(values)
}

/// The value of a default. A column added with `ALTER TABLE` can only have a constant one, so what cannot be read
/// as the column's type was never the value of a row older than the column.
async fn evaluate<C: ConnectionTrait>(
    db: &C,
    column: &ColumnSpec,
    table: &Table,
    expression: &str,
) -> Result<SyncValue, StoreError> {
    let declared = table.column(&column.name).map_or("", |there| there.declared.as_str());
    let cast = if declared.is_empty() { expression.to_owned() } else { format!("({expression})") };
    let row = sql::one(db, &format!("SELECT {cast}"), []).await?;
    Ok(row
        .as_ref()
        .and_then(|row| row.try_as_sqlite_row())
        .and_then(|row| read_sqlite(column.kind, row, 0).ok())
        .unwrap_or(SyncValue::Null))
}
