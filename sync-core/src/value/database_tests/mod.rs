//! Values against a real SQLite, through SeaORM's own types, tables and drivers.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, EntityTrait,
    IntoActiveModel, Iterable, Schema, Statement, Value, entity::prelude::*,
};

use super::*;

mod entity;

use entity as all;
use entity::models;

async fn database() -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
    options.max_connections(1);
    let db = Database::connect(options).await.unwrap();
    let schema = Schema::new(DatabaseBackend::Sqlite);
    db.execute(&schema.create_table_from_entity(all::Entity)).await.unwrap();
    db
}

async fn query(db: &DatabaseConnection, sql: &str, values: Vec<Value>) -> Vec<sea_orm::QueryResult> {
    db.query_all_raw(Statement::from_sql_and_values(DatabaseBackend::Sqlite, sql, values)).await.unwrap()
}

/// The one row's columns, each as its kind.
async fn read(db: &DatabaseConnection, id: i32) -> Vec<SyncValue> {
    let names: Vec<_> = all::Column::iter().map(|column| format!("\"{}\"", column.as_str())).collect();
    let sql = format!("SELECT {} FROM everything WHERE id = ?", names.join(", "));
    let rows = query(db, &sql, vec![id.into()]).await;
    let row = rows[0].try_as_sqlite_row().unwrap();
    all::kinds().into_iter().enumerate().map(|(at, kind)| read_sqlite(kind, row, at).unwrap()).collect()
}

/// The row as SQLite shows it: storage classes and exact contents.
async fn raw(db: &DatabaseConnection, id: i32) -> Vec<String> {
    let shown: Vec<_> = all::Column::iter()
        .map(|column| format!("typeof(\"{0}\") || ' ' || quote(\"{0}\")", column.as_str()))
        .collect();
    let sql = format!("SELECT {} FROM everything WHERE id = ?", shown.join(", "));
    let rows = query(db, &sql, vec![id.into()]).await;
    (0..shown.len()).map(|at| rows[0].try_get_by_index(at).unwrap()).collect()
}

async fn write(db: &DatabaseConnection, values: &[SyncValue]) {
    let kinds = all::kinds();
    let marks = vec!["?"; kinds.len()].join(", ");
    let bound = kinds.iter().zip(values).map(|(kind, value)| to_database(*kind, value).unwrap()).collect();
    query(db, &format!("INSERT OR REPLACE INTO everything VALUES ({marks})"), bound).await;
}

#[tokio::test]
async fn rows_written_from_values_are_byte_equal_to_rows_written_by_the_program() {
    let db = database().await;
    for model in models() {
        model.clone().into_active_model().insert(&db).await.unwrap();
        let kept = all::Entity::find_by_id(model.id).one(&db).await.unwrap().unwrap();
        let values = read(&db, model.id).await;
        let before = raw(&db, model.id).await;
        query(&db, "DELETE FROM everything WHERE id = ?", vec![model.id.into()]).await;

        write(&db, &values).await;

        assert_eq!(raw(&db, model.id).await, before);
        assert_eq!(all::Entity::find_by_id(model.id).one(&db).await.unwrap().unwrap(), kept);
    }
}

#[tokio::test]
async fn what_is_read_back_is_what_as_stored_says() {
    let db = database().await;
    for model in models() {
        let id = model.id;
        let active = model.into_active_model();
        let authored: Vec<_> = all::Column::iter()
            .map(|column| from_database(&active.get(column).into_value().unwrap()).unwrap())
            .collect();
        active.insert(&db).await.unwrap();
        let expected: Vec<_> = all::kinds()
            .into_iter()
            .zip(&authored)
            .map(|(kind, value)| as_stored(DatabaseBackend::Sqlite, kind, value))
            .collect();
        assert_eq!(read(&db, id).await, expected);
    }
}

/// Every field can be made from the value that was read from it.
#[tokio::test]
async fn a_model_is_made_from_its_values() {
    for model in models() {
        let mut made = <all::ActiveModel as Default>::default();
        let active = model.clone().into_active_model();
        for (column, kind) in all::Column::iter().zip(all::kinds()) {
            let value = from_database(&active.get(column).into_value().unwrap()).unwrap();
            made.set(column, to_field(kind, &value).unwrap());
        }
        assert_eq!(all::Model::try_from(made).unwrap(), model);
    }
}

