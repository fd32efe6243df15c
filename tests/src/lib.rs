//! The harness: entities, devices, clocks and faulty peers for the tests of what must hold for the user.

pub mod device;
pub mod entities;

pub use device::Device;
