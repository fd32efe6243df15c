//! The changes of one batch, and the objects they bring up to date.
//!
//! Invariant: stamps are as old as they may be and grow; each change names the author's change before it; the object
//! written beside a change is the object that joining the change gives, since no stamp is newer.

use super::{
    CaptureError,
    diff::{self, Difference},
    flusher::Draft,
    written::{Found, Ruled},
};
use crate::{
    change::{Change, ChangeKind},
    ids::{Name, RecordId},
    ledger::{self, Commit, Entry, Head, LedgerError, Loaded, ObjectWrite},
    merge::{Digest, StoredCell, StoredObject, keeps_value},
    runtime::Runtime,
    stamp::Stamp,
    store::{Binding, Write, sql},
    value::ValueHash,
    vector::Clock,
};

/// The changes of one batch, which are a group or a part of one.
pub(super) struct Group<'a> {
    head: &'a mut Head,
    runtime: &'a Runtime,
    /// True if the group goes on after this batch.
    goes_on: bool,
    wall_ms: u64,
    pub(super) commit: Commit,
    /// Records whose object had no row and has one now.
    pub(super) shown_again: Vec<(i64, RecordId)>,
    /// Records whose rows are to be brought in line with their objects: a rule made something else of a write.
    pub(super) back: Vec<(Name, RecordId)>,
}

impl<'a> Group<'a> {
    pub(super) fn begin(head: &'a mut Head, runtime: &'a Runtime, goes_on: bool) -> Self {
        let wall_ms = runtime.time.now_ms();
        Self {
            head,
            runtime,
            goes_on,
            wall_ms,
            commit: Commit::default(),
            shown_again: Vec::new(),
            back: Vec::new(),
        }
    }

    /// The next stamp, for a write at `at`: as old as it may be.
    fn stamp(&mut self, at: Option<u64>) -> Stamp {
        let at = at.filter(|at| *at > 0).unwrap_or(self.wall_ms);
        self.head.clock.tick(at.min(self.wall_ms), self.runtime.random.as_ref())
    }

    pub(super) fn log(&mut self, draft: Draft<'_>, last: bool) {
        let id = self.stamp(draft.noted.at);
        let kind = diff::kind_of(&draft.difference, draft.adopted());
        let Draft { binding, noted, mut row, hashes, object, difference, earlier } = draft;
        let version = if kind == ChangeKind::Adopt { Stamp::NIL } else { id };
        let next = diff::next_generation(object.as_ref().map(|o| &o.object), self.head.forgotten);
        let (generation, born, columns): (u64, Stamp, Vec<usize>) = match difference {
            Difference::Edit(columns) => {
                let stored = object.as_ref().map(|loaded| &loaded.object);
                (stored.map_or(1, |o| o.generation), stored.map_or(version, |o| o.born), columns)
            }
            Difference::Delete => (next, id, Vec::new()),
            // Whether a life is over is known by who began it, so above what is forgotten an adopted record says that.
            Difference::Insert | Difference::None if !self.head.forgotten.is_nothing() => {
                (next, id, binding.by_wire.clone())
            }
            Difference::Insert | Difference::None => (next, version, binding.by_wire.clone()),
        };
        let before = object.as_ref().map_or_else(Clock::new, |loaded| loaded.object.clock.clone());
        let known = object.as_ref().map(|loaded| &loaded.object).filter(|o| o.generation == generation);
        let found = Found { binding, object: known, row: &[], hashes: &hashes, earlier: &earlier };
        // A change takes the values out of the row; a rule looks at them again.
        let kept = (!found.is_plain()).then(|| row.clone());
        let mut change = Change {
            id,
            device: self.head.identity.device,
            previous: self.head.previous,
            txn: *self.head.open_txn.get_or_insert(id),
            more: self.goes_on || !last,
            kind,
            model: binding.name().clone(),
            record: noted.record,
            generation,
            born,
            context: before,
            cells: diff::cells(binding, &mut row, columns.iter().copied(), version),
        };
        let ruled =
            kept.map_or_else(Ruled::default, |row| Found { row: &row, ..found }.rule(&columns, &mut change));
        if ruled.back {
            self.back.push((change.model.clone(), change.record.clone()));
        }
        self.commit.conflicts.extend(ruled.conflicts);
        self.write(binding, object, change, &columns, &hashes, version, ruled.cells);
    }

