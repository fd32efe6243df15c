//! Changes whose values later changes wrote again lose them; all else of the log stays as it is.
//!
//! Invariant: what a compacted change said, whole changes that stand behind it in this log say again: each of them knew of it and
//! of all that it knew, and writes a column that it wrote, by the same rule and in the same life of the record. So whoever
//! has joined those learns nothing from it, and loses nothing without it. It keeps its place, its envelope and its digest.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::ConnectionTrait;

use super::{
    Head, LedgerError, by_records,
    commit::seq_value,
    objects::Loaded,
    origins::{stamp, vector},
    pages::served_end,
};
use crate::{
    change::{Change, ChangeKind},
    ids::{RecordId, Seq},
    merge::StoredCell,
    stamp::Stamp,
    store::{Write, sql},
    vector::Vector,
};

/// How many entries one transaction looks at.
const SLICE: i64 = 1_000;

/// How many bytes of changes one transaction looks at; one change always fits.
const SLICE_BYTES: i64 = 4 << 20;

/// What one transaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CompactedSlice {
    /// Entries that were looked at.
    pub(crate) looked_at: u64,
    /// Entries that lost their values.
    pub(crate) compacted: u64,
    /// How many bytes less they take.
    pub(crate) freed: u64,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<Seq>,
}

/// An entry that may lose its values.
struct Candidate {
    seq: i64,
    change: Change,
    bytes: Vec<u8>,
}

/// Takes the values out of a part of what may lose them: after `after`, and not behind what others may see.
pub(crate) async fn compact_slice(
    write: &Write<'_>,
    head: &Head,
    after: Seq,
) -> Result<CompactedSlice, LedgerError> {
    let end = served_end(write.db, head).await?;
    let mine = vector(write.db, &write.names, head.library).await?;
    let mut slice = CompactedSlice::default();
    let Some(until) = end_of_slice(write.db, head, (after, end), &mut slice).await? else { return Ok(slice) };
    let mut candidates = candidates(write.db, head, (after, until), &mine).await?;
    let named = named_by_conflicts(write.db, head, &candidates).await?;
    candidates.retain(|_, list| {
        list.retain(|one| !named.contains(&one.change.id));
        !list.is_empty()
    });
    let mut standing = Standing { mine: &mine, end, known: HashMap::new() };
    for (model, list) in candidates {
        let records: HashSet<&RecordId> = list.iter().map(|one| &one.change.record).collect();
        let objects = by_records(write.db, &write.names, head.library, model, records).await?;
        for Candidate { seq, change, bytes } in &list {
            let Some(Loaded { object, .. }) = objects.get(&change.record) else { continue };
            if object.generation != change.generation {
                continue;
            }
            let Some(by) = standing.superseded_by(write.db, *seq, change, &object.cells).await? else {
                continue;
            };
            let left = change.compact(head.identity.library, bytes, &by).into_bytes();
            let Some(freed) = bytes.len().checked_sub(left.len()).filter(|freed| *freed > 0) else {
                continue;
            };
            let statement = "UPDATE sync_log SET data = ? WHERE seq = ?";
            sql::execute(write.db, statement, [left.into(), (*seq).into()]).await?;
            slice.compacted += 1;
            slice.freed += freed as u64;
        }
    }
    Ok(slice)
}

/// The last position of the slice; `None` if there is nothing more.
async fn end_of_slice<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    (after, end): (Seq, Seq),
    slice: &mut CompactedSlice,
) -> Result<Option<i64>, LedgerError> {
    let rows = sql::all(
        db,
        "SELECT seq, coalesce(length(data), 0) FROM sync_log WHERE library = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        [head.library.into(), seq_value(after), seq_value(end), SLICE.into()],
    )
    .await?;
    let (mut until, mut bytes) = (None, 0);
    for row in &rows {
        bytes += sql::column::<i64>(row, 1)?;
        if bytes > SLICE_BYTES && until.is_some() {
            break;
        }
        until = Some(sql::column::<i64>(row, 0)?);
        slice.looked_at += 1;
    }
    slice.next = until.map(|until| Seq(u64::try_from(until).unwrap_or(0)));
    Ok(until)
}

/// The whole changes of a slice that say only what a later one can say again, by model.
async fn candidates<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    (after, until): (Seq, i64),
    mine: &Vector,
) -> Result<HashMap<i64, Vec<Candidate>>, LedgerError> {
    let rows = sql::all(
        db,
        "SELECT seq, model, data FROM sync_log WHERE library = ? AND seq > ? AND seq <= ? AND kind = ? AND data IS NOT NULL",
        [
            head.library.into(),
            seq_value(after),
            until.into(),
            i64::try_from(ChangeKind::Edit.code()).unwrap_or(i64::MAX).into(),
        ],
    )
    .await?;
    let mut candidates: HashMap<i64, Vec<Candidate>> = HashMap::new();
    for row in &rows {
        let bytes: Vec<u8> = sql::column(row, 2)?;
        let change = Change::decode(&bytes)?;
        let plain = |cell: &crate::change::Cell| cell.tag.is_lww() && cell.version == change.id;
        // What is known of a forked author's stamps says nothing of who knew what.
        if change.cells.is_empty() || !change.cells.iter().all(plain) || mine.is_forked(change.device) {
            continue;
        }
        // Of what a later version of the program adds to a change, nobody here knows whether it was said again.
        if change.encode().as_bytes() == bytes {
            let seq = sql::column(row, 0)?;
            candidates.entry(sql::column(row, 1)?).or_default().push(Candidate { seq, change, bytes });
        }
    }
    Ok(candidates)
}

