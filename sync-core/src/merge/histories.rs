//! Histories that devices could live: they end alike, and report only conflicts that are real.
//!
//! Beside the replicas stands who could have known what; against that the reports are checked.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use proptest::{
    prelude::{Strategy as Cases, *},
    test_runner::{Config, TestRunner},
};

use super::{
    Changed, ConflictReason, FieldConflict,
    laws::{assert_well_formed, cases, joined},
    sample::{COLUMNS, Replica, device, record},
};
use crate::{
    change::{Change, ChangeKind, Strategy, Tag},
    value::SyncValue,
};

#[test]
fn devices_that_live_and_meet_end_alike_and_report_only_real_conflicts() {
    let config = Config { source_file: Some(file!()), ..cases() };
    let enough = config.cases >= 200;
    let happened = RefCell::new(HashMap::<_, u32>::new());
    let lived = TestRunner::new(config).run(&any_steps(), |steps| {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.take(step));
        for (what, count) in world.meet() {
            *happened.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    if let Err(failure) = lived {
        panic!("{failure}");
    }
    let happened = happened.into_inner();
    for reason in
        [ConflictReason::ConcurrentWrite, ConflictReason::DeleteWins, ConflictReason::HigherGeneration]
    {
        assert!(!enough || happened.contains_key(&reason), "{reason} never happened: {happened:?}");
    }
}

/// What may happen next in a [`World`].
#[derive(Clone, Copy, Debug)]
enum Step {
    Write {
        by: usize,
        columns: u8,
        value: u8,
    },
    /// Adds to a counter, and raises a maximum to the same number and lowers a minimum.
    Count {
        by: usize,
        number: i64,
    },
    /// Puts an element into a set, or takes it out.
    Tag {
        by: usize,
        element: u8,
        put: bool,
    },
    Delete {
        by: usize,
    },
    /// One device hears a change that it may have heard before, after others that it has not.
    Hear {
        by: usize,
        change: prop::sample::Index,
    },
    /// One device hears another's whole object.
    Copy {
        by: usize,
        from: usize,
    },
}

fn any_steps() -> impl Cases<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3usize, 1..8u8, 0..3u8).prop_map(|(by, columns, value)| Step::Write { by, columns, value }),
        3 => (0..3usize, -9..10i64).prop_map(|(by, number)| Step::Count { by, number }),
        4 => (0..3usize, 0..3u8, any::<bool>()).prop_map(|(by, element, put)| Step::Tag { by, element, put }),
        1 => (0..3usize).prop_map(|by| Step::Delete { by }),
        4 => (0..3usize, any::<prop::sample::Index>()).prop_map(|(by, change)| Step::Hear { by, change }),
        1 => (0..3usize, 0..3usize).prop_map(|(by, from)| Step::Copy { by, from }),
    ];
    prop::collection::vec(step, 1..25)
}

/// Three devices, and beside them what each of their changes could have known.
struct World {
    replicas: Vec<Replica>,
    changes: Vec<Change>,
    /// Per device and per change, the changes that were heard, directly or as part of another, by then.
    heard: Vec<Vec<usize>>,
    known: Vec<Vec<usize>>,
    reported: HashMap<ConflictReason, u32>,
    /// By generation, the numbers that were counted.
    counted: HashMap<u64, Vec<i64>>,
    /// By change: who said it, the element that was put into the set or taken out, and which of both.
    tagged: HashMap<usize, (usize, u8, bool)>,
}

const RULED: [(&str, Strategy); 3] =
    [("count", Strategy::Counter), ("largest", Strategy::Max), ("smallest", Strategy::Min)];

impl World {
    fn new() -> Self {
        let replicas = (1..=3).map(Replica::new).collect();
        Self {
            replicas,
            changes: Vec::new(),
            heard: vec![Vec::new(); 3],
            known: Vec::new(),
            reported: HashMap::new(),
            counted: HashMap::new(),
            tagged: HashMap::new(),
        }
    }

    fn take(&mut self, step: Step) {
        let ms = 4 * self.changes.len() as u64 + 4;
        match step {
            Step::Write { by, columns, value } => {
                let value = format!("value {value}");
                let columns = COLUMNS[..3].iter().enumerate().filter(|(at, _)| columns >> at & 1 == 1);
                let columns: Vec<_> = columns.map(|(_, column)| (*column, value.as_str())).collect();
                let change = self.replicas[by].write(ms, &columns);
                self.log(by, change);
            }
            Step::Count { by, number } if self.replicas[by].object.is_alive() => {
                let generation = self.replicas[by].object.generation;
                self.counted.entry(generation).or_default().push(number);
                for (at, (column, strategy)) in RULED.into_iter().enumerate() {
                    let replica = &mut self.replicas[by];
                    let now = match replica.shown(column) {
                        Some(SyncValue::I64(before)) if strategy == Strategy::Counter => before + number,
                        _ => number,
                    };
                    let now = SyncValue::I64(now);
                    let tag = Tag::new(strategy, 0);
                    if let Some(change) = replica.write_ruled(ms + at as u64, column, tag, &now) {
                        self.log(by, change);
                    }
                }
            }
            Step::Tag { by, element, put } if self.replicas[by].object.is_alive() => {
                let mut elements = self.elements(by);
                elements.retain(|one| one.as_u64() != Some(element.into()));
                if put {
                    elements.push(element.into());
                }
                let now = SyncValue::Json(elements.into());
                let tag = Tag::new(Strategy::Set, 0);
                if let Some(change) = self.replicas[by].write_ruled(ms, "set", tag, &now) {
                    self.tagged.insert(self.changes.len(), (by, element, put));
                    self.log(by, change);
                }
            }
            Step::Delete { by } if self.replicas[by].object.is_alive() => {
                let change = self.replicas[by].delete(ms);
                self.log(by, change);
            }
            Step::Hear { by, change } if !self.changes.is_empty() => {
                self.hear(by, change.index(self.changes.len()));
            }
            Step::Copy { by, from } => {
                let row = self.replicas[from].object.to_change("note".into(), record(), device(9));
                let reports = self.replicas[by].hear(&row).conflicts;
                self.check(&reports);
                let heard = self.heard[from].clone();
                self.learn(by, &heard);
            }
            Step::Count { .. } | Step::Tag { .. } | Step::Delete { .. } | Step::Hear { .. } => {}
        }
    }

