//! What a write transaction is for, as told to whoever traces the engine.

/// What a write transaction is for, as told to whoever traces the engine: `begins` when it has the write lock,
/// `committed` when it is durable, `failed` when nothing of it was done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    Flush,
    Apply,
}

impl Stage {
    pub(super) fn begins(self) {
        tracing::trace!(target: "sync_core::stage", stage = ?self, "begins");
    }

    pub(super) fn committed(self) {
        tracing::trace!(target: "sync_core::stage", stage = ?self, "committed");
    }

    pub(super) fn failed(self) {
        tracing::trace!(target: "sync_core::stage", stage = ?self, "failed");
    }
}
