//! The key of a record: read from the entity's own types, or made where the application made none.

use sea_orm::{
    ActiveModelTrait, ActiveValue, EntityTrait, Iterable, ModelTrait, PrimaryKeyArity, PrimaryKeyToColumn,
    PrimaryKeyTrait, Value,
};
use uuid::Uuid;

use crate::{
    ids::RecordId,
    model::syncable::{ColumnOf, KeyPolicy, ModelOf, Syncable},
    runtime::{Random, SystemClock, SystemRandom, Time},
    value::{encode_key, from_database},
};

type KeyOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::PrimaryKey;

/// The record that a row is.
pub(crate) fn of_model<A: Syncable>(model: &ModelOf<A>) -> Option<RecordId> {
    record::<A>(|column| Some(model.get(column)))
}

/// The record that an `ActiveModel` names, if its key is set.
pub(crate) fn of_active_model<A: Syncable>(active: &A) -> Option<RecordId> {
    record::<A>(|column| active.get(column).into_value())
}

fn record<A: Syncable>(value: impl Fn(ColumnOf<A>) -> Option<Value>) -> Option<RecordId> {
    let parts: Option<Vec<_>> =
        KeyOf::<A>::iter().map(|part| from_database(&value(part.into_column())?)).collect();
    parts.map(|parts| encode_key(&parts))
}

/// Gives a record that is about to be inserted a key, if it has a single one of type `Uuid`, unset, and
/// [`Syncable::KEY`] allows it. Version 7, so that keys of one device rise with time and indexes grow at
/// their end.
///
/// It runs in the application's call, where no engine and so no [`Runtime`](crate::runtime::Runtime) may be:
/// the time and the random bytes are the system's. No promise rests on them.
pub fn fill<A: Syncable>(active: &mut A, insert: bool) {
    let single = <<KeyOf<A> as PrimaryKeyTrait>::ValueType as PrimaryKeyArity>::ARITY == 1;
    if !insert || A::KEY == KeyPolicy::Manual || !single {
        return;
    }
    let Some(column) = KeyOf::<A>::iter().next().map(PrimaryKeyToColumn::into_column) else { return };
    if matches!(active.get(column), ActiveValue::NotSet) {
        // Fails, and changes nothing, where the key is no UUID.
        let _ = active.try_set(column, Value::Uuid(Some(version_7())));
    }
}

fn version_7() -> Uuid {
    let mut random = [0; 10];
    SystemRandom.fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(SystemClock.now_ms(), &random).into_uuid()
}
