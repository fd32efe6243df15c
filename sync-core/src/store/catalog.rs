//! What the database itself says about its tables: columns, defaults, unique keys, foreign keys, triggers.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, QueryResult};

use super::{StoreError, sql};

/// What a foreign key does to children when their parent goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDelete {
    /// The database refuses, or does nothing.
    Keep,
    /// The child goes too.
    Cascade,
    /// The child's columns become `NULL`.
    SetNull,
    /// The child's columns get their defaults.
    SetDefault,
}

/// A foreign key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    /// The child's columns.
    pub(crate) columns: Vec<String>,
    /// The parent's table.
    pub(crate) parent: String,
    /// The parent's columns; empty means its primary key.
    pub(crate) parent_columns: Vec<String>,
    /// What happens to the child when the parent goes.
    pub(crate) on_delete: OnDelete,
}

/// A unique index of a table other than its primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unique {
    /// The index.
    pub(crate) name: String,
    /// Its columns.
    pub(crate) columns: Vec<String>,
    /// True if the engine cannot tell by bytes when two rows are equal here: an expression, a `WHERE`, or a
    /// collation that folds.
    pub(crate) opaque: bool,
}

/// A column, as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableColumn {
    /// The name.
    pub(crate) name: String,
    /// The declared type.
    pub(crate) declared: String,
    /// True if `NOT NULL`.
    pub(crate) not_null: bool,
    /// The default, as SQL.
    pub(crate) default: Option<String>,
    /// True if the database computes it.
    pub(crate) generated: bool,
    /// Position in the primary key, from 1; 0 if it is not part of it.
    pub(crate) key_position: i64,
}

/// A table, as the database has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// The columns.
    pub(crate) columns: Vec<TableColumn>,
    /// The unique keys besides the primary key.
    pub(crate) uniques: Vec<Unique>,
    /// The foreign keys.
    pub(crate) foreign_keys: Vec<ForeignKey>,
    /// Triggers that are not ours.
    pub(crate) triggers: Vec<String>,
    /// Collations of the primary key's columns other than `BINARY`.
    pub(crate) key_collations: Vec<String>,
}

impl Table {
    /// The column with this name.
    pub(crate) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The tables that models live in, by name. Read anew whenever the schema's version has changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    tables: HashMap<String, Table>,
}

/// The prefix of the names of our triggers.
pub(crate) const GUARD_PREFIX: &str = "sync_guard_";

impl Catalog {
    /// Reads what the database says about `tables`; absent ones are absent here.
    pub(crate) async fn read<C: ConnectionTrait>(
        db: &C,
        tables: &HashSet<String>,
    ) -> Result<Self, StoreError> {
        let mut catalog = Self::default();
        for name in tables {
            if let Some(table) = read_table(db, name).await? {
                catalog.tables.insert(name.clone(), table);
            }
        }
        Ok(catalog)
    }

    /// The table with this name, if it exists.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }
}

async fn read_table<C: ConnectionTrait>(db: &C, name: &str) -> Result<Option<Table>, StoreError> {
    let mut table = Table::default();
    let rows = sql::all(
        db,
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?)",
        [name.into()],
    )
    .await?;
    for row in &rows {
        table.columns.push(TableColumn {
            name: sql::column(row, 0)?,
            declared: sql::column(row, 1)?,
            not_null: sql::column::<i64>(row, 2)? != 0,
            default: sql::column(row, 3)?,
            key_position: sql::column(row, 4)?,
            // 1 is a hidden column of a virtual table, 2 and 3 are generated columns.
            generated: sql::column::<i64>(row, 5)? >= 2,
        });
    }
    if table.columns.is_empty() {
        return Ok(None);
    }
    read_indexes(db, name, &mut table).await?;
    read_foreign_keys(db, name, &mut table).await?;
    let rows = sql::all(
        db,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
        [name.into()],
    )
    .await?;
    for row in &rows {
        let trigger: String = sql::column(row, 0)?;
        if !trigger.starts_with(GUARD_PREFIX) {
            table.triggers.push(trigger);
        }
    }
    Ok(Some(table))
}

async fn read_indexes<C: ConnectionTrait>(db: &C, name: &str, table: &mut Table) -> Result<(), StoreError> {
    let indexes =
        sql::all(db, "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?)", [name.into()])
            .await?;
    for index in &indexes {
        let index_name: String = sql::column(index, 0)?;
        let unique = sql::column::<i64>(index, 1)? != 0;
        let origin: String = sql::column(index, 2)?;
        let partial = sql::column::<i64>(index, 3)? != 0;
        if !unique {
            continue;
        }
        let parts = sql::all(
            db,
            "SELECT name, coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno",
            [index_name.clone().into()],
        )
        .await?;
        let mut columns = Vec::new();
        let mut opaque = partial;
        for part in &parts {
            match sql::column::<Option<String>>(part, 0)? {
                Some(column) => columns.push(column),
                None => opaque = true,
            }
            let collation: Option<String> = sql::column(part, 1)?;
            if let Some(collation) = collation.filter(|name| !name.eq_ignore_ascii_case("BINARY")) {
                opaque = true;
                if origin == "pk" {
                    table.key_collations.push(collation);
                }
            }
        }
        if origin != "pk" {
            table.uniques.push(Unique { name: index_name, columns, opaque });
        }
    }
    Ok(())
}

async fn read_foreign_keys<C: ConnectionTrait>(
    db: &C,
    name: &str,
    table: &mut Table,
) -> Result<(), StoreError> {
    let rows = sql::all(
        db,
        "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq",
        [name.into()],
    )
    .await?;
    let mut last = None;
    for row in &rows {
        let id: i64 = sql::column(row, 0)?;
        if last != Some(id) {
            last = Some(id);
            table.foreign_keys.push(foreign_key(row)?);
        }
        let from: String = sql::column(row, 2)?;
        let to: Option<String> = sql::column(row, 3)?;
        if let Some(key) = table.foreign_keys.last_mut() {
            key.columns.push(from);
            key.parent_columns.extend(to);
        }
    }
    Ok(())
}

fn foreign_key(row: &QueryResult) -> Result<ForeignKey, StoreError> {
    let action: String = sql::column(row, 4)?;
    Ok(ForeignKey {
        columns: Vec::new(),
        parent: sql::column(row, 1)?,
        parent_columns: Vec::new(),
        on_delete: match action.as_str() {
            "CASCADE" => OnDelete::Cascade,
            "SET NULL" => OnDelete::SetNull,
            "SET DEFAULT" => OnDelete::SetDefault,
            _ => OnDelete::Keep,
        },
    })
}
