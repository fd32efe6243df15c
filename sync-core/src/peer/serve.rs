//! The answering side of the protocol: a replica as others see it.
//!
//! Invariant: nothing is served that is not committed with `synchronous=FULL`, and all of an answer is of one moment.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use serde_bytes::ByteBuf;
use tokio_stream::wrappers::BroadcastStream;

use super::{
    Entry, Hello, Notice, ObjectsCursor, ObjectsPage, ObjectsRequest, PROTOCOL, Peer, PeerError, PullRequest,
    PullResponse, PushRequest, PushResponse, Refused, RepairAnswer, RepairRequest, SyncError,
    page::Told,
    replica::{Replica, Report},
};
use crate::{
    apply::{Incoming, Origin},
    capture::Batch,
    change::Change,
    ids::{DeviceId, LibraryId},
    ledger::{self, FeedCursor, FeedPage, FeedRequest, Head, LogRequest, PageEntry, Reach, Selected},
    scope::RecordName,
    stamp::Stamp,
};

/// The most that any one request is given, whatever it asks for.
const MAX_PAGE_ENTRIES: u32 = 20_000;
const MAX_PAGE_BYTES: u64 = 16 << 20;

impl Replica {
    /// What this replica says of itself.
    pub(crate) async fn introduce(&self, to: Option<DeviceId>) -> Result<Hello, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let latest_seq = ledger::complete_end(&db, &head).await?;
        let newest_of_yours = match to {
            Some(device) => ledger::head_of(&db, &names, head.library, device).await?,
            None => None,
        };
        let selected = self.selected(&head)?;
        let given = match (&selected, to) {
            (Some(selected), Some(device)) => self.given_by(&db, &head, device, selected).await?,
            _ => None,
        };
        Ok(Hello {
            protocol: PROTOCOL,
            device: head.identity.device,
            library: head.identity.library,
            log_id: head.identity.log_id,
            schema: self.schema_fingerprint(),
            wall_ms: self.now_ms(),
            vector: ledger::vector(&db, &names, head.library).await?,
            latest_seq,
            state_hash: ledger::hash_at(&db, &head, latest_seq).await?,
            digest: head.digest.to_bytes(),
            newest_of_yours,
            probe: None,
            scope: selected.map(|selected| selected.selection.clone()),
            given,
            retired: head.retired,
            takes_compacted: true,
        })
    }

    /// A number that is equal where models, columns and rules are.
    fn schema_fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for adapter in self.models.adapters() {
            let spec = adapter.spec();
            hasher.update(spec.id.as_bytes()).update(&[0]);
            for column in &spec.columns {
                hasher.update(column.wire.as_bytes()).update(&[0, column.tag.rule, column.tag.kind]);
                hasher.update(format!("{:?}{:?}", column.kind, column.role).as_bytes()).update(&[0]);
            }
        }
        let mut eight = [0; 8];
        eight.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_be_bytes(eight)
    }

    fn check_library(&self, asked: LibraryId) -> Result<(), PeerError> {
        if asked == self.identity().library { Ok(()) } else { Err(PeerError::WrongLibrary { asked }) }
    }

    async fn serve_pull(self: &Arc<Self>, request: &PullRequest) -> Result<PullResponse, SyncError> {
        self.offer(request.have.head(self.identity().device)).await?;
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        // A position in another incarnation of this log says nothing here.
        let known = request.log_id.is_none_or(|log| log == head.identity.log_id);
        let from = if known { request.from_seq } else { crate::ids::Seq(0) };
        let mine = ledger::vector(&db, &names, head.library).await?;
        // A cursor beyond the end is one in what this log was before it was restored.
        let read = if from <= head.seq { from } else { crate::ids::Seq(0) };
        self.reads_from(request.device, head.identity.log_id, read, &request.have, &mine);
        let wanted = LogRequest {
            from,
            have: &request.have,
            reach: Reach::Floor,
            max_entries: request.max_entries.min(MAX_PAGE_ENTRIES),
            max_bytes: request.max_bytes.min(MAX_PAGE_BYTES),
        };
        let page = ledger::log_page(&db, &head, wanted).await?.ok_or(PeerError::SnapshotRequired)?;
        if page.compacted && !request.takes_compacted {
            return Err(PeerError::SnapshotRequired.into());
        }
        let Told { log: page, objects, head, vector } = if page.wanted.is_empty() {
            Told { log: page, objects: Vec::new(), head, vector: mine }
        } else {
            drop(db);
            self.told_page(wanted).await?.ok_or(PeerError::SnapshotRequired)?
        };
        let entries = page
            .entries
            .into_iter()
            .map(|entry| match entry {
                PageEntry::Change(bytes) => Entry::Change(ByteBuf::from(bytes)),
                PageEntry::Had(digest) => Entry::Digest(digest),
            })
            .collect();
        Ok(PullResponse {
            log_id: head.identity.log_id,
            base_seq: page.base_seq,
            entries,
            next_seq: page.next_seq,
            latest_seq: page.latest_seq,
            base_hash: page.base_hash,
            state_hash: page.state_hash,
            vector,
            digest: head.digest.to_bytes(),
            objects,
        })
    }

    /// Refuses a caller who lacks what this log no longer holds, before anything of it is taken: it reads the state first.
    async fn check_reach(&self, pull: &PullRequest) -> Result<(), SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let known = pull.log_id.is_none_or(|log| log == head.identity.log_id);
        let from = if known { pull.from_seq } else { crate::ids::Seq(0) };
        if head.floor.is_had(from, &pull.have) { Ok(()) } else { Err(PeerError::SnapshotRequired.into()) }
    }

    async fn serve_push(self: &Arc<Self>, request: PushRequest) -> Result<PushResponse, SyncError> {
        if let Some(pull) = &request.pull {
            self.check_reach(pull).await?;
        }
        let news = match request.state {
            Some(state) => self.take_state(request.library, (request.device, request.log_id), state).await?,
            None => 0,
        };
        let mut refused = Vec::new();
        let groups = groups(request.changes, &mut refused);
        let received = if groups.is_empty() {
            Default::default()
        } else {
            self.receive(request.library, groups, Origin::Log, None, None).await?
        };
        refused.extend(received.refused);
        let pull = match &request.pull {
            Some(pull) => Some(self.serve_pull(pull).await?),
            None => None,
        };
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        Ok(PushResponse {
            merged: received.merged + news,
            system: received.system,
            duplicates: received.duplicates,
            held: received.held,
            staged: received.staged,
            refused,
            vector: ledger::vector(&db, &names, head.library).await?,
            digest: head.digest.to_bytes(),
            pull,
        })
    }

    async fn serve_objects(self: &Arc<Self>, request: &ObjectsRequest) -> Result<ObjectsPage, SyncError> {
        let cursor: Option<FeedCursor> = match &request.after {
            Some(cursor) => Some(
                rmp_serde::from_slice(&cursor.0)
                    .ok()
                    .filter(|cursor: &FeedCursor| cursor.log_id == self.identity().log_id)
                    .ok_or_else(|| PeerError::Invalid("the cursor is not one of this feed".into()))?,
            ),
            None => None,
        };
        let max_objects = request.max_objects.min(MAX_PAGE_ENTRIES);
        let max_bytes = request.max_bytes.min(MAX_PAGE_BYTES);
        let selected = request.scope.clone().map(Selected::new).transpose()?.map(Arc::new);
        let whole = selected.is_none();
        let (head, page) = self.state_page(cursor, selected, max_objects, max_bytes).await?;
        if whole {
            self.lease(request.device, page.cursor.start.seq);
        }
        feed_response(&head, page, whole)
    }

    /// A page of this replica's state, if it has everything.
    pub(super) async fn state_page(
        self: &Arc<Self>,
        cursor: Option<FeedCursor>,
        selected: Option<Arc<Selected>>,
        max_objects: u32,
        max_bytes: u64,
    ) -> Result<(Head, FeedPage), SyncError> {
        for _ in 0..2 {
            self.flush().await?;
            self.offer(None).await?;
            let (db, names) = self.store.read().await?;
            let head = Head::load(&db, &names).await?;
            if head.offered.is_some_and(|offered| offered < head.seq) {
                // Something was written just now, and the state would have it.
                continue;
            }
            self.is_whole(&head)?;
            let bindings = self.models.bound();
            let (cursor, selected) = (cursor.as_ref(), selected.as_deref());
            let wanted = FeedRequest { cursor, selected, max_objects, max_bytes };
            let page = ledger::feed_page(&db, &names, &bindings, &head, wanted).await?;
            if !page.dirty {
                return Ok((head, page));
            }
        }
        // Somebody writes all the time: under the write lock nobody does.
        let replica = self.clone();
        let (head, page) = self
            .store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head, _) = replica.begin(write, Batch::All).await?;
                    replica.is_whole(&head)?;
                    replica.offer_here(write, &mut head, None).await?;
                    let (cursor, selected) = (cursor.as_ref(), selected.as_deref());
                    let wanted = FeedRequest { cursor, selected, max_objects, max_bytes };
                    let page = ledger::feed_page(write.db, &write.names, &bindings, &head, wanted).await?;
                    Ok::<_, SyncError>((head, page))
                })
            })
            .await?;
        if page.dirty {
            return Err(SyncError::Ledger(
                "a row is not what its object says, and no guard noted it: run `reconcile`".into(),
            ));
        }
        Ok((head, page))
    }
}

