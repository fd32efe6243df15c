//! What an application sees: write on one device, sync, read on another.

mod converge;
mod faults;
