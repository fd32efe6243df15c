//! What `#[derive(Syncable)]` makes of an entity: its spec, its adapter, its key and its hooks.

mod adapter;
mod entities;
mod hooks;
mod registry;
