//! Capture: what was written to the application's tables, found out and logged.
//!
//! Invariant: the guard's note is in the database exactly if the write is; a flush takes notes, compares rows with
//! objects, and puts what differs into the ledger, in the transaction that removes the notes. It trusts rows, not
//! hints: a write that was rolled back has no note, a row that is as the engine knows it is no change.
//!
//! * `guard` the triggers that take the notes
//! * `models` the program's models bound to their tables; notes for tables that were not watched
//! * `notes` what is dirty
//! * `diff` what a row says that its object does not
//! * `written` what a write becomes where a column has a rule of its own
//! * `group` the changes of a batch and their objects
//! * `absorb` writes that are taken as known instead of logged
//! * `flusher` from notes to one batch of changes in the ledger

mod absorb;
mod diff;
mod error;
mod flusher;
mod group;
mod guard;
mod models;
mod notes;
mod written;

pub(crate) use error::CaptureError;

pub(crate) use absorb::{AbsorbScope, Images, absorb};
pub(crate) use diff::with_groups;
pub(crate) use flusher::{Batch, Flushed, LocalChange, flush_batch, log_whole};
pub(crate) use guard::guarded_model;
pub(crate) use models::Models;
pub(crate) use notes::{any_dirty, dirty_records, note_all};
pub(crate) use written::written;
