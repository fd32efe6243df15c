//! Who syncs with whom.

use super::random::Rng;

/// Who syncs with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Any,
    Star,
    Line,
    Ring,
    /// Two halves that meet at one pair of devices only.
    Bridge,
}

const TOPOLOGIES: [Topology; 6] =
    [Topology::Any, Topology::Any, Topology::Star, Topology::Line, Topology::Ring, Topology::Bridge];

impl Topology {
    pub(super) fn any(rng: &mut Rng) -> Self {
        *rng.pick(&TOPOLOGIES)
    }

    /// Two of `count` devices.
    pub(super) fn pair(self, rng: &mut Rng, count: usize) -> (usize, usize) {
        let (a, b) = match self {
            Self::Any => {
                let a = rng.below(count);
                (a, (a + 1 + rng.below(count - 1)) % count)
            }
            Self::Star => (0, 1 + rng.below(count - 1)),
            Self::Line => {
                let a = rng.below(count - 1);
                (a, a + 1)
            }
            Self::Ring => {
                let a = rng.below(count);
                (a, (a + 1) % count)
            }
            Self::Bridge => {
                let half = count / 2;
                let (from, size) = if rng.chance(50) { (0, half) } else { (half, count - half) };
                match rng.below(3) {
                    0 => (half - 1, half),
                    _ if size == 1 => (half - 1, half),
                    _ => {
                        let a = rng.below(size);
                        (from + a, from + (a + 1 + rng.below(size - 1)) % size)
                    }
                }
            }
        };
        if rng.chance(50) { (a, b) } else { (b, a) }
    }
}
