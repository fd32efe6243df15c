//! Stamps: a change's id and its hybrid logical clock time at once.
//!
//! A stamp is a valid UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 18 bits of counter (the 12
//! bits of `rand_a` and the first 6 of `rand_b`), 56 bits of node. Byte order is the global order. The clock
//! follows Kulkarni et al., "Logical Physical Clocks" (2014): it never falls, it never waits.
//!
//! Invariant: the stamps that one [`HybridClock`] makes grow strictly, whatever the wall clock does.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::runtime::Random;

/// How many milliseconds a gap behind the last stamp has at most: far less than stamps may be ahead of a clock.
const LEAP_MS: u64 = 1_024;

const COUNTER_BITS: u32 = 18;
const COUNTER_MAX: u32 = (1 << COUNTER_BITS) - 1;
/// A new millisecond starts its counter at a random value below this, so that two clones of one database that
/// write in the same millisecond do not make the same id.
const COUNTER_START: u32 = 1 << 12;
const MS_MAX: u64 = (1 << 48) - 1;

/// The part of a stamp that says which device made it: the last seven bytes of its [`DeviceId`](crate::DeviceId).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node([u8; 7]);

impl Node {
    pub(crate) fn from_tail(bytes: &[u8; 16]) -> Self {
        let mut node = [0; 7];
        node.copy_from_slice(&bytes[9..]);
        Self(node)
    }
}

/// A point in the order of all changes; see the [module](self).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(Uuid);

impl Stamp {
    /// Smaller than every real stamp: the version of adopted cells.
    pub const NIL: Self = Self(Uuid::nil());

    /// The stamp of these parts. `ms` is cut to 48 bits, `counter` to 18.
    pub fn new(ms: u64, counter: u32, node: Node) -> Self {
        let ms = ms & MS_MAX;
        let counter = counter & COUNTER_MAX;
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
        let high = (counter >> 6) as u16;
        bytes[6..8].copy_from_slice(&(0x7000 | high).to_be_bytes());
        bytes[8] = 0x80 | (counter & 0x3f) as u8;
        bytes[9..].copy_from_slice(&node.0);
        Self(Uuid::from_bytes(bytes))
    }

