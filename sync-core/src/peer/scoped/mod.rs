//! Replicas that keep a part of the library.
//!
//! Invariant: such a replica reads state, not history. It sends its own changes to replicas that have everything, as ever, and reads
//! their state feeds, each from where it ended the last time. It relays nobody's changes, so it gives its log to nobody but by
//! being pulled from, and it says of nobody but itself that it has all of his changes.
//!
//! * `extent` which part, and how that changes
//! * `position` how far it has read, and how far it was read to
//! * `round` a round with a replica of a part on one side
//! * `receive` a page of state is taken in; what left the scope goes

mod extent;
mod position;
mod receive;
mod round;

pub(super) use position::forget_reads;
pub(super) use round::decoded;
