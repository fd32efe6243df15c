//! A page of state is taken in by a replica that keeps a part of the library, and what left that part goes.
//!
//! Invariant: a page, what goes with it, and the position behind it are one transaction, and the scope is looked at in it. A record
//! goes only if the sender has all that is known of it here: what is unsent stays, and goes after it was sent.

use std::sync::Arc;

use sea_orm::ConnectionTrait;

use super::{
    super::{
        ObjectsCursor, PeerError, StateOfPart, SyncError, clocks::refuse_taken_back,
        identity::refuse_taken_tails, receive::Received, replica::Replica,
    },
    position::{PartPosition, PlaceOf},
};
use crate::{
    apply::{self, Asks, Incoming, Named, Origin},
    capture::Batch,
    ids::{DeviceId, LibraryId, LogId, RecordId},
    ledger::{self, Forgotten, Head, Place, Selected},
    model::is_system,
    scope::RecordName,
    store::{Bindings, Write},
    vector::Vector,
};

/// What a page of state brings.
#[derive(Debug)]
pub(in crate::peer) struct PartPage {
    pub(in crate::peer) records: Vec<Incoming>,
    /// Records that the sender knows to be out of the selection.
    pub(in crate::peer) gone: Vec<RecordName>,
    /// What the sender had merged, at the least, when it made the page.
    pub(in crate::peer) known: Vector,
    /// Deleted records of which the sender knows nothing any more.
    pub(in crate::peer) forgotten: Forgotten,
}

/// How many objects are looked at together.
const SLICE: u32 = 2_000;

