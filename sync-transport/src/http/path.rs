//! The paths of the calls: the version of the HTTP form, then [`Call::NAME`](sync_core::Call::NAME).

/// The first part of every path: the version of the HTTP form. The protocol's own version stands in `hello`.
pub(super) const VERSION: &str = "v1";

/// The path of the notices, before the library.
pub(super) const WATCH: &str = "watch";
