//! Statements of a change, built by a library that quotes names and values.

use sea_orm::sea_query::{Alias, ColumnDef, Expr, Index, SqliteQueryBuilder, Table};

use super::change::{NewColumn, NewTable, SchemaChange, SchemaType, SchemaValue};

/// The statement that makes `change`.
pub(super) fn statement(change: &SchemaChange) -> String {
    let builder = SqliteQueryBuilder;
    match change {
        SchemaChange::CreateTable(table) => create(table),
        SchemaChange::AddColumn { table, column } => {
            Table::alter().table(Alias::new(table)).add_column(definition(column)).to_string(builder)
        }
        SchemaChange::RenameColumn { table, from, to } => Table::alter()
            .table(Alias::new(table))
            .rename_column(Alias::new(from), Alias::new(to))
            .to_string(builder),
        SchemaChange::DropColumn { table, column } => {
            Table::alter().table(Alias::new(table)).drop_column(Alias::new(column)).to_string(builder)
        }
        SchemaChange::DropTable { table } => Table::drop().table(Alias::new(table)).to_string(builder),
    }
}

fn create(table: &NewTable) -> String {
    let mut create = Table::create();
    create.table(Alias::new(&table.name));
    for column in &table.columns {
        create.col(definition(column));
    }
    let mut key = Index::create();
    table.key.iter().for_each(|name| {
        key.col(Alias::new(name));
    });
    create.primary_key(&mut key);
    for columns in &table.unique {
        let mut unique = Index::create();
        unique.unique();
        columns.iter().for_each(|name| {
            unique.col(Alias::new(name));
        });
        create.index(&mut unique);
    }
    create.to_string(SqliteQueryBuilder)
}

fn definition(column: &NewColumn) -> ColumnDef {
    let mut definition = ColumnDef::new(Alias::new(&column.name));
    match column.kind {
        SchemaType::Boolean => definition.boolean(),
        SchemaType::Integer => definition.big_integer(),
        SchemaType::Double => definition.double(),
        SchemaType::Text => definition.text(),
        SchemaType::Blob => definition.blob(),
        SchemaType::Uuid => definition.uuid(),
        SchemaType::Json => definition.json(),
        SchemaType::Decimal => definition.decimal(),
        SchemaType::Date => definition.date(),
        SchemaType::Time => definition.time(),
        SchemaType::DateTime => definition.date_time(),
        SchemaType::Timestamp => definition.timestamp_with_time_zone(),
    };
    if !column.nullable {
        definition.not_null();
    }
    match &column.default {
        Some(SchemaValue::Boolean(value)) => definition.default(Expr::value(*value)),
        Some(SchemaValue::Integer(value)) => definition.default(Expr::value(*value)),
        Some(SchemaValue::Double(value)) => definition.default(Expr::value(*value)),
        Some(SchemaValue::Text(value)) => definition.default(Expr::value(value.clone())),
        None => &mut definition,
    };
    definition
}
