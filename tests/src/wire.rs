//! An author of changes made by hand, pushed through the protocol: what other programs and versions may send.

use sync_core::{
    Cell, Change, ChangeKind, Clock, DeviceId, Entry, LibraryId, LogId, ObjectsRequest, Peer, PeerError,
    PullRequest, PushRequest, PushResponse, Seq, Stamp, SyncEngine, SyncValue, Tag, Vector,
    runtime::{SystemClock, Time},
};

/// A device that exists only as the changes it makes.
#[derive(Debug)]
pub struct Author {
    /// Its id.
    pub device: DeviceId,
    library: LibraryId,
    previous: Option<Stamp>,
    last: (u64, u32),
    /// How far ahead of the wall clock it stamps, in milliseconds.
    pub ahead_ms: u64,
}

impl Author {
    /// An author of `library` whose id is all `byte`.
    pub fn new(library: LibraryId, byte: u8) -> Self {
        let device = DeviceId::from_bytes([byte; 16]);
        Self { device, library, previous: None, last: (0, 0), ahead_ms: 0 }
    }

    fn stamp(&mut self) -> Stamp {
        let now = SystemClock.now_ms() + self.ahead_ms;
        self.last = if now > self.last.0 { (now, 0) } else { (self.last.0, self.last.1 + 1) };
        Stamp::new(self.last.0, self.last.1, self.device.node())
    }

    /// The insert of a record with this key.
    pub fn insert(&mut self, model: &str, key: &[SyncValue], cells: &[(&str, SyncValue)]) -> Change {
        let id = self.stamp();
        let mut cells: Vec<Cell> = cells
            .iter()
            .map(|(column, value)| Cell {
                column: (*column).into(),
                tag: Tag::LWW,
                version: id,
                value: value.clone(),
            })
            .collect();
        cells.sort_by(|a, b| a.column.cmp(&b.column));
        Change {
            id,
            device: self.device,
            previous: self.previous.replace(id),
            txn: id,
            more: false,
            kind: ChangeKind::Edit,
            model: model.into(),
            record: sync_core::encode_key(key),
            generation: 1,
            born: id,
            context: Clock::new(),
            cells,
        }
    }

    /// A later edit of the record that `before` inserted.
    pub fn edit(&mut self, before: &Change, cells: &[(&str, SyncValue)]) -> Change {
        let mut change = self.insert(&before.model, &[], cells);
        change.record = before.record.clone();
        change.born = before.born;
        change.context = before.context.clone();
        change.context.observe(before.id);
        change
    }

    /// The delete of the record that `before` inserted.
    pub fn delete(&mut self, before: &Change) -> Change {
        let mut change = self.edit(before, &[]);
        change.kind = ChangeKind::Delete;
        change.generation = before.generation + 1;
        change
    }

    /// Pushes changes.
    ///
    /// # Errors
    /// Those of [`Peer::push`].
    pub async fn push(&self, to: &SyncEngine, changes: &[Change]) -> Result<PushResponse, PeerError> {
        let changes = changes.iter().map(|change| change.encode().into_bytes()).collect();
        push(to, self.library, changes).await
    }

    /// Pushes changes, all of which are to be merged.
    pub async fn merged(&self, to: &SyncEngine, changes: &[Change]) {
        let answer = self.push(to, changes).await.expect("an answer");
        assert_eq!((answer.merged, &answer.refused), (changes.len() as u64, &Vec::new()), "{answer:?}");
    }
}

/// Marks `changes` as one group.
pub fn group(changes: &mut [Change]) {
    let count = changes.len();
    let txn = changes[0].id;
    for (at, change) in changes.iter_mut().enumerate() {
        change.txn = txn;
        change.more = at + 1 < count;
    }
}

/// Pushes bytes.
///
/// # Errors
/// Those of [`Peer::push`].
pub async fn push(
    to: &SyncEngine,
    library: LibraryId,
    changes: Vec<Vec<u8>>,
) -> Result<PushResponse, PeerError> {
    let request = PushRequest {
        library,
        device: DeviceId::from_bytes([9; 16]),
        log_id: LogId::from_bytes([9; 16]),
        changes: changes.into_iter().map(Into::into).collect(),
        pull: None,
        state: None,
    };
    to.push(request).await
}

/// The first pull of a reader that has nothing.
pub fn first_pull(engine: &SyncEngine) -> PullRequest {
    PullRequest {
        library: engine.library_id(),
        device: DeviceId::from_bytes([9; 16]),
        log_id: None,
        from_seq: Seq(0),
        have: Vector::new(),
        max_entries: 1_000_000,
        max_bytes: 1 << 30,
        takes_compacted: true,
    }
}

/// The engine's own models.
pub const SYSTEM: [&str; 2] = ["sync_devices", "sync_schema"];

/// True for a change of the application's records.
pub fn is_of_the_application(change: &Change) -> bool {
    !SYSTEM.contains(&change.model.as_str())
}

/// The bytes of the application's changes in the first page of an engine's log, after a flush.
pub async fn log_bytes(engine: &SyncEngine) -> Vec<Vec<u8>> {
    engine.flush().await.expect("a flush");
    let page = engine.pull(first_pull(engine)).await.expect("a page");
    let changes = page.entries.into_iter().filter_map(|entry| match entry {
        Entry::Change(bytes) => Some(bytes.into_vec()),
        Entry::Digest(_) => None,
    });
    changes.filter(|bytes| is_of_the_application(&Change::decode(bytes).expect("a change"))).collect()
}

/// The application's changes in the first page of an engine's log, after a flush.
pub async fn log_of(engine: &SyncEngine) -> Vec<Change> {
    log_bytes(engine).await.iter().map(|bytes| Change::decode(bytes).expect("a change")).collect()
}

/// The application's records that an engine's state feed serves, in the order of their keys.
pub async fn feed_of(engine: &SyncEngine) -> Vec<Change> {
    let mut records = Vec::new();
    let mut after = None;
    loop {
        let reader = ObjectsRequest::new(engine.library_id(), DeviceId::from_bytes([9; 16]));
        let request = ObjectsRequest { after, max_objects: 1_000, ..reader };
        let page = engine.objects(request).await.expect("a page");
        let page_records = page.objects.iter().map(|bytes| Change::decode(bytes).expect("a record"));
        records.extend(page_records.filter(is_of_the_application));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    records.sort_by(|a, b| (&a.model, &a.record).cmp(&(&b.model, &b.record)));
    records
}
