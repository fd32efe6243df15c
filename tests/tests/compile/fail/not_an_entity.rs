//! Things that are no entity.

use sync_core::Syncable;

#[derive(Syncable)]
pub struct Settings {
    pub depth: u8,
}

#[derive(Syncable)]
pub enum Model {}

#[sync_core::behavior]
impl Settings {}

#[sync_core::behavior(hooks)]
impl ActiveModelBehavior for Settings {}

#[sync_core::behavior]
pub fn after_save() {}

fn main() {}
