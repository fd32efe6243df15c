//! From a connection to a running engine.

use std::sync::Arc;

use sea_orm::DatabaseConnection;

use super::handle::SyncEngine;
use crate::{
    capture::Models,
    ids::LibraryId,
    ledger::{Head, Identity},
    members::{schema, system_models},
    model::{ModelError, Registration, Syncable, adapters_with, registered},
    peer::{Limits, Replica, Retention, SyncError},
    runtime::{Random, Runtime, Spawn, Time},
    scope::Scope,
    store::Store,
};

/// Configures a [`SyncEngine`]; made by [`SyncEngine::builder`].
#[derive(Debug)]
pub struct EngineBuilder {
    db: DatabaseConnection,
    engine_db: Option<DatabaseConnection>,
    library: Option<LibraryId>,
    only: Option<Vec<String>>,
    registered: Vec<Registration>,
    limits: Limits,
    retention: Retention,
    device_name: Option<String>,
    scope: Option<Scope>,
    runtime: Runtime,
    background: Background,
}

/// Whether the engine flushes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    Running,
    /// Only calls flush: for tests that want every step in their own hand.
    Off,
}

impl EngineBuilder {
    pub(crate) fn new(db: DatabaseConnection) -> Self {
        Self {
            db,
            engine_db: None,
            library: None,
            only: None,
            registered: registered(),
            limits: Limits::default(),
            retention: Retention::default(),
            device_name: None,
            scope: None,
            runtime: Runtime::default(),
            background: Background::Running,
        }
    }

    /// The library that this database belongs to. Without it the database keeps the one it has, or founds one.
    pub fn library(mut self, library: LibraryId) -> Self {
        self.library = Some(library);
        self
    }

    /// Serves only the models with these ids (`SYNC_ID`).
    pub fn models<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.only = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Adds an entity by its `ActiveModel`. Entities register themselves; one in a crate of which the program names
    /// nothing is dropped by the linker and must be named here.
    pub fn register<A: Syncable>(mut self) -> Self {
        self.registered.push(Registration::of::<A>());
        self
    }

    /// The connection for the engine's own work, for databases that a plain path does not open (an encrypted file).
    /// It should have more than one connection, a write-ahead log and `synchronous=FULL`.
    pub fn engine_connection(mut self, db: DatabaseConnection) -> Self {
        self.engine_db = Some(db);
        self
    }

    /// What people call this device, for the list of [`members`](SyncEngine::members). Without it the name that the list has
    /// stays.
    pub fn device_name(mut self, name: impl Into<String>) -> Self {
        self.device_name = Some(name.into());
        self
    }

    /// Replaces the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long history is kept. Without it: what every known member has goes when it is a week old.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// The part of the library that is kept here, as [`set_scope`](SyncEngine::set_scope) says it. Without it the database keeps
    /// what it kept; at first that is everything.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Replaces the wall clock.
    pub fn time(mut self, time: Arc<dyn Time>) -> Self {
        self.runtime.time = time;
        self
    }

    /// Replaces the random source.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.runtime.random = random;
        self
    }

    /// Replaces the spawner of background work.
    pub fn spawn(mut self, spawn: Arc<dyn Spawn>) -> Self {
        self.runtime.spawn = spawn;
        self
    }

    /// Starts no background flusher: changes are logged when `flush`, a round or a transaction says so. For tests.
    pub fn without_background(mut self) -> Self {
        self.background = Background::Off;
        self
    }

    /// Brings the sync tables up to date, guards the tables, adopts rows that are there already, logs what was
    /// written since the engine last ran, and starts the flusher.
    ///
    /// # Errors
    /// [`SyncError::Model`] and [`SyncError::Bind`] say which entity cannot sync and what to change;
    /// [`SyncError::WrongLibrary`] if the database belongs to another library; [`SyncError::Scope`] if the scope cannot be
    /// kept as it is said; [`SyncError::Store`] if the database refuses.
    pub async fn start(self) -> Result<SyncEngine, SyncError> {
        let Self {
            db,
            engine_db,
            library,
            only,
            registered,
            limits,
            retention,
            device_name,
            scope,
            runtime,
            background,
        } = self;
        let chosen: Vec<Registration> = match &only {
            Some(ids) => registered.into_iter().filter(|one| ids.iter().any(|id| id == one.id())).collect(),
            None => registered,
        };
        if let Some(unknown) =
            only.iter().flatten().find(|id| !chosen.iter().any(|one| one.id() == id.as_str()))
        {
            return Err(ModelError::Unknown { id: unknown.clone() }.into());
        }
        let models = Models::new(adapters_with(chosen, system_models())?);
        let store = Store::open(&db, engine_db, runtime.clone()).await?;
        let fingerprint = store.fingerprint().await?;
        let opened = store
            .write(move |write| {
                Box::pin(async move {
                    Ok::<_, SyncError>(Identity::open(write, library, &fingerprint, &runtime).await?)
                })
            })
            .await?;
        let identity =
            opened.map_err(|found| SyncError::WrongLibrary { asked: library.unwrap_or(found), found })?;
        let replica = Arc::new(Replica::new(store, models, limits, retention, device_name, identity));
        // Guards, adopts, and goes on with what a flush before had begun.
        let opening = replica.clone();
        replica
            .store
            .write(move |write| {
                Box::pin(async move {
                    // Before models are bound: one may have the column or the name that a change brings.
                    let mut head = Head::load(write.db, &write.names).await?;
                    schema::carry_out(write, &mut head, opening.models.adapters()).await?;
                    opening.models.refresh(write).await?;
                    let mut head = Head::load(write.db, &write.names).await?;
                    opening.begins_to_offer(&mut head);
                    head.save(write.db).await?;
                    Ok::<_, SyncError>(())
                })
            })
            .await?;
        replica.flush_all().await?;
        if let Some(scope) = scope {
            replica.set_scope(scope).await?;
        }
        Ok(SyncEngine::start(db, replica, background))
    }
}
