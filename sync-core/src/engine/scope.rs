//! Which part of the library is kept here: said in the entities' own types.

use sea_orm::{EntityTrait, sea_query::IntoValueTuple};

use super::{
    handle::SyncEngine,
    keys::{self, ActiveOf, KeyOf},
};
use crate::{ledger::Extent, model::Syncable, peer::SyncError, scope::Scope};

impl Scope {
    /// All records of an entity.
    ///
    /// ```
    /// # mod user {
    /// #     use sea_orm::entity::prelude::*;
    /// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, sync_core::Syncable)]
    /// #     #[sea_orm(table_name = "users")]
    /// #     pub struct Model { #[sea_orm(primary_key, auto_increment = false)] pub id: Uuid }
    /// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    /// #     pub enum Relation {}
    /// # }
    /// # async fn f(engine: sync_core::SyncEngine, me: uuid::Uuid) -> Result<(), sync_core::SyncError> {
    /// use sync_core::Scope;
    ///
    /// engine.set_scope(Scope::none().model::<user::Entity>().tag("project-7")).await?;
    /// engine.set_scope(Scope::none().record::<user::Entity>(me)).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn model<E>(self) -> Self
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable,
    {
        self.model_id(<ActiveOf<E>>::SYNC_ID)
    }

    /// The record of an entity with this primary key.
    #[must_use]
    pub fn record<E>(self, key: KeyOf<E>) -> Self
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable,
    {
        let model = <ActiveOf<E>>::SYNC_ID;
        match keys::record_of_key(model, key.into_value_tuple()) {
            Ok(record) => self.record_id(model, &record),
            Err(error) => self.with_fault(error.to_string()),
        }
    }
}

impl SyncEngine {
    /// Keeps this part of the library from now on. It is remembered: an engine that is started on the same database goes on with
    /// it. What is lacking comes, and what is out of it goes, in the rounds that follow; a record goes when a peer that has
    /// everything has all of it. `docs/scope.md` says more.
    ///
    /// # Errors
    /// [`SyncError::Scope`] if the scope cannot be kept as it is said: then nothing was changed. [`SyncError::Store`] if the
    /// database refuses.
    pub async fn set_scope(&self, scope: Scope) -> Result<(), SyncError> {
        self.running()?;
        self.inner.replica.set_scope(scope).await
    }

    /// The part of the library that is kept here.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn scope(&self) -> Result<Scope, SyncError> {
        Ok(Extent::load(self.inner.replica.store.db()).await?.scope())
    }
}
