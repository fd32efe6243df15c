//! The state feed from the giving side: a peer that only answers, and lacks what this log no longer holds, is given the
//! state.
//!
//! Invariant: what a peer is told to be complete is: the vector that comes with the last page is that of what went from the
//! log, and all of it is in the objects. What stands in the log is pushed as changes, to a peer that takes them as they are.

use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::{
    PeerError, PushRequest, PushResponse, StatePart, SyncError, positions,
    reading::{GIVEN, Part},
    replica::Replica,
    round::Round,
    scoped::decoded,
};
use crate::{
    apply::{Asks, Origin},
    ids::{DeviceId, LibraryId, LogId},
    ledger::{self, Head, Snapshot},
};

/// What of the log a peer need not be sent after it was given the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// What went from it.
    Pruned,
    /// What it held before the first page of the state.
    Everything,
}

impl Round<'_> {
    /// Gives the peer this replica's state if it lacks something that the log here no longer holds.
    pub(super) async fn give_state(&mut self) -> Result<(), SyncError> {
        let (db, names) = self.replica.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mine = ledger::vector(&db, &names, head.library).await?;
        drop(db);
        let lacks = !self.took_state && head.floor.is_lacked(&self.theirs.vector, &mine);
        let had = self.position.sent.max(self.position.given) >= head.floor.doubt(&mine);
        if !lacks && had {
            return Ok(());
        }
        self.give(Given::Pruned).await
    }

    /// Gives the peer all that is here as state: it does not take the log as it is.
    pub(super) async fn give_everything(&mut self) -> Result<(), SyncError> {
        self.give(Given::Everything).await
    }

    async fn give(&mut self, given: Given) -> Result<(), SyncError> {
        let replica = self.replica;
        // From the beginning in each round: a peer that was restored in between would not say that it lost a part of this.
        let (mut cursor, mut news, mut forgotten) = (None, false, None);
        loop {
            let limits = &replica.limits;
            let (head, page) =
                replica.state_page(cursor.take(), None, limits.page_entries, limits.page_bytes / 2).await?;
            if forgotten.is_some_and(|before| before != head.forgotten) {
                // A record that was to come may have gone: from the beginning again.
                forgotten = None;
                continue;
            }
            let begins = forgotten.replace(head.forgotten).is_none();
            let objects: Vec<ByteBuf> = page.objects.into_iter().map(ByteBuf::from).collect();
            let complete = page.complete.then(|| match given {
                Given::Pruned => head.floor.vector.clone(),
                Given::Everything => page.cursor.start.vector.clone(),
            });
            let state = StatePart { objects, complete, news, begins, forgotten: head.forgotten, part: None };
            let answer = self.push_state(&head, state).await?;
            self.theirs.vector = answer.vector;
            news |= answer.merged > 0;
            if page.complete {
                self.position.given = head.floor.seq;
                return Ok(());
            }
            cursor = Some(page.cursor);
        }
    }

    /// Hands over a page of the state, and counts it.
    pub(super) async fn push_state(
        &mut self,
        head: &Head,
        state: StatePart,
    ) -> Result<PushResponse, SyncError> {
        self.report.bytes_sent += state.objects.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.report.snapshot_sent += state.objects.len() as u64;
        let request = PushRequest {
            library: head.identity.library,
            device: head.identity.device,
            log_id: head.identity.log_id,
            changes: Vec::new(),
            pull: None,
            state: Some(state),
        };
        Ok(self.peer.push(request).await?)
    }

    /// Saves how far the two are.
    pub(super) async fn save_position(&self) -> Result<(), SyncError> {
        let (device, library, position) = (self.theirs.device, self.theirs.library, self.position.clone());
        let write = self.replica.store.write(move |write| {
            Box::pin(async move {
                let head = Head::load(write.db, &write.names).await?;
                head.is_of(library)?;
                positions::save(write.db, head.library, device, &position).await?;
                Ok::<_, SyncError>(())
            })
        });
        write.await
    }
}

impl Replica {
    /// Takes in a page of a caller's state. Gives how many records became others by it.
    pub(super) async fn take_state(
        self: &Arc<Self>,
        library: LibraryId,
        from: (DeviceId, LogId),
        state: StatePart,
    ) -> Result<u64, SyncError> {
        let records = decoded(state.objects, PeerError::Invalid)?;
        if let Some(part) = state.part {
            return self.take_part_of_state(library, from, records, state.forgotten, part).await;
        }
        let news = state.news;
        let forgotten = state.forgotten;
        let complete = state.complete.map(|vector| Snapshot { vector, news, forgotten });
        let origin = Origin::Feed { complete, asks: Asks::Nothing };
        let part = Part { device: from.0, way: GIVEN, begins: state.begins, forgotten };
        let received = self.receive(library, vec![records], origin, None, Some(part)).await?;
        if received.outdated {
            return Err(PeerError::Busy("something was forgotten while the state was given".into()).into());
        }
        Ok(received.news)
    }
}
