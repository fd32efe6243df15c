//! Whether ledger and rows are what they should be.

use std::fmt;

use super::handle::SyncEngine;
use crate::{
    capture::Batch,
    ids::{Name, RecordId, Seq},
    ledger::{self, Head},
    merge::Digest,
    peer::SyncError,
    store::{Bindings, Write, rows},
};

/// What [`SyncEngine::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Log entries looked at.
    pub entries: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Rows looked at.
    pub rows: u64,
    /// What is wrong; nothing if all is well.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// True if nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Something that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The chain breaks at or before this position: an entry of the log was altered or removed.
    Chain(Seq),
    /// The digest kept does not equal the digest of the objects: objects were altered.
    Digest,
    /// A row is not what its object says, and no guard noted it.
    Row {
        /// The model's name on the wire.
        model: Name,
        /// The record.
        record: RecordId,
    },
    /// An object cannot be read.
    Object(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(seq) => write!(f, "the chain of the log breaks at or before {seq}"),
            Self::Digest => f.write_str("the digest does not equal that of the objects"),
            Self::Row { model, record } => {
                write!(f, "the row of {model} {record} is not what its object says")
            }
            Self::Object(what) => write!(f, "an object cannot be read: {what}"),
        }
    }
}

impl SyncEngine {
    /// Checks the chain of the log, the digest of the objects, and every row against its object. Changes nothing but
    /// what a flush changes. It holds the write lock while it looks.
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn verify(&self) -> Result<Verification, SyncError> {
        self.running()?;
        let replica = self.inner.replica.clone();
        replica.flush().await?;
        self.inner
            .replica
            .store
            .write(move |write| {
                Box::pin(async move {
                    let (bindings, head, _) = replica.begin(write, Batch::All).await?;
                    let mut found = Verification::default();
                    check_chain(write, &head, &mut found).await?;
                    check_objects(write, &bindings, &head, &mut found).await?;
                    Ok(found)
                })
            })
            .await
    }
}

async fn check_chain(write: &Write<'_>, head: &Head, found: &mut Verification) -> Result<(), SyncError> {
    let mut at = ledger::LogWalk::begin(head);
    while let Some(step) = at.next(write.db, head).await? {
        found.entries += step.entries;
        if let Some(broken) = step.broken {
            found.findings.push(Finding::Chain(broken));
            return Ok(());
        }
    }
    Ok(())
}

async fn check_objects(
    write: &Write<'_>,
    bindings: &Bindings,
    head: &Head,
    found: &mut Verification,
) -> Result<(), SyncError> {
    let mut digest = Digest::default();
    let mut after = 0;
    loop {
        let page = ledger::objects_after(write.db, &write.names, head.library, after, 2_000).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for binding in bindings.iter() {
            let shown: Vec<&RecordId> = page
                .iter()
                .filter(|one| one.model == binding.model && one.object.shown && one.object.is_alive())
                .map(|one| &one.record)
                .collect();
            let mut table = rows::by_record(write.db, binding, shown.iter().copied()).await?;
            found.rows += table.len() as u64;
            for one in page.iter().filter(|one| shown.contains(&&one.record) && one.model == binding.model) {
                let right = match table.remove(&one.record) {
                    Some(Ok(row)) => one.object.cells.iter().all(|cell| {
                        binding
                            .column_of(&cell.column)
                            .is_none_or(|index| row[index].hash64() == cell.row_hash())
                    }),
                    // A row that cannot be read is pending, and listed there.
                    Some(Err(_)) => true,
                    None => false,
                };
                if !right {
                    found
                        .findings
                        .push(Finding::Row { model: binding.name().clone(), record: one.record.clone() });
                }
            }
        }
        for one in &page {
            found.objects += 1;
            let model = write.names.text(one.model)?;
            digest.add(one.object.digest(&model, &one.record));
        }
    }
    if digest != head.digest {
        found.findings.push(Finding::Digest);
    }
    Ok(())
}
