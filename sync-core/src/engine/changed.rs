//! What changed of one entity, for user interfaces.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::stream::Stream;
use sea_orm::EntityTrait;

use super::{
    events::{Event, Events},
    handle::SyncEngine,
    keys::{ActiveOf, KeyOf, KeyReader},
};
use crate::{
    ids::{Name, RecordId},
    model::Syncable,
    peer::SyncError,
};

/// What changed of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed<K> {
    /// The rows with these primary keys came, went or were written by one committed group, here or elsewhere.
    Keys(Vec<K>),
    /// This reader was too slow and missed some: read the whole table again.
    Missed,
}

/// The stream that [`SyncEngine::changed`] gives.
pub struct Changes<E>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    events: Events,
    // Boxed, so that the stream can be moved whatever the entity's own types are.
    keys: Box<KeyReader<E>>,
}

impl<E> fmt::Debug for Changes<E>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("model", &<ActiveOf<E>>::SYNC_ID).finish_non_exhaustive()
    }
}

impl<E> Changes<E>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    /// The next group that touched the entity; `None` when the engine is gone.
    pub async fn next(&mut self) -> Option<Changed<KeyOf<E>>> {
        futures_util::StreamExt::next(self).await
    }

    fn keys<'a>(&self, records: impl Iterator<Item = &'a RecordId>) -> Vec<KeyOf<E>> {
        records.filter_map(|record| self.keys.key(record)).collect()
    }

    fn of_event(&self, event: Event) -> Option<Changed<KeyOf<E>>> {
        let keys = match event {
            Event::Local { changes, .. } | Event::Remote { changes, .. } => {
                self.keys(changes.iter().filter(|change| change.is::<E>()).map(|change| &change.record))
            }
            Event::Missed(_) => return Some(Changed::Missed),
            _ => Vec::new(),
        };
        (!keys.is_empty()).then_some(Changed::Keys(keys))
    }
}

impl<E> Stream for Changes<E>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    type Item = Changed<KeyOf<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match Pin::new(&mut this.events).poll_next(context) {
                Poll::Ready(Some(event)) => {
                    if let Some(changed) = this.of_event(event) {
                        return Poll::Ready(Some(changed));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl SyncEngine {
    /// The primary keys of an entity's rows that change from now on, whoever wrote them: what a user interface reads
    /// again.
    ///
    /// ```no_run
    /// # use sea_orm::EntityTrait;
    /// # async fn f<E>(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError>
    /// # where E: EntityTrait, E::ActiveModel: sync_core::Syncable<Entity = E> {
    /// let mut changes = engine.changed::<E>()?;
    /// while let Some(changed) = changes.next().await {
    ///     match changed {
    ///         sync_core::Changed::Keys(keys) => println!("read {keys:?} again"),
    ///         _ => println!("read all again"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::UnknownModel`] if the engine does not serve the entity: its changes would never be told. An entity whose table
    /// is not there yet is served. [`SyncError::Model`] if it cannot sync as it is written.
    pub fn changed<E>(&self) -> Result<Changes<E>, SyncError>
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable<Entity = E>,
    {
        let model = <ActiveOf<E>>::SYNC_ID;
        let adapters = self.inner.replica.models.adapters();
        if !adapters.iter().any(|adapter| adapter.spec().id == model) {
            return Err(SyncError::UnknownModel(Name::new_static(model)));
        }
        Ok(Changes { events: self.events(), keys: Box::new(KeyReader::new()?) })
    }
}
