//! What a page of a compacted log brings beside its entries.

use sync_core::{Change, Entry, Peer, PullRequest};
use sync_tests::wire;

use super::{
    Place, add,
    compact::{compact, in_order, long, reader, round},
    delete, retitle, status,
};

/// Each page brings what its reader needs and nothing more.
#[tokio::test]
async fn a_page_brings_the_record_only_where_the_later_change_is_not_in_it() {
    let place = Place::new();
    let hub = place.plain().await;
    let note = add(&hub, &long("first")).await;
    for edit in 0..4 {
        retitle(&hub, note, &long(edit)).await;
    }
    assert_eq!(compact(&hub).await.compacted, 3);
    let all = wire::first_pull(&hub.engine);
    let entries = status(&hub).await.entries as u32;
    for max_entries in 1..=entries {
        let page = hub.engine.pull(PullRequest { max_entries, ..all.clone() }).await.expect("a page");
        let compacted = |entry: &Entry| matches!(entry, Entry::Change(bytes) if Change::is_compacted(bytes));
        let some = page.entries.iter().any(compacted);
        assert_eq!(
            page.objects.len(),
            usize::from(some && max_entries < entries),
            "{max_entries} of {entries}"
        );
        // What is written and not logged yet is in neither.
        let raw = rusqlite::Connection::open(&hub.path).expect("a database");
        raw.execute("UPDATE items SET title = title || '!'", []).expect("a write");
    }
    delete(&hub, note).await;
    let late = reader(&place, 3).await;
    assert!(round(&late, &hub).await.in_sync);
    in_order(&[&hub, &late]).await;
}

/// A page is cut where the records that it needs would be too much.
#[tokio::test]
async fn a_page_with_its_records_is_bounded() {
    let place = Place::new();
    let hub = place.plain().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(add(&hub, "short").await);
    }
    for text in [long("old"), "large ".repeat(1_000)] {
        for id in &ids {
            retitle(&hub, *id, &text).await;
        }
    }
    assert_eq!(compact(&hub).await.compacted, 20);
    let small = PullRequest { max_entries: 41, max_bytes: 20_000, ..wire::first_pull(&hub.engine) };
    let page = hub.engine.pull(small).await.expect("a page");
    let bytes: usize = page.objects.iter().map(|object| object.len()).sum();
    assert!(bytes <= 20_000 && page.entries.len() < 41, "{bytes} bytes, {} entries", page.entries.len());
    let late = reader(&place, 13).await;
    assert!(round(&late, &hub).await.in_sync);
    in_order(&[&hub, &late]).await;
}
