//! Between a record and the primary key that its entity has in the application.

use sea_orm::{
    EntityTrait, PrimaryKeyTrait, Value,
    sea_query::{FromValueTuple, ValueTuple},
};

use crate::{
    ids::RecordId,
    model::{Adapter, ModelError, Syncable, TypedAdapter, record_of},
    peer::SyncError,
    value::{SyncValue, decode_key, encode_key, from_database, to_field},
};

/// The `ActiveModel` of an entity.
pub type ActiveOf<E> = <E as EntityTrait>::ActiveModel;

/// The primary key of an entity, as `find_by_id` takes it.
pub type KeyOf<E> = <<E as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

/// The record of a model.
pub(super) fn record_of_model<E>(model: &E::Model) -> Result<RecordId, SyncError>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    record_of::<ActiveOf<E>>(model)
        .ok_or_else(|| SyncError::UnknownRecord(format!("a {} without a key", <ActiveOf<E>>::SYNC_ID)))
}

/// The record with this primary key.
pub(super) fn record_of_key(
    model: &str,
    key: impl IntoIterator<Item = Value>,
) -> Result<RecordId, SyncError> {
    let parts: Option<Vec<SyncValue>> = key.into_iter().map(|value| from_database(&value)).collect();
    parts
        .map(|parts| encode_key(&parts))
        .ok_or_else(|| SyncError::UnknownRecord(format!("a {model} with a key of a type that cannot sync")))
}

/// The primary key of a record, if it is one of this entity.
pub(super) fn key_of<E>(model: &str, record: &RecordId) -> Option<KeyOf<E>>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    if model == <ActiveOf<E>>::SYNC_ID { KeyReader::<E>::new().ok()?.key(record) } else { None }
}

/// Reads the keys of one entity's records.
pub(super) struct KeyReader<E>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    adapter: TypedAdapter<ActiveOf<E>>,
}

impl<E> KeyReader<E>
where
    E: EntityTrait,
    ActiveOf<E>: Syncable<Entity = E>,
{
    /// Fails if the entity cannot sync.
    pub(super) fn new() -> Result<Self, ModelError> {
        Ok(Self { adapter: TypedAdapter::new()? })
    }

    /// The key of `record`; `None` if no row of this program can have it.
    pub(super) fn key(&self, record: &RecordId) -> Option<KeyOf<E>> {
        let spec = self.adapter.spec();
        let parts = decode_key(record.as_bytes()).ok().filter(|parts| parts.len() == spec.keys.len())?;
        let mut values = Vec::with_capacity(parts.len());
        for (index, part) in spec.keys.iter().zip(&parts) {
            // What the field's own type refuses, the key's type would panic at.
            self.adapter.check(*index, part).ok()?;
            values.push(to_field(spec.columns[*index].kind, part).ok()?);
        }
        Some(KeyOf::<E>::from_value_tuple(tuple(values)))
    }
}

fn tuple(values: Vec<Value>) -> ValueTuple {
    match <[Value; 1]>::try_from(values) {
        Ok([one]) => ValueTuple::One(one),
        Err(values) => match <[Value; 2]>::try_from(values) {
            Ok([one, two]) => ValueTuple::Two(one, two),
            Err(values) => match <[Value; 3]>::try_from(values) {
                Ok([one, two, three]) => ValueTuple::Three(one, two, three),
                Err(values) => ValueTuple::Many(values),
            },
        },
    }
}
