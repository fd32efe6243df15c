//! What an application sees: write on one device, sync, read on another.

mod background;
mod capture;
mod capture_nested;
mod constraints;
mod converge;
mod dropped_calls;
mod dropped_writes;
mod faults;
mod many;
mod observe;
mod settle;
mod triggers;
mod ways;
