//! Apply: what others wrote is joined into the objects, then their rows follow.
//!
//! Invariant: joining never fails and never waits; only a row can wait. A row is written exactly if its object is
//! alive, no older object holds one of its unique keys, and its parents' rows are written. What keeps it out is
//! listed with a reason, and looked at again when the reason may have ended.
//!
//! * `group` one group of changes: join, decide, write
//! * `duplicates` what is here already
//! * `learn` what one change does to the object of its record
//! * `working` the records of a group while they change
//! * `unique` which record of several with one unique key is shown
//! * `foreign` whose parents are there, whose children must step back
//! * `relatives` who is whose parent
//! * `settle` what a flush set free, pushed aside or must put back
//! * `rows` the statements that bring a table in line
//! * `vacate` unique values that move between rows
//! * `pending` what waits, and why
//! * `listed` what a group adds to the lists of what waits and of what is kept out, and takes off
//! * `retry` another look at what waits
//! * `known` records that came before their model or their columns
//! * `shrunk` objects whose rows have lost a column
//! * `refound` a database that becomes part of another library
//! * `held` groups that are kept and not merged yet
//! * `refuse` what a peer says in a repair and is not taken
//! * `mend` damaged records made whole
//! * `leave` records that left the scope

mod duplicates;
mod error;
mod foreign;
mod group;
mod held;
mod known;
mod learn;
mod leave;
mod listed;
mod mend;
mod pending;
mod refound;
mod refuse;
mod relatives;
mod retry;
mod rows;
mod settle;
mod shrunk;
mod unique;
mod vacate;
mod working;

pub(crate) use error::ApplyError;
pub use pending::PendingReason;

pub(crate) use group::{Applied, Asks, Incoming, Origin, apply_group};
pub(crate) use held::{Hold, due, first_due, hold, room, take_incomplete};
pub(crate) use known::{note_grown, show_known};
pub(crate) use leave::leave;
pub(crate) use mend::{Means, Named, join_repairs, salvage};
pub(crate) use pending::{PendingRecord, count as count_pending, is_pending, list as pending_records};
pub(crate) use refound::{give_to, make_room_for};
pub(crate) use refuse::refuse_past;
pub(crate) use retry::{retry, retry_all};
pub(crate) use settle::settle;
pub(crate) use shrunk::{keep_values, take_off};
