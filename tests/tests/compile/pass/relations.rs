//! Relations in the dense form, a composite key, and a crate under another name.

use sync_core as renamed;

mod author {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "authors")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(has_many)]
        pub books: HasMany<super::book::Entity>,
    }
}

mod book {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, crate::renamed::Syncable)]
    #[sea_orm(table_name = "books")]
    #[sync(crate = "crate::renamed")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sync(name = "author")]
        pub author_id: Uuid,
        #[sea_orm(belongs_to, from = "author_id", to = "id")]
        pub author: HasOne<super::author::Entity>,
    }
}

mod seat {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    #[sea_orm::compact_model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "seats")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub row: i32,
        #[sea_orm(primary_key)]
        pub number: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

fn main() {
    let adapters = sync_core::adapters(sync_core::registered()).unwrap();
    let ids: Vec<_> = adapters.iter().map(|adapter| adapter.spec().id.as_str()).collect();
    assert_eq!(ids, ["authors", "books", "seats"]);
}
