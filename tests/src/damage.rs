//! Damage that nobody wrote: bytes of objects, rows changed behind the guards. And what mending it costs.

use std::time::Instant;

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, QueryOrder, QuerySelect, Set, Statement, TransactionTrait,
};
use sync_core::{Limits, RepairReport, SyncReport};
use uuid::Uuid;

use crate::{Device, device::library, entities::item};

/// A kind of damage to one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The object's bytes end early: it cannot be read.
    Cut,
    /// The last byte of the object is another: a hash is not its value's.
    Hash,
    /// A byte of a version is another: the object can be read, and says what nobody wrote.
    Version,
    /// The object is gone.
    Gone,
    /// The row holds another title, and no note says so.
    Row,
    /// The row is gone, and no note says so.
    NoRow,
}

/// One of each.
pub const ALL: [Damage; 6] =
    [Damage::Cut, Damage::Hash, Damage::Version, Damage::Gone, Damage::Row, Damage::NoRow];

/// Does this to an item, behind the engine's back.
pub async fn damage(device: &Device, id: Uuid, kind: Damage) {
    let txn = device.db.begin().await.expect("a transaction");
    let run = async |sql: &str, values: Vec<sea_orm::Value>| {
        let statement = Statement::from_sql_and_values(txn.get_database_backend(), sql, values);
        let done = txn.execute_raw(statement).await.expect("a statement");
        assert_eq!(done.rows_affected(), 1, "{kind:?}: {sql}");
    };
    let object = "(SELECT o.id FROM sync_objects AS o JOIN sync_names AS n ON n.id = o.model \
                  WHERE n.name = CAST('item' AS BLOB) AND instr(o.record, ?) > 0)";
    let key = id.as_bytes().to_vec();
    match kind {
        Damage::Cut | Damage::Hash | Damage::Version => {
            let select = format!("SELECT cells FROM sync_objects WHERE id = {object}");
            let statement =
                Statement::from_sql_and_values(txn.get_database_backend(), select, [key.clone().into()]);
            let row = txn.query_one_raw(statement).await.expect("a query").expect("an object");
            let mut cells: Vec<u8> = row.try_get_by_index(0).expect("bytes");
            match kind {
                Damage::Cut => cells.truncate(cells.len() - 3),
                // Flags and generation are a byte each; the version that all cells share follows: its low bits of time.
                Damage::Version => cells[2 + 5] ^= 1,
                _ => *cells.last_mut().expect("a byte") ^= 1,
            }
            let update = format!("UPDATE sync_objects SET cells = ? WHERE id = {object}");
            run(&update, vec![cells.into(), key.into()]).await;
        }
        Damage::Gone => run(&format!("DELETE FROM sync_objects WHERE id = {object}"), vec![key.into()]).await,
        Damage::Row => run("UPDATE items SET title = 'damaged' WHERE id = ?", vec![id.into()]).await,
        Damage::NoRow => run("DELETE FROM items WHERE id = ?", vec![id.into()]).await,
    }
    txn.execute_unprepared("DELETE FROM sync_dirty").await.expect("no notes");
    txn.commit().await.expect("a commit");
}

/// Some items of a device, spread over all of them.
pub async fn some_items(device: &Device, count: u64) -> Vec<Uuid> {
    let all = device.text("SELECT CAST(count(*) AS TEXT) FROM items").await.parse::<u64>().expect("a number");
    let mut some = Vec::new();
    for n in 0..count {
        let found = item::Entity::find().order_by_asc(item::Column::Id).offset(all * n / count).limit(1);
        some.push(found.one(&device.db).await.expect("a query").expect("an item").id);
    }
    some
}

/// Adds items.
pub async fn add(device: &Device, count: u64) {
    for from in (0..count).step_by(500) {
        let some = (from..count.min(from + 500)).map(|number| item::ActiveModel {
            id: Set(Uuid::new_v4()),
            title: Set(format!(
                "item {number}, with a title of about eighty bytes, as the titles of items mostly have"
            )),
            qty: Set(number as i64),
            note: Set((number % 2 == 0).then(|| "a note".to_owned())),
            local: Set(None),
        });
        item::Entity::insert_many(some).exec(&device.db).await.expect("items");
    }
}

