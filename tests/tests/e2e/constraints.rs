//! Constraints of the database: what they keep out is the same on every device, listed, and comes back.

use sea_orm::{ConnectionTrait, EntityTrait};
use sync_core::{Entry, Peer, PendingReason, PullRequest, PushRequest, Seq, SyncEngine, Vector};
use sync_tests::{Device, device::library, entities::leaf, state::equal};

/// Runs statements on a device, each by itself.
async fn run(device: &Device, statements: &[&str]) {
    for statement in statements {
        device.db.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// The `n`th key, as a literal of SQLite.
fn key(n: u8) -> String {
    format!("x'{}{n:02x}'", "00".repeat(15))
}

async fn label(device: &Device, n: u8, name: &str) {
    run(device, &[&format!("INSERT INTO labels (id, name) VALUES ({}, '{name}')", key(n))]).await;
    device.engine.flush().await.expect("a flush");
}

async fn names(device: &Device) -> Vec<String> {
    device.engine.flush().await.expect("a flush");
    device.texts("SELECT substr(hex(id), 31) || name FROM labels ORDER BY id").await
}

async fn reasons(device: &Device) -> Vec<PendingReason> {
    let pending = device.engine.pending().await.expect("pending");
    let mut reasons: Vec<PendingReason> = pending.iter().map(|one| one.reason).collect();
    reasons.sort_by_key(|reason| reason.as_str());
    reasons
}

async fn sync(a: &Device, b: &Device) {
    for _ in 0..2 {
        a.sync(b).await.expect("a round");
    }
}

/// What waits on one waits on the other.
async fn both_equal(a: &Device, b: &Device) {
    equal(&[a, b]).await;
    assert_eq!(reasons(a).await, reasons(b).await);
}

async fn two() -> (Device, Device) {
    let library = library();
    (Device::new(library).await, Device::new(library).await)
}

/// Both have a label of one name; A's is older. Gives the device that shows its own and the one that lost.
async fn clash() -> (Device, Device) {
    let (a, b) = two().await;
    label(&a, 1, "red").await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    label(&b, 2, "red").await;
    sync(&a, &b).await;
    assert_eq!(names(&a).await, ["01red"]);
    assert_eq!(names(&b).await, ["01red"]);
    (a, b)
}

#[tokio::test]
async fn a_hidden_record_appears_when_the_older_is_deleted_anywhere() {
    for local in [true, false] {
        let (a, b) = clash().await;
        let at = if local { &a } else { &b };
        run(at, &[&format!("DELETE FROM labels WHERE id = {}", key(1))]).await;
        assert_eq!(names(at).await, ["02red"]);
        sync(&a, &b).await;
        assert_eq!(names(&b).await, ["02red"]);
        assert_eq!(reasons(&a).await, []);
        both_equal(&a, &b).await;
    }
}

#[tokio::test]
async fn a_hidden_record_appears_when_the_older_is_renamed_anywhere() {
    for local in [true, false] {
        let (a, b) = clash().await;
        let at = if local { &b } else { &a };
        run(at, &[&format!("UPDATE labels SET name = 'blue' WHERE id = {}", key(1))]).await;
        assert_eq!(names(at).await, ["01blue", "02red"]);
        sync(&a, &b).await;
        assert_eq!(names(&a).await, ["01blue", "02red"]);
        assert_eq!(reasons(&b).await, []);
        both_equal(&a, &b).await;
    }
}

#[tokio::test]
async fn a_new_row_gives_way_to_an_older_hidden_one() {
    let (a, b) = clash().await;
    // The name passes from the winner to a new row, but the hidden record is older than that.
    run(
        &a,
        &[
            &format!("UPDATE labels SET name = 'blue' WHERE id = {}", key(1)),
            &format!("INSERT INTO labels (id, name) VALUES ({}, 'red')", key(3)),
        ],
    )
    .await;
    assert_eq!(names(&a).await, ["01blue", "02red"]);
    assert_eq!(reasons(&a).await, [PendingReason::Hidden]);
    sync(&a, &b).await;
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn a_chain_of_hidden_records_unwinds() {
    let (a, b) = two().await;
    let shelf = |n: u8, room: &str, slot: u8, code: &str| {
        format!(
            "INSERT INTO shelves (id, room, slot, code, note) VALUES ({}, '{room}', {slot}, '{code}', '')",
            key(n)
        )
    };
    // 1 hides 2 by its code; 2 hides 3 by its place, though 2 is not shown itself.
    for (device, n, room, slot, code) in [(&a, 1, "x", 1, "c"), (&b, 2, "y", 2, "c"), (&a, 3, "y", 2, "d")] {
        run(device, &[&shelf(n, room, slot, code)]).await;
        device.engine.flush().await.expect("a flush");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    sync(&a, &b).await;
    both_equal(&a, &b).await;
    let shown = "SELECT substr(hex(id), 31) FROM shelves ORDER BY id";
    assert_eq!(a.texts(shown).await, ["01"]);
    assert_eq!(reasons(&a).await, [PendingReason::Hidden, PendingReason::Hidden]);
    run(&b, &[&format!("DELETE FROM shelves WHERE id = {}", key(1))]).await;
    sync(&a, &b).await;
    assert_eq!(a.texts(shown).await, ["02"]);
    run(&a, &[&format!("UPDATE shelves SET slot = 3 WHERE id = {}", key(2))]).await;
    sync(&a, &b).await;
    assert_eq!(b.texts(shown).await, ["02", "03"]);
    assert_eq!(reasons(&b).await, []);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn unique_values_rotate_without_a_clash() {
    let (a, b) = two().await;
    for (n, name) in [(1, "one"), (2, "two"), (3, "three")] {
        label(&a, n, name).await;
    }
    sync(&a, &b).await;
    let rename = |n: u8, name: &str| format!("UPDATE labels SET name = '{name}' WHERE id = {}", key(n));
    a.engine
        .transaction(async |txn| {
            for (n, name) in [(1, "aside"), (3, "one"), (2, "three"), (1, "two")] {
                txn.execute_unprepared(&rename(n, name)).await?;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        })
        .await
        .expect("a transaction");
    a.sync(&b).await.expect("a round");
    assert_eq!(names(&b).await, ["01two", "02three", "03one"]);
    assert_eq!(reasons(&b).await, []);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn folders_come_back_under_their_parent() {
    let (a, b) = two().await;
    let folder = |n: u8, parent: &str| {
        format!("INSERT INTO folders (id, parent_id, name) VALUES ({}, {parent}, '')", key(n))
    };
    run(&a, &[&folder(1, "NULL"), &folder(2, &key(1)), &folder(4, &key(4))]).await;
    sync(&a, &b).await;
    // B hangs a folder where A deletes the parent.
    run(&b, &[&folder(3, &key(1))]).await;
    run(&a, &[&format!("DELETE FROM folders WHERE id = {}", key(1))]).await;
    sync(&a, &b).await;
    let parents = "SELECT substr(hex(id), 31) || '<' || coalesce(substr(hex(parent_id), 31), '') FROM folders ORDER BY id";
    assert_eq!(b.texts(parents).await, ["02<", "03<", "04<04"]);
    both_equal(&a, &b).await;
    // The one that A saw was detached by A; the other only for want of a parent.
    run(&a, &[&folder(1, "NULL")]).await;
    sync(&a, &b).await;
    for device in [&a, &b] {
        assert_eq!(device.texts(parents).await, ["01<", "02<", "03<01", "04<04"]);
    }
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn skipped_columns_come_back_with_the_child() {
    let (a, b) = two().await;
    let branch = format!("INSERT INTO branches (id, name) VALUES ({}, 'b')", key(1));
    run(&a, &[&branch]).await;
    sync(&a, &b).await;
    let hang =
        format!("INSERT INTO leaves (id, branch_id, name, seen) VALUES ({}, {}, 'l', 7)", key(2), key(1));
    run(&b, &[&hang]).await;
    run(&a, &[&format!("DELETE FROM branches WHERE id = {}", key(1))]).await;
    sync(&a, &b).await;
    assert_eq!(leaf::Entity::find().all(&b.db).await.expect("leaves"), []);
    assert_eq!(reasons(&b).await, [PendingReason::MissingParent]);
    run(&a, &[&branch]).await;
    sync(&a, &b).await;
    let back = leaf::Entity::find().one(&b.db).await.expect("a query").expect("the leaf");
    assert_eq!(back.seen, Some(7));
    both_equal(&a, &b).await;
}

/// Starts an engine anew after the schema was changed on one device.
async fn alter(device: &Device, statements: &[&str]) {
    run(device, statements).await;
    device.engine.flush().await.expect("a flush");
}

#[tokio::test]
async fn a_check_refuses_one_row_of_many_until_a_new_value_comes() {
    let (a, b) = two().await;
    alter(&b, &[
        "CREATE TRIGGER positive BEFORE INSERT ON items WHEN NEW.qty < 0 BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: negative'); END",
    ])
    .await;
    for n in 1..=5_u8 {
        let qty = if n == 3 { -1 } else { 1 };
        run(&a, &[&format!("INSERT INTO items (id, title, qty) VALUES ({}, 't', {qty})", key(n))]).await;
    }
    a.sync(&b).await.expect("a round");
    assert_eq!(b.texts("SELECT substr(hex(id), 31) FROM items ORDER BY id").await, ["01", "02", "04", "05"]);
    assert_eq!(reasons(&b).await, [PendingReason::Invalid]);
    assert_eq!(a.digest().await, b.digest().await);
    run(&a, &["UPDATE items SET qty = 9 WHERE qty < 0"]).await;
    a.sync(&b).await.expect("a round");
    assert_eq!(reasons(&b).await, []);
    both_equal(&a, &b).await;
}

async fn log_end(engine: &SyncEngine) -> u64 {
    engine.status().await.expect("a status").latest_seq.0
}

#[tokio::test]
async fn a_touch_trigger_is_absorbed_and_sends_nothing_back() {
    let (a, b) = two().await;
    alter(&b, &[
        "CREATE TRIGGER touch AFTER UPDATE OF title ON items BEGIN UPDATE items SET qty = qty + 100 WHERE id = NEW.id; END",
    ])
    .await;
    run(&a, &[&format!("INSERT INTO items (id, title, qty) VALUES ({}, 't', 1)", key(1))]).await;
    sync(&a, &b).await;
    run(&a, &["UPDATE items SET title = 'u'"]).await;
    sync(&a, &b).await;
    assert_eq!((a.logged().await, b.logged().await), (2, 2));
    let ends = (log_end(&a.engine).await, log_end(&b.engine).await);
    sync(&a, &b).await;
    sync(&b, &a).await;
    assert_eq!((log_end(&a.engine).await, log_end(&b.engine).await), ends);
    assert_eq!(a.texts("SELECT title || qty FROM items").await, ["u1"]);
    assert_eq!(b.texts("SELECT title || qty FROM items").await, ["u101"]);
    assert_eq!(a.digest().await, b.digest().await);
}

#[tokio::test]
async fn a_key_that_folds_case_is_the_databases_to_judge() {
    let (a, b) = two().await;
    alter(&b, &["CREATE UNIQUE INDEX folded ON items (title COLLATE NOCASE)"]).await;
    for (n, title) in [(1, "Red"), (2, "red"), (3, "blue")] {
        run(&a, &[&format!("INSERT INTO items (id, title, qty) VALUES ({}, '{title}', 1)", key(n))]).await;
    }
    a.sync(&b).await.expect("a round");
    assert_eq!(reasons(&b).await, [PendingReason::UniqueClash]);
    assert_eq!(b.texts("SELECT title FROM items ORDER BY id").await.len(), 2);
    assert_eq!(a.digest().await, b.digest().await);
    run(&a, &[&format!("UPDATE items SET title = 'green' WHERE id = {}", key(2))]).await;
    run(&a, &[&format!("UPDATE items SET title = 'gold' WHERE id = {}", key(1))]).await;
    a.sync(&b).await.expect("a round");
    sync(&a, &b).await;
    both_equal(&a, &b).await;
}

/// Hands the last change of A's log to B, without those before it.
async fn push_last(a: &Device, b: &Device) {
    let request = PullRequest {
        library: a.engine.library_id(),
        device: b.engine.device_id(),
        log_id: None,
        from_seq: Seq(log_end(&a.engine).await - 1),
        have: Vector::new(),
        max_entries: 1,
        max_bytes: 1 << 20,
        takes_compacted: true,
    };
    let page = a.engine.pull(request).await.expect("a page");
    let changes = page.entries.into_iter().map(|entry| match entry {
        Entry::Change(bytes) => bytes,
        Entry::Digest(_) => panic!("nothing was had"),
    });
    let push = PushRequest {
        library: a.engine.library_id(),
        device: a.engine.device_id(),
        log_id: page.log_id,
        changes: changes.collect(),
        pull: None,
        state: None,
    };
    assert_eq!(b.engine.push(push).await.expect("a push").merged, 1);
}

#[tokio::test]
async fn an_edit_that_overtakes_its_insert_waits_for_the_rest() {
    let (a, b) = two().await;
    let insert = format!("INSERT INTO items (id, title, qty, note) VALUES ({}, 'old', 1, 'old')", key(1));
    run(&a, &[&insert]).await;
    sync(&a, &b).await;
    for statement in
        ["DELETE FROM items", &insert.replace("'old'", "'new'"), "UPDATE items SET title = 'newest'"]
    {
        run(&a, &[statement]).await;
        a.engine.flush().await.expect("a flush");
    }
    // The row that B has is of a life that is over: nothing of it may stand beside the new title.
    push_last(&a, &b).await;
    assert_eq!(b.texts("SELECT title FROM items").await, [] as [&str; 0]);
    assert_eq!(reasons(&b).await, [PendingReason::Incomplete]);
    sync(&a, &b).await;
    assert_eq!(b.texts("SELECT title || note FROM items").await, ["newestnew"]);
    both_equal(&a, &b).await;
}

#[tokio::test]
async fn a_column_of_an_earlier_life_does_not_stay() {
    let (a, b) = two().await;
    let (folder, tag) = (key(1), key(2));
    run(
        &a,
        &[
            &format!("INSERT INTO folders (id, name) VALUES ({folder}, 'f')"),
            &format!("INSERT INTO labels (id, name) VALUES ({tag}, 'l')"),
            &format!("INSERT INTO taggings (folder_id, label_id, why) VALUES ({folder}, {tag}, 'old')"),
        ],
    )
    .await;
    label(&a, 3, "other").await;
    sync(&a, &b).await;
    for statement in [
        "DELETE FROM labels",
        &format!("INSERT INTO labels (id, name, color) VALUES ({tag}, 'l', 'new')"),
        "UPDATE labels SET name = 'm'",
    ] {
        run(&a, &[statement]).await;
        a.engine.flush().await.expect("a flush");
    }
    run(&b, &["UPDATE labels SET color = 'old'"]).await;
    push_last(&a, &b).await;
    // All of the new life that B knows is a name, which is all that a label needs.
    assert_eq!(b.texts("SELECT name || coalesce(color, '-') FROM labels WHERE name = 'm'").await, ["m-"]);
    sync(&a, &b).await;
    assert_eq!(b.texts("SELECT name || color FROM labels").await, ["mnew"]);
    both_equal(&a, &b).await;
}
