//! Without the derive.

mod short {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "short")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    sync_core::impl_syncable!(Model, ActiveModel, "short_one");
}

mod long {
    use sea_orm::entity::prelude::*;
    use sync_core::{ColumnRule, KeyPolicy, Rules, Syncable, TriggerPolicy};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "long")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub seen: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "long_one";
        const KEY: KeyPolicy = KeyPolicy::Manual;

        fn sync_fields() -> Vec<&'static str> {
            vec!["name"]
        }

        fn merge(local: Model, remote: Model) -> Model {
            if local.name.len() > remote.name.len() { local } else { remote }
        }

        fn should_sync(&self) -> bool {
            self.name.as_ref() != "private"
        }

        fn rules() -> Rules {
            Rules::new()
                .triggers(TriggerPolicy::Log)
                .column(Column::Name, ColumnRule::new().wire("title"))
                .column(Column::Seen, ColumnRule::new().fill(0))
        }
    }

    sync_core::impl_syncable!(hooks ActiveModel);
}

fn main() {
    let adapters = sync_core::adapters(sync_core::registered()).unwrap();
    let ids: Vec<_> = adapters.iter().map(|adapter| adapter.spec().id.as_str()).collect();
    assert_eq!(ids, ["long_one", "short_one"]);
}
