//! What generated code names, of the derive and of `impl_syncable!`: through it an entity needs no dependency
//! but `sea_orm` and `sync_core`. No part of the API.

pub use async_trait;
pub use inventory;
pub use sea_orm;

use sea_orm::{IdenStatic, Iterable};

pub use crate::model::key::fill as fill_key;
use crate::model::{ColumnOf, Syncable};

/// The columns that travel: all but `skipped`.
pub fn fields_except<A: Syncable>(skipped: &[ColumnOf<A>]) -> Vec<&'static str> {
    let skipped: Vec<_> = skipped.iter().map(IdenStatic::as_str).collect();
    let names = ColumnOf::<A>::iter().map(|column| column.as_str());
    names.filter(|name| !skipped.contains(name)).collect()
}