#[test]
fn a_field_of_a_database_enum_is_made_from_its_text() {
    use sea_orm::sea_query::{ArrayType, ValueType};

    #[derive(Clone, Debug, PartialEq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "Enum", db_type = "Enum", enum_name = "tea")]
    enum Tea {
        #[sea_orm(string_value = "EverydayTea")]
        EverydayTea,
    }

    let ArrayType::Enum(name) = Tea::array_type() else { panic!("a database enum") };
    let value = from_database(&Tea::EverydayTea.into()).unwrap();
    assert_eq!(value, SyncValue::Text("EverydayTea".into()));
    assert_eq!(ColumnKind::from_array_type(&Tea::array_type()), Some(ColumnKind::Text));
    let made = <Tea as ValueType>::try_from(to_enum_field(&name, &value).unwrap());
    assert_eq!(made.unwrap(), Tea::EverydayTea);
    let unknown = to_enum_field(&name, &SyncValue::Text("GreenTea".into())).unwrap();
    assert!(<Tea as ValueType>::try_from(unknown).is_err());
}

/// Writes `value` into a column of this type and reads it.
async fn stored_in(column: &str, kind: ColumnKind, value: &SyncValue) -> Result<SyncValue, Unreadable> {
    let bound = to_database(kind, value).unwrap();
    stored_raw(column, kind, "?", vec![bound]).await
}

async fn stored_raw(
    column: &str,
    kind: ColumnKind,
    sql: &str,
    values: Vec<Value>,
) -> Result<SyncValue, Unreadable> {
    let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
    options.max_connections(1);
    let db = Database::connect(options).await.unwrap();
    query(&db, &format!("CREATE TABLE t (c {column})"), vec![]).await;
    query(&db, &format!("INSERT INTO t VALUES ({sql})"), values).await;
    let rows = query(&db, "SELECT c FROM t", vec![]).await;
    read_sqlite(kind, rows[0].try_as_sqlite_row().unwrap(), 0)
}

/// `u64` and `char` cannot be read by SeaORM from SQLite, but bind all the same.
#[tokio::test]
async fn values_that_sqlite_changes_are_foretold() {
    let decimal = |text: &str| SyncValue::Decimal(text.into());
    let cases = [
        ("integer", ColumnKind::U64, SyncValue::U64(i64::MAX as u64)),
        ("char", ColumnKind::Char, SyncValue::Text("ß".into())),
        ("double", ColumnKind::F64, SyncValue::F64(f64::NAN)),
        ("double", ColumnKind::F64, SyncValue::F64(-0.0)),
        ("double", ColumnKind::F64, SyncValue::F64(3.0)),
        ("double", ColumnKind::F64, SyncValue::F64(1e300)),
        ("double", ColumnKind::F64, SyncValue::F64(5e-324)),
        ("float", ColumnKind::F32, SyncValue::F64(-0.0)),
        ("float", ColumnKind::F32, SyncValue::F64(f64::NAN)),
        ("float", ColumnKind::F32, SyncValue::F64(0.1)),
        ("real_decimal", ColumnKind::Decimal, decimal("0")),
        ("real_decimal", ColumnKind::Decimal, decimal("0.1")),
        ("real_decimal", ColumnKind::Decimal, decimal("9007199254740993")),
        ("real_decimal", ColumnKind::Decimal, decimal("1234567890.123456789")),
        ("real_decimal", ColumnKind::Decimal, decimal("-79228162514264337593543950335")),
        ("real(10, 2)", ColumnKind::BigDecimal, decimal("-12.3456789012345678901234567890123456789")),
        ("real_decimal", ColumnKind::BigDecimal, decimal("0.000000000000000000000000001")),
    ];
    for (column, kind, value) in cases {
        let read = stored_in(column, kind, &value).await.unwrap();
        assert_eq!(read, as_stored(DatabaseBackend::Sqlite, kind, &value), "{value} in a column {column}");
    }
}

