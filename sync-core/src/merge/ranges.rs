//! Digests of ranges: how two replicas find out in which records they differ, at a cost that follows the difference.
//!
//! Invariant: a record's place is a hash of its name, so any range holds about its share of the records, whatever
//! their keys are. Equal ranges have equal sums, as a [`Digest`] has it.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::ids::RecordId;

/// Where a record of `model` stands among all records: the first eight bytes of BLAKE3 over model and record.
pub(crate) fn place_of(model: &str, record: &RecordId) -> u64 {
    let mut bytes = Vec::with_capacity(model.len() + 1 + record.as_bytes().len());
    bytes.extend_from_slice(model.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(record.as_bytes());
    first_eight(&bytes)
}

fn first_eight(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_be_bytes(eight)
}

/// All places whose first `bits` bits are those of `first`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordRange {
    /// The smallest place in it.
    pub first: u64,
    /// How many bits its places have in common, at most 64; none in the range of all places.
    pub bits: u8,
}

impl RecordRange {
    /// Every place.
    pub const ALL: Self = Self { first: 0, bits: 0 };

    /// True if the fields are those of a range.
    pub fn is_valid(self) -> bool {
        self.bits <= 64 && self.first & self.rest() == 0
    }

    /// True if `place` is in the range.
    pub fn contains(self, place: u64) -> bool {
        place & !self.rest() == self.first
    }

    /// The range cut into 2^`bits` equal parts, in order; `None` if it has not so many places.
    pub fn parts(self, bits: u8) -> Option<impl Iterator<Item = Self>> {
        let all = self.bits.checked_add(bits).filter(|all| *all <= 64 && bits < 64)?;
        let shift = 64 - u32::from(all);
        let first = move |part: u64| self.first | part.checked_shl(shift).unwrap_or(0);
        Some((0..1_u64 << bits).map(move |part| Self { first: first(part), bits: all }))
    }

    /// The bits that differ within the range.
    fn rest(self) -> u64 {
        u64::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0)
    }

    fn last(self) -> u64 {
        self.first | self.rest()
    }
}

/// What a record adds to the sum of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) place: u64,
    pub(crate) digest: Digest,
    /// True if the object is not what its author wrote: its digest is then one that no other replica has.
    pub(crate) damaged: bool,
    /// Its row in `sync_objects`.
    pub(crate) id: i64,
}

impl Counted {
    /// A record whose object is damaged on the replica that `salt` names.
    pub(crate) fn damaged(place: u64, id: i64, salt: &[u8]) -> Self {
        let bytes = [salt, b"damaged", &place.to_be_bytes()].concat();
        let mut first = [0; 16];
        first.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        Self { place, digest: Digest::from_bytes(first), damaged: true, id }
    }

    /// Stands for the digest where records are listed one by one; zero for a damaged one.
    pub(crate) fn mark(&self) -> u64 {
        if self.damaged { 0 } else { ((self.digest.0 >> 64) as u64).max(1) }
    }
}

/// The alive records of a replica by place, as they were at one moment.
#[derive(Debug, Default)]
pub(crate) struct Census(Vec<Counted>);

impl Census {
    pub(crate) fn new(mut counted: Vec<Counted>) -> Self {
        counted.sort_unstable_by_key(|one| (one.place, one.id));
        // Two records with one place are told apart by nothing: one stands for both, and both are exchanged.
        counted.dedup_by(|next, kept| {
            let same = next.place == kept.place;
            if same {
                kept.digest.add(next.digest);
                kept.damaged |= next.damaged;
            }
            same
        });
        Self(counted)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The records in a range, by place.
    pub(crate) fn within(&self, range: RecordRange) -> &[Counted] {
        let from = self.0.partition_point(|one| one.place < range.first);
        let to = self.0.partition_point(|one| one.place <= range.last());
        &self.0[from..to]
    }

    /// The sum of a range.
    pub(crate) fn sum(&self, range: RecordRange) -> Digest {
        let mut sum = Digest::default();
        self.within(range).iter().for_each(|one| sum.add(one.digest));
        sum
    }

    pub(crate) fn at(&self, place: u64) -> Option<&Counted> {
        let at = self.0.binary_search_by_key(&place, |one| one.place).ok()?;
        Some(&self.0[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(count: u64) -> Census {
        let one = |n: u64| {
            let place = place_of("item", &RecordId::from_bytes(n.to_be_bytes()));
            Counted { place, digest: Digest(u128::from(n) << 70 | 1), damaged: false, id: n as i64 }
        };
        Census::new((0..count).map(one).collect())
    }

    #[test]
    fn parts_cover_their_range_once() {
        let census = census(1_000);
        for bits in [1, 4, 8] {
            let parts: Vec<_> = RecordRange::ALL.parts(bits).expect("parts").collect();
            assert!(parts.iter().all(|part| part.is_valid()));
            let counted: usize = parts.iter().map(|part| census.within(*part).len()).sum();
            assert_eq!(counted, 1_000);
            let mut sum = Digest::default();
            parts.iter().for_each(|part| sum.add(census.sum(*part)));
            assert_eq!(sum, census.sum(RecordRange::ALL));
        }
    }

    #[test]
    fn the_smallest_ranges_hold_one_place() {
        let range = RecordRange { first: u64::MAX, bits: 64 };
        assert!(range.is_valid() && range.contains(u64::MAX) && !range.contains(0));
        assert!(range.parts(1).is_none());
        let upper = RecordRange { first: 1 << 63, bits: 1 };
        let parts: Vec<_> = upper.parts(63).into_iter().flatten().take(2).collect();
        assert_eq!(parts[1], RecordRange { first: (1 << 63) + 1, bits: 64 });
        assert!(!RecordRange { first: 1, bits: 63 }.is_valid());
        assert!(!RecordRange { first: 0, bits: 65 }.is_valid());
    }

    #[test]
    fn a_damaged_record_has_a_sum_that_nobody_else_has() {
        let (here, there) = (Counted::damaged(7, 1, b"here"), Counted::damaged(7, 1, b"there"));
        assert_ne!(here.digest, there.digest);
        assert_eq!((here.mark(), there.mark()), (0, 0));
    }
}
