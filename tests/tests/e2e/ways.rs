//! Every way in which an application can write.

use sea_orm::{
    ActiveHasMany, ActiveHasOne, ActiveModelTrait,
    ActiveValue::{NotSet, Unchanged},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set, TransactionTrait,
    sea_query::{Expr, OnConflict},
};
use sync_tests::{
    Device,
    entities::{branch, item, label, leaf},
    nested::{author, biography, book, genre},
};
use uuid::Uuid;

pub(crate) fn id(tail: u128) -> Uuid {
    Uuid::from_u128(tail)
}

pub(crate) fn new_item(tail: u128, title: &str) -> item::ActiveModel {
    item::ActiveModel {
        id: Set(id(tail)),
        title: Set(title.into()),
        qty: Set(1),
        note: NotSet,
        local: NotSet,
    }
}

pub(crate) fn new_label(tail: u128, name: &str) -> label::ActiveModel {
    label::ActiveModel { id: Set(id(tail)), name: Set(name.into()), color: NotSet }
}

/// What every way of writing begins with: two items, two labels, a branch with two leaves, an author
/// with a biography and two books, one of a genre.
pub(crate) async fn begin(device: &Device) {
    item::Entity::insert_many([new_item(1, "one"), new_item(2, "two")])
        .exec(&device.db)
        .await
        .expect("items");
    label::Entity::insert_many([new_label(1, "red"), new_label(2, "green")])
        .exec(&device.db)
        .await
        .expect("labels");
    branch::ActiveModel { id: Set(id(1)), name: Set("b".into()) }.insert(&device.db).await.expect("a branch");
    for tail in [1, 2] {
        let leaf = leaf::ActiveModel {
            id: Set(id(tail)),
            branch_id: Set(id(1)),
            name: Set("l".into()),
            seen: NotSet,
        };
        leaf.insert(&device.db).await.expect("a leaf");
    }
    let tree = author::ActiveModelEx {
        id: Set(id(1)),
        name: Set("a".into()),
        biography: ActiveHasOne::set(Some(biography::ActiveModelEx {
            id: Set(id(1)),
            text: Set("short".into()),
            ..Default::default()
        })),
        books: ActiveHasMany::Append(vec![
            book::ActiveModelEx {
                id: Set(id(1)),
                title: Set("one".into()),
                genres: ActiveHasMany::Append(vec![genre::ActiveModelEx {
                    id: Set(id(1)),
                    name: Set("g".into()),
                    ..Default::default()
                }]),
                ..Default::default()
            },
            book::ActiveModelEx { id: Set(id(2)), title: Set("two".into()), ..Default::default() },
        ]),
    };
    tree.insert(&device.db).await.expect("an author with all that is theirs");
    device.engine.flush().await.expect("a flush");
}

/// The ways that [`write`] knows.
pub(crate) const WAYS: [&str; 25] = [
    "insert",
    "update",
    "save",
    "delete",
    "insert_many",
    "update_many",
    "delete_many",
    "delete_by_id",
    "update_without_returning",
    "on_conflict",
    "raw insert",
    "raw update",
    "raw script",
    "insert or replace by unique",
    "update or replace by unique",
    "key change",
    "cascade",
    "delete all",
    "several",
    "nested insert",
    "nested insert by a child",
    "nested update",
    "nested update by links",
    "nested replace",
    "nested delete",
];

