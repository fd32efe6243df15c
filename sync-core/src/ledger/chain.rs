//! The chain: `H(n) = BLAKE3(H(n-1) || digest(n))` over a replica's log of one library.
//!
//! It proves order and integrity, not completeness: that is the digest's part.

use crate::ids::StateHash;

/// The head of the chain after an entry with this digest.
pub(crate) fn extend(head: StateHash, digest: StateHash) -> StateHash {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&head.0);
    bytes[32..].copy_from_slice(&digest.0);
    StateHash(*blake3::hash(&bytes).as_bytes())
}
