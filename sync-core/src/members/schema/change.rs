//! What may be changed about the tables of a library: words, checked where they are made and where they arrive.
//!
//! Invariant: a change is data. Statements are built from it by `statements`, which quotes every name and value; no text of it
//! is ever taken for SQL. A change with a word that this version does not know is not read in part: it waits whole.

use serde::{Deserialize, Serialize};

use super::SchemaError;

/// The most bytes of a name.
const MAX_IDENTIFIER: usize = 63;
/// The most columns of a table.
const MAX_COLUMNS: usize = 500;
/// The most columns of a key: as many as a guard notes.
const MAX_KEY: usize = 4;

/// A change of the tables of a library; [`Schema::apply`](crate::Schema::apply) makes it here and on every other device.
///
/// ```
/// use sync_core::{NewColumn, NewTable, SchemaChange, SchemaType};
///
/// let table = NewTable::new("notes")
///     .column(NewColumn::new("id", SchemaType::Uuid))
///     .column(NewColumn::new("title", SchemaType::Text))
///     .column(NewColumn::new("stars", SchemaType::Integer).with_default(0))
///     .key(["id"]);
/// let change = SchemaChange::CreateTable(table);
/// assert!(change.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SchemaChange {
    /// Makes a table. Where one of this name has these columns already, a migration of the application made it: that will do.
    CreateTable(NewTable),
    /// Adds a column. Rows that are there have its default, and nothing is logged for them.
    AddColumn {
        /// The table.
        table: String,
        /// The column: one that may be `NULL`, or has a default.
        column: NewColumn,
    },
    /// Gives a column another name in the database. On the wire it keeps the one that it has: the entity says so with
    /// `#[sync(name = "..")]`.
    RenameColumn {
        /// The table.
        table: String,
        /// The name that it has.
        from: String,
        /// The name that it gets.
        to: String,
    },
    /// Removes a column. Its values stay known and travel on, for programs that still have it.
    DropColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Removes a table. Its records stay known and travel on, for programs that still have it.
    DropTable {
        /// The table.
        table: String,
    },
}

/// A table to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NewTable {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<NewColumn>,
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// Its further unique keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<Vec<String>>,
}

impl NewTable {
    /// A table without columns yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), columns: Vec::new(), key: Vec::new(), unique: Vec::new() }
    }

    /// Adds a column.
    #[must_use]
    pub fn column(mut self, column: NewColumn) -> Self {
        self.columns.push(column);
        self
    }

    /// The columns of its primary key.
    #[must_use]
    pub fn key<N: Into<String>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a unique key.
    #[must_use]
    pub fn unique<N: Into<String>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.unique.push(columns.into_iter().map(Into::into).collect());
        self
    }
}

/// A column to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: SchemaType,
    /// True if it may be `NULL`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// What it holds where nobody said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<SchemaValue>,
}

impl NewColumn {
    /// A column that may not be `NULL` and has no default.
    pub fn new(name: impl Into<String>, kind: SchemaType) -> Self {
        Self { name: name.into(), kind, nullable: false, default: None }
    }

    /// Lets it be `NULL`.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Gives it a default.
    #[must_use]
    pub fn with_default(mut self, value: impl Into<SchemaValue>) -> Self {
        self.default = Some(value.into());
        self
    }
}

/// What a column holds: the types that `DeriveEntityModel` gives columns by their Rust types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SchemaType {
    /// `bool`
    Boolean,
    /// `i64` and smaller
    Integer,
    /// `f64`
    Double,
    /// `String`
    Text,
    /// `Vec<u8>`
    Blob,
    /// `Uuid`
    Uuid,
    /// `Json`
    Json,
    /// `Decimal`
    Decimal,
    /// A date
    Date,
    /// A time of day
    Time,
    /// A date and time without a time zone
    DateTime,
    /// A date and time with one
    Timestamp,
}

/// A default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SchemaValue {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(String),
}

impl From<bool> for SchemaValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for SchemaValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for SchemaValue {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<&str> for SchemaValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl SchemaChange {
    /// The table that it is about.
    pub fn table(&self) -> &str {
        match self {
            Self::CreateTable(table) => &table.name,
            Self::AddColumn { table, .. }
            | Self::RenameColumn { table, .. }
            | Self::DropColumn { table, .. }
            | Self::DropTable { table } => table,
        }
    }

    /// Whether it can be made at all, whatever tables there are.
    ///
    /// # Errors
    /// [`SchemaError::Name`] and [`SchemaError::Invalid`] say what to write instead.
    pub fn check(&self) -> Result<(), SchemaError> {
        let table = self.table();
        identifier(table)?;
        let lower = table.to_ascii_lowercase();
        if lower.starts_with("sync_") || lower.starts_with("sqlite_") {
            return Err(SchemaError::Name { name: table.to_owned() });
        }
        match self {
            Self::CreateTable(table) => check_table(table),
            Self::AddColumn { column, .. } => {
                check_column(column)?;
                if column.nullable || column.default.is_some() {
                    return Ok(());
                }
                let what = format!(
                    "column `{}` is for rows that are there already: let it be NULL or give it a default",
                    column.name
                );
                Err(SchemaError::Invalid { table: lower, what })
            }
            Self::RenameColumn { from, to, .. } => identifier(from).and_then(|()| identifier(to)),
            Self::DropColumn { column, .. } => identifier(column),
            Self::DropTable { .. } => Ok(()),
        }
    }
}

fn identifier(name: &str) -> Result<(), SchemaError> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if first && rest && name.len() <= MAX_IDENTIFIER {
        Ok(())
    } else {
        Err(SchemaError::Name { name: name.to_owned() })
    }
}

fn check_table(table: &NewTable) -> Result<(), SchemaError> {
    let invalid = |what: String| Err(SchemaError::Invalid { table: table.name.clone(), what });
    for (at, column) in table.columns.iter().enumerate() {
        check_column(column)?;
        if table.columns[..at].iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return invalid(format!("two columns are `{}`", column.name));
        }
    }
    if table.columns.len() > MAX_COLUMNS {
        return invalid(format!("it has more than {MAX_COLUMNS} columns"));
    }
    if table.key.is_empty() || table.key.len() > MAX_KEY {
        return invalid(format!("its primary key has {} columns; 1 to {MAX_KEY} can sync", table.key.len()));
    }
    for keys in std::iter::once(&table.key).chain(&table.unique) {
        for (at, name) in keys.iter().enumerate() {
            if !table.columns.iter().any(|column| column.name == *name) {
                return invalid(format!("a key names `{name}`, which is none of its columns"));
            }
            if keys[..at].contains(name) {
                return invalid(format!("a key names `{name}` twice"));
            }
        }
        if keys.is_empty() {
            return invalid("a unique key has no columns".into());
        }
    }
    match table.columns.iter().find(|column| column.nullable && table.key.contains(&column.name)) {
        Some(column) => invalid(format!("the key `{}` may be NULL", column.name)),
        None => Ok(()),
    }
}

fn check_column(column: &NewColumn) -> Result<(), SchemaError> {
    identifier(&column.name)?;
    let wrong = match &column.default {
        Some(SchemaValue::Double(number)) => !number.is_finite(),
        Some(SchemaValue::Text(text)) => text.contains('\0'),
        _ => false,
    };
    if wrong {
        let what = "a default is a finite number, or a text without NUL".to_owned();
        return Err(SchemaError::Invalid { table: column.name.clone(), what });
    }
    Ok(())
}
