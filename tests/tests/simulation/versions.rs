//! Programs of two versions, and a table that gets columns while its rows sync: the first device changes the schema, the others
//! follow, and each is updated to the program that knows the columns some time after it has them.

use sea_orm::{DatabaseConnection, Statement, prelude::*};
use sync_core::{EngineBuilder, NewColumn, NewTable, SchemaChange, SchemaType, SyncValue};
use sync_tests::{
    device::MODELS,
    grown::{after, before},
};

use super::world::{Part, World};

/// What of the table `grown` a program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The table is not there yet.
    None,
    /// The first version.
    Before,
    /// The second.
    After,
}

impl View {
    /// Its columns.
    pub(crate) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Before => &["id", "name"],
            Self::After => &["id", "name", "note", "stars"],
        }
    }

    /// What a program sees in `db`.
    pub(crate) async fn of(db: &DatabaseConnection, updated: bool) -> Self {
        match columns(db).await {
            0 => Self::None,
            4 if updated => Self::After,
            _ => Self::Before,
        }
    }
}

/// How many columns the table has.
async fn columns(db: &DatabaseConnection) -> i64 {
    let statement = "SELECT count(*) FROM pragma_table_info('grown')";
    let statement = Statement::from_string(db.get_database_backend(), statement);
    let row = db.query_one_raw(statement).await.expect("a query").expect("a row");
    row.try_get_by_index(0).expect("a number")
}

/// What a row holds of a column of which nobody said anything.
pub(crate) fn default_of(model: &str, column: &str) -> SyncValue {
    if (model, column) == ("grown", "stars") { SyncValue::I64(5) } else { SyncValue::Null }
}

/// The engine's builder with the models of a program.
pub(super) fn program(builder: EngineBuilder, updated: bool) -> EngineBuilder {
    let builder = builder.models(MODELS.into_iter().chain(["basket", "card", "grown"]));
    if updated { builder.register::<after::ActiveModel>() } else { builder.register::<before::ActiveModel>() }
}

fn changes() -> [SchemaChange; 3] {
    let table = NewTable::new("grown")
        .column(NewColumn::new("id", SchemaType::Uuid))
        .column(NewColumn::new("name", SchemaType::Text))
        .key(["id"]);
    let add = |column| SchemaChange::AddColumn { table: "grown".into(), column };
    [
        SchemaChange::CreateTable(table),
        add(NewColumn::new("note", SchemaType::Text).nullable()),
        add(NewColumn::new("stars", SchemaType::Integer).with_default(5)),
    ]
}

impl World {
    /// The first device that writes makes the next change of the schema, if there is one.
    pub(super) async fn change_schema(&mut self) -> bool {
        let author = self.devices.iter().position(|device| device.part == Part::Writer).expect("a writer");
        let schema = self.devices[author].engine.schema();
        // An author that took a new id took over first, which is no change by itself.
        let known = schema.changes().await.expect("changes");
        let made = known.iter().filter(|known| known.change.is_some()).count();
        let Some(change) = changes().into_iter().nth(made) else { return false };
        self.note(format!("{author}: {change:?}"));
        schema.apply(change).await.expect("a change of the schema");
        true
    }

    /// A device gets the program that knows the columns, if its table has them.
    pub(super) async fn update(&mut self, at: usize) {
        let device = &self.devices[at];
        if device.updated || device.part == Part::Relay || columns(&device.db).await < 4 {
            return;
        }
        self.note(format!("{at}: updated"));
        self.devices[at].engine.shutdown().await.expect("a shutdown");
        self.devices[at].updated = true;
        self.start_again(at).await;
        self.counts.updated += 1;
    }
}