/// The changes that a conflict names, as winner or loser, among those of the candidates' records: people and merge functions are
/// shown what those wrote.
async fn named_by_conflicts<C: ConnectionTrait>(
    db: &C,
    head: &Head,
    candidates: &HashMap<i64, Vec<Candidate>>,
) -> Result<HashSet<Stamp>, LedgerError> {
    let mut named = HashSet::new();
    for (model, list) in candidates {
        let records: HashSet<&RecordId> = list.iter().map(|one| &one.change.record).collect();
        let keys = records.into_iter().map(|record| record.as_bytes().to_vec().into()).collect();
        let head = format!(
            "SELECT winner_id, loser_id FROM sync_conflicts WHERE library = {} AND model = {model} AND record IN",
            head.library
        );
        for row in &sql::select_in(db, &head, "", keys).await? {
            named.insert(stamp(&sql::column::<Vec<u8>>(row, 0)?)?);
            named.insert(stamp(&sql::column::<Vec<u8>>(row, 1)?)?);
        }
    }
    Ok(named)
}

/// The changes whose values stand in objects.
struct Standing<'a> {
    mine: &'a Vector,
    end: Seq,
    /// Those that were looked for: where they are, and what they say without the values.
    known: HashMap<Stamp, Option<(i64, Change)>>,
}

impl Standing<'_> {
    /// The changes that say together what `change`, at `seq`, said; `cells` is what stands now. `None` if there are none such.
    async fn superseded_by<C: ConnectionTrait>(
        &mut self,
        db: &C,
        seq: i64,
        change: &Change,
        cells: &[StoredCell],
    ) -> Result<Option<Vec<Stamp>>, LedgerError> {
        let mut by = BTreeSet::new();
        for cell in &change.cells {
            let stands = cells.iter().find(|stands| stands.column == cell.column && stands.tag == cell.tag);
            let Some(stands) = stands.filter(|stands| stands.version > change.id) else { return Ok(None) };
            let Some((at, later)) = self.find(db, stands.version).await? else { return Ok(None) };
            let says = |said: &crate::change::Cell| {
                said.column == cell.column && said.tag == cell.tag && said.version == later.id
            };
            if *at <= seq || !knew(later, change) || !later.cells.iter().any(says) {
                return Ok(None);
            }
            by.insert(later.id);
        }
        Ok(Some(by.into_iter().collect()))
    }

    /// The whole change `id`, if the log has it where others see it.
    async fn find<C: ConnectionTrait>(
        &mut self,
        db: &C,
        id: Stamp,
    ) -> Result<Option<&(i64, Change)>, LedgerError> {
        if !self.known.contains_key(&id) {
            let found = self.look_for(db, id).await?;
            self.known.insert(id, found);
        }
        Ok(self.known.get(&id).and_then(Option::as_ref))
    }

    async fn look_for<C: ConnectionTrait>(
        &self,
        db: &C,
        id: Stamp,
    ) -> Result<Option<(i64, Change)>, LedgerError> {
        let statement =
            "SELECT seq, data FROM sync_log WHERE change_id = ? AND data IS NOT NULL AND seq <= ?";
        let values = [id.as_bytes().to_vec().into(), seq_value(self.end)];
        let Some(row) = sql::one(db, statement, values).await? else { return Ok(None) };
        let bytes: Vec<u8> = sql::column(&row, 1)?;
        let mut change = Change::decode(&bytes)?;
        if self.mine.is_forked(change.device) || change.encode().as_bytes() != bytes {
            return Ok(None);
        }
        for cell in &mut change.cells {
            cell.value = crate::value::SyncValue::Null;
        }
        Ok(Some((sql::column(&row, 0)?, change)))
    }
}

/// True if whoever has joined `later` learns nothing from the envelope of `change`.
fn knew(later: &Change, change: &Change) -> bool {
    later.generation == change.generation
        && later.born <= change.born
        && later.context.covers(change.id)
        && later.context.includes(&change.context)
}

