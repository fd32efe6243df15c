//! From the application's save to the engines of the process: one bounded queue of hints for each.
//!
//! A hint makes sync fast, never true: it may be lost (a full queue), early (sent before the commit) or wrong
//! (a rollback, a delete of nothing, another database), because what was written stands in the guard's note
//! beside the row. So sending one never blocks, never fails and never touches a database, and costs one
//! atomic load where no engine runs.
//!
//! **Whose database?** `ConnectionTrait` gives a hook no identity of the database it was called for: not a
//! name, not an address that clones share, nothing without a query. So a hint goes to every engine of the
//! process that serves the model, and it asks for a look, not for a flush: the engine first looks, in a read,
//! whether `sync_dirty` has rows, and takes the write lock only then. One busy writer among many engines thus
//! starts no other engine's flush. Hints that come before the look are one wake.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use crossbeam_queue::ArrayQueue;
use sea_orm::{EntityTrait, ModelTrait};
use tokio::sync::Notify;

use crate::{
    ids::{Name, RecordId},
    model::{Syncable, key},
    runtime::Time,
};

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeType {
    /// It was inserted.
    Insert,
    /// It was updated.
    Update,
    /// It was deleted.
    Delete,
}

/// A hint: what a hook saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedChange {
    /// The model's `SYNC_ID`.
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// What was done to it.
    pub change_type: ChangeType,
    /// When, in milliseconds of the subscriber's clock.
    pub at: u64,
}

/// How many engines listen: where it is zero a hook does nothing else.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

/// Their queues. Locked for writing only while an engine starts or ends.
static QUEUES: RwLock<Vec<Arc<Shared>>> = RwLock::new(Vec::new());

struct Shared {
    models: HashSet<Name>,
    hints: ArrayQueue<QueuedChange>,
    wake: Notify,
    lost: AtomicU64,
    time: Arc<dyn Time>,
}

/// One engine's end: gets the hints of the models it named until it is dropped.
pub struct HookQueue(Arc<Shared>);

/// Listens to the hooks of `models`. The queue holds `capacity` hints (at least one); those beyond are
/// counted and lost, the wake is not.
pub fn subscribe(models: impl IntoIterator<Item = Name>, capacity: usize, time: Arc<dyn Time>) -> HookQueue {
    let shared = Arc::new(Shared {
        models: models.into_iter().collect(),
        hints: ArrayQueue::new(capacity.max(1)),
        wake: Notify::new(),
        lost: AtomicU64::new(0),
        time,
    });
    let mut queues = QUEUES.write().unwrap_or_else(PoisonError::into_inner);
    queues.push(Arc::clone(&shared));
    LISTENERS.store(queues.len(), Ordering::Release);
    HookQueue(shared)
}

impl HookQueue {
    /// The oldest hint.
    pub fn pop(&self) -> Option<QueuedChange> {
        self.0.hints.pop()
    }

    /// Takes the hints that are there now, oldest first.
    pub fn drain(&self) -> Vec<QueuedChange> {
        (0..self.0.hints.len()).map_while(|_| self.pop()).collect()
    }

    /// Waits for a hint that came since the last wait ended.
    pub async fn notified(&self) {
        self.0.wake.notified().await;
    }

    /// How many hints found the queue full.
    pub fn overflowed(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Drop for HookQueue {
    fn drop(&mut self) {
        let mut queues = QUEUES.write().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| !Arc::ptr_eq(queue, &self.0));
        LISTENERS.store(queues.len(), Ordering::Release);
    }
}

impl fmt::Debug for HookQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookQueue")
            .field("waiting", &self.0.hints.len())
            .field("overflowed", &self.overflowed())
            .finish_non_exhaustive()
    }
}

/// Says that a row was saved. For a hand-written `after_save`; the derive and `#[sync_core::behavior]` call
/// it by themselves.
pub fn saved<M>(model: &M, insert: bool)
where
    M: ModelTrait,
    <M::Entity as EntityTrait>::ActiveModel: Syncable,
    M::Entity: EntityTrait<Model = M>,
{
    drop(Hint::saved::<<M::Entity as EntityTrait>::ActiveModel>(model, insert));
}

/// Says that a row was deleted. For a hand-written `after_delete`.
pub fn deleted<A: Syncable>(active: &A) {
    drop(Hint::deleted(active));
}

/// A hint that is sent when it is dropped: at the end of a hook, however the hook ends.
#[derive(Debug)]
#[must_use = "it is sent when it is dropped"]
pub struct Hint(Option<(Name, RecordId, ChangeType)>);

impl Hint {
    /// Of a row that was saved.
    pub fn saved<A: Syncable>(model: &crate::model::ModelOf<A>, insert: bool) -> Self {
        let change_type = if insert { ChangeType::Insert } else { ChangeType::Update };
        Self::new::<A>(change_type, || key::of_model::<A>(model))
    }

    /// Of a row that was deleted.
    pub fn deleted<A: Syncable>(active: &A) -> Self {
        Self::new::<A>(ChangeType::Delete, || key::of_active_model(active))
    }

    fn new<A: Syncable>(change_type: ChangeType, record: impl FnOnce() -> Option<RecordId>) -> Self {
        if LISTENERS.load(Ordering::Acquire) == 0 {
            return Self(None);
        }
        Self(record().map(|record| (Name::new_static(A::SYNC_ID), record, change_type)))
    }
}

impl Drop for Hint {
    fn drop(&mut self) {
        let Some((model, record, change_type)) = self.0.take() else { return };
        let queues = QUEUES.read().unwrap_or_else(PoisonError::into_inner);
        for queue in queues.iter().filter(|queue| queue.models.contains(&model)) {
            let at = queue.time.now_ms();
            let hint = QueuedChange { model: model.clone(), record: record.clone(), change_type, at };
            if queue.hints.push(hint).is_err() {
                queue.lost.fetch_add(1, Ordering::Relaxed);
            }
            queue.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SystemClock;

    #[test]
    fn a_queue_that_is_dropped_is_forgotten() {
        let queue = subscribe(["forgotten".into()], 1, Arc::new(SystemClock));
        assert_ne!(LISTENERS.load(Ordering::Acquire), 0);
        let shared = Arc::downgrade(&queue.0);
        drop(queue);
        assert!(shared.upgrade().is_none());
    }
}
