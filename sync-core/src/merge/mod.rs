//! Merging: what a replica knows of a record, and how it learns more.
//!
//! Invariant: [`join()`] is pure, commutative, associative and idempotent on whole objects, clock included. It
//! reads no clock, no row and no model: each cell carries the rule by which it merges. So replicas that joined
//! the same set of changes have equal objects, in whatever order and however often the changes came.
//!
//! * `rule` what a cell shows, and what a device says when it writes
//! * `parts` a value that several devices make together; `set` one of these
//! * `cell` what two cells of one column make
//! * `object` what is known of a record, complete with values
//! * `join` an object learns a change
//! * `conflict` what was lost in a join, and to what
//! * `digest` one number for all alive objects of a library
//! * `past` what speaks of records whose tombstones are gone
//! * `ranges` such numbers for ranges of records, to find where two replicas differ
//! * `stored`, `pack` an object as it lies beside its row, and its bytes

mod cell;
mod conflict;
mod digest;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod histories;
mod join;
#[cfg(test)]
mod laws;
mod object;
mod pack;
mod parts;
mod past;
mod ranges;
mod rule;
#[cfg(test)]
mod sample;
mod set;
mod stored;

pub use cell::{ObjectCell, merge_cells};
pub use conflict::{Conflict, ConflictReason, FieldConflict, Side};
pub use digest::{Digest, contribution};
pub(crate) use join::join_taking;
pub use join::{Changed, Joined, join};
pub(crate) use object::is_alive;
pub use object::{Object, merge_objects};
pub use pack::{ColumnIds, Corrupt, NotInterned};
pub(crate) use past::{Past, lost_with, must_be_told};
pub use ranges::RecordRange;
pub(crate) use ranges::{Census, Counted, place_of};
pub use rule::{Write, keeps_value, shown};
pub use stored::{Held, MissingValue, StoredCell, StoredObject};
