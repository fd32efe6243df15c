//! What is known of whom: the clock of a record and the vector of a replica.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    ids::DeviceId,
    stamp::{Node, Stamp},
};

/// The newest stamp per device that touched a record; as a change's context, the clock its author knew.
///
/// A stamp names its device by its node, so a clock is a list of stamps, ordered by node, one per node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock(Vec<Stamp>);

impl Clock {
    /// The clock that knows nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// True if everything `stamp`'s device did up to `stamp` is known. The nil stamp always is.
    pub fn covers(&self, stamp: Stamp) -> bool {
        stamp.is_nil() || self.entry(stamp.node()).is_some_and(|known| stamp <= known)
    }

    /// True if all that `other` knows is known.
    pub fn includes(&self, other: &Clock) -> bool {
        other.0.iter().all(|stamp| self.covers(*stamp))
    }

    /// The newest stamp known of `node`.
    pub fn entry(&self, node: Node) -> Option<Stamp> {
        self.position(node).ok().map(|at| self.0[at])
    }

    /// Learns `stamp`. The nil stamp says nothing.
    pub fn observe(&mut self, stamp: Stamp) {
        if stamp.is_nil() {
            return;
        }
        match self.position(stamp.node()) {
            Ok(at) => self.0[at] = self.0[at].max(stamp),
            Err(at) => self.0.insert(at, stamp),
        }
    }

    /// Learns all that `other` knows.
    pub fn merge(&mut self, other: &Clock) {
        for stamp in &other.0 {
            self.observe(*stamp);
        }
    }

    /// The stamps, ordered by node.
    pub fn stamps(&self) -> &[Stamp] {
        &self.0
    }

    /// The largest stamp known; nil if none is.
    pub fn newest(&self) -> Stamp {
        self.0.iter().copied().max().unwrap_or(Stamp::NIL)
    }

    fn position(&self, node: Node) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, |stamp| stamp.node())
    }
}

impl FromIterator<Stamp> for Clock {
    fn from_iter<I: IntoIterator<Item = Stamp>>(stamps: I) -> Self {
        let mut clock = Clock::new();
        for stamp in stamps {
            clock.observe(stamp);
        }
        clock
    }
}

/// For each author, the newest change up to which everything of that author has been merged here.
///
/// A *forked* author is one under whose id two databases wrote (a restored or cloned one). A scalar cannot say
/// what of it is here, so it has no entry, only the mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    heads: BTreeMap<DeviceId, Stamp>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forked: BTreeSet<DeviceId>,
}

impl Vector {
    /// The vector of a replica that has nothing.
    pub const fn new() -> Self {
        Self { heads: BTreeMap::new(), forked: BTreeSet::new() }
    }

    /// The newest change of `device` up to which everything is here.
    pub fn head(&self, device: DeviceId) -> Option<Stamp> {
        self.heads.get(&device).copied()
    }

    /// True if the change `id` of `device` is surely here.
    pub fn covers(&self, device: DeviceId, id: Stamp) -> bool {
        self.head(device).is_some_and(|head| id <= head)
    }

    /// True if everything that touched a record with this clock is surely here. Of a forked device nothing is said: what it
    /// wrote is offered anew whenever its mark is learned.
    pub fn covers_clock(&self, clock: &Clock) -> bool {
        clock.stamps().iter().all(|stamp| {
            let known = |(device, head): (DeviceId, Stamp)| device.node() == stamp.node() && *stamp <= head;
            self.heads().any(known) || self.forked().any(|device| device.node() == stamp.node())
        })
    }

    /// Moves the head of `device` forward; a forked device has none.
    pub fn advance(&mut self, device: DeviceId, to: Stamp) {
        if !self.forked.contains(&device) {
            let head = self.heads.entry(device).or_insert(to);
            *head = (*head).max(to);
        }
    }

    /// Marks `device` as forked: it loses its head for good.
    pub fn mark_forked(&mut self, device: DeviceId) {
        self.heads.remove(&device);
        self.forked.insert(device);
    }

    /// True if `device` is marked as forked.
    pub fn is_forked(&self, device: DeviceId) -> bool {
        self.forked.contains(&device)
    }

    /// What is surely known of a replica that said both.
    #[must_use]
    pub fn joined(mut self, other: &Vector) -> Self {
        other.forked().for_each(|device| self.mark_forked(device));
        other.heads().for_each(|(device, head)| self.advance(device, head));
        self
    }

    /// The heads, by device.
    pub fn heads(&self) -> impl Iterator<Item = (DeviceId, Stamp)> + '_ {
        self.heads.iter().map(|(device, stamp)| (*device, *stamp))
    }

    /// The forked devices.
    pub fn forked(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.forked.iter().copied()
    }

    /// True if everything in `other` is surely here: each head covered, each fork known.
    pub fn includes(&self, other: &Vector) -> bool {
        other.heads().all(|(device, head)| self.covers(device, head)) && other.forked.is_subset(&self.forked)
    }
}
