//! Small integers for what is long and repeated: libraries, devices, models, columns.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Mutex},
};

use sea_orm::ConnectionTrait;

use super::{StoreError, sql};
use crate::{
    ids::{DeviceId, Name},
    merge::ColumnIds,
};

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NameKind {
    Library = 1,
    Device = 2,
    Model = 3,
    Column = 4,
}

#[derive(Clone, Debug, Default)]
struct Known {
    newest: i64,
    /// By kind, then by name.
    ids: HashMap<i64, HashMap<Vec<u8>, i64>>,
    names: HashMap<i64, Vec<u8>>,
}

impl Known {
    fn learn(&mut self, id: i64, kind: i64, name: Vec<u8>) {
        self.newest = self.newest.max(id);
        self.names.insert(id, name.clone());
        self.ids.entry(kind).or_default().insert(name, id);
    }
}

/// The names that are committed; shared by all transactions of a store.
#[derive(Debug, Default)]
pub(crate) struct NameCache(Mutex<Arc<Known>>);

impl NameCache {
    /// The names as the transaction `db`, which must just have begun, sees them.
    pub(crate) async fn begin<C: ConnectionTrait>(&self, db: &C) -> Result<Names, StoreError> {
        let mut known = self.lock().clone();
        let rows = sql::all(
            db,
            "SELECT id, kind, name FROM sync_names WHERE id > ? ORDER BY id",
            [known.newest.into()],
        )
        .await?;
        if !rows.is_empty() {
            let newer = Arc::make_mut(&mut known);
            for row in rows {
                newer.learn(sql::column(&row, 0)?, sql::column(&row, 1)?, sql::column(&row, 2)?);
            }
            let mut shared = self.lock();
            if shared.newest < known.newest {
                *shared = known.clone();
            }
        }
        Ok(Names { known })
    }

    /// Forgets everything: the tables were removed.
    pub(crate) fn clear(&self) {
        *self.lock() = Arc::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Known>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The names that one transaction sees: the committed ones and those it made itself.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    known: Arc<Known>,
}

impl Names {
    /// The integer of `name`, if it has one.
    pub(crate) fn id(&self, kind: NameKind, name: &[u8]) -> Option<i64> {
        self.known.ids.get(&(kind as i64))?.get(name).copied()
    }

    /// The name with this integer.
    pub(crate) fn name(&self, id: i64) -> Option<&[u8]> {
        self.known.names.get(&id).map(Vec::as_slice)
    }

    /// The name with this integer, as text.
    pub(crate) fn text(&self, id: i64) -> Result<Name, StoreError> {
        self.name(id)
            .and_then(|name| std::str::from_utf8(name).ok())
            .map(Name::from)
            .ok_or_else(|| StoreError::Corrupt(format!("name {id} is not in sync_names")))
    }

    /// Every device that has a name here.
    pub(crate) fn devices(&self) -> impl Iterator<Item = DeviceId> + '_ {
        let names = self.known.ids.get(&(NameKind::Device as i64)).into_iter().flat_map(HashMap::keys);
        names.filter_map(|name| Some(DeviceId::from_bytes(name.as_slice().try_into().ok()?)))
    }

    /// Every model that has a name here, with its integer.
    pub(crate) fn models(&self) -> impl Iterator<Item = (i64, &str)> + '_ {
        let names = self.known.ids.get(&(NameKind::Model as i64)).into_iter().flatten();
        names.filter_map(|(name, id)| Some((*id, std::str::from_utf8(name).ok()?)))
    }

    /// The integer of `name`, which gets one if it has none.
    pub(crate) async fn intern<C: ConnectionTrait>(
        &mut self,
        db: &C,
        kind: NameKind,
        name: &[u8],
    ) -> Result<i64, StoreError> {
        if let Some(id) = self.id(kind, name) {
            return Ok(id);
        }
        let id = self.known.newest + 1;
        sql::execute(
            db,
            "INSERT INTO sync_names (id, kind, name) VALUES (?, ?, ?)",
            [id.into(), (kind as i64).into(), name.to_vec().into()],
        )
        .await?;
        Arc::make_mut(&mut self.known).learn(id, kind as i64, name.to_vec());
        Ok(id)
    }
}

impl ColumnIds for Names {
    fn id(&self, column: &str) -> Option<u32> {
        Names::id(self, NameKind::Column, column.as_bytes()).and_then(|id| u32::try_from(id).ok())
    }

    fn name(&self, id: u32) -> Option<Name> {
        self.text(i64::from(id)).ok()
    }
}

/// The columns of many objects, one after the other: mostly each has those of the one before, in the same order.
#[derive(Debug)]
pub(crate) struct ColumnsInOrder<'a> {
    names: &'a Names,
    seen: RefCell<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    columns: Vec<(Name, u32)>,
    /// Where the next one is expected.
    next: usize,
}

impl<'a> ColumnsInOrder<'a> {
    pub(crate) fn new(names: &'a Names) -> Self {
        Self { names, seen: RefCell::default() }
    }

    /// The expected column if `is_it`, else what `look` finds, which is expected here from now on.
    fn find(
        &self,
        is_it: impl Fn(&(Name, u32)) -> bool,
        look: impl FnOnce() -> Option<(Name, u32)>,
    ) -> Option<(Name, u32)> {
        let seen = &mut *self.seen.borrow_mut();
        for at in [seen.next, 0] {
            if let Some(found) = seen.columns.get(at).filter(|column| is_it(column)) {
                seen.next = at + 1;
                return Some(found.clone());
            }
        }
        let found = look()?;
        seen.columns.truncate(seen.next);
        seen.columns.push(found.clone());
        seen.next = seen.columns.len();
        Some(found)
    }
}

impl ColumnIds for ColumnsInOrder<'_> {
    fn id(&self, column: &str) -> Option<u32> {
        self.find(
            |(name, _)| name == column,
            || Some((Name::from(column), ColumnIds::id(self.names, column)?)),
        )
        .map(|(_, id)| id)
    }

    fn name(&self, id: u32) -> Option<Name> {
        self.find(|(_, known)| *known == id, || Some((ColumnIds::name(self.names, id)?, id)))
            .map(|(name, _)| name)
    }
}
