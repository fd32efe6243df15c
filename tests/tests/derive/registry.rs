//! The models of a program, and those that an engine refuses at start.

use sea_orm::{entity::prelude::*, sea_query::RcOrArc};
use sync_core::{
    ColumnRule, ModelError, Registration, Role, Rules, SyncValue, Syncable, adapters, registered,
};

use crate::entities::{line, order, thing};

/// An entity of one column, with what differs.
macro_rules! entity {
    ($module:ident, $table:literal, $key:ty, { $($syncable:tt)* }) => {
        mod $module {
            use super::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub(crate) struct Model {
                #[sea_orm(primary_key)]
                pub id: $key,
                pub name: String,
                pub size: i32,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub(crate) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            impl Syncable for ActiveModel {
                $($syncable)*
            }
        }
    };
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
pub(crate) struct Number(i64);

entity!(same_id, "other_orders", Uuid, {
    const SYNC_ID: &'static str = "orders";
});
entity!(same_table, "ORDERS", Uuid, {
    const SYNC_ID: &'static str = "other";
});
entity!(counted, "counted", Number, {
    const SYNC_ID: &'static str = "counted";
});
entity!(nameless, "nameless", Uuid, {
    const SYNC_ID: &'static str = "";
});
entity!(unknown_field, "unknown_field", Uuid, {
    const SYNC_ID: &'static str = "unknown_field";

    fn sync_fields() -> Vec<&'static str> {
        vec!["name", "nmae"]
    }
});
entity!(one_name, "one_name", Uuid, {
    const SYNC_ID: &'static str = "one_name";

    fn rules() -> Rules {
        Rules::new().column(Column::Size, ColumnRule::new().wire("name"))
    }
});
entity!(wrong_fill, "wrong_fill", Uuid, {
    const SYNC_ID: &'static str = "wrong_fill";

    fn rules() -> Rules {
        Rules::new().column(Column::Size, ColumnRule::new().fill("none"))
    }
});

/// SeaORM's compact form takes no `Option` for a key; the expanded form does not look.
mod unnamed {
    use super::*;

    #[derive(Copy, Clone, Default, Debug, DeriveEntity)]
    pub(crate) struct Entity;

    impl EntityName for Entity {
        fn table_name(&self) -> &'static str {
            "unnamed"
        }
    }

    #[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
    pub(crate) struct Model {
        pub id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
    pub(crate) enum Column {
        Id,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
    pub(crate) enum PrimaryKey {
        Id,
    }

    impl PrimaryKeyTrait for PrimaryKey {
        type ValueType = Uuid;

        fn auto_increment() -> bool {
            false
        }
    }

    impl ColumnTrait for Column {
        type EntityName = Entity;

        fn def(&self) -> ColumnDef {
            ColumnType::Uuid.def()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter)]
    pub(crate) enum Relation {}

    impl RelationTrait for Relation {
        fn def(&self) -> RelationDef {
            match *self {}
        }
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "unnamed";
    }
}

/// A list, which SeaORM tells apart from its elements only in the definition of the column.
mod listed {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "listed")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(column_type = "Array(RcOrArc::new(ColumnType::Text))")]
        pub words: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "listed";
    }
}

fn refused<A: Syncable>() -> ModelError {
    adapters([Registration::of::<A>()]).expect_err("it cannot sync")
}

#[test]
fn every_derived_entity_is_registered_once_and_by_name() {
    let ids: Vec<_> = registered().iter().map(Registration::id).collect();
    assert_eq!(ids, ["both", "lines", "manual", "notes", "orders", "seats", "thing"]);
    // Naming a registered one again is no clash.
    let named = adapters(registered().into_iter().chain([Registration::of::<order::ActiveModel>()])).unwrap();
    assert_eq!(named.len(), ids.len());
}

#[test]
fn two_models_of_one_id_or_table_are_refused() {
    let orders = Registration::of::<order::ActiveModel>();
    let clash = adapters([orders, Registration::of::<same_id::ActiveModel>()]).unwrap_err();
    assert!(matches!(clash, ModelError::DuplicateId { id: "orders", .. }), "{clash}");
    let clash = adapters([orders, Registration::of::<same_table::ActiveModel>()]).unwrap_err();
    assert!(matches!(clash, ModelError::DuplicateTable { .. }), "{clash}");
    // Narrowed to models that do not clash, the same program starts.
    adapters([orders, Registration::of::<line::ActiveModel>()]).unwrap();
}

#[test]
fn a_key_that_the_database_counts_up_is_refused_behind_a_newtype() {
    let error = refused::<counted::ActiveModel>();
    assert!(matches!(&error, ModelError::AutoIncrementKey { column, .. } if column == "id"), "{error}");
    assert!(error.to_string().contains("make it a `Uuid`"));
}

#[test]
fn a_key_that_may_be_null_is_refused() {
    let error = refused::<unnamed::ActiveModel>();
    assert!(matches!(&error, ModelError::NullableKey { column, .. } if column == "id"), "{error}");
}

#[test]
fn a_model_written_by_hand_is_asked_unless_it_says_that_there_is_nothing_to_ask() {
    let asked = Registration::of::<same_id::ActiveModel>().adapter().unwrap();
    assert!(asked.spec().has_merge && asked.spec().has_should_sync);
    assert_eq!(
        asked.spec().columns.iter().map(|column| column.role).collect::<Vec<_>>(),
        [Role::Key, Role::Synced, Role::Synced]
    );
    let (local, remote) = (row("a"), row("b"));
    assert_eq!(asked.merge(&local, &remote).unwrap(), remote);
    assert!(asked.should_sync(&local));
}

fn row(name: &str) -> Vec<SyncValue> {
    vec![SyncValue::Uuid(Uuid::nil()), SyncValue::Text(name.into()), SyncValue::I64(1)]
}

#[test]
fn what_a_model_says_wrongly_of_itself_is_named() {
    assert!(matches!(refused::<nameless::ActiveModel>(), ModelError::InvalidId { .. }));
    let error = refused::<unknown_field::ActiveModel>();
    assert!(matches!(&error, ModelError::UnknownColumn { column, .. } if column == "nmae"), "{error}");
    let error = refused::<one_name::ActiveModel>();
    assert!(matches!(&error, ModelError::DuplicateColumn { wire, .. } if wire == "name"), "{error}");
    let error = refused::<listed::ActiveModel>();
    assert!(matches!(&error, ModelError::UnsupportedColumn { column, .. } if column == "words"), "{error}");
    let error = refused::<wrong_fill::ActiveModel>();
    assert!(matches!(&error, ModelError::Fill { column, .. } if column == "size"), "{error}");
}

#[test]
fn the_default_fields_are_all_columns_and_the_derives_are_those_not_skipped() {
    assert_eq!(one_name::ActiveModel::sync_fields(), ["id", "name", "size"]);
    let fields = thing::ActiveModel::sync_fields();
    assert_eq!(fields, ["id", "title", "status", "rank", "settings", "total", "type", "price", "at"]);
}