/// True if each change that a compacted one names stands in the log too: then the log says all that it ever said.
pub(crate) async fn says_all<C: ConnectionTrait>(db: &C, head: &Head) -> Result<bool, LedgerError> {
    let (mark, from_end) = Change::MARK_OF_COMPACTED;
    let mut after = 0_i64;
    loop {
        // Few of a log's changes may be compacted, and the database finds those by their end.
        let rows = sql::all(
            db,
            "SELECT seq, data FROM sync_log WHERE library = ? AND seq > ? AND substr(data, ?, ?) = ? \
             ORDER BY seq LIMIT ?",
            [
                head.library.into(),
                after.into(),
                (-from_end).into(),
                (mark.len() as i64).into(),
                mark.to_vec().into(),
                SLICE.into(),
            ],
        )
        .await?;
        let Some(last) = rows.last() else { return Ok(true) };
        after = sql::column(last, 0)?;
        let mut named = HashSet::new();
        for row in &rows {
            let compacted = Change::decode_compacted(&sql::column::<Vec<u8>>(row, 1)?)?;
            named.extend(compacted.into_iter().flat_map(|compacted| compacted.superseded_by));
        }
        if super::logged(db, named.iter().copied()).await?.len() < named.len() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        change::{Cell, Tag},
        ids::DeviceId,
        merge::{Changed, Object, join},
        value::SyncValue,
        vector::Clock,
    };

    fn device(tail: u8) -> DeviceId {
        DeviceId::from_bytes([tail; 16])
    }

    fn stamp((ms, tail): (u64, u8)) -> Stamp {
        Stamp::new(ms, 0, device(tail).node())
    }

    /// A change at a time by a device, which knew these stamps and wrote the columns whose bits are set.
    fn change(at: (u64, u8), context: &[(u64, u8)], columns: u8, born: Stamp) -> Change {
        let id = stamp(at);
        let columns = (0..3).filter(|column| columns >> column & 1 == 1);
        let cells = columns.map(|column| Cell {
            column: format!("column {column}").into(),
            tag: Tag::LWW,
            version: id,
            value: SyncValue::Text(format!("{id:?}")),
        });
        Change {
            id,
            device: device(at.1),
            previous: None,
            txn: id,
            more: false,
            kind: ChangeKind::Edit,
            model: "model".into(),
            record: crate::value::encode_key(&[SyncValue::I64(1)]),
            generation: 1,
            born: born.min(id),
            context: context.iter().map(|one| stamp(*one)).filter(|one| *one < id).collect(),
            cells: cells.collect(),
        }
    }

    fn any_at() -> impl Strategy<Value = (u64, u8)> {
        (10..40_u64, 1..4_u8)
    }

    fn any_change() -> impl Strategy<Value = Change> {
        (any_at(), vec(any_at(), 0..4), 1..8_u8, any_at())
            .prop_map(|(at, context, columns, born)| change(at, &context, columns, stamp(born)))
    }

    proptest! {
        /// Whatever came before and between, in whatever order.
        #[test]
        fn a_superseded_change_says_nothing_to_whoever_has_what_superseded_it(
            change in any_change(),
            later in vec((1..9_u64, 1..4_u8, 1..8_u8), 1..4),
            others in vec(any_change(), 0..6),
            place: prop::sample::Index,
        ) {
            let mut superseders = Vec::new();
            for (ahead, tail, columns) in later {
                let mut one = self::change((change.id.ms() + ahead, tail), &[], columns, change.born);
                one.context = change.context.clone();
                one.context.observe(change.id);
                prop_assume!(one.context.newest() < one.id);
                prop_assert!(knew(&one, &change));
                superseders.push(one);
            }
            let says = |column: &str| superseders.iter().any(|one| one.cells.iter().any(|cell| cell.column == column));
            prop_assume!(change.cells.iter().all(|cell| says(&cell.column)));
            let mut object = Object::default();
            let place = place.index(others.len() + 1);
            for one in others[..place].iter().chain(&superseders).chain(&others[place..]) {
                join(&mut object, one);
            }
            let before = object.clone();
            let joined = join(&mut object, &change);
            prop_assert_eq!((joined.changed, joined.conflicts), (Changed::Nothing, Vec::new()));
            prop_assert_eq!(object, before);
        }
    }

    #[test]
    fn who_did_not_know_a_change_does_not_supersede_it() {
        let first = change((10, 1), &[], 1, Stamp::NIL);
        let known: Clock = [stamp((20, 2))].into_iter().collect();
        let changed = change((20, 2), &[(10, 1)], 1, Stamp::NIL);
        assert!(knew(&changed, &first));
        let unknown = Change { context: Clock::new(), ..changed.clone() };
        let of_less = Change { context: known.clone(), ..change((30, 1), &[], 1, Stamp::NIL) };
        let of_another_life = Change { generation: 3, ..changed.clone() };
        let begun_later = Change { born: stamp((5, 1)), ..changed };
        for later in [unknown, of_less, of_another_life, begun_later] {
            assert!(!knew(&later, &first), "{later:?}");
        }
        let knows_more = Change { context: known, ..first };
        let alike = change((30, 1), &[(10, 1)], 1, Stamp::NIL);
        assert!(!knew(&alike, &knows_more), "it did not know what the other knew");
    }
}
