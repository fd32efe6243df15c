//! The side of a repair that asks: compare, exchange what differs, count anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_bytes::ByteBuf;

use super::{
    super::{
        Peer, PeerError, Request, SyncError,
        greet::{Greeting, greet},
        replica::Replica,
    },
    LastRepair, RepairAnswer, RepairRequest,
    answer::{MOST, decode},
    compare::{Comparison, Difference},
    look::{LastLook, Mended, SLICE},
};
use crate::{
    apply::Named,
    change::Change,
    ids::{DeviceId, Name, RecordId},
    ledger::LogTrust,
    merge::place_of,
    vector::Vector,
};

/// A record that a repair mended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct RepairedRecord {
    /// The model's name on the wire.
    pub model: Name,
    /// The record.
    pub record: RecordId,
}

/// A record that a repair could not mend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unmended {
    /// The record; `None` where only its place is known.
    pub record: Option<RepairedRecord>,
    /// Why, for people.
    pub reason: String,
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Objects here that were compared with the peer's.
    pub objects: u64,
    /// Ranges whose digests the peer was asked for.
    pub ranges: u64,
    /// Calls made.
    pub calls: u64,
    /// Bytes of requests, as encoded, before any compression.
    pub bytes_sent: u64,
    /// Bytes of answers, likewise.
    pub bytes_received: u64,
    /// Records that were mended here, in order.
    pub mended_here: Vec<RepairedRecord>,
    /// Records that the peer mended, in order.
    pub mended_there: Vec<RepairedRecord>,
    /// What could not be mended, here or there.
    pub unmended: Vec<Unmended>,
    /// False if there was more than [`Limits::repair_records`](crate::Limits::repair_records) allows: call it again.
    pub complete: bool,
    /// True if both sides ended with equal vectors and digests.
    pub in_sync: bool,
}

/// Repairs after a round that ended with equal vectors and unequal digests, unless that was tried a moment ago.
/// `None` if it was not tried, or did not come to an end.
pub(in crate::peer) async fn repair_diverged(
    replica: &Arc<Replica>,
    peer: &dyn Peer,
    device: DeviceId,
) -> Option<RepairReport> {
    let every = replica.limits.repair_every_ms?;
    let last = replica.last_repair(device);
    if last.is_some_and(|last| replica.now_ms().saturating_sub(last.at_ms) < every) {
        return None;
    }
    match repair_with(replica, peer).await {
        Ok(report) => Some(report),
        Err(SyncError::Peer(PeerError::Unsupported(what))) => {
            tracing::warn!(%what, "the peer cannot repair: `verify` tells which side is damaged");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "a repair did not come to its end; it is begun again later");
            None
        }
    }
}

/// One repair with `peer`.
pub(crate) async fn repair_with(replica: &Arc<Replica>, peer: &dyn Peer) -> Result<RepairReport, SyncError> {
    let Greeting { mine, theirs, .. } = greet(replica, peer).await?;
    if mine.scope.is_some() || theirs.scope.is_some() {
        return Err(PeerError::PartOnly.into());
    }
    let at_ms = replica.now_ms();
    let repaired = Repair::begin(replica, peer).await;
    replica.forget_look();
    let report = repaired.as_ref().ok().cloned();
    if let Some(report) = &report {
        replica.report_repaired(report.clone());
    }
    replica.note_repair(theirs.device, LastRepair { at_ms, report });
    repaired
}

struct Repair<'a> {
    replica: &'a Arc<Replica>,
    peer: &'a dyn Peer,
    report: RepairReport,
    here: BTreeSet<Named>,
    there: BTreeSet<Named>,
    /// By record: what cannot be mended now may be a moment later.
    faults: BTreeMap<Named, String>,
    vector: Vector,
    /// True if the log here has all there is to know.
    whole: bool,
}

