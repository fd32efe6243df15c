//! What the library keeps. Everything but `temp_file` syncs.

pub(crate) mod device;
pub(crate) mod entry;
pub(crate) mod entry_tag;
pub(crate) mod location;
pub(crate) mod tag;
pub(crate) mod temp_file;
pub(crate) mod user_metadata;
pub(crate) mod volume;
