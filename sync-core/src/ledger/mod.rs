//! The ledger: objects, log, chain, digest and vector, written only here and only together.
//!
//! Invariant: whatever is in the log is in the objects, the chain, the digest and the vector, because one
//! transaction put it into all of them. `capture` and `apply` say what happened; nobody else writes.
//!
//! * `metadata` what there is one of
//! * `identity` who this replica is
//! * `head` where a library stands: last stamp, end of the log, chain, digest
//! * `chain` the hash that confirms what two replicas agree on
//! * `objects` stored objects, by record
//! * `commit` the one writer
//! * `conflicts` which of them somebody decided
//! * `taken_back` what was logged under stamps from the future
//! * `origins` the vector: how far each author's chain is here without a gap
//! * `extent` how much of the library is kept here
//! * `select` which records are in a part of it
//! * `pages`, `feed` the log and the state feed, a page at a time, as others read them
//! * `walk` all of it, a part at a time
//! * `adopt` what a complete snapshot makes of the log
//! * `prune` the beginning of the log goes
//! * `compact` values that later changes wrote again go
//! * `forgotten` tombstones that go too
//! * `found` objects as they are found, damaged ones among them
//! * `squash` changes of a record that nobody has seen become one
//! * `survey` a look at everything: what is damaged, and digests of the rest

mod adopt;
mod chain;
mod commit;
mod compact;
mod conflicts;
mod error;
mod extent;
mod feed;
mod forgotten;
mod found;
mod head;
mod identity;
mod metadata;
mod objects;
mod origins;
mod pages;
mod prune;
mod select;
mod squash;
mod survey;
mod taken_back;
mod walk;

pub(crate) use error::LedgerError;

pub(crate) use adopt::Snapshot;
pub(crate) use chain::extend;
pub(crate) use commit::{Commit, Entry, ObjectWrite};
pub(crate) use compact::{CompactedSlice, compact_slice};
pub(crate) use conflicts::{drop_surplus, forget_settled, mark_settled, settle_conflicts};
pub(crate) use extent::Extent;
pub(crate) use feed::{FeedCursor, FeedPage, FeedRequest, assemble, feed_page, records_now};
pub use forgotten::Forgotten;
pub(crate) use forgotten::{Sweep, Swept, missed, sweep_slice};
pub(crate) use found::{Fault, Found, Sight, found_at, found_of, logged_objects, logged_part};
pub(crate) use head::Head;
pub(crate) use identity::{Identity, leave_probe, move_to, probe, renewals, tail_taken};
pub use identity::{Renewal, RenewalReason};
pub(crate) use metadata::{keep, kept};
pub(crate) use objects::{Loaded, by_records, logged_value, logged_versions};
pub(crate) use origins::{any_ahead, head_of, logged, mark_forked, stamp, vector, with_other_bytes};
pub(crate) use pages::{LogPage, LogRequest, PageEntry, Reach, complete_end, hash_at, log_page};
pub(crate) use prune::{Cover, Prunable, Pruned, had_own, log_entries, prune_slice, pruned_of, surplus};
pub(crate) use select::{Place, Selected};
pub(crate) use squash::{Offer, offer};
pub(crate) use survey::{Damage, LogTrust, Sights, Survey, log_trust, recount, survey};
pub use taken_back::Retired;
pub(crate) use taken_back::{Ahead, ahead_of, learn_retired, take_back};
pub(crate) use walk::{LogWalk, Placed, objects_after, objects_since};
