//! Repair: two replicas with the same changes and unequal objects find out where they differ, and mend it.
//!
//! Invariant: what is exchanged is joined, so nothing sound is replaced by something else. One repair asks a bounded
//! number of questions, whatever the peer answers; what is not mended then is named, not tried for ever.
//!
//! * `message` the call and its answer
//! * `look` what a replica knows of its own damage, and what it mends by itself
//! * `answer` the side that is asked
//! * `compare` the ranges in which two replicas differ
//! * `ask` the side that asks

mod answer;
mod ask;
mod compare;
mod look;
mod message;
mod replay;

pub use ask::{RepairReport, RepairedRecord, Unmended};
pub use message::{RangeDigests, RepairAnswer, RepairRequest, RepairedName};
pub use replay::ReplayReport;

pub(super) use ask::repair_diverged;
pub(crate) use ask::repair_with;
pub(crate) use look::{LastLook, LastRepair};
pub(crate) use replay::replay;
