//! What earlier versions wrote, later ones read: messages, changes, packed objects, databases.
//!
//! `golden/` holds what this version writes, and each folder of `golden/earlier/` what an earlier one wrote. Every file must be read
//! with the meaning that it had, and what is written today must be what the file says. `GOLDEN=write cargo test -p sync-tests --test
//! compatibility` writes those anew that differ: do so only for a form that may change, and copy the old files to a new folder of
//! `golden/earlier/` first.

mod changes;
mod database;
mod golden;
mod messages;
mod objects;