    /// The stamp with these bytes, if they are a UUIDv7 or nil.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let valid = bytes == [0; 16] || (bytes[6] >> 4 == 7 && bytes[8] >> 6 == 0b10);
        valid.then(|| Self(Uuid::from_bytes(bytes)))
    }

    /// The 16 bytes; their order is the order of stamps.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The stamp as a UUID.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    pub fn ms(&self) -> u64 {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.as_bytes()[..6]);
        u64::from_be_bytes(ms)
    }

    /// The counter within the millisecond.
    pub fn counter(&self) -> u32 {
        let bytes = self.as_bytes();
        let high = u32::from(u16::from_be_bytes([bytes[6], bytes[7]]) & 0x0fff);
        (high << 6) | u32::from(bytes[8] & 0x3f)
    }

    /// Which device made it.
    pub fn node(&self) -> Node {
        Node::from_tail(self.as_bytes())
    }

    /// Milliseconds and counter as one number of 66 bits, which grows from stamp to stamp of one device.
    pub(crate) fn prefix(&self) -> u128 {
        u128::from(self.ms()) << COUNTER_BITS | u128::from(self.counter())
    }

    /// The stamp of this [`prefix`](Self::prefix) and node.
    pub(crate) fn from_prefix(prefix: u128, node: Node) -> Self {
        Self::new((prefix >> COUNTER_BITS) as u64, prefix as u32 & COUNTER_MAX, node)
    }

    /// True for [`Stamp::NIL`].
    pub fn is_nil(&self) -> bool {
        self.0.is_nil()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Makes the stamps of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HybridClock {
    last: Stamp,
    node: Node,
}

impl HybridClock {
    /// The clock of `node` that has seen stamps up to `last`.
    pub fn new(node: Node, last: Stamp) -> Self {
        Self { last, node }
    }

    /// The newest stamp made or observed.
    pub fn last(&self) -> Stamp {
        self.last
    }

    /// The next stamp, for an event at `wall_ms`: greater than every stamp made or observed before.
    pub fn tick(&mut self, wall_ms: u64, random: &dyn Random) -> Stamp {
        let next = if wall_ms > self.last.ms() {
            let mut start = [0; 4];
            random.fill(&mut start);
            Stamp::new(wall_ms, u32::from_le_bytes(start) % COUNTER_START, self.node)
        } else {
            match self.last.counter() {
                COUNTER_MAX => Stamp::new(self.last.ms() + 1, 0, self.node),
                counter => Stamp::new(self.last.ms(), counter + 1, self.node),
            }
        };
        debug_assert!(next > self.last, "stamps grow");
        self.last = next;
        next
    }

    /// Leaves a gap of some random milliseconds behind the last stamp, unless `wall_ms` is past that. For a database that is
    /// opened: it may be an older state of one that went on from here, and where time is not past the last stamp, only the gap
    /// keeps the two from giving one stamp to different changes. True if there is a gap now.
    pub fn leap(&mut self, wall_ms: u64, random: &dyn Random) -> bool {
        if self.last.is_nil() || wall_ms > self.last.ms() {
            return false;
        }
        let mut gap = [0; 8];
        random.fill(&mut gap);
        let gap = u64::from_le_bytes(gap);
        let counter = (gap >> 32) as u32 % COUNTER_START;
        self.last = Stamp::new(self.last.ms() + 1 + gap % LEAP_MS, counter, self.node);
        true
    }

    /// Takes note of a foreign stamp, so that whatever is written next comes after it. The caller has checked
    /// that it is not too far ahead of the wall clock.
    pub fn observe(&mut self, stamp: Stamp) {
        self.last = self.last.max(stamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn node(tail: u8) -> Node {
        Node([tail; 7])
    }

    #[test]
    fn a_stamp_is_a_uuid_v7_and_gives_its_parts_back() {
        let stamp = Stamp::new(1_700_000_000_123, 0x2_f00d, node(9));
        assert_eq!(stamp.uuid().get_version_num(), 7);
        assert_eq!(stamp.uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!((stamp.ms(), stamp.counter(), stamp.node()), (1_700_000_000_123, 0x2_f00d, node(9)));
        assert_eq!(Stamp::from_bytes(*stamp.as_bytes()), Some(stamp));
        assert_eq!(Stamp::from_bytes([1; 16]), None);
    }

    #[test]
    fn stamps_grow_when_the_clock_stands_still_or_falls() {
        let mut clock = HybridClock::new(node(1), Stamp::NIL);
        let mut last = Stamp::NIL;
        for wall in [1000, 1000, 900, 0, 1001, 5] {
            let next = clock.tick(wall, &Fixed(7));
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        assert_eq!(last.ms(), 1001);
    }

    #[test]
    fn two_that_go_on_from_one_state_leave_different_gaps() {
        let state = HybridClock::new(node(1), Stamp::new(5000, 9, node(2)));
        let leaps = |wall, random| {
            let mut clock = state;
            clock.leap(wall, &Fixed(random)).then(|| clock.tick(wall, &Fixed(random)))
        };
        assert_eq!(leaps(5001, 3), None, "time tells them apart");
        let (one, other) = (leaps(5000, 3), leaps(4000, 4));
        assert!(one != other && one.min(other) > Some(state.last()), "{one:?} {other:?}");
        assert!(one.max(other).is_some_and(|stamp| stamp.ms() <= 5001 + LEAP_MS));
    }

    #[test]
    fn a_full_counter_carries_into_the_milliseconds() {
        let mut clock = HybridClock::new(node(1), Stamp::new(1000, COUNTER_MAX, node(1)));
        let next = clock.tick(1000, &Fixed(0));
        assert_eq!((next.ms(), next.counter()), (1001, 0));
    }

    #[test]
    fn what_is_written_after_an_observed_stamp_is_later() {
        let mut clock = HybridClock::new(node(1), Stamp::NIL);
        let foreign = Stamp::new(5000, 77, node(0xff));
        clock.observe(foreign);
        assert!(clock.tick(1000, &Fixed(0)) > foreign);
    }
}
