//! What happened, as a stream: one item per committed group, after its commit.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::stream::Stream;
use sea_orm::EntityTrait;
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::keys::ActiveOf;
use crate::{
    apply::PendingReason,
    change::ChangeKind,
    ids::{DeviceId, Name, RecordId, Seq},
    ledger::RenewalReason,
    merge::Conflict,
    model::{Syncable, is_system},
    peer::{RepairReport, Report, SnapshotProgress},
};

/// A record that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordChange {
    /// The model's name on the wire.
    pub model: Name,
    /// The record.
    pub record: RecordId,
    /// What the change was.
    pub kind: ChangeKind,
}

impl RecordChange {
    /// True if the record is one of this entity.
    pub fn is<E>(&self) -> bool
    where
        E: EntityTrait,
        ActiveOf<E>: Syncable,
    {
        self.model == <ActiveOf<E>>::SYNC_ID
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// What this device wrote was logged.
    Local {
        /// The records.
        changes: Vec<RecordChange>,
        /// The end of the log.
        to: Seq,
    },
    /// What others wrote was applied.
    Remote {
        /// The records.
        changes: Vec<RecordChange>,
        /// The end of the log.
        to: Seq,
    },
    /// A value was lost to another write; it is kept and can be looked at.
    Conflict(Conflict),
    /// A record's row is not what its object says, for this reason.
    Pending {
        /// The model's name on the wire.
        model: Name,
        /// The record.
        record: RecordId,
        /// Why.
        reason: PendingReason,
    },
    /// One group deleted unusually many records: a migration may have rebuilt a table with foreign keys on.
    ManyDeletes(u64),
    /// There were more open conflicts than [`Limits::max_conflicts`](crate::Limits::max_conflicts): this many of the oldest were dropped, with
    /// the values that were lost in them.
    ConflictsDropped(u64),
    /// Changes from too far in the future are kept until this device's clock has caught up.
    Held {
        /// How many.
        changes: u64,
        /// How far ahead the furthest is, in milliseconds.
        ahead_ms: u64,
    },
    /// A peer's clock and this device's differ by more than stamps may (`Limits::max_drift_ms`): one of the two is wrong. Told
    /// once, until they agree again.
    ClockSkew {
        /// The peer.
        peer: DeviceId,
        /// How far its clock is ahead of this one, in milliseconds; negative if behind.
        offset_ms: i64,
    },
    /// Objects were compared with a peer's, because somebody asked or a round had ended with other objects than the
    /// peer's. Records that were mended come as [`Remote`](Self::Remote) too.
    Repaired(Box<RepairReport>),
    /// A page of a peer's state was taken in: a first sync is under way, or this replica was away for so long that the
    /// peer's log no longer holds what it lacks.
    Snapshot(SnapshotProgress),
    /// This database goes on under a new device id. What it wrote under the former one stays and travels on. One that is
    /// taken while the engine starts is told by [`Status::renewals`](crate::Status::renewals).
    NewDevice {
        /// The id that was left.
        former: DeviceId,
        /// The id from now on.
        device: DeviceId,
        /// Why.
        reason: RenewalReason,
    },
    /// This reader was too slow and missed this many groups: look at the tables again.
    Missed(u64),
}

/// The stream of [`Event`]s; made by [`SyncEngine::events`](crate::SyncEngine::events).
#[derive(Debug)]
pub struct Events {
    reports: BroadcastStream<Report>,
    ready: std::collections::VecDeque<Event>,
}

impl Events {
    pub(super) fn new(reports: broadcast::Receiver<Report>) -> Self {
        Self { reports: BroadcastStream::new(reports), ready: std::collections::VecDeque::new() }
    }

    /// The next event; `None` when the engine is gone.
    pub async fn next(&mut self) -> Option<Event> {
        futures_util::StreamExt::next(self).await
    }

    fn unfold(&mut self, report: Report) {
        match report {
            Report::Local { changes, to } => {
                let changes = records(changes.iter().map(|one| (&one.model, &one.record, one.kind)));
                if !changes.is_empty() {
                    self.ready.push_back(Event::Local { changes, to });
                }
            }
            Report::Applied(applied) => {
                let changes = records(applied.changes.iter().map(|one| (&one.model, &one.record, one.kind)));
                if !changes.is_empty() {
                    self.ready.push_back(Event::Remote { changes, to: applied.to });
                }
                self.ready.extend(applied.conflicts.iter().cloned().map(Event::Conflict));
                let pending = applied.pending.iter().cloned();
                self.ready.extend(pending.map(|(model, record, reason)| Event::Pending {
                    model,
                    record,
                    reason,
                }));
            }
            Report::ManyDeletes(count) => self.ready.push_back(Event::ManyDeletes(count)),
            Report::ConflictsDropped(count) => self.ready.push_back(Event::ConflictsDropped(count)),
            Report::Repaired(report) => {
                self.ready.push_back(Event::Repaired(Box::new((*report).clone())));
            }
            Report::Snapshot(progress) => self.ready.push_back(Event::Snapshot(progress)),
            Report::Held { changes, ahead_ms } => self.ready.push_back(Event::Held { changes, ahead_ms }),
            Report::ClockSkew { peer, offset_ms } => {
                self.ready.push_back(Event::ClockSkew { peer, offset_ms });
            }
            Report::NewDevice { former, device, reason } => {
                self.ready.push_back(Event::NewDevice { former, device, reason });
            }
        }
    }
}

/// The application's records among those that changed.
fn records<'a>(changed: impl Iterator<Item = (&'a Name, &'a RecordId, ChangeKind)>) -> Vec<RecordChange> {
    let changed = changed.filter(|(model, ..)| !is_system(model));
    changed
        .map(|(model, record, kind)| RecordChange { model: model.clone(), record: record.clone(), kind })
        .collect()
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            match Pin::new(&mut self.reports).poll_next(context) {
                Poll::Ready(Some(Ok(report))) => self.unfold(report),
                Poll::Ready(Some(Err(BroadcastStreamRecvError::Lagged(missed)))) => {
                    return Poll::Ready(Some(Event::Missed(missed)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
