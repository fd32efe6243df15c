//! The side of a repair that is asked.

use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::{
    super::{PeerError, SyncError, replica::Replica},
    RangeDigests, RepairAnswer, RepairRequest, RepairedName,
    look::Mended,
};
use crate::{
    apply::Named,
    change::{Change, ChangeKind},
    ledger::{Head, LogTrust},
    merge::{Census, RecordRange},
};

/// The most of each kind that one request may ask for.
pub(super) const MOST: usize = 1_024;

/// A range with at most this many records is listed; a larger one is cut into parts of about half as many.
const LISTED: usize = 64;

/// About how many bytes of objects one answer has.
const MAX_BYTES: usize = 8 << 20;

impl Replica {
    pub(in crate::peer) async fn serve_repair(
        self: &Arc<Self>,
        request: RepairRequest,
    ) -> Result<RepairAnswer, SyncError> {
        let most = request.ranges.len().max(request.wanted.len()).max(request.objects.len());
        if most > MOST {
            return Err(
                PeerError::TooLarge(format!("a repair asks for at most {MOST} things at once")).into()
            );
        }
        if request.ranges.iter().any(|range| !range.is_valid()) {
            return Err(PeerError::Invalid("a range that is none".into()).into());
        }
        let (db, names) = self.store.read().await?;
        let head = Head::load(&db, &names).await?;
        drop(db);
        self.is_whole(&head)?;
        let incoming = request.objects.iter().map(|bytes| decode(bytes)).collect::<Result<Vec<_>, _>>()?;
        let mut records = Vec::new();
        let looks = request.ranges.contains(&RecordRange::ALL);
        let asks = !request.ranges.is_empty() || !request.wanted.is_empty() || !incoming.is_empty();
        let look = match self.last_look().filter(|_| !looks) {
            Some(look) => Some(look),
            None if asks => {
                let look = self.look().await?;
                records
                    .extend(look.mended.iter().map(|(model, record)| RepairedName::new(model, record, None)));
                Some(look)
            }
            None => None,
        };
        let mut answer = RepairAnswer {
            ranges: Vec::new(),
            objects: Vec::new(),
            records,
            vector: request.vector.clone(),
            digest: [0; 16],
            whole: false,
        };
        if let Some(look) = look {
            answer.whole = look.log == LogTrust::Whole;
            let census = &look.survey.census;
            answer.ranges = request.ranges.iter().map(|range| digests(census, *range)).collect();
            let means = self.means(&look, request.vector.clone(), request.whole);
            let mut changes = Vec::new();
            if !request.wanted.is_empty() {
                let ids = request.wanted.iter().filter_map(|place| census.at(*place)).map(|one| one.id);
                let named = self.named(ids.collect()).await?;
                let mended = self.mend(named.clone(), Vec::new(), means.clone()).await?;
                let sound: Vec<Named> = named
                    .into_iter()
                    .filter(|named| mended.unmended.iter().all(|(unmended, _)| unmended != named))
                    .collect();
                changes.extend(self.sound_objects(&sound).await?);
                note(&mut answer, mended);
            }
            if !incoming.is_empty() {
                let mended = self.mend(Vec::new(), incoming, means).await?;
                changes.extend(mended.differ.iter().cloned());
                note(&mut answer, mended);
            }
            let mut bytes = 0;
            for change in changes {
                let encoded = change.encode().into_bytes();
                bytes += encoded.len();
                if bytes > MAX_BYTES && !answer.objects.is_empty() {
                    break;
                }
                answer.objects.push(ByteBuf::from(encoded));
            }
        }
        (answer.vector, answer.digest) = if request.last {
            self.forget_look();
            self.recount().await?
        } else {
            self.standing().await?
        };
        Ok(answer)
    }
}

fn note(answer: &mut RepairAnswer, mended: Mended) {
    let good = mended.mended.iter().map(|(model, record)| RepairedName::new(model, record, None));
    let bad = mended.unmended.into_iter();
    let bad = bad.map(|((model, record), why)| RepairedName::new(&model, &record, Some(why)));
    answer.records.extend(good.chain(bad));
}

/// An object as it is exchanged.
pub(super) fn decode(bytes: &[u8]) -> Result<Change, PeerError> {
    let change = Change::decode(bytes)
        .map_err(|error| PeerError::Corrupt(format!("an object of a repair: {error}")))?;
    if change.kind == ChangeKind::Repair {
        Ok(change)
    } else {
        Err(PeerError::Invalid("a repair exchanges objects, not changes".into()))
    }
}

/// What a range holds: its records if they are few, else the sums of its parts.
fn digests(census: &Census, range: RecordRange) -> RangeDigests {
    let counted = census.within(range);
    if counted.len() > LISTED {
        let bits = (2 * counted.len() / LISTED).ilog2().clamp(1, 8);
        if let Some(parts) = range.parts(bits as u8) {
            let sums = parts.flat_map(|part| census.sum(part).to_bytes()).collect::<Vec<u8>>();
            return RangeDigests { parts: ByteBuf::from(sums), ..RangeDigests::default() };
        }
    }
    let entry = |one: &crate::merge::Counted| [one.place.to_be_bytes(), one.mark().to_be_bytes()].concat();
    let entries: Vec<u8> = counted.iter().flat_map(entry).collect();
    RangeDigests { entries: ByteBuf::from(entries), ..RangeDigests::default() }
}
