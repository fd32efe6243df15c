//! One number for all alive objects of a library, whatever the order in which they came.
//!
//! Invariant: equal objects give equal digests. Clocks, births and tombstones are left out, because replicas
//! that hold the same data may have forgotten different parts of those.

use super::object::{Object, is_alive};
use crate::{ids::RecordId, stamp::Stamp, value::ValueHash};

/// The wrapping sum of the [`contribution`] of each object.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest with these 16 bytes, big endian.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The 16 bytes, big endian.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Takes an object's contribution in.
    pub const fn add(&mut self, part: Self) {
        self.0 = self.0.wrapping_add(part.0);
    }

    /// Takes an object's contribution out.
    pub const fn remove(&mut self, part: Self) {
        self.0 = self.0.wrapping_sub(part.0);
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What one object adds to the digest of its library: nothing if it is dead, else the first 16 bytes of one
/// BLAKE3 over model, record, generation and cells. `cells` come sorted by column, as objects hold them.
pub fn contribution<'a>(
    model: &str,
    record: &RecordId,
    generation: u64,
    cells: impl IntoIterator<Item = (&'a str, Stamp, ValueHash)>,
) -> Digest {
    if !is_alive(generation) {
        return Digest::default();
    }
    // One buffer, hashed at once: feeding a hasher piece by piece costs more than the hash.
    let mut bytes = Vec::with_capacity(512);
    prefixed(&mut bytes, model.as_bytes());
    prefixed(&mut bytes, record.as_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    for (column, version, hash) in cells {
        prefixed(&mut bytes, column.as_bytes());
        bytes.extend_from_slice(version.as_bytes());
        bytes.extend_from_slice(&hash.0.to_be_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
    Digest::from_bytes(first)
}

impl Object {
    /// What the object, as `record` of `model`, adds to the digest of its library.
    pub fn digest(&self, model: &str, record: &RecordId) -> Digest {
        let cells = self.cells.iter().map(|cell| (cell.column.as_str(), cell.version, cell.hash));
        contribution(model, record, self.generation, cells)
    }
}

fn prefixed(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}