fn feed_response(head: &Head, page: FeedPage, whole: bool) -> Result<ObjectsPage, SyncError> {
    let cursor =
        rmp_serde::to_vec_named(&page.cursor).map_err(|error| SyncError::Ledger(error.to_string()))?;
    let cursor = ObjectsCursor(ByteBuf::from(cursor));
    let gone = page.gone.into_iter().map(|(model, record)| RecordName {
        model: model.into(),
        record: ByteBuf::from(record.as_bytes().to_vec()),
    });
    Ok(ObjectsPage {
        log_id: head.identity.log_id,
        objects: page.objects.into_iter().map(ByteBuf::from).collect(),
        anew: page.anew && !whole,
        gone: gone.collect(),
        next: (!page.complete).then(|| cursor.clone()),
        resume: (page.complete && !whole).then_some(cursor),
        seq: page.cursor.start.seq,
        state_hash: page.cursor.start.state_hash,
        vector: page.cursor.start.vector,
        total: page.total,
        forgotten: head.forgotten,
    })
}

/// Decodes changes and cuts them into groups. What does not decode is refused by itself.
pub(crate) fn groups(changes: Vec<ByteBuf>, refused: &mut Vec<Refused>) -> Vec<Vec<Incoming>> {
    let mut groups: Vec<Vec<Incoming>> = Vec::new();
    for bytes in changes {
        let change = match Change::decode(&bytes) {
            Ok(change) => change,
            Err(error) => {
                refused.push(Refused { id: Stamp::NIL, reason: error.to_string() });
                continue;
            }
        };
        let goes_on = groups
            .last()
            .and_then(|group| group.last())
            .is_some_and(|last| last.change.more && last.change.txn == change.txn);
        let incoming = Incoming { change, bytes: bytes.into_vec() };
        match groups.last_mut() {
            Some(group) if goes_on => group.push(incoming),
            _ => groups.push(vec![incoming]),
        }
    }
    groups
}

