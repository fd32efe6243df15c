//! What became of received changes; how the last round and the last repair with each peer ended, for status and pace, kept in
//! memory only.

use std::sync::{Arc, PoisonError};

use super::{
    Refused, RepairReport,
    repair::LastRepair,
    replica::{Replica, Report},
};
use crate::ids::DeviceId;

/// How a round ended.
#[derive(Clone, Debug)]
pub(crate) struct LastRound {
    /// True if it ended with equal vectors and unequal digests.
    pub(crate) diverged: bool,
    pub(crate) error: Option<String>,
}

impl Replica {
    /// How the last round with a peer ended, if there was one since the start.
    pub(crate) fn last_round(&self, peer: DeviceId) -> Option<LastRound> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).cloned()
    }

    pub(super) fn note_round(&self, peer: DeviceId, round: LastRound) {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, round);
    }

    /// The last repair with a peer, if there was one since the start.
    pub(crate) fn last_repair(&self, peer: DeviceId) -> Option<LastRepair> {
        self.repairs.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).cloned()
    }

    pub(super) fn note_repair(&self, peer: DeviceId, repair: LastRepair) {
        self.repairs.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, repair);
    }

    pub(super) fn report_repaired(&self, report: RepairReport) {
        // Nobody listening is no fault.
        drop(self.reports.send(Report::Repaired(Arc::new(report))));
    }
}

/// What became of received changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) merged: u64,
    /// How many of them are of the engine's own models.
    pub(crate) system: u64,
    /// True if changes of the library's schema are among them.
    pub(crate) schema: bool,
    pub(crate) duplicates: u64,
    pub(crate) held: u64,
    pub(crate) staged: u64,
    pub(crate) conflicts: u64,
    pub(crate) pending: u64,
    /// How far ahead the furthest held change is, in milliseconds.
    pub(crate) ahead_ms: u64,
    /// An author was found to be forked: all positions begin anew.
    pub(crate) forked: bool,
    /// What was not taken.
    pub(crate) refused: Vec<Refused>,
}
