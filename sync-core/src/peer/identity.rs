//! This replica's device id while the engine runs: how it is left when another database uses it, and whose tail may not
//! be another's.
//!
//! Invariant: an id is left in a transaction of its own kind, under the write lock, and only if it is still the one in use:
//! two processes may share a database.

use std::sync::Arc;

use super::{
    Refused, SyncError,
    replica::{Replica, Report},
};
use crate::{
    apply::Incoming,
    ids::DeviceId,
    ledger::{self, Head, RenewalReason},
    stamp::Stamp,
    store::{Names, Write},
};

impl Replica {
    /// Leaves the device id `former`, unless that was done already.
    pub(super) async fn renew(
        self: &Arc<Self>,
        former: DeviceId,
        reason: RenewalReason,
    ) -> Result<(), SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let mut head = Head::load(write.db, &write.names).await?;
                    replica.renew_here(write, &mut head, former, reason).await
                })
            })
            .await
    }

    /// The same inside a transaction.
    pub(super) async fn renew_here(
        &self,
        write: &mut Write<'_>,
        head: &mut Head,
        former: DeviceId,
        reason: RenewalReason,
    ) -> Result<(), SyncError> {
        if head.identity.device == former {
            head.renew(write, reason, self.runtime()).await?;
            self.renewed(write, head, former, reason);
        }
        Ok(())
    }

    /// Tells that the id `former` was left.
    pub(super) fn renewed(&self, write: &Write<'_>, head: &Head, former: DeviceId, reason: RenewalReason) {
        self.identify(write, head);
        self.report(write, Report::NewDevice { former, device: head.identity.device, reason });
    }

    /// Leaves a mark in this database, for a peer that seems to be the same device: only this database has it.
    pub(super) async fn leave_probe(self: &Arc<Self>) -> Result<uuid::Uuid, SyncError> {
        let random = self.runtime().random.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let probe = ledger::leave_probe(write, random.as_ref()).await?;
                    Ok::<_, SyncError>(uuid::Uuid::from_bytes(probe))
                })
            })
            .await
    }

    /// A change of this device that is not here means that this database is an older state or a copy. It leaves the id
    /// before it writes anything more, and before such a change is merged.
    pub(super) async fn doubt_identity(
        &self,
        write: &mut Write<'_>,
        groups: &[Vec<Incoming>],
    ) -> Result<(), SyncError> {
        let me = self.identity().device;
        let own =
            groups.iter().flatten().map(|incoming| &incoming.change).filter(|change| change.device == me);
        let own: Vec<Stamp> = own.map(|change| change.id).collect();
        if own.is_empty() {
            return Ok(());
        }
        let mut head = Head::load(write.db, &write.names).await?;
        if !ledger::had_own(write.db, &head, &own).await? {
            self.renew_here(write, &mut head, me, RenewalReason::Restored).await?;
        }
        Ok(())
    }
}

/// Takes out the changes of devices whose stamps would be taken for those of another one that is known here.
pub(super) fn refuse_taken_tails(names: &Names, groups: &mut Vec<Vec<Incoming>>) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut judged: Option<(DeviceId, Option<DeviceId>)> = None;
    groups.retain(|group| {
        let mut taken = None;
        for Incoming { change, .. } in group {
            let of = match judged {
                Some((device, of)) if device == change.device => of,
                _ => ledger::tail_taken(names, change.device),
            };
            judged = Some((change.device, of));
            taken = taken.or(of);
        }
        if let Some(other) = taken {
            let reason =
                format!("its device has the tail of {other}: stamps of the two cannot be told apart");
            let one = |incoming: &Incoming| Refused { id: incoming.change.id, reason: reason.clone() };
            refused.extend(group.iter().map(one));
        }
        taken.is_none()
    });
    refused
}