#[tokio::test]
async fn what_a_column_cannot_mean_is_unreadable() {
    let cases = [
        ("integer", ColumnKind::I64, "'seven'", "the text \"seven\" in a column of type I64"),
        ("integer", ColumnKind::I8, "300", "the integer 300 in a column of type I8"),
        ("integer", ColumnKind::U64, "-1", "the integer -1 in a column of type U64"),
        ("integer", ColumnKind::I64, "1.5", "the real number 1.5 in a column of type I64"),
        ("text", ColumnKind::Text, "CAST(x'ff' AS TEXT)", "text that is not UTF-8 in a column of type Text"),
        ("text", ColumnKind::Text, "CAST(x'610062' AS TEXT)", "the text \"a\\0b\" in a column of type Text"),
        ("text", ColumnKind::Text, "x'61'", "a blob of 1 bytes in a column of type Text"),
        ("uuid_text", ColumnKind::Uuid, "x'61'", "a blob of 1 bytes in a column of type Uuid"),
        ("boolean", ColumnKind::Bool, "'yes'", "the text \"yes\" in a column of type Bool"),
        ("json_text", ColumnKind::Json, "'{'", "the text \"{\" in a column of type Json"),
        (
            "date_text",
            ColumnKind::ChronoDate,
            "'2023-02-29'",
            "the text \"2023-02-29\" in a column of type ChronoDate",
        ),
        ("real_decimal", ColumnKind::Decimal, "9e999", "the real number inf in a column of type Decimal"),
    ];
    for (column, kind, sql, message) in cases {
        let error = stored_raw(column, kind, sql, vec![]).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn what_sqlite_itself_writes_is_read() {
    let time = |text: &str| SyncValue::Time(text.into());
    let cases = [
        (
            "timestamp_text",
            ColumnKind::ChronoDateTimeUtc,
            "'2024-01-02 03:04:05'",
            time("2024-01-02T03:04:05Z"),
        ),
        (
            "timestamp_text",
            ColumnKind::ChronoDateTimeUtc,
            "'2024-01-02T03:04+02:00'",
            time("2024-01-02T01:04:00Z"),
        ),
        (
            "datetime_text",
            ColumnKind::ChronoDateTime,
            "datetime(0, 'unixepoch')",
            time("1970-01-01T00:00:00"),
        ),
        (
            "t_text",
            ColumnKind::TimeDateTimeWithTimeZone,
            "'2024-01-02 03:04:05.500'",
            time("2024-01-02T03:04:05.5Z"),
        ),
        ("numeric", ColumnKind::ChronoDateTimeUtc, "1700000000", time("2023-11-14T22:13:20Z")),
        ("numeric", ColumnKind::ChronoDateTimeUtc, "2440587.5", time("1970-01-01T00:00:00Z")),
        ("time_text", ColumnKind::ChronoTime, "time(61, 'unixepoch')", time("00:01:01")),
        ("date_text", ColumnKind::TimeDate, "date(0, 'unixepoch')", time("1970-01-01")),
        ("text", ColumnKind::Decimal, "'+012.500'", SyncValue::Decimal("12.5".into())),
        ("text", ColumnKind::Decimal, "'-1.5E-3'", SyncValue::Decimal("-0.0015".into())),
        ("integer", ColumnKind::Decimal, "7", SyncValue::Decimal("7".into())),
        ("boolean", ColumnKind::Bool, "2", SyncValue::Bool(true)),
        (
            "uuid_text",
            ColumnKind::Uuid,
            "'00000000-0000-0000-0000-000000001234'",
            SyncValue::Uuid(Uuid::from_u128(0x1234)),
        ),
        ("any_blob", ColumnKind::F64, "3", SyncValue::F64(3.0)),
        ("blob", ColumnKind::Bytes, "'ab'", SyncValue::Bytes(b"ab".to_vec())),
        ("blob", ColumnKind::Bytes, "NULL", SyncValue::Null),
    ];
    for (column, kind, sql, expected) in cases {
        assert_eq!(stored_raw(column, kind, sql, vec![]).await.unwrap(), expected, "{sql}");
    }
}

#[test]
fn what_a_column_cannot_hold_is_refused_before_it_is_bound() {
    use ColumnKind::*;
    let wrong = [
        (I64, SyncValue::Text("1".into())),
        (F64, SyncValue::I64(1)),
        (U64, SyncValue::I64(1)),
        (I64, SyncValue::U64(1)),
        (Text, SyncValue::Uuid(uuid::Uuid::nil())),
        (Bool, SyncValue::I64(1)),
        (ChronoDate, SyncValue::Text("2024-01-01".into())),
        (Decimal, SyncValue::F64(1.0)),
        (Json, SyncValue::Text("{}".into())),
    ];
    for (kind, value) in wrong {
        assert!(
            matches!(to_database(kind, &value), Err(ValueError::WrongType { .. })),
            "{value} as {kind:?}"
        );
    }
    let mut deep = serde_json::Value::Null;
    for _ in 0..200 {
        deep = serde_json::Value::from(vec![deep]);
    }
    let out = [
        (U64, SyncValue::U64(u64::MAX)),
        (I8, SyncValue::I64(128)),
        (U32, SyncValue::I64(-1)),
        (F32, SyncValue::F64(1e300)),
        (Text, SyncValue::Text("a\0b".into())),
        (Char, SyncValue::Text("ab".into())),
        (Char, SyncValue::Text(String::new())),
        (Decimal, SyncValue::Decimal("1".repeat(40))),
        (ChronoDate, SyncValue::Time("2024-01-01T00:00:00Z".into())),
        (ChronoTime, SyncValue::Time("25:00:00".into())),
        (TimeTime, SyncValue::Time("23:59:60".into())),
        (TimeDateTimeWithTimeZone, SyncValue::Time("-0001-01-01T00:00:00Z".into())),
        (Json, SyncValue::Json(deep)),
    ];
    for (kind, value) in out {
        assert!(
            matches!(to_database(kind, &value), Err(ValueError::OutOfRange { .. })),
            "{value} as {kind:?}"
        );
    }
}

#[test]
fn postgres_keeps_instants_and_microseconds() {
    let stored = |kind, text: &str| as_stored(DatabaseBackend::Postgres, kind, &SyncValue::Time(text.into()));
    let instant = stored(ColumnKind::ChronoDateTimeWithTimeZone, "2024-01-01T00:00:00.123456789+02:00");
    assert_eq!(instant, SyncValue::Time("2023-12-31T22:00:00.123456Z".into()));
    let nan = as_stored(DatabaseBackend::Postgres, ColumnKind::F64, &SyncValue::F64(f64::NAN));
    assert_eq!(nan, SyncValue::F64(f64::NAN));
}

/// SQLite's reader of decimal text is its own; what it makes of many digits is to be foretold to the last bit.
#[tokio::test]
async fn decimals_of_many_digits_are_foretold() {
    const COUNT: usize = 50_000;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let random = (0..COUNT).map(|_| {
        let digits = format!("1{:019}{:019}", next() >> 1, next() >> 1);
        let length = 1 + next() as usize % 28;
        let point = next() as usize % (length + 1);
        format!("{}.{}", &digits[..point], &digits[point..length])
    });
    // Halfway between two floats.
    let ties = (0..1000_u64).map(|n| format!("{}.5", (1_u64 << 52) + n * 77));
    let values: Vec<_> = random
        .chain(ties)
        .chain((0..1000_u64).map(|n| format!("{}.{:02}", n * n * n, n % 100)))
        .map(|text| SyncValue::Decimal(decimal::normalise(&text).unwrap()))
        .collect();
    let bound = values.iter().map(|value| match to_database(ColumnKind::Decimal, value).unwrap() {
        Value::Decimal(Some(number)) => number.to_string(),
        other => panic!("{other:?}"),
    });
    let bound = serde_json::Value::from_iter(bound).to_string();
    let db = database().await;
    query(&db, "CREATE TABLE t (c real_decimal)", vec![]).await;
    query(&db, "INSERT INTO t SELECT value FROM json_each(?) ORDER BY key", vec![bound.into()]).await;
    let rows = query(&db, "SELECT c FROM t ORDER BY rowid", vec![]).await;
    let mut wrong = Vec::new();
    for (value, row) in values.iter().zip(&rows) {
        let read = read_sqlite(ColumnKind::Decimal, row.try_as_sqlite_row().unwrap(), 0).unwrap();
        let foretold = as_stored(DatabaseBackend::Sqlite, ColumnKind::Decimal, value);
        if read != foretold {
            wrong.push(format!("{value}: {read}, foretold {foretold}"));
        }
    }
    assert_eq!(rows.len(), values.len());
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), rows.len(), &wrong[..wrong.len().min(10)]);
}
