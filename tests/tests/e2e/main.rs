//! What an application sees: write on one device, sync, read on another.

mod adopt;
mod background;
mod capture;
mod capture_nested;
mod constraints;
mod converge;
mod cycles;
mod dropped_calls;
mod dropped_writes;
mod exact;
mod faults;
mod grow;
mod hostile;
mod limits;
mod many;
mod migrator;
mod observe;
mod sets;
mod settle;
mod skew;
mod strategies;
mod together;
mod triggers;
mod types;
mod ways;
