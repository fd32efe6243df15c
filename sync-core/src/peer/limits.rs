//! What a replica allows.

/// What a replica allows; see the limits in the documentation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How far a foreign stamp may be ahead of this machine's clock, in milliseconds. A change beyond is held until
    /// the clock has caught up. Default: 60,000.
    pub max_drift_ms: u64,
    /// How long one batch of a flush may hold the write lock, in milliseconds; a guide, not a promise. Default: 100.
    pub flush_lock_ms: u64,
    /// After this many milliseconds, or [`max_group`](Self::max_group) changes, an open group is ended by one batch
    /// that takes all that is dirty. Default: 2,000.
    pub flush_group_ms: u64,
    /// How many notes one batch of a flush takes at most. How many it takes is found out by what batches cost.
    /// Default: 20,000.
    pub flush_batch: u32,
    /// How many changes of one group arrive at once on other replicas; a larger group arrives in parts. Default:
    /// 20,000.
    pub max_group: u32,
    /// How many entries of a log go into one page. Default: 20,000, as many as a group may have: a group in one page
    /// need not be staged.
    pub page_entries: u32,
    /// About how many bytes of changes go into one page. Default: 4 MiB.
    pub page_bytes: u64,
    /// A replica that meets a peer for the first time reads the peer's state feed instead of its log if the log is
    /// longer than this many entries and ten times its own. Default: 10,000.
    pub snapshot_above: u64,
    /// A group that deletes more records than this is reported: it may be a migration that rebuilt a table. Default:
    /// 10,000.
    pub report_deletes: u64,
    /// After a round that ended with the same changes and other objects, a repair begins by itself at most this often
    /// with each peer, in milliseconds; `None` for never. It looks at everything once. Default: 60,000.
    pub repair_every_ms: Option<u64>,
    /// How many records one repair mends at most; what is left is for the next. Default: 20,000.
    pub repair_records: u32,
    /// How many open conflicts are kept. Of more the oldest are dropped, with the values that were lost in them, and an event tells
    /// how many. Default: 100,000.
    pub max_conflicts: u64,
    /// How many events wait for a slow reader before it misses some. Default: 1,024.
    pub event_buffer: usize,
    /// How many hints of the hooks wait for the flusher. Default: 1,024.
    pub hook_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_drift_ms: 60_000,
            flush_lock_ms: 100,
            flush_group_ms: 2_000,
            flush_batch: 20_000,
            max_group: 20_000,
            page_entries: 20_000,
            page_bytes: 4 << 20,
            snapshot_above: 10_000,
            report_deletes: 10_000,
            repair_every_ms: Some(60_000),
            repair_records: 20_000,
            max_conflicts: 100_000,
            event_buffer: 1_024,
            hook_queue: 1_024,
        }
    }
}
