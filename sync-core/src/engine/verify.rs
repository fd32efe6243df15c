//! Whether ledger and rows are what they should be.

use std::{collections::HashSet, fmt};

use super::handle::SyncEngine;
use crate::{
    capture::Batch,
    ids::{Name, RecordId, Seq},
    ledger::{self, Damage, Fault, Head, Sights, Survey},
    peer::SyncError,
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
    /// An object cannot be read, or says what no object can.
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
            Self::Object(what) => write!(f, "an object is damaged: {what}"),
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
                    let latest_ms = head.latest_ms(replica.now_ms(), replica.limits.max_drift_ms);
                    let sights = Sights { noted: HashSet::new(), latest_ms };
                    let survey = ledger::survey(write.db, &write.names, &bindings, &head, &sights).await?;
                    Ok(verification(survey, &head))
                })
            })
            .await
    }
}

fn verification(survey: Survey, head: &Head) -> Verification {
    let broken = survey.broken.map(Finding::Chain);
    let damages = survey.damages.into_iter().map(|Damage { model, record, fault }| match fault {
        Fault::Row => Finding::Row { model, record },
        Fault::Object(what) => Finding::Object(format!("{model} {record}: {what}")),
    });
    let digest = (survey.digest != head.digest).then_some(Finding::Digest);
    Verification {
        entries: survey.entries,
        objects: survey.objects,
        rows: survey.rows,
        findings: broken.into_iter().chain(damages).chain(digest).collect(),
    }
}
