//! How much of the library this replica keeps.
//!
//! Invariant: a replica that does not have everything names only itself in its vector, for the vector says of each author that
//! all of it is here. It names others again when it has read a complete state.

use std::sync::Arc;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    Head, LedgerError,
    metadata::{self, KEY_SCOPE, Metadata, pack},
};
use crate::{
    scope::Scope,
    store::{NameKind, Write, sql},
};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    #[default]
    Everything,
    /// What a scope names.
    Part(Arc<Scope>),
    /// All of it is wanted, and what an earlier scope left out has not come yet.
    Widening,
}

/// An extent as it is saved.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    scope: Option<Scope>,
    #[serde(default)]
    widening: bool,
}

impl Extent {
    /// The extent that stands in the database.
    pub(crate) async fn load<C: ConnectionTrait>(db: &C) -> Result<Self, LedgerError> {
        Self::parse(&Metadata::read(db).await?)
    }

    pub(super) fn parse(metadata: &Metadata) -> Result<Self, LedgerError> {
        Ok(match metadata.packed(KEY_SCOPE)?.unwrap_or_default() {
            Saved { scope: Some(scope), .. } => Self::Part(Arc::new(scope)),
            Saved { widening: true, .. } => Self::Widening,
            Saved { .. } => Self::Everything,
        })
    }

    /// True unless something may be missing here.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Self::Everything
    }

    /// What the application asked for.
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Part(scope) => (**scope).clone(),
            Self::Everything | Self::Widening => Scope::everything(),
        }
    }
}

impl Head {
    /// Keeps another part of the library from now on.
    pub(crate) async fn set_extent(&mut self, write: &Write<'_>, extent: Extent) -> Result<(), LedgerError> {
        let saved = match &extent {
            Extent::Part(scope) => Saved { scope: Some((**scope).clone()), widening: false },
            Extent::Widening => Saved { scope: None, widening: true },
            Extent::Everything => Saved::default(),
        };
        metadata::save(write.db, [(KEY_SCOPE.into(), pack(&saved)?)]).await?;
        if self.extent.is_whole() && !extent.is_whole() {
            let me = write.names.id(NameKind::Device, self.identity.device.as_bytes());
            let statement = "DELETE FROM sync_origins WHERE library = ? AND device <> ? AND forked = 0";
            sql::execute(write.db, statement, [self.library.into(), me.unwrap_or(0).into()]).await?;
        }
        self.extent = extent;
        Ok(())
    }
}
