//! The migration of `docs/uuid-keys.md`, on two copies of one database that have gone on by themselves.

use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use sync_core::{EngineBuilder, LibraryId};
use sync_tests::{Device, device::library};

const PAGE: &str = include_str!("../../../docs/uuid-keys.md");

mod project {
    use sea_orm::entity::prelude::*;
    use sync_core::{Rules, Syncable};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "projects")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "project";

        fn rules() -> Rules {
            Rules::new().without_merge().without_should_sync()
        }
    }

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}

mod task {
    use sea_orm::entity::prelude::*;
    use sync_core::{Rules, Syncable};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tasks")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub project_id: Uuid,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl Syncable for ActiveModel {
        const SYNC_ID: &'static str = "task";

        fn rules() -> Rules {
            Rules::new().without_merge().without_should_sync()
        }
    }

    #[sync_core::behavior]
    impl ActiveModelBehavior for ActiveModel {}
}

/// The blocks of SQL on the page: the tables, then the migration.
fn blocks() -> Vec<&'static str> {
    let blocks = PAGE.split("```sql\n").skip(1);
    blocks.map(|rest| rest.split("```").next().expect("the end of a block")).collect()
}

async fn migrated(library: LibraryId, rows: &[&str]) -> (Device, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("app.db");
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    options.max_connections(1);
    let db = Database::connect(options).await.expect("a database");
    let [tables, migration] = blocks()[..] else { panic!("{:?}", blocks()) };
    for statement in [&[tables], rows, &[migration]].concat() {
        db.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let check = "SELECT count(*) FROM pragma_foreign_key_check";
    let check = sea_orm::Statement::from_string(db.get_database_backend(), check);
    let broken: i64 = db
        .query_one_raw(check)
        .await
        .expect("a query")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a number");
    assert_eq!(broken, 0);
    db.close().await.expect("a closed database");
    let program = |builder: EngineBuilder| {
        let builder = builder.without_background().models(["project", "task"]);
        builder.register::<project::ActiveModel>().register::<task::ActiveModel>()
    };
    (Device::open(path, library, program).await, dir)
}

#[tokio::test]
async fn copies_that_got_their_keys_apart_become_one() {
    let copied = "INSERT INTO projects (name) VALUES ('home'), ('work'); \
                  INSERT INTO tasks (project_id, title) VALUES (1, 'paint'), (1, 'plant'), (2, 'plan')";
    let library = library();
    let (a, _a) = migrated(library, &[copied]).await;
    let (b, _b) = migrated(library, &[copied, "UPDATE tasks SET title = 'plan again' WHERE id = 3"]).await;
    let report = a.sync(&b).await.expect("a round");
    assert!(report.in_sync && report.refused.is_empty(), "{report:?}");
    let rows = "SELECT group_concat(hex(t.id) || t.title || p.name, ' ') FROM (SELECT * FROM tasks ORDER BY id) AS t \
                JOIN projects AS p ON p.id = t.project_id";
    assert_eq!(a.text(rows).await, b.text(rows).await);
    assert_eq!(a.text("SELECT count(*) || ' ' || (SELECT count(*) FROM projects) FROM tasks").await, "3 2");
    a.assert_equal(&b).await;
    // What is written from now on has keys of its own.
    b.db.execute_unprepared("DELETE FROM projects WHERE name = 'home'").await.expect("a delete");
    b.sync(&a).await.expect("a round");
    assert_eq!(a.text("SELECT count(*) || '' FROM tasks").await, "1", "with its children");
}
