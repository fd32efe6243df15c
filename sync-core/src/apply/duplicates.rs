//! Changes that are here already, and others under an id that is here.

use std::collections::{HashMap, hash_map::Entry as MapEntry};

use super::{
    ApplyError,
    group::{Applied, Incoming},
};
use crate::{
    change::Change,
    ledger::{self, Head},
    store::Write,
    vector::Vector,
};

/// Takes out what is here already, and what stands twice in the group.
pub(super) async fn without_duplicates(
    write: &Write<'_>,
    head: &Head,
    incoming: Vec<Incoming>,
    applied: &mut Applied,
) -> Result<Vec<Incoming>, ApplyError> {
    if incoming.is_empty() {
        return Ok(incoming);
    }
    let vector = ledger::vector(write.db, &write.names, head.library).await?;
    let mut fresh: Vec<Incoming> = Vec::with_capacity(incoming.len());
    let mut here = Vec::new();
    let mut seen = HashMap::new();
    for one in incoming {
        if vector.covers(one.change.device, one.change.id) {
            here.push(one);
            continue;
        }
        match seen.entry(one.change.id) {
            MapEntry::Vacant(place) => {
                place.insert(fresh.len());
                fresh.push(one);
            }
            MapEntry::Occupied(first) if is_same(head, &fresh[*first.get()], &one) => applied.duplicates += 1,
            MapEntry::Occupied(first) => applied.forged.push(*first.key()),
        }
    }
    // A change above its author's head is mostly the next one; only beyond a gap may it be here already.
    if ledger::any_ahead(write.db).await? || !follow_heads(&vector, &fresh) {
        let ids = || fresh.iter().map(|incoming| incoming.change.id);
        let known = ledger::logged(write.db, ids()).await?;
        let pruned = ledger::pruned_of(write.db, head, ids()).await?;
        let is_here = |one: &Incoming| known.contains_key(&one.change.id) || pruned.contains(&one.change.id);
        here.extend(fresh.extract_if(.., |one| is_here(one)));
    }
    let given = here.iter().map(|one| (one.change.id, one.bytes.as_slice()));
    let others = ledger::with_other_bytes(write.db, head.identity.library, given).await?;
    applied.duplicates += (here.len() - others.len()) as u64;
    applied.forged.extend(others);
    Ok(fresh)
}

/// True if each change directly follows what is here of its author, or another of `changes` before it.
fn follow_heads(vector: &Vector, changes: &[Incoming]) -> bool {
    let mut heads = HashMap::new();
    changes.iter().all(|Incoming { change, .. }| {
        let head = heads.entry(change.device).or_insert_with(|| vector.head(change.device));
        let follows = change.previous == *head && !vector.is_forked(change.device);
        *head = Some(change.id);
        follows
    })
}

/// True if both are one change; either may be compacted.
fn is_same(head: &Head, a: &Incoming, b: &Incoming) -> bool {
    let digest = |one: &Incoming| Change::digest(head.identity.library, &one.bytes);
    a.bytes == b.bytes || digest(a) == digest(b)
}
