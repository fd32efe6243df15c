//! The models of the program: collected at link time, checked when an engine starts.
//!
//! Inventory is per process, and a process may hold entities that cannot sync together (two versions of one
//! table, in tests), so nothing is checked before an engine has said which models it serves.

use std::{
    any::{TypeId, type_name},
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use crate::model::{Adapter, ModelError, Syncable, TypedAdapter};

/// An entity that syncs, not yet looked at.
#[derive(Clone, Copy)]
pub struct Registration {
    id: &'static str,
    entity: TypeId,
    entity_name: fn() -> &'static str,
    adapter: fn() -> Result<Arc<dyn Adapter>, ModelError>,
}

impl Registration {
    /// The registration of an entity, by its `ActiveModel`.
    pub const fn of<A: Syncable>() -> Self {
        Self {
            id: A::SYNC_ID,
            entity: TypeId::of::<A>(),
            entity_name: type_name::<A>,
            adapter: || Ok(Arc::new(TypedAdapter::<A>::new()?)),
        }
    }

    /// The model's `SYNC_ID`.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// Reads and checks the entity.
    ///
    /// # Errors
    /// [`ModelError`] says why it cannot sync.
    pub fn adapter(&self) -> Result<Arc<dyn Adapter>, ModelError> {
        (self.adapter)()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("id", &self.id).field("entity", &(self.entity_name)()).finish()
    }
}

inventory::collect!(Registration);

/// Every registered entity of the program, by `SYNC_ID`, each once: the order of the linker differs per
/// build.
pub fn registered() -> Vec<Registration> {
    unique(inventory::iter::<Registration>.into_iter().copied())
}

/// What the ids of the engine's own models begin with.
const RESERVED: &str = "sync_";

/// True if the model with this `SYNC_ID` is one of the engine's own, of this version or a later one.
pub(crate) fn is_system(id: &str) -> bool {
    id.starts_with(RESERVED)
}

/// Reads and checks `registrations`; the adapters come by `SYNC_ID`. An entity named twice counts once.
///
/// # Errors
/// [`ModelError`] of the first entity that cannot sync, or that clashes with another.
pub fn adapters(
    registrations: impl IntoIterator<Item = Registration>,
) -> Result<Vec<Arc<dyn Adapter>>, ModelError> {
    adapters_with(registrations, [])
}

/// The same with the engine's own models among them.
pub(crate) fn adapters_with(
    registrations: impl IntoIterator<Item = Registration>,
    system: impl IntoIterator<Item = Registration>,
) -> Result<Vec<Arc<dyn Adapter>>, ModelError> {
    let mut registrations = unique(registrations);
    if let Some(taken) = registrations.iter().find(|registration| is_system(registration.id)) {
        return Err(ModelError::ReservedId {
            entity: (taken.entity_name)(),
            id: taken.id,
            reserved: RESERVED,
        });
    }
    registrations.extend(system);
    let registrations = unique(registrations);
    for pair in registrations.windows(2) {
        if pair[0].id == pair[1].id {
            let (first, second) = ((pair[0].entity_name)(), (pair[1].entity_name)());
            return Err(ModelError::DuplicateId { id: pair[0].id, first, second });
        }
    }
    let mut tables = HashMap::new();
    let mut adapters = Vec::with_capacity(registrations.len());
    for registration in registrations {
        let adapter = registration.adapter()?;
        let spec = adapter.spec();
        // Case does not tell two tables of SQLite apart.
        let table = (spec.schema.clone(), spec.table.to_lowercase());
        if let Some(first) = tables.insert(table, registration.id) {
            return Err(ModelError::DuplicateTable {
                table: spec.table.clone(),
                first: first.to_owned(),
                second: registration.id.to_owned(),
            });
        }
        adapters.push(adapter);
    }
    Ok(adapters)
}

fn unique(registrations: impl IntoIterator<Item = Registration>) -> Vec<Registration> {
    let mut seen = HashSet::new();
    let mut list: Vec<_> =
        registrations.into_iter().filter(|registration| seen.insert(registration.entity)).collect();
    list.sort_by_key(|registration| (registration.id, (registration.entity_name)()));
    list
}