impl<'a> Repair<'a> {
    async fn begin(replica: &'a Arc<Replica>, peer: &'a dyn Peer) -> Result<RepairReport, SyncError> {
        let look = replica.look().await?;
        let vector = replica.standing().await?.0;
        let mut repair = Self {
            replica,
            peer,
            report: RepairReport::default(),
            here: look.mended.iter().cloned().collect(),
            there: BTreeSet::new(),
            faults: BTreeMap::new(),
            vector,
            whole: look.log == LogTrust::Whole,
        };
        let ended = repair.run(&look).await;
        if ended.is_err() && !repair.here.is_empty() {
            // What was mended here stays, and the kept digest is to say so.
            replica.recount().await?;
        }
        ended?;
        Ok(repair.told())
    }

    async fn run(&mut self, look: &LastLook) -> Result<(), SyncError> {
        let census = &look.survey.census;
        self.report.objects = census.len() as u64;
        let mut comparison = Comparison::new(census, self.replica.limits.repair_records);
        loop {
            let ranges = comparison.question(MOST);
            if ranges.is_empty() {
                break;
            }
            let answer = self.ask(RepairRequest { ranges: ranges.clone(), ..self.request() }).await?;
            comparison.answered(&ranges, &answer.ranges)?;
        }
        self.report.ranges = comparison.asked();
        self.report.complete = comparison.complete;
        self.exchange(look, &comparison.found).await?;
        let (mine, my_digest) = self.replica.recount().await?;
        let answer = self.ask(RepairRequest { last: true, ..self.request() }).await?;
        self.report.in_sync = answer.vector == mine && answer.digest == my_digest;
        Ok(())
    }

    /// Brings what the peer has, sends what it lacks.
    async fn exchange(
        &mut self,
        look: &LastLook,
        found: &BTreeMap<u64, Difference>,
    ) -> Result<(), SyncError> {
        let most = usize::try_from(self.replica.limits.repair_records).unwrap_or(usize::MAX);
        if found.len() > most {
            self.report.complete = false;
        }
        let mut wanted: BTreeSet<u64> = BTreeSet::new();
        let mut sent: Vec<u64> = Vec::new();
        for (place, difference) in found.iter().take(most) {
            match difference {
                Difference::Theirs | Difference::Both => drop(wanted.insert(*place)),
                Difference::Mine => sent.push(*place),
                Difference::Neither => self.nobody(look, *place).await?,
            }
        }
        while !wanted.is_empty() {
            let some: Vec<u64> = wanted.iter().copied().take(SLICE).collect();
            let answer = self.ask(RepairRequest { wanted: some.clone(), ..self.request() }).await?;
            let mut got = Vec::new();
            for bytes in &answer.objects {
                let change = decode(bytes)?;
                // What was not asked for is not taken.
                if wanted.remove(&place_of(&change.model, &change.record)) {
                    got.push(change);
                }
            }
            if got.is_empty() {
                // None of them is to be had: what is here may be good for the peer.
                for place in &some {
                    wanted.remove(place);
                    sent.push(*place);
                }
            }
            let mended = self.take(look, got, answer.vector, answer.whole).await?;
            self.give(look, mended.differ).await?;
        }
        for places in sent.chunks(SLICE) {
            let ids = places.iter().filter_map(|place| look.survey.census.at(*place)).map(|one| one.id);
            let named = self.replica.named(ids.collect()).await?;
            let mended = self
                .replica
                .mend(named.clone(), Vec::new(), self.replica.means(look, Vector::new(), false))
                .await?;
            self.note(&mended);
            let objects = self.replica.sound_objects(&named).await?;
            self.give(look, objects).await?;
        }
        Ok(())
    }

    /// Joins what the peer gave.
    async fn take(
        &mut self,
        look: &LastLook,
        got: Vec<Change>,
        theirs: Vector,
        whole: bool,
    ) -> Result<Mended, SyncError> {
        let mut all = Mended::default();
        let mut got = got.into_iter().peekable();
        while got.peek().is_some() {
            let some: Vec<Change> = got.by_ref().take(SLICE).collect();
            let mended =
                self.replica.mend(Vec::new(), some, self.replica.means(look, theirs.clone(), whole)).await?;
            self.note(&mended);
            all.differ.extend(mended.differ);
        }
        Ok(all)
    }

