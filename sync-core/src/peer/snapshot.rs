//! The state feed from the reading side: a first sync, and what follows when a log no longer reaches back far enough.
//!
//! Invariant: a page is applied in the transaction that moves the cursor behind it, so a sync that was broken off goes on
//! where it was, in another process or after a restart too.

use serde_bytes::ByteBuf;

use super::{
    ObjectsCursor, ObjectsPage, ObjectsRequest, PeerError, SyncError,
    positions::Position,
    reading::{Part, READ},
    replica::Report,
    round::Round,
    scoped::decoded,
};
use crate::{
    apply::{Asks, Origin},
    ids::DeviceId,
    ledger::Snapshot,
};

/// How far a replica has read a peer's state: told after each page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotProgress {
    /// The peer.
    pub peer: DeviceId,
    /// Records read so far, those of rounds that were broken off included.
    pub records: u64,
    /// Records read in this round.
    pub this_round: u64,
    /// About how many there are in all.
    pub total: u64,
    /// True after the last page.
    pub complete: bool,
}

impl Round<'_> {
    /// Reads the state feed to its end, page by page; an interrupted one goes on where it was.
    pub(super) async fn snapshot(&mut self) -> Result<(), SyncError> {
        let identity = self.replica.identity();
        loop {
            // An empty cursor marks a feed of which no page was read yet.
            let begins = self.position.feed.as_ref().is_none_or(|cursor| cursor.is_empty());
            let after = self.position.feed.clone().filter(|cursor| !cursor.is_empty()).map(ObjectsCursor);
            if after.is_none() {
                (self.position.feed_records, self.position.feed_news) = (0, false);
            }
            let request = ObjectsRequest {
                after,
                max_objects: self.replica.limits.page_entries,
                // A record of the state takes more memory than a change while it is taken in.
                max_bytes: self.replica.limits.page_bytes / 2,
                ..ObjectsRequest::new(identity.library, identity.device)
            };
            let page = self.peer.objects(request).await?;
            if page.log_id != self.theirs.log_id {
                return Err(
                    PeerError::Busy("the peer's log was begun anew during the snapshot".into()).into()
                );
            }
            if self.take_page(page, begins).await? {
                self.took_state = true;
                return Ok(());
            }
        }
    }

    /// Takes in a page of the feed. True if it was the last one.
    async fn take_page(&mut self, page: ObjectsPage, begins: bool) -> Result<bool, SyncError> {
        let before = self.position.clone();
        let records = page.objects.len() as u64;
        self.report.bytes_received += page.objects.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.position.feed_records += records;
        let group = decoded(page.objects, PeerError::Corrupt)?;
        let complete = page.next.is_none();
        self.position.feed = page.next.map(|cursor| cursor.0);
        let progress = SnapshotProgress {
            peer: self.theirs.device,
            records: self.position.feed_records,
            this_round: self.read + records,
            total: page.total,
            complete,
        };
        if complete {
            self.position.seq = page.seq;
            self.position.state_hash = page.state_hash;
            self.position.feed_records = 0;
        }
        let news = self.position.feed_news;
        let forgotten = page.forgotten;
        let snapshot = complete.then_some(Snapshot { vector: page.vector, news, forgotten });
        let origin = Origin::Feed { complete: snapshot, asks: Asks::Nothing };
        let part = Part { device: self.theirs.device, way: READ, begins, forgotten };
        let from = Some((self.theirs.device, self.position.clone()));
        let received =
            self.replica.receive(self.theirs.library, vec![group], origin, from, Some(part)).await?;
        if received.outdated {
            self.position = Position { feed: Some(ByteBuf::new()), ..before };
            return Ok(false);
        }
        self.read += records;
        self.report.snapshot_records += records.saturating_sub(received.system);
        self.position.feed_news |= received.news > 0;
        self.position.given = self.position.given.max(received.given);
        self.take_note(&received, false);
        self.replica.tell(Report::Snapshot(progress));
        Ok(complete)
    }

    /// Reads the peer's state from its beginning: its log no longer holds what is missing here.
    pub(super) async fn begin_snapshot(&mut self) -> Result<(), SyncError> {
        self.position.feed = Some(ByteBuf::new());
        self.snapshot().await
    }
}