/// A replica behind the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Served(pub(crate) Arc<Replica>);

#[async_trait]
impl Peer for Served {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        let replica = &self.0;
        if hello.protocol != PROTOCOL {
            return Err(PeerError::Protocol { ours: PROTOCOL, theirs: hello.protocol });
        }
        replica.check_library(hello.library)?;
        Ok(replica.greeted(hello).await?)
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.0.check_library(request.library)?;
        self.0.check_revoked(request.device).await?;
        Ok(self.0.serve_pull(&request).await?)
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.0.check_library(request.library)?;
        if let Some(pull) = &request.pull {
            self.0.check_library(pull.library)?;
        }
        self.0.check_revoked(request.device).await?;
        if let Some(pull) = request.pull.as_ref().filter(|pull| pull.device != request.device) {
            self.0.check_revoked(pull.device).await?;
        }
        Ok(self.0.serve_push(request).await?)
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.0.check_library(request.library)?;
        self.0.check_revoked(request.device).await?;
        Ok(self.0.serve_objects(&request).await?)
    }

    async fn repair(&self, request: RepairRequest) -> Result<RepairAnswer, PeerError> {
        self.0.check_library(request.library)?;
        self.0.check_revoked(request.device).await?;
        Ok(self.0.serve_repair(request).await?)
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        self.0.check_library(library)?;
        let reports = BroadcastStream::new(self.0.reports());
        // A reader that missed some is told of the next: a notice is only a hint.
        let notices = reports.filter_map(move |report| async move {
            let latest_seq = match report.ok()? {
                Report::Local { to, .. } => to,
                Report::Applied(applied) => applied.to,
                Report::ManyDeletes(_)
                | Report::ConflictsDropped(_)
                | Report::Held { .. }
                | Report::ClockSkew { .. }
                | Report::NewDevice { .. }
                | Report::Snapshot(_)
                | Report::Repaired(_) => return None,
            };
            Some(Notice { library, latest_seq })
        });
        Ok(notices.boxed())
    }
}
