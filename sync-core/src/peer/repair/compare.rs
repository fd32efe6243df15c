//! The ranges in which two replicas differ, found by asking for fewer and fewer records.
//!
//! Invariant: each question halves what is left at least, and their number is bounded, so it ends whatever the peer
//! answers.

use std::collections::BTreeMap;

use super::{super::PeerError, RangeDigests};
use crate::merge::{Census, Digest, RecordRange};

/// The most ranges that one repair asks about: enough for two replicas that have nothing in common.
const MAX_RANGES: u64 = 1 << 16;

/// Who has a record in a form that the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// The peer's object is sound, and the one here is missing or damaged.
    Theirs,
    /// The one here is sound, and the peer's is missing or damaged.
    Mine,
    /// Both are sound.
    Both,
    /// Neither is.
    Neither,
}

/// A comparison in progress.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    census: &'a Census,
    open: Vec<RecordRange>,
    asked: u64,
    most: usize,
    /// By place.
    pub(super) found: BTreeMap<u64, Difference>,
    /// False if there was more than was asked for.
    pub(super) complete: bool,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(census: &'a Census, most: u32) -> Self {
        let open = vec![RecordRange::ALL];
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { census, open, asked: 0, most, found: BTreeMap::new(), complete: true }
    }

    /// How many ranges were asked about.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// The next question; nothing at the end.
    pub(super) fn question(&mut self, most: usize) -> Vec<RecordRange> {
        if !self.open.is_empty() && (self.asked >= MAX_RANGES || self.found.len() >= self.most) {
            self.open.clear();
            self.complete = false;
        }
        let next: Vec<_> = self.open.drain(..most.min(self.open.len())).collect();
        self.asked += next.len() as u64;
        next
    }

    /// Takes an answer in.
    pub(super) fn answered(
        &mut self,
        ranges: &[RecordRange],
        answers: &[RangeDigests],
    ) -> Result<(), PeerError> {
        if ranges.len() != answers.len() {
            return Err(corrupt("not as many ranges as were asked about"));
        }
        for (range, answer) in ranges.iter().zip(answers) {
            if answer.parts.is_empty() {
                self.listed(*range, &answer.entries)?;
            } else {
                self.cut(*range, &answer.parts)?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, range: RecordRange, sums: &[u8]) -> Result<(), PeerError> {
        let (sums, rest) = sums.as_chunks::<16>();
        let bits = sums.len().ilog2();
        let whole = rest.is_empty() && sums.len().is_power_of_two() && (1..=8).contains(&bits);
        let parts = range.parts(bits as u8).filter(|_| whole);
        let parts = parts.ok_or_else(|| corrupt("sums that are of no parts"))?;
        for (part, sum) in parts.zip(sums) {
            let damaged = self.census.within(part).iter().any(|one| one.damaged);
            if damaged || self.census.sum(part) != Digest::from_bytes(*sum) {
                self.open.push(part);
            }
        }
        Ok(())
    }

    fn listed(&mut self, range: RecordRange, entries: &[u8]) -> Result<(), PeerError> {
        let (entries, rest) = entries.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(corrupt("a list that ends early"));
        }
        let mut theirs = BTreeMap::new();
        let mut last = None;
        for entry in entries {
            let number = u128::from_be_bytes(*entry);
            let (place, mark) = ((number >> 64) as u64, number as u64);
            if !range.contains(place) || last >= Some(place) {
                return Err(corrupt("a record outside its range, or out of order"));
            }
            last = Some(place);
            theirs.insert(place, mark);
        }
        for mine in self.census.within(range) {
            let difference = match (mine.mark(), theirs.remove(&mine.place).unwrap_or(0)) {
                (0, 0) => Difference::Neither,
                (0, _) => Difference::Theirs,
                (_, 0) => Difference::Mine,
                (mine, theirs) if mine == theirs => continue,
                _ => Difference::Both,
            };
            self.found.insert(mine.place, difference);
        }
        for (place, mark) in theirs {
            let difference = if mark == 0 { Difference::Neither } else { Difference::Theirs };
            self.found.insert(place, difference);
        }
        Ok(())
    }
}

fn corrupt(what: &str) -> PeerError {
    PeerError::Corrupt(format!("the answer to a repair has {what}"))
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;

    /// Each answer opens more ranges than it closes.
    #[test]
    fn a_peer_that_differs_everywhere_is_not_asked_for_ever() {
        let census = Census::new(Vec::new());
        let mut comparison = Comparison::new(&census, u32::MAX);
        let page = 1 << 12;
        let lie = RangeDigests { parts: ByteBuf::from(vec![1; 2 * 16]), entries: ByteBuf::new() };
        for _ in 0..2 * MAX_RANGES / page {
            let ranges = comparison.question(page as usize);
            let lies = vec![lie.clone(); ranges.len()];
            comparison.answered(&ranges, &lies).expect("what a peer may say");
        }
        assert!(comparison.question(page as usize).is_empty(), "it ends");
        assert!(!comparison.complete && comparison.asked() < MAX_RANGES + page, "{}", comparison.asked());
    }
}
