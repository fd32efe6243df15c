//! What an application sees: write on one device, sync, read on another.

mod adopt;
mod capture;
mod constraints;
mod converge;
mod exact;
mod faults;
mod grow;
mod hostile;
mod limits;
mod migrator;
mod observe;
mod types;
