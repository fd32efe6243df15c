//! Prints what encoding, decoding and hashing cost, in nanoseconds per change of eight cells and per value.
//!
//! `cargo run --release -p sync-core --example codec`

use std::{hint::black_box, time::Instant};

use sync_core::{
    Cell, Change, ChangeKind, Clock, DeviceId, LibraryId, Stamp, SyncValue, Tag, decode_key, encode_key,
};

const CHANGES: u64 = 100_000;

fn change(n: u64) -> Change {
    let device = DeviceId::from_bytes([7; 16]);
    let id = Stamp::new(1_700_000_000_000 + n / 100, (n % 100) as u32, device.node());
    let mut values = vec![
        (
            "body",
            SyncValue::Text(
                "a body of about eighty bytes, as the table of the workload has it, more or less".into(),
            ),
        ),
        ("category", SyncValue::Text("books".into())),
        ("created_at", SyncValue::Time("2024-02-29T12:34:56.789Z".into())),
        ("data", SyncValue::Bytes(vec![7; 32])),
        ("done", SyncValue::Bool(false)),
        ("price", SyncValue::F64(12.5)),
        ("qty", SyncValue::I64(n as i64)),
        ("title", SyncValue::Text(format!("item number {n}"))),
    ];
    let cells = values
        .drain(..)
        .map(|(column, value)| Cell { column: column.into(), tag: Tag::LWW, version: id, value })
        .collect();
    Change {
        id,
        device,
        previous: (n > 0)
            .then(|| Stamp::new(1_700_000_000_000 + (n - 1) / 100, ((n - 1) % 100) as u32, device.node())),
        txn: Stamp::new(1_700_000_000_000, 0, device.node()),
        more: n + 1 < CHANGES,
        kind: ChangeKind::Edit,
        model: "items".into(),
        record: encode_key(&[SyncValue::Uuid(uuid::Uuid::from_u128(n.into()))]),
        generation: 1,
        born: id,
        context: Clock::new(),
        cells,
    }
}

/// The best of five runs over all of `items`.
fn measure<T, R>(what: &str, items: &[T], run: impl Fn(&T) -> R) {
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            for item in items {
                black_box(run(black_box(item)));
            }
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!("{what:<24} {:>8.1} ns", best.as_nanos() as f64 / items.len() as f64);
}

fn main() {
    let changes: Vec<_> = (0..CHANGES).map(change).collect();
    let encoded: Vec<_> = changes.iter().map(Change::encode).collect();
    let values: Vec<_> =
        changes[0].cells.iter().map(|cell| cell.value.clone()).cycle().take(80_000).collect();
    let keys: Vec<_> = changes.iter().map(|change| change.record.clone()).collect();
    let bytes: usize = encoded.iter().map(|change| change.as_bytes().len()).sum();

    println!("bytes per change         {:>8.1}", bytes as f64 / encoded.len() as f64);
    measure("encode a change", &changes, Change::encode);
    measure("decode a change", &encoded, |bytes| Change::decode(bytes.as_bytes()));
    measure("digest of a change", &encoded, |bytes| bytes.digest(LibraryId::from_bytes([1; 16])));
    measure("hash of a value", &values, SyncValue::hash64);
    measure("encode a value", &values, SyncValue::encode);
    measure("decode a key", &keys, |key| decode_key(key.as_bytes()));
    for cell in &changes[0].cells {
        measure(
            &format!("hash of {}", cell.value.type_name()),
            &vec![cell.value.clone(); 80_000],
            SyncValue::hash64,
        );
    }
}
