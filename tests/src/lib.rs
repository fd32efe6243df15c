//! The harness: entities, devices, clocks and faulty peers for the tests of what must hold for the user.

pub mod damage;
pub mod device;
pub mod entities;
pub mod everything;
pub mod faulty;
pub mod first_sync;
pub mod grown;
pub mod interrupt;
pub mod nested;
pub mod older;
#[path = "../../docs/transport/pipe.rs"]
pub mod pipe;
pub mod quarrel;
pub mod ruled;
pub mod served;
pub mod state;
pub mod tangled;
pub mod wire;
pub mod workload;
pub mod writes;

pub use device::Device;
pub use served::Served;

/// The README's quick start compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
