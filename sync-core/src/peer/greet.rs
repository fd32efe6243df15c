//! The first call of a round, until both sides know who the other one is.
//!
//! Invariant: a round begins only between two databases with different device ids, neither of which lacks a change that
//! the other has from it. Who is found to be a copy or an older state takes a new id first, and says `hello` again.

use std::sync::Arc;

use super::{Hello, Peer, PeerError, SyncError, replica::Replica};
use crate::{
    ids::DeviceId,
    ledger::{self, Head, RenewalReason},
    members::devices,
};

/// How often a round says `hello` until it goes on with what it knows.
const MAX_HELLOS: u32 = 6;

/// What the two said last.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) mine: Hello,
    pub(super) theirs: Hello,
    /// How far the peer's clock is ahead, in milliseconds.
    pub(super) clock_offset_ms: i64,
}

/// Says `hello` to `peer`.
pub(super) async fn greet(replica: &Arc<Replica>, peer: &dyn Peer) -> Result<Greeting, SyncError> {
    let mut probe = None;
    for hello in 1..=MAX_HELLOS {
        let mine = Hello { probe: probe.take(), ..replica.introduce(None).await? };
        let asked_at = replica.now_ms();
        let theirs = match peer.hello(mine.clone()).await {
            Ok(theirs) if theirs.device != mine.device => theirs,
            Err(error) if !matches!(error, PeerError::SameDevice { .. }) => return Err(error.into()),
            // Only a mark that this database alone has tells a copy of it from itself.
            _ if mine.probe.is_none() => {
                probe = Some(replica.leave_probe().await?);
                continue;
            }
            _ => {
                replica.renew(mine.device, RenewalReason::SameDevice).await?;
                continue;
            }
        };
        let waited = replica.now_ms().saturating_sub(asked_at);
        check(replica, &mine, &theirs).await?;
        let peers_ms = theirs.wall_ms.saturating_sub(waited / 2);
        let clock_offset_ms = offset_ms(asked_at, peers_ms);
        replica.note_clock(theirs.device, clock_offset_ms);
        replica.learn_retired(&theirs.retired).await?;
        if replica.mend_clock(peers_ms, &theirs.vector).await? {
            continue;
        }
        let untold = replica.meet(&theirs.vector, theirs.newest_of_yours).await?;
        if untold && hello < MAX_HELLOS {
            continue;
        }
        return Ok(Greeting { mine, theirs, clock_offset_ms });
    }
    Err(PeerError::SameDevice { device: replica.identity().device }.into())
}

/// How far `there_ms` is ahead of `here_ms`.
fn offset_ms(here_ms: u64, there_ms: u64) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    ms(there_ms).saturating_sub(ms(here_ms))
}

async fn check(replica: &Arc<Replica>, mine: &Hello, theirs: &Hello) -> Result<(), SyncError> {
    if theirs.protocol != mine.protocol {
        return Err(PeerError::Protocol { ours: mine.protocol, theirs: theirs.protocol }.into());
    }
    if theirs.library != mine.library {
        return Err(PeerError::WrongLibrary { asked: mine.library }.into());
    }
    replica.admit(theirs.device).await
}

impl Replica {
    /// Refuses a device that was revoked, as far as it is known here.
    pub(super) async fn check_revoked(&self, device: DeviceId) -> Result<(), SyncError> {
        match devices::is_revoked(self.store.db(), device).await? {
            true => Err(PeerError::Revoked { device }.into()),
            false => Ok(()),
        }
    }

    /// Refuses a device that was revoked, and one whose stamps would be taken for those of another one.
    async fn admit(&self, device: DeviceId) -> Result<(), SyncError> {
        self.check_revoked(device).await?;
        let (_, names) = self.store.read().await?;
        match ledger::tail_taken(&names, device) {
            Some(other) => Err(PeerError::TailTaken { device, other }.into()),
            None => Ok(()),
        }
    }

    /// Answers a caller's `hello`.
    pub(super) async fn greeted(self: &Arc<Self>, hello: Hello) -> Result<Hello, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        if hello.device == head.identity.device {
            let probe = ledger::probe(&db).await?.map(uuid::Uuid::from_bytes);
            let itself = hello.probe.is_some() && hello.probe == probe;
            let device = hello.device;
            return Err(if itself { PeerError::Itself } else { PeerError::SameDevice { device } }.into());
        }
        drop(db);
        self.admit(hello.device).await?;
        self.note_clock(hello.device, offset_ms(self.now_ms(), hello.wall_ms));
        self.learn_retired(&hello.retired).await?;
        self.mend_clock(hello.wall_ms, &hello.vector).await?;
        self.meet(&hello.vector, None).await?;
        self.flush().await?;
        self.heard_of(hello.device, &hello.vector, hello.scope.is_some());
        self.take_part().await?;
        self.introduce(Some(hello.device)).await
    }
}
