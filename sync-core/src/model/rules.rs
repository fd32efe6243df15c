//! Which columns can have which rule.
//!
//! Invariant: a column has at most one rule, and its type can follow it. The derive says the same earlier where it sees
//! the type; behind a newtype only the engine sees it.

use super::{ColumnSpec, MergePolicy, ModelError, Role};
use crate::{
    change::{Strategy, Tag},
    ids::Name,
    value::ColumnKind,
};

/// The group of a whole row. No column can name it.
const ROW: &str = "";

/// The columns with the rules that follow from the model's policy.
///
/// # Errors
/// [`ModelError::Rule`] for a column that cannot have its rule.
pub(super) fn ruled(
    model: &str,
    mut columns: Vec<ColumnSpec>,
    policy: MergePolicy,
) -> Result<Vec<ColumnSpec>, ModelError> {
    for column in &columns {
        check(column, policy).map_err(|reason| ModelError::Rule {
            model: model.to_owned(),
            column: column.name.clone(),
            reason,
        })?;
    }
    if policy == MergePolicy::Record {
        let travelling = columns.iter_mut().filter(|column| column.role == Role::Synced);
        travelling.for_each(|column| column.group = Some(Name::new_static(ROW)));
    }
    Ok(columns)
}

fn check(column: &ColumnSpec, policy: MergePolicy) -> Result<(), &'static str> {
    let strategy = column.tag.strategy().unwrap_or_default();
    if column.is_tag {
        check_tag(column, strategy)?;
    }
    if column.tag == Tag::LWW && column.group.is_none() {
        return Ok(());
    }
    match column.role {
        Role::Key => return Err("it is a part of the key, which never changes"),
        Role::Skipped | Role::Library => return Err("it does not travel"),
        Role::Synced => {}
    }
    let together = column.group.is_some() || policy == MergePolicy::Record;
    if together && strategy != Strategy::Lww {
        return Err(
            "it is decided together with other columns, by the last writer: a strategy is for a column by itself",
        );
    }
    if column.group.is_some() && policy == MergePolicy::Record {
        return Err("under `policy = \"record\"` all columns are one group already");
    }
    match strategy {
        Strategy::Max | Strategy::Min if column.kind == ColumnKind::Json => {
            Err("JSON has no largest and smallest value")
        }
        Strategy::Counter if !counts(column.kind) => Err("only integers of up to 63 bits can be counted"),
        Strategy::Set if column.kind != ColumnKind::Json => Err("only an array of JSON can be a set"),
        Strategy::Set if column.nullable => Err("a set is an array and never NULL: take the `Option` off"),
        Strategy::Counter if column.nullable => {
            Err("a counter is a number and never NULL: take the `Option` off")
        }
        _ => Ok(()),
    }
}

fn check_tag(column: &ColumnSpec, strategy: Strategy) -> Result<(), &'static str> {
    match column.role {
        Role::Key => return Err("it is a part of the key, not a tag: a scope names such records one by one"),
        Role::Skipped | Role::Library => return Err("it does not travel, so it cannot be a tag"),
        Role::Synced => {}
    }
    match strategy {
        Strategy::Set => Ok(()),
        Strategy::Counter => Err("a counter cannot be a tag"),
        _ if column.kind == ColumnKind::Json => {
            Err("JSON can be tags only as a set: add `strategy = \"set\"`, and write an array")
        }
        _ => Ok(()),
    }
}

fn counts(kind: ColumnKind) -> bool {
    use ColumnKind::{I8, I16, I32, I64, U8, U16, U32};
    matches!(kind, I8 | I16 | I32 | I64 | U8 | U16 | U32)
}