    /// Sends objects, a page at a time. What the peer makes of them comes back if it is something else; after that
    /// nothing is sent again, so two sides that never agree come to an end.
    async fn give(&mut self, look: &LastLook, objects: Vec<Change>) -> Result<(), SyncError> {
        let mut left = objects.into_iter().map(|change| change.encode().into_bytes()).peekable();
        while left.peek().is_some() {
            let mut page = Vec::new();
            let mut bytes = 0;
            while let Some(next) = left.peek() {
                bytes += next.len() as u64;
                if !page.is_empty() && (bytes > self.replica.limits.page_bytes || page.len() == SLICE) {
                    break;
                }
                page.extend(left.next().map(ByteBuf::from));
            }
            let places: BTreeSet<u64> = page
                .iter()
                .filter_map(|bytes| decode(bytes).ok())
                .map(|change| place_of(&change.model, &change.record))
                .collect();
            let answer = self.ask(RepairRequest { objects: page, ..self.request() }).await?;
            let mut got = Vec::new();
            for bytes in &answer.objects {
                let change = decode(bytes)?;
                if places.contains(&place_of(&change.model, &change.record)) {
                    got.push(change);
                }
            }
            let mended = self.take(look, got, answer.vector, answer.whole).await?;
            for change in mended.differ {
                let why = "the two sides do not agree on it, though each told the other".to_owned();
                self.faults.insert((change.model, change.record), why);
            }
        }
        Ok(())
    }

    async fn nobody(&mut self, look: &LastLook, place: u64) -> Result<(), SyncError> {
        let why = "it is damaged on both sides, or here alone and unknown there";
        let ids: Vec<i64> = look.survey.census.at(place).map(|one| one.id).into_iter().collect();
        match self.replica.named(ids).await?.into_iter().next() {
            Some(named) => drop(self.faults.insert(named, why.to_owned())),
            None => self.report.unmended.push(Unmended {
                record: None,
                reason: format!("a record of the peer, at place {place:016x}: {why}"),
            }),
        }
        Ok(())
    }

    fn request(&self) -> RepairRequest {
        let identity = self.replica.identity();
        RepairRequest {
            library: identity.library,
            device: identity.device,
            vector: self.vector.clone(),
            whole: self.whole,
            ranges: Vec::new(),
            objects: Vec::new(),
            wanted: Vec::new(),
            last: false,
        }
    }

    async fn ask(&mut self, request: RepairRequest) -> Result<RepairAnswer, SyncError> {
        self.report.calls += 1;
        self.report.bytes_sent += size(&Request::from(request.clone()))?;
        let answer = self.peer.repair(request).await?;
        self.report.bytes_received += size(&answer)?;
        for name in &answer.records {
            let named = (Name::from(name.model.as_str()), RecordId::from_bytes(&*name.record));
            match &name.fault {
                None => drop(self.there.insert(named)),
                Some(fault) => drop(self.faults.insert(named, format!("on the peer: {fault}"))),
            }
        }
        Ok(answer)
    }

    fn note(&mut self, mended: &Mended) {
        for named in &mended.mended {
            self.faults.remove(named);
            self.here.insert(named.clone());
        }
        for (named, why) in &mended.unmended {
            self.faults.insert(named.clone(), why.clone());
        }
    }

    fn told(self) -> RepairReport {
        let records = |names: BTreeSet<Named>| {
            names.into_iter().map(|(model, record)| RepairedRecord { model, record }).collect()
        };
        let mut report = self.report;
        report.mended_here = records(self.here);
        report.mended_there = records(self.there);
        report.unmended.extend(self.faults.into_iter().map(|((model, record), reason)| Unmended {
            record: Some(RepairedRecord { model, record }),
            reason,
        }));
        if !report.unmended.is_empty() {
            tracing::warn!(unmended = report.unmended.len(), "a repair left records as they are");
        }
        report
    }
}

/// How many bytes a message has.
fn size(message: &impl serde::Serialize) -> Result<u64, SyncError> {
    let bytes = rmp_serde::to_vec_named(message).map_err(|error| PeerError::Failed(error.to_string()))?;
    Ok(bytes.len() as u64)
}