    /// Ends an open group for which nothing more is to be logged, with a change that writes no column.
    pub(super) async fn end(&mut self, write: &Write<'_>) -> Result<(), CaptureError> {
        let Some((model, record)) = last_open_record(write, self.head).await? else {
            self.head.open_txn = None;
            return Ok(self.head.save(write.db).await?);
        };
        let name = write.names.text(model)?;
        let mut objects =
            ledger::by_records(write.db, &write.names, self.head.library, model, [&record]).await?;
        let Some(Loaded { id: row, mut object }) = objects.remove(&record) else {
            return Err(LedgerError::Corrupt(format!("{name} {record} is logged and unknown")).into());
        };
        let id = self.stamp(None);
        let change = Change {
            id,
            device: self.head.identity.device,
            previous: self.head.previous,
            txn: self.head.open_txn.unwrap_or(id),
            more: false,
            kind: if object.is_alive() { ChangeKind::Edit } else { ChangeKind::Delete },
            model: name.clone(),
            record: record.clone(),
            generation: object.generation,
            born: object.born.min(id),
            context: object.clock.clone(),
            cells: Vec::new(),
        };
        let before = object.digest(&name, &record);
        object.clock.observe(id);
        self.push(change, ObjectWrite { id: row, is_new: false, model: name, record, object, before });
        Ok(())
    }

    /// Brings the object up to `change`, which wrote `columns` of its row; of some a rule made `ruled`.
    #[expect(clippy::too_many_arguments, reason = "the parts of one draft")]
    fn write(
        &mut self,
        binding: &Binding,
        object: Option<Loaded>,
        change: Change,
        columns: &[usize],
        hashes: &[ValueHash],
        version: Stamp,
        mut ruled: Vec<(usize, StoredCell)>,
    ) {
        let before = object
            .as_ref()
            .map_or_else(Digest::default, |loaded| loaded.object.digest(&change.model, &change.record));
        let (id, stored) = match object {
            Some(Loaded { id, object }) => (Some(id), Some(object)),
            None => (None, None),
        };
        let was_shown = stored.as_ref().is_none_or(|object| object.shown || !object.is_alive());
        let mut object = match stored {
            Some(object) if object.generation == change.generation => object,
            older => StoredObject {
                generation: change.generation,
                born: change.born,
                clock: older.map_or_else(Clock::new, |object| object.clock),
                shown: false,
                cells: Vec::new(),
            },
        };
        object.clock.observe(change.id);
        object.shown = object.is_alive();
        if object.cells.is_empty() {
            object.cells.reserve_exact(columns.len());
        }
        let mut next = 0;
        for index in columns {
            let column = &binding.spec().columns[*index];
            let plain = || StoredCell {
                column: column.wire.clone(),
                tag: column.tag,
                version,
                hash: hashes[*index],
                shadow: None,
                payload: None,
                row: None,
            };
            let by_rule = ruled.iter().position(|(at, _)| at == index).map(|at| ruled.swap_remove(at).1);
            let cell = by_rule.unwrap_or_else(plain);
            let at = object.position_near(&column.wire, next);
            match at {
                Ok(at) => object.cells[at] = cell,
                Err(at) => object.cells.insert(at, cell),
            }
            next = at.unwrap_or_else(|at| at) + 1;
        }
        if !was_shown {
            self.now_in_row(binding, &mut object, hashes);
            self.shown_again.push((binding.model, change.record.clone()));
        }
        let (model, record) = (change.model.clone(), change.record.clone());
        let is_new = id.is_none();
        let id = id.unwrap_or_else(|| self.head.new_object());
        self.push(change, ObjectWrite { id, is_new, model, record, object, before });
    }

    /// A row stands where none was shown: what it holds need not be kept beside it any more.
    fn now_in_row(&self, binding: &Binding, object: &mut StoredObject, hashes: &[ValueHash]) {
        for cell in &mut object.cells {
            if let Some(index) = binding.column_of(&cell.column)
                && hashes[index] == cell.hash
                && !keeps_value(cell.tag)
            {
                cell.payload = None;
                cell.shadow = None;
            }
        }
    }

    fn push(&mut self, change: Change, object: ObjectWrite) {
        self.head.previous = Some(change.id);
        if !change.more {
            self.head.open_txn = None;
        }
        let bytes = change.encode().into_bytes();
        self.commit.entries.push(Entry::new(&change, bytes));
        self.commit.objects.push(object);
    }
}

/// The record of the open group's newest change, at the end of the log. The device may have had another id then.
async fn last_open_record(write: &Write<'_>, head: &Head) -> Result<Option<(i64, RecordId)>, CaptureError> {
    let row = sql::one(
        write.db,
        "SELECT model, record FROM sync_log WHERE library = ? AND more = 1 ORDER BY seq DESC LIMIT 1",
        [head.library.into()],
    )
    .await?;
    match row {
        Some(row) => {
            Ok(Some((sql::column(&row, 0)?, RecordId::from_bytes(sql::column::<Vec<u8>>(&row, 1)?))))
        }
        None => Ok(None),
    }
}
