//! What an application sees: write on one device, sync, read on another.

mod capture;
mod constraints;
mod converge;
mod faults;
mod ways;