    /// What a device's set shows.
    fn elements(&self, by: usize) -> Vec<serde_json::Value> {
        match self.replicas[by].shown("set") {
            Some(SyncValue::Json(serde_json::Value::Array(elements))) => elements,
            _ => Vec::new(),
        }
    }

    /// What the set must hold in this generation: what was put in by somebody, and taken out by nobody who knew of that.
    /// Who knows what a device said last knows all that it said before.
    fn standing(&self, generation: u64) -> BTreeSet<u8> {
        let said = |put: bool| {
            let of_now =
                self.tagged.iter().filter(move |(at, _)| self.changes[**at].generation == generation);
            of_now.filter(move |(_, (.., is_put))| *is_put == put)
        };
        let knew = |at: usize, earlier: usize| {
            let author = self.tagged[&earlier].0;
            let of_author = |known: &usize| self.tagged.get(known).is_some_and(|(by, ..)| *by == author);
            self.known[at].iter().filter(|known| of_author(known)).any(|known| *known >= earlier)
        };
        let stands = |at: usize, element: u8| {
            !said(false).any(|(taken, (_, other, _))| *other == element && knew(*taken, at))
        };
        said(true)
            .filter(|(at, (_, element, _))| stands(**at, *element))
            .map(|(_, (_, element, _))| *element)
            .collect()
    }

    fn log(&mut self, by: usize, change: Change) {
        let own = self.changes.len();
        self.known.push(self.heard[by].clone());
        self.changes.push(change);
        self.heard[by].push(own);
    }

    fn hear(&mut self, by: usize, change: usize) {
        let before = self.heard[by].clone();
        let joined = self.replicas[by].hear(&self.changes[change]);
        if before.contains(&change) {
            assert_eq!((joined.changed, &joined.conflicts), (Changed::Nothing, &vec![]), "heard before");
        }
        self.check(&joined.conflicts);
        // In a change's context stands all that its author knew.
        let known = self.known[change].clone();
        if known.iter().all(|earlier| before.contains(earlier)) {
            self.must_report(by, &before, change, &joined.conflicts);
        }
        self.learn(by, &[change]);
    }

    fn learn(&mut self, by: usize, changes: &[usize]) {
        for change in changes {
            if !self.heard[by].contains(change) {
                self.heard[by].push(*change);
            }
        }
    }

    /// Neither side of a reported conflict is known to the other.
    fn check(&mut self, reports: &[FieldConflict]) {
        let place = |version| self.changes.iter().position(|change| change.id == version);
        for report in reports {
            let (Some(winner), Some(loser)) = (place(report.winner.version), place(report.loser.version))
            else {
                panic!("nobody wrote {report:?}");
            };
            assert!(!self.known[loser].contains(&winner), "the loser knew the winner: {report:?}");
            assert!(!self.known[winner].contains(&loser), "the winner knew the loser: {report:?}");
            *self.reported.entry(report.reason).or_default() += 1;
        }
    }

    /// Where changes come in causal order, no concurrent write of a column that shows is lost unreported.
    fn must_report(&self, by: usize, before: &[usize], change: usize, reports: &[FieldConflict]) {
        let incoming = &self.changes[change];
        let after = &self.replicas[by].object;
        let causal = before.iter().all(|one| self.known[*one].iter().all(|known| before.contains(known)));
        if !causal || before.contains(&change) || incoming.kind == ChangeKind::Delete {
            return;
        }
        for cell in &incoming.cells {
            let Some(stands) = after.cell(&cell.column) else { continue };
            let lost = cell.tag.is_lww() && stands.version != cell.version && stands.value != cell.value;
            if lost && incoming.generation == after.generation {
                let reported = reports.iter().any(|report| report.loser.version == cell.version);
                assert!(reported, "{:?} was lost to {stands:?} without a word", cell);
            }
        }
    }

    /// Everybody hears everything, each in another order. Returns how often what was reported.
    fn meet(mut self) -> HashMap<ConflictReason, u32> {
        let count = self.changes.len();
        for by in 0..3 {
            for at in 0..count {
                let change = match by {
                    0 => at,
                    1 => count - 1 - at,
                    _ => (at + count / 2) % count,
                };
                self.hear(by, change);
            }
        }
        let first = &self.replicas[0].object;
        assert_well_formed(first);
        assert_eq!(first, &joined(&self.changes));
        assert_eq!(first, &self.replicas[1].object);
        assert_eq!(first, &self.replicas[2].object);
        if first.is_alive() {
            let numbers = self.elements(0).into_iter().filter_map(|one| one.as_u64());
            let shown: BTreeSet<u8> = numbers.filter_map(|number| u8::try_from(number).ok()).collect();
            assert_eq!(shown, self.standing(first.generation));
        }
        if let Some(counted) = self.counted.get(&first.generation) {
            let shown = RULED.map(|(column, _)| self.replicas[0].shown(column));
            let should =
                [Some(counted.iter().sum()), counted.iter().max().copied(), counted.iter().min().copied()];
            assert_eq!(shown, should.map(|number| number.map(SyncValue::I64)), "{counted:?}");
        }
        self.reported
    }
}
