//! A page of the log with what its reader must know beside it, and both sides of handing it over.
//!
//! Invariant: whoever merges a compacted change knows what superseded it, or learns it in the same step: the changes that did stand in
//! the page, the reader has them, or the record comes with the page as it is now. Who does not know of compacted changes reads the
//! state instead.

use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::{PeerError, StatePart, SyncError, replica::Replica, round::Round, scoped::decoded};
use crate::{
    apply::{Asks, Origin},
    capture::Batch,
    change::Change,
    ids::Seq,
    ledger::{self, Forgotten, Head, LogPage, LogRequest, PageEntry, Reach},
    store::{Bindings, Names},
    vector::Vector,
};

/// A page, and records as they are now.
pub(super) struct Told {
    pub(super) log: LogPage,
    pub(super) objects: Vec<ByteBuf>,
    /// Where the library stood then.
    pub(super) head: Head,
    /// What was merged here then.
    pub(super) vector: Vector,
}

enum Found {
    Page(Box<Told>),
    /// The log no longer holds what the reader lacks.
    Pruned,
    /// A row is not what its object says: it was written and is not logged yet.
    Unlogged,
}

/// The page, cut until its records fit as well as its entries.
async fn find<C: sea_orm::ConnectionTrait>(
    db: &C,
    names: &Names,
    bindings: &Bindings,
    head: &Head,
    mut request: LogRequest<'_>,
) -> Result<Found, SyncError> {
    loop {
        let Some(log) = ledger::log_page(db, head, request).await? else { return Ok(Found::Pruned) };
        let most = request.max_bytes;
        let found = ledger::records_now(db, names, bindings, head, &log.wanted, most).await?;
        let Some(objects) = found else { return Ok(Found::Unlogged) };
        let bytes: u64 = objects.iter().map(|bytes| bytes.len() as u64).sum();
        if bytes <= most || log.entries.len() <= 1 {
            let objects = objects.into_iter().map(ByteBuf::from).collect();
            let vector = ledger::vector(db, names, head.library).await?;
            return Ok(Found::Page(Box::new(Told { log, objects, head: head.clone(), vector })));
        }
        request.max_entries = u32::try_from(log.entries.len() / 2).unwrap_or(1);
    }
}

impl Replica {
    /// A page that its reader would not understand by itself; `None` as of [`ledger::log_page`].
    pub(super) async fn told_page(
        self: &Arc<Self>,
        request: LogRequest<'_>,
    ) -> Result<Option<Told>, SyncError> {
        for _ in 0..2 {
            self.flush().await?;
            self.offer(None).await?;
            let (db, names) = self.store.read().await?;
            let head = Head::load(&db, &names).await?;
            if head.offered.is_some_and(|offered| offered < head.seq) {
                // Something was written just now, and a record would have it.
                continue;
            }
            match find(&db, &names, &self.models.bound(), &head, request).await? {
                Found::Page(told) => return Ok(Some(*told)),
                Found::Pruned => return Ok(None),
                Found::Unlogged => {}
            }
        }
        // Somebody writes all the time: under the write lock nobody does.
        let (replica, have) = (self.clone(), request.have.clone());
        let LogRequest { from, reach, max_entries, max_bytes, .. } = request;
        let found = self.store.write(move |write| {
            Box::pin(async move {
                let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                replica.offer_here(write, &mut head, None).await?;
                let request = LogRequest { from, have: &have, reach, max_entries, max_bytes };
                find(write.db, &write.names, &bindings, &head, request).await
            })
        });
        match found.await? {
            Found::Page(told) => Ok(Some(*told)),
            Found::Pruned => Ok(None),
            Found::Unlogged => Err(SyncError::Ledger(
                "a row is not what its object says, and no guard noted it: run `reconcile`".into(),
            )),
        }
    }
}

/// What a push hands over.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) changes: Vec<ByteBuf>,
    /// Records that the peer must know for that.
    pub(super) state: Option<StatePart>,
    /// The position after the changes.
    pub(super) next: Seq,
    /// The end of the log.
    pub(super) end: Seq,
}

impl Round<'_> {
    /// The next changes of our log that the peer lacks.
    pub(super) async fn outgoing(&mut self) -> Result<Outgoing, SyncError> {
        self.replica.offer(self.theirs.vector.head(self.replica.identity().device)).await?;
        let mut from = self.position.sent;
        let mut given = false;
        let (mut db, mut names) = self.replica.store.read().await?;
        let mut head = Head::load(&db, &names).await?;
        loop {
            let limits = &self.replica.limits;
            let have = self.theirs.vector.clone();
            let wanted = LogRequest {
                from,
                have: &have,
                reach: Reach::Everything,
                max_entries: limits.page_entries,
                max_bytes: limits.page_bytes,
            };
            let Some(mut page) = ledger::log_page(&db, &head, wanted).await? else {
                return Ok(Outgoing { next: from, end: from, ..Outgoing::default() });
            };
            let mut objects = Vec::new();
            if page.compacted && !self.theirs.takes_compacted {
                if !given {
                    given = true;
                    drop(db);
                    self.give_everything().await?;
                    (db, names) = self.replica.store.read().await?;
                    head = Head::load(&db, &names).await?;
                    continue;
                }
                // Of an author of whom no vector tells: what it said is in the state.
                page.entries.retain(|entry| match entry {
                    PageEntry::Change(bytes) => !Change::is_compacted(bytes),
                    PageEntry::Had(_) => true,
                });
            } else if !page.wanted.is_empty() {
                // A database in memory has one connection.
                drop(db);
                let told = self.replica.told_page(wanted).await?;
                (db, names) = self.replica.store.read().await?;
                head = Head::load(&db, &names).await?;
                let Some(told) = told else {
                    return Ok(Outgoing { next: from, end: from, ..Outgoing::default() });
                };
                (page, objects) = (told.log, told.objects);
            }
            let changes: Vec<ByteBuf> = page
                .entries
                .into_iter()
                .filter_map(|entry| match entry {
                    PageEntry::Change(bytes) => Some(ByteBuf::from(bytes)),
                    PageEntry::Had(_) => None,
                })
                .collect();
            from = page.next_seq;
            if !changes.is_empty() || from >= page.latest_seq {
                self.report.snapshot_sent += objects.len() as u64;
                let state = (!objects.is_empty()).then(|| StatePart {
                    objects,
                    complete: None,
                    news: false,
                    begins: true,
                    forgotten: Forgotten::default(),
                    part: None,
                });
                return Ok(Outgoing { changes, state, next: from, end: page.latest_seq });
            }
        }
    }

    /// Takes in the records that came with a page, before its changes.
    pub(super) async fn take_told(&mut self, objects: Vec<ByteBuf>) -> Result<(), SyncError> {
        if objects.is_empty() {
            return Ok(());
        }
        self.report.bytes_received += objects.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        let records = objects.len() as u64;
        let group = decoded(objects, PeerError::Corrupt)?;
        let origin = Origin::Feed { complete: None, asks: Asks::Nothing };
        let library = self.theirs.library;
        let received = self.replica.receive(library, vec![group], origin, None, None).await?;
        self.report.snapshot_records += records.saturating_sub(received.system);
        self.take_note(&received, false);
        Ok(())
    }
}
