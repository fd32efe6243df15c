//! The trait by which an entity says that it syncs, and how.
//!
//! It is all that `#[derive(Syncable)]` writes about a model, so whatever the derive can say a hand-written
//! impl can say too. What the entity's own traits know already (column types, `NULL`, key) is read from
//! there, never repeated.

use sea_orm::{ActiveModelTrait, EntityTrait, IdenStatic, Iterable, TryIntoModel, Value};

use crate::{change::Strategy, model::TriggerPolicy};

/// The `Model` of an `ActiveModel`.
pub type ModelOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

/// The `Column` enum of an `ActiveModel`.
pub type ColumnOf<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;

/// Who makes the key of a record that is inserted without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyPolicy {
    /// A single key of type `Uuid` is filled with a version 7 UUID; other keys are the application's.
    #[default]
    Fill,
    /// The application.
    Manual,
}

/// An entity that syncs; implemented for its `ActiveModel`.
///
/// Written by `#[derive(Syncable)]` on the `Model`, by [`impl_syncable!`](crate::impl_syncable), or by hand:
///
/// ```
/// # mod volume {
/// use sea_orm::entity::prelude::*;
/// use sync_core::Syncable;
///
/// #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
/// #[sea_orm(table_name = "volumes")]
/// pub struct Model {
///     #[sea_orm(primary_key, auto_increment = false)]
///     pub id: Uuid,
///     pub name: String,
///     pub mounted_at: Option<String>,
/// }
/// #
/// # #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// # pub enum Relation {}
///
/// impl Syncable for ActiveModel {
///     const SYNC_ID: &'static str = "volume";
///
///     fn sync_fields() -> Vec<&'static str> {
///         vec!["id", "name"]
///     }
/// }
/// sync_core::impl_syncable!(hooks ActiveModel);
/// # }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not sync",
    label = "no `Syncable` here",
    note = "write `#[derive(Syncable)]` on the entity's `Model`"
)]
pub trait Syncable: ActiveModelTrait + TryIntoModel<ModelOf<Self>> + 'static {
    /// The model's name on the wire. Never change it once replicas know it.
    const SYNC_ID: &'static str;

    /// Who makes keys.
    const KEY: KeyPolicy = KeyPolicy::Fill;

    /// The columns that travel, by their names in the database. The key always does, named here or not.
    fn sync_fields() -> Vec<&'static str> {
        <ColumnOf<Self> as Iterable>::iter().map(|column| column.as_str()).collect()
    }

    /// Answers a conflict: `remote` is the merged row, `local` the same with the values that lost. The key of
    /// the answer is that of the record, whatever is returned.
    fn merge(local: ModelOf<Self>, remote: ModelOf<Self>) -> ModelOf<Self> {
        drop(local);
        remote
    }

    /// False for a row whose local changes are to stay on this device. Remote ones still apply.
    fn should_sync(&self) -> bool {
        true
    }

    /// What else there is to say of the model and its columns.
    fn rules() -> Rules {
        Rules::new()
    }
}

/// What a model says beyond its columns. Everything has a default, so `Rules::new()` is a full answer.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(crate) columns: Vec<(&'static str, ColumnRule)>,
    pub(crate) merge: bool,
    pub(crate) should_sync: bool,
    pub(crate) triggers: TriggerPolicy,
    pub(crate) policy: MergePolicy,
}

/// What of a record merges as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergePolicy {
    /// Each column by itself.
    #[default]
    Column,
    /// The whole row: touching one column writes all of them under one stamp, and of two rows written apart one stands.
    Record,
}

impl Rules {
    /// The rules of a model that says nothing: its `merge` and `should_sync` are asked, for they may be
    /// written.
    pub const fn new() -> Self {
        Self {
            columns: Vec::new(),
            merge: true,
            should_sync: true,
            triggers: TriggerPolicy::Absorb,
            policy: MergePolicy::Column,
        }
    }

    /// Says that `merge` is the default one, so that no row need be built to ask it.
    #[must_use]
    pub const fn without_merge(mut self) -> Self {
        self.merge = false;
        self
    }

    /// Says that `should_sync` is the default one, so that no row need be built to ask it.
    #[must_use]
    pub const fn without_should_sync(mut self) -> Self {
        self.should_sync = false;
        self
    }

    /// What becomes of the effects of the database's own triggers.
    #[must_use]
    pub const fn triggers(mut self, triggers: TriggerPolicy) -> Self {
        self.triggers = triggers;
        self
    }

    /// What of a record merges as one.
    #[must_use]
    pub const fn policy(mut self, policy: MergePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The rule of one column; the last one said of a column counts.
    #[must_use]
    pub fn column(mut self, column: impl IdenStatic, rule: ColumnRule) -> Self {
        self.columns.push((column.as_str(), rule));
        self
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}

/// What a model says of one column.
#[derive(Clone, Debug, Default)]
pub struct ColumnRule {
    pub(crate) wire: Option<&'static str>,
    pub(crate) fill: Option<Value>,
    pub(crate) strategy: Strategy,
    pub(crate) number: u8,
    pub(crate) group: Option<&'static str>,
    pub(crate) tag: bool,
}

impl ColumnRule {
    /// The rule of a column of which nothing is said.
    pub const fn new() -> Self {
        Self { wire: None, fill: None, strategy: Strategy::Lww, number: 0, group: None, tag: false }
    }

    /// The column's name on the wire, where it is not the database's: a renamed column keeps its old one.
    #[must_use]
    pub const fn wire(mut self, name: &'static str) -> Self {
        self.wire = Some(name);
        self
    }

    /// How the values that several devices gave the column become one.
    #[must_use]
    pub const fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How often the column's strategy was changed since replicas know it. Values written under a higher number stand above
    /// all that were written under a lower one.
    #[must_use]
    pub const fn number(mut self, number: u8) -> Self {
        self.number = number;
        self
    }

    /// The columns that this one is decided together with: touching one writes all of them under one stamp.
    #[must_use]
    pub const fn group(mut self, name: &'static str) -> Self {
        self.group = Some(name);
        self
    }

    /// Says that the column's value, or each element of it if it is a set, is a tag by which a [`Scope`](crate::Scope) chooses
    /// records.
    #[must_use]
    pub const fn tag(mut self) -> Self {
        self.tag = true;
        self
    }

    /// What a column that does not travel holds in the rows that come from other devices; without it, the
    /// database's default.
    #[must_use]
    pub fn fill(mut self, value: impl Into<Value>) -> Self {
        self.fill = Some(value.into());
        self
    }
}
