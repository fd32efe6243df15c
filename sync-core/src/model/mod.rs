//! What an entity tells the engine: its columns and rules, and how to build it for the user's functions.
//!
//! The only names that ever become SQL come from here.

mod adapter;
mod spec;

pub use adapter::{Adapter, MergeError};
pub use spec::{ColumnSpec, ModelSpec, Role, TriggerPolicy};
