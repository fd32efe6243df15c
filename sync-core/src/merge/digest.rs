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
    // One buffer, hashed at once: feeding a hasher piece by piece costs more than the hash. What mostly repeats, a cell's
    // version, is said once: BLAKE3 takes 64 bytes at a time.
    let mut bytes = Vec::with_capacity(256);
    let mut last = None;
    prefixed(&mut bytes, model.as_bytes());
    prefixed(&mut bytes, record.as_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    for (column, version, hash) in cells {
        prefixed(&mut bytes, column.as_bytes());
        let repeats = last.replace(version) == Some(version);
        bytes.push(u8::from(!repeats));
        if !repeats {
            bytes.extend_from_slice(version.as_bytes());
        }
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

/// `part` behind its length: one byte, or 255 and eight.
fn prefixed(bytes: &mut Vec<u8>, part: &[u8]) {
    match u8::try_from(part.len()) {
        Ok(short) if short < u8::MAX => bytes.push(short),
        _ => {
            bytes.push(u8::MAX);
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(part);
}