/// Changes the title of an item.
pub async fn rename(device: &Device, id: Uuid, title: &str) {
    item::ActiveModel { id: Set(id), title: Set(title.to_owned()), ..Default::default() }
        .update(&device.db)
        .await
        .expect("an edit");
}

/// How a replica gets its first data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// From the log: its own is whole then.
    Log,
    /// From the state feed: its log begins with another's state.
    Feed,
}

/// Two devices with the same items, and what their first sync cost.
pub async fn pair(items: u64, first: First) -> (Device, Device, SyncReport) {
    let library = library();
    let a = Device::new(library).await;
    add(&a, items).await;
    let mut limits = Limits::default();
    limits.snapshot_above = if first == First::Feed { 0 } else { u64::MAX };
    let b = Device::with(library, |builder| builder.without_background().limits(limits)).await;
    let report = b.sync(&a).await.expect("a first sync");
    (a, b, report)
}

/// What mending ten damaged records of many cost.
#[derive(Debug)]
pub struct Cost {
    /// What the repair did.
    pub repair: RepairReport,
    /// Bytes of changes that the first sync brought.
    pub first_sync: u64,
    /// How long the repair took, in milliseconds.
    pub took_ms: u128,
}

impl Cost {
    /// What the repair sent and received, as a part of the first sync.
    pub fn share(&self) -> f64 {
        (self.repair.bytes_sent + self.repair.bytes_received) as f64 / self.first_sync as f64
    }

    /// The figures as a line of JSON.
    pub fn line(&self, items: u64, first: First) -> String {
        let repair = &self.repair;
        format!(
            "{{\"items\":{items},\"first_sync\":\"{first:?}\",\"first_sync_bytes\":{},\"mended\":{},\"calls\":{},\
             \"ranges\":{},\"bytes_sent\":{},\"bytes_received\":{},\"percent_of_first_sync\":{:.3},\"took_ms\":{}}}",
            self.first_sync,
            repair.mended_here.len() + repair.mended_there.len(),
            repair.calls,
            repair.ranges,
            repair.bytes_sent,
            repair.bytes_received,
            100.0 * self.share(),
            self.took_ms,
        )
    }
}

/// Damages five records on each of two devices that have `items` and mends them. Gives the cost, having checked that
/// exactly those were mended and that both sides are clean and equal.
pub async fn mend_ten(items: u64, first: First) -> Cost {
    let (a, b, first_sync) = pair(items, first).await;
    let good = a.dump().await;
    let ten = some_items(&a, 10).await;
    let kinds = [Damage::Cut, Damage::Hash, Damage::Version, Damage::Row, Damage::NoRow];
    for (id, kind) in ten.iter().zip(kinds.iter().cycle()) {
        let at = ten.iter().position(|one| one == id).expect("its place");
        damage(if at < 5 { &a } else { &b }, *id, *kind).await;
    }
    for device in [&a, &b] {
        assert!(!device.engine.verify().await.expect("verify").is_clean(), "the damage is seen");
    }
    let began = Instant::now();
    let repair = b.engine.repair_with(&a.engine).await.expect("a repair");
    let took_ms = began.elapsed().as_millis();
    let mut mended: Vec<_> =
        repair.mended_here.iter().chain(&repair.mended_there).map(|one| one.record.clone()).collect();
    mended.sort_unstable();
    let mut damaged: Vec<_> =
        ten.iter().map(|id| sync_core::encode_key(&[sync_core::SyncValue::Uuid(*id)])).collect();
    damaged.sort_unstable();
    assert_eq!(mended, damaged, "{:?}", repair.unmended);
    assert!(repair.in_sync && repair.complete && repair.unmended.is_empty(), "{repair:?}");
    assert_eq!((repair.mended_there.len(), repair.mended_here.len()), (5, 5));
    for device in [&a, &b] {
        let verified = device.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "{:?}", verified.findings);
        assert_eq!(device.dump().await, good);
    }
    assert_eq!(a.digest().await, b.digest().await);
    Cost { repair, first_sync: first_sync.bytes_received, took_ms }
}
