//! Which part of the library this replica keeps, and how that changes.
//!
//! Invariant: what is asked for is saved with what follows from it: a narrower replica names only itself in its vector, and one
//! that is to have everything again says so only after it has read a complete state.

use std::sync::Arc;

use super::{
    super::{PeerError, SyncError, positions, replica::Replica},
    forget_reads,
};
use crate::{
    capture::Batch,
    change::Strategy,
    ledger::{Extent, Head, Selected},
    scope::{Scope, SelectedTag, Selection},
    value::SyncValue,
};

impl Replica {
    /// Keeps another part of the library from now on; the rounds that follow bring what is lacking, and let go of the rest.
    pub(crate) async fn set_scope(self: &Arc<Self>, scope: Scope) -> Result<(), SyncError> {
        self.resolve(&scope)?;
        let replica = self.clone();
        self.store
            .write(move |write| {
                Box::pin(async move {
                    let (_, mut head, _) = replica.begin(write, Batch::All).await?;
                    if head.extent.scope() == scope {
                        return Ok(());
                    }
                    forget_reads(write.db, head.library).await?;
                    let extent = if scope.is_everything() {
                        // What was let go is below the cursors in others' logs.
                        positions::read_logs_again(write.db, head.library).await?;
                        Extent::Widening
                    } else {
                        Extent::Part(Arc::new(scope))
                    };
                    Ok(head.set_extent(write, extent).await?)
                })
            })
            .await
    }

    /// The part that is kept here, resolved to columns; `None` if that is everything. While everything is wanted and not here yet
    /// it is nothing: until then others are told to give nothing but complete states.
    pub(in crate::peer) fn selected(&self, head: &Head) -> Result<Option<Arc<Selected>>, SyncError> {
        let selection = match &head.extent {
            Extent::Everything => return Ok(None),
            Extent::Widening => Selection::default(),
            Extent::Part(scope) => self.resolve(scope)?,
        };
        Ok(Some(Arc::new(Selected::new(selection)?)))
    }

    /// Fails where something may be missing of the library.
    pub(in crate::peer) fn is_whole(&self, head: &Head) -> Result<(), PeerError> {
        if head.extent.is_whole() { Ok(()) } else { Err(PeerError::PartOnly) }
    }

    /// The scope with the columns of this program that may hold its tags.
    fn resolve(&self, scope: &Scope) -> Result<Selection, SyncError> {
        if let Some(fault) = scope.fault() {
            return Err(SyncError::Scope(fault));
        }
        let tags: Vec<SyncValue> = scope.tags().collect();
        let mut columns = Vec::new();
        let mut unplaced = tags.clone();
        for adapter in self.models.adapters() {
            let spec = adapter.spec();
            for (index, column) in spec.columns.iter().enumerate().filter(|(_, column)| column.is_tag) {
                let set = column.tag.strategy() == Some(Strategy::Set);
                let fits = |tag: &&SyncValue| set || adapter.check(index, tag).is_ok();
                let values: Vec<&SyncValue> = tags.iter().filter(fits).collect();
                unplaced.retain(|tag| !values.contains(&tag));
                if !values.is_empty() {
                    columns.push(SelectedTag {
                        model: spec.id.to_string(),
                        column: column.wire.to_string(),
                        values: values.into_iter().map(|value| value.encode().into()).collect(),
                    });
                }
            }
        }
        match unplaced.first() {
            None => Ok(scope.select(columns)),
            Some(tag) => Err(SyncError::Scope(format!(
                "no column marked `#[sync(tag)]` holds values like {tag}: mark one, or name models and records"
            ))),
        }
    }
}