/// Writes in one way to what [`begin`] left.
pub(crate) async fn write<C: ConnectionTrait + TransactionTrait>(way: &str, db: &C) -> Result<(), DbErr> {
    if way.starts_with("nested") {
        return nested(way, db).await;
    }
    let one = item::ActiveModel { id: Unchanged(id(1)), ..Default::default() };
    match way {
        "insert" => _ = new_item(9, "nine").insert(db).await?,
        "update" => _ = item::ActiveModel { title: Set("changed".into()), ..one }.update(db).await?,
        "save" => _ = item::ActiveModel { qty: Set(5), ..one }.save(db).await?,
        "delete" => _ = one.delete(db).await?,
        "insert_many" => {
            let rows = (10..30).map(|tail| new_item(tail, "many"));
            item::Entity::insert_many(rows).exec(db).await?;
        }
        "update_many" => {
            item::Entity::update_many().col_expr(item::Column::Qty, Expr::value(7)).exec(db).await?;
        }
        "delete_many" => {
            item::Entity::delete_many().filter(item::Column::Title.eq("two")).exec(db).await?;
        }
        "delete_by_id" => _ = item::Entity::delete_by_id(id(2)).exec(db).await?,
        "update_without_returning" => {
            let one = item::ActiveModel { note: Set(Some("n".into())), ..one };
            item::Entity::update(one).validate()?.exec_without_returning(db).await?;
        }
        "on_conflict" => {
            let upsert = OnConflict::column(item::Column::Id).update_column(item::Column::Title).to_owned();
            let rows = [new_item(1, "upserted"), new_item(8, "new")];
            item::Entity::insert_many(rows).on_conflict(upsert).exec(db).await?;
        }
        "cascade" => _ = branch::Entity::delete_by_id(id(1)).exec(db).await?,
        "several" => {
            db.execute_unprepared("UPDATE items SET qty = 2").await?;
            db.execute_unprepared("UPDATE items SET qty = 3").await?;
            drop(new_label(7, "blue").insert(db).await?);
        }
        raw => _ = db.execute_unprepared(statement(raw)).await?,
    }
    Ok(())
}

fn statement(way: &str) -> &'static str {
    match way {
        "raw insert" => {
            "INSERT INTO items (id, title, qty) VALUES (x'000000000000000000000000000000aa', 'raw', 3)"
        }
        "raw update" => "UPDATE items SET title = title || '!', local = 'here'",
        "raw script" => {
            "UPDATE items SET qty = 11; DELETE FROM labels WHERE name = 'red'; UPDATE leaves SET name = 'm'; \
             INSERT INTO items (id, title, qty) VALUES (x'000000000000000000000000000000ab', 'script', 3)"
        }
        "insert or replace by unique" => {
            "INSERT OR REPLACE INTO labels (id, name) VALUES (x'000000000000000000000000000000bb', 'red')"
        }
        "update or replace by unique" => "UPDATE OR REPLACE labels SET name = 'red' WHERE name = 'green'",
        "key change" => "UPDATE items SET id = x'000000000000000000000000000000cc' WHERE title = 'one'",
        "delete all" => "DELETE FROM items",
        other => panic!("no way is called {other}"),
    }
}

/// What a save of an `ActiveModelEx` does: a transaction of its own, with several writes.
async fn nested<C: TransactionTrait>(way: &str, db: &C) -> Result<(), DbErr> {
    let one = author::ActiveModelEx { id: Unchanged(id(1)), ..Default::default() };
    let book_one = book::ActiveModelEx { id: Unchanged(id(1)), ..Default::default() };
    match way {
        "nested insert" => {
            let prose = genre::ActiveModel::builder().set_name("prose");
            let new = author::ActiveModel::builder()
                .set_name("new")
                .set_biography(biography::ActiveModel::builder().set_text("born"))
                .add_book(book::ActiveModel::builder().set_title("first").add_genre(prose))
                .add_book(book::ActiveModel::builder().set_title("second"));
            new.save(db).await?;
        }
        "nested insert by a child" => {
            let parent = author::ActiveModel::builder().set_name("parent");
            book::ActiveModel::builder().set_title("child").set_author(parent).save(db).await?;
        }
        "nested update" => {
            let biography = biography::ActiveModelEx {
                id: Unchanged(id(1)),
                author_id: Unchanged(id(1)),
                text: Set("older".into()),
                ..Default::default()
            };
            let book =
                book::ActiveModelEx { author_id: Unchanged(id(1)), title: Set("t".into()), ..book_one };
            let mut one = author::ActiveModelEx { name: Set("renamed".into()), ..one };
            one.biography = ActiveHasOne::set(Some(biography));
            one.books = ActiveHasMany::Append(vec![book]);
            one.save(db).await?;
        }
        "nested update by links" => {
            let verse = genre::ActiveModel::builder().set_name("verse");
            book::ActiveModelEx { genres: ActiveHasMany::Replace(vec![verse]), ..book_one }.save(db).await?;
        }
        "nested replace" => {
            let only = book::ActiveModel::builder().set_title("the only one");
            author::ActiveModelEx { books: ActiveHasMany::Replace(vec![only]), ..one }.save(db).await?;
        }
        "nested delete" => _ = one.delete(db).await?,
        other => panic!("no way is called {other}"),
    }
    Ok(())
}
