//! Entities in SeaORM's dense form, whose `ActiveModelEx` saves a whole tree at once.

/// Has one biography and many books.
pub mod author {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `authors`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "authors")]
    #[sync(id = "author")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub name: String,
        /// At most one.
        #[sea_orm(has_one)]
        pub biography: HasOne<super::biography::Entity>,
        /// Any number.
        #[sea_orm(has_many)]
        pub books: HasMany<super::book::Entity>,
    }
}

/// Belongs to one author, who has one.
pub mod biography {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `biographies`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "biographies")]
    #[sync(id = "biography")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Whose.
        #[sea_orm(unique)]
        pub author_id: Uuid,
        /// A text.
        pub text: String,
        /// Whose.
        #[sea_orm(belongs_to, from = "author_id", to = "id", on_delete = "Cascade")]
        pub author: BelongsTo<super::author::Entity>,
    }
}

/// Belongs to an author; has genres through a junction.
pub mod book {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `books`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "books")]
    #[sync(id = "book")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Whose.
        pub author_id: Uuid,
        /// A text.
        pub title: String,
        /// Whose.
        #[sea_orm(belongs_to, from = "author_id", to = "id", on_delete = "Cascade")]
        pub author: BelongsTo<super::author::Entity>,
        /// Any number.
        #[sea_orm(has_many, via = "book_genre")]
        pub genres: HasMany<super::genre::Entity>,
    }
}

/// Has books through a junction.
pub mod genre {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `genres`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "genres")]
    #[sync(id = "genre")]
    pub struct Model {
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// A text.
        pub name: String,
        /// Any number.
        #[sea_orm(has_many, via = "book_genre")]
        pub books: HasMany<super::book::Entity>,
    }
}

/// Which book is of which genre: SeaORM writes it by itself.
pub mod book_genre {
    use sea_orm::entity::prelude::*;
    use sync_core::Syncable;

    /// One row of `book_genres`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "book_genres")]
    #[sync(id = "book_genre")]
    pub struct Model {
        /// The book.
        #[sea_orm(primary_key, auto_increment = false)]
        pub book_id: Uuid,
        /// The genre.
        #[sea_orm(primary_key, auto_increment = false)]
        pub genre_id: Uuid,
        /// The book.
        #[sea_orm(belongs_to, from = "book_id", to = "id", on_delete = "Cascade")]
        pub book: BelongsTo<super::book::Entity>,
        /// The genre.
        #[sea_orm(belongs_to, from = "genre_id", to = "id", on_delete = "Cascade")]
        pub genre: BelongsTo<super::genre::Entity>,
    }
}
