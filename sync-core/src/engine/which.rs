//! Which records a question is about: what the questions that [`SyncEngine`](super::SyncEngine) answers have in common.

use crate::ids::RecordId;

/// All records, those of a model, or one.
#[derive(Clone, Debug, Default)]
pub(super) struct Which {
    /// The model's name on the wire.
    pub(super) model: Option<String>,
    pub(super) record: Option<RecordId>,
}

/// Gives `$question`, which has a [`Which`] at `$place`, the calls that narrow it down to records.
macro_rules! asks_of_records {
    ($question:ty, $($place:ident).+) => {
        impl $question {
            /// Only those of an entity.
            pub fn of<E>(self) -> Self
            where
                E: sea_orm::EntityTrait,
                super::ActiveOf<E>: crate::model::Syncable,
            {
                self.model(<super::ActiveOf<E> as crate::model::Syncable>::SYNC_ID)
            }

            /// Only those of a model, by its name on the wire.
            pub fn model(mut self, model: &str) -> Self {
                self.$($place).+.model = Some(model.to_owned());
                self
            }

            /// Only those of the record with this primary key.
            ///
            /// # Errors
            /// [`SyncError::UnknownRecord`](crate::SyncError::UnknownRecord) if the key cannot be one.
            pub fn key<E>(self, key: super::KeyOf<E>) -> Result<Self, crate::SyncError>
            where
                E: sea_orm::EntityTrait,
                super::ActiveOf<E>: crate::model::Syncable,
            {
                use sea_orm::sea_query::IntoValueTuple;
                let model = <super::ActiveOf<E> as crate::model::Syncable>::SYNC_ID;
                let record = super::keys::record_of_key(model, key.into_value_tuple())?;
                Ok(self.of::<E>().record(record))
            }

            /// Only those of a record, as events name it.
            pub fn record(mut self, record: crate::ids::RecordId) -> Self {
                self.$($place).+.record = Some(record);
                self
            }
        }
    };
}

pub(super) use asks_of_records;
