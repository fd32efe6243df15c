//! What an entity tells the engine: its columns and rules, and how to build it for the user's functions.
//!
//! The only names that ever become SQL come from here. [`Syncable`] is what the user says, [`Registration`]
//! how the program knows of it, [`TypedAdapter`] what the engine makes of it, [`hooks`] how a save reaches
//! the engine.

mod adapter;
mod error;
pub mod generated;
pub mod hooks;
mod key;
mod macros;
mod registry;
mod rules;
mod spec;
mod syncable;
mod typed;

pub use adapter::{Adapter, MergeError};
pub use error::ModelError;
pub(crate) use key::of_model as record_of;
pub use registry::{Registration, adapters, registered};
pub(crate) use registry::{adapters_with, is_system};
pub use spec::{ColumnSpec, ModelSpec, Role, TriggerPolicy};
pub use syncable::{ColumnOf, ColumnRule, KeyPolicy, MergePolicy, ModelOf, Rules, Syncable};
pub use typed::TypedAdapter;
