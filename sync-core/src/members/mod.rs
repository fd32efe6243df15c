//! What the devices of a library say of themselves: records like any others, of models that the engine brings along.
//!
//! Invariant: a device writes its own record and no other, except to say that one is gone. The engine makes the tables;
//! `capture` and `apply` treat them like any table that syncs, so they travel, merge and are repaired in the same way.
//!
//! * `devices` who is a member
//! * `schema` what the application's tables are made of
//! * `record` how records of both are read and written

pub(crate) mod devices;
mod record;
pub(crate) mod schema;

use crate::model::Registration;

/// The engine's own models.
pub(crate) fn system_models() -> [Registration; 2] {
    [Registration::of::<devices::ActiveModel>(), Registration::of::<schema::ActiveModel>()]
}