impl Replica {
    /// Takes in a page of state by `selected`, and saves the position behind it.
    pub(in crate::peer) async fn receive_part(
        self: &Arc<Self>,
        library: LibraryId,
        selected: Arc<Selected>,
        page: PartPage,
        position: (PlaceOf, PartPosition),
    ) -> Result<Received, SyncError> {
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head) = replica.begin_part(write, library, &selected).await?;
                    let PartPage { records, gone, known, forgotten } = page;
                    forgotten.check().map_err(|why| PeerError::Invalid(why.into()))?;
                    if forgotten.generation > head.forgotten.generation {
                        // What is written anew here begins above it.
                        head.forgotten.learn(forgotten);
                        head.save(write.db).await?;
                    }
                    let mut groups = vec![records];
                    let mut refused = refuse_taken_tails(&write.names, &mut groups);
                    refused.extend(refuse_taken_back(&head, &mut groups));
                    let now_ms = replica.now_ms();
                    let (inside, outside) = sorted(&selected, replica.records(groups)?);
                    let gone =
                        gone.into_iter().map(|one| (one.model.into(), RecordId::from_bytes(one.record)));
                    let gone: Vec<Named> = gone.chain(outside).collect();
                    let left = apply::leave(write, &bindings, &mut head, gone, &known, None, now_ms).await?;
                    replica.report_applied(write, left.applied);
                    let mut received = Received { refused, ..Received::default() };
                    if !inside.is_empty() {
                        received.merged = inside.len() as u64;
                        let origin = Origin::Feed { complete: None, asks: Asks::Nothing };
                        let applied =
                            apply::apply_group(write, &bindings, &mut head, inside, origin, now_ms).await?;
                        received.note(&applied);
                        replica.report_applied(write, applied);
                    }
                    let (place, position) = position;
                    position.save(write.db, head.library, &place).await?;
                    Ok::<_, SyncError>(received)
                })
            })
            .await
    }

    /// Takes in a page of state that a caller gives.
    pub(in crate::peer) async fn take_part_of_state(
        self: &Arc<Self>,
        library: LibraryId,
        from: (DeviceId, LogId),
        records: Vec<Incoming>,
        forgotten: Forgotten,
        part: StateOfPart,
    ) -> Result<u64, SyncError> {
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let Some(selected) = self.selected(&head)? else {
            return Err(PeerError::Busy("everything is kept here now".into()).into());
        };
        let place = PlaceOf::new(from.0, &selected);
        let mut position = PartPosition::load(&db, head.library, &place, from.1).await?;
        drop(db);
        let StateOfPart { gone, vector, begins, last, resume } = part;
        if begins {
            position = PartPosition { log_id: Some(from.1), ..PartPosition::default() };
            position.begin(&head);
        }
        (position.cursor, position.told) = (resume.map(|cursor| cursor.0), None);
        let page = PartPage { records, gone, known: vector.clone(), forgotten };
        let received = self.receive_part(library, selected.clone(), page, (place, position)).await?;
        if last {
            self.trim(library, from, &selected, &vector).await?;
        }
        Ok(received.news)
    }

    /// Lets go of the records that are out of `selected` and have come or changed since this was last done with the replica `from`,
    /// whose state is read to its end; `known` is what it has merged.
    pub(in crate::peer) async fn trim(
        self: &Arc<Self>,
        library: LibraryId,
        from: (DeviceId, LogId),
        selected: &Arc<Selected>,
        known: &Vector,
    ) -> Result<(), SyncError> {
        let place = PlaceOf::new(from.0, selected);
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        let mut position = PartPosition::load(&db, head.library, &place, from.1).await?;
        drop(db);
        let swept = self.swept(library, selected, known, &position).await?;
        if (swept, None) == (position.swept, position.began) {
            return Ok(());
        }
        (position.swept, position.began) = (swept, None);
        self.save_part(library, &place, &position).await
    }

    pub(super) async fn save_part(
        &self,
        library: LibraryId,
        place: &PlaceOf,
        position: &PartPosition,
    ) -> Result<(), SyncError> {
        let (place, position) = (place.clone(), position.clone());
        let write = self.store.write(move |write| {
            Box::pin(async move {
                let head = Head::load(write.db, &write.names).await?;
                head.is_of(library)?;
                position.save(write.db, head.library, &place).await?;
                Ok::<_, SyncError>(())
            })
        });
        write.await
    }

    /// Gives up to where everything that was to go has gone.
    async fn swept(
        self: &Arc<Self>,
        library: LibraryId,
        selected: &Arc<Selected>,
        known: &Vector,
        position: &PartPosition,
    ) -> Result<(i64, i64), SyncError> {
        let (mut at, mut done, mut kept) = (position.swept, position.swept, false);
        loop {
            let (db, names) = self.store.read().await?;
            let head = Head::load(&db, &names).await?;
            let slice = ledger::objects_since(&db, &names, head.library, at, SLICE).await?;
            drop(db);
            let mut out: Vec<((i64, i64), Named)> = Vec::new();
            let mut unlisted: Vec<((i64, i64), Named)> = Vec::new();
            for (order, one) in &slice {
                at = (*order, one.id);
                let model = names.text(one.model)?;
                let inside = selected.place(&model, &one.record, &one.object) == Place::Inside;
                if one.object.is_alive() && !inside {
                    out.push((at, (model, one.record.clone())));
                } else if one.object.is_alive() && position.began >= Some(*order) && !is_system(&model) {
                    // With the peer it has another tag by now.
                    unlisted.push((at, (model, one.record.clone())));
                }
            }
            let staying = self.let_go(library, selected, known, &out, Some(selected)).await?;
            self.let_go(library, selected, known, &unlisted, None).await?;
            for (order, one) in &slice {
                let place = (*order, one.id);
                kept |= out.iter().any(|(at, named)| *at == place && staying.contains(named));
                if !kept {
                    done = place;
                }
            }
            if slice.len() < SLICE as usize {
                return Ok(done);
            }
        }
    }

    /// Lets go of these; with `judge` of those that are out of it. Gives those that stay because something of them is unsent.
    async fn let_go(
        self: &Arc<Self>,
        library: LibraryId,
        selected: &Arc<Selected>,
        known: &Vector,
        out: &[((i64, i64), Named)],
        judge: Option<&Arc<Selected>>,
    ) -> Result<Vec<Named>, SyncError> {
        if out.is_empty() {
            return Ok(Vec::new());
        }
        let records: Vec<Named> = out.iter().map(|(_, named)| named.clone()).collect();
        let (replica, selected, known) = (self.clone(), selected.clone(), known.clone());
        let judge = judge.cloned();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, mut head) = replica.begin_part(write, library, &selected).await?;
                    let now_ms = replica.now_ms();
                    let judge = judge.as_deref();
                    let left =
                        apply::leave(write, &bindings, &mut head, records, &known, judge, now_ms).await?;
                    replica.report_applied(write, left.applied);
                    Ok::<_, SyncError>(left.kept)
                })
            })
            .await
    }

    /// How far this replica has the state of `device`, if it keeps a part: `device` goes on from there when it gives it more.
    pub(in crate::peer) async fn given_by<C: ConnectionTrait>(
        &self,
        db: &C,
        head: &Head,
        device: DeviceId,
        selected: &Selected,
    ) -> Result<Option<ObjectsCursor>, SyncError> {
        let position = PartPosition::find(db, head.library, &PlaceOf::new(device, selected)).await?;
        Ok(position.and_then(|position| position.cursor).map(ObjectsCursor))
    }

    /// Begins a write that goes by what `selected` says to be kept here, if that is so still.
    async fn begin_part(
        &self,
        write: &mut Write<'_>,
        library: LibraryId,
        selected: &Selected,
    ) -> Result<(Arc<Bindings>, Head), SyncError> {
        let (bindings, head, _) = self.begin(write, Batch::All).await?;
        head.is_of(library)?;
        match self.selected(&head)? {
            Some(now) if now.fingerprint == selected.fingerprint => Ok((bindings, head)),
            _ => Err(PeerError::Busy("the scope was changed during the round".into()).into()),
        }
    }
}

/// What is to be taken in, and the alive records that are not.
fn sorted(selected: &Selected, records: Vec<Incoming>) -> (Vec<Incoming>, Vec<Named>) {
    let mut outside = Vec::new();
    let mut inside = records;
    inside.retain(|one| {
        let is_inside = selected.place_of_change(&one.change) == Place::Inside;
        if !is_inside && one.change.generation % 2 == 1 {
            outside.push((one.change.model.clone(), one.change.record.clone()));
        }
        is_inside
    });
    (inside, outside)
}
