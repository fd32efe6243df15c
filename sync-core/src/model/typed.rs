//! The adapter of an entity: from its traits to data, and from data to its functions.
//!
//! Generic over the entity's columns, so a derived model and one written by hand take the same way. What a
//! user's function does cannot reach the engine: it is asked behind `catch_unwind`, and only values come
//! back.

use std::{
    any::type_name,
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, EntityName, EntityTrait, IdenStatic, Iterable, ModelTrait,
    PrimaryKeyToColumn, PrimaryKeyTrait, Value,
};

use crate::{
    change::Tag,
    ids::{MAX_NAME, Name},
    model::{
        Adapter, ColumnSpec, MergeError, ModelError, ModelSpec, Role, rules,
        syncable::{ColumnOf, ModelOf, Rules, Syncable},
    },
    value::{ColumnKind, SyncValue, ValueError, from_database, to_database, to_field},
};

/// The [`Adapter`] of an entity.
pub struct TypedAdapter<A: Syncable> {
    spec: ModelSpec,
    columns: Vec<ColumnOf<A>>,
    entity: PhantomData<fn() -> A>,
}

impl<A: Syncable> fmt::Debug for TypedAdapter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedAdapter").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl<A: Syncable> TypedAdapter<A> {
    /// Reads the entity.
    ///
    /// # Errors
    /// [`ModelError`] says why it cannot sync.
    pub fn new() -> Result<Self, ModelError> {
        if A::SYNC_ID.is_empty() || A::SYNC_ID.len() > MAX_NAME {
            return Err(ModelError::InvalidId { entity: type_name::<A>(), id: A::SYNC_ID, max: MAX_NAME });
        }
        let entity = A::Entity::default();
        let rules = A::rules();
        let columns: Vec<ColumnOf<A>> = ColumnOf::<A>::iter().collect();
        let keys = keys::<A>(&columns)?;
        let specs = column_specs::<A>(&columns, &keys, &rules)?;
        let specs = rules::ruled(A::SYNC_ID, specs, rules.policy)?;
        check_keys::<A>(&specs, &keys)?;
        Ok(Self {
            spec: ModelSpec {
                id: Name::new_static(A::SYNC_ID),
                table: entity.table_name().to_owned(),
                schema: entity.schema_name().map(str::to_owned),
                columns: specs,
                keys,
                triggers: rules.triggers,
                has_merge: rules.merge,
                has_should_sync: rules.should_sync,
            },
            columns,
            entity: PhantomData,
        })
    }

    /// The row as an `ActiveModel` with every column set.
    fn active_model(&self, row: &[SyncValue]) -> Result<A, MergeError> {
        let mut active = <A as ActiveModelTrait>::default();
        for ((column, spec), value) in self.columns.iter().zip(&self.spec.columns).zip(row) {
            let reason = |reason: String| self.row_error(format!("column `{}`: {reason}", spec.name));
            let value = to_field(spec.kind, value).map_err(|error| reason(error.to_string()))?;
            active.try_set(*column, value).map_err(|error| reason(error.to_string()))?;
        }
        Ok(active)
    }

    fn model(&self, row: &[SyncValue]) -> Result<ModelOf<A>, MergeError> {
        self.active_model(row)?.try_into_model().map_err(|error| self.row_error(error.to_string()))
    }

    fn row_error(&self, reason: String) -> MergeError {
        MergeError::Row { model: self.spec.id.to_string(), reason }
    }
}

impl<A: Syncable> Adapter for TypedAdapter<A> {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn check(&self, column: usize, value: &SyncValue) -> Result<(), ValueError> {
        let spec = &self.spec.columns[column];
        if *value == SyncValue::Null {
            return if spec.nullable { Ok(()) } else { Err(ValueError::Null) };
        }
        if spec.kind == ColumnKind::U64 {
            // The one type whose field can hold what no database here does.
            to_database(spec.kind, value)?;
        }
        let field = to_field(spec.kind, value)?;
        // The field's own type has the last word: only it knows an enum's variants or what a newtype allows.
        <A as ActiveModelTrait>::default()
            .try_set(self.columns[column], field)
            .map_err(|_| ValueError::UnknownVariant(value.to_string()))
    }

    fn should_sync(&self, row: &[SyncValue]) -> bool {
        if !self.spec.has_should_sync {
            return true;
        }
        // Where the function cannot answer the row stays here: what was kept can still be sent, what was sent
        // cannot be taken back.
        let active = match self.active_model(row) {
            Ok(active) => active,
            Err(error) => {
                tracing::error!(%error, "`should_sync` cannot be asked; the row is kept on this device");
                return false;
            }
        };
        catch_unwind(AssertUnwindSafe(|| active.should_sync())).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            let model = &self.spec.id;
            tracing::error!(%model, message, "`should_sync` panicked; the row is kept on this device");
            false
        })
    }

    fn merge(&self, local: &[SyncValue], remote: &[SyncValue]) -> Result<Vec<SyncValue>, MergeError> {
        let (local, merged) = (self.model(local)?, self.model(remote)?);
        let answer = catch_unwind(AssertUnwindSafe(|| A::merge(local, merged))).map_err(|panic| {
            MergeError::Panicked {
                model: self.spec.id.to_string(),
                message: panic_message(&*panic).to_owned(),
            }
        })?;
        let values = self.columns.iter().zip(&self.spec.columns).zip(remote);
        values
            .map(|((column, spec), merged)| {
                if spec.role == Role::Key {
                    return Ok(merged.clone());
                }
                from_database(&answer.get(*column))
                    .ok_or_else(|| self.row_error(format!("column `{}` holds what cannot travel", spec.name)))
            })
            .collect()
    }
}

fn keys<A: Syncable>(columns: &[ColumnOf<A>]) -> Result<Vec<usize>, ModelError> {
    let unknown = |column: ColumnOf<A>| ModelError::UnknownColumn {
        model: A::SYNC_ID.to_owned(),
        column: column.as_str().to_owned(),
    };
    <A::Entity as EntityTrait>::PrimaryKey::iter()
        .map(|part| {
            let key = part.into_column();
            columns.iter().position(|column| column.as_str() == key.as_str()).ok_or_else(|| unknown(key))
        })
        .collect()
}

fn column_specs<A: Syncable>(
    columns: &[ColumnOf<A>],
    keys: &[usize],
    rules: &Rules,
) -> Result<Vec<ColumnSpec>, ModelError> {
    let model = || A::SYNC_ID.to_owned();
    let travels = A::sync_fields();
    let named = travels.iter().chain(rules.columns.iter().map(|(name, _)| name));
    for name in named {
        if !columns.iter().any(|column| column.as_str() == *name) {
            return Err(ModelError::UnknownColumn { model: model(), column: (*name).to_owned() });
        }
    }
    let mut specs: Vec<ColumnSpec> = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let name = column.as_str();
        let role = match () {
            () if keys.contains(&index) => Role::Key,
            () if travels.contains(&name) => Role::Synced,
            () => Role::Skipped,
        };
        let rule =
            rules.columns.iter().rev().find(|(column, _)| *column == name).map(|(_, rule)| rule.clone());
        let rule = rule.unwrap_or_default();
        let kind = kind::<A>(*column).map_err(|found| ModelError::UnsupportedColumn {
            model: model(),
            column: name.to_owned(),
            found,
        })?;
        let wire = rule.wire.unwrap_or(name);
        if wire.is_empty() || wire.len() > MAX_NAME {
            return Err(ModelError::InvalidName { model: model(), wire: wire.to_owned(), max: MAX_NAME });
        }
        if specs.iter().any(|spec| spec.wire == wire) {
            return Err(ModelError::DuplicateColumn { model: model(), wire: wire.to_owned() });
        }
        let fill = rule
            .fill
            .map(|value| fill(kind, &value))
            .transpose()
            .map_err(|source| ModelError::Fill { model: model(), column: name.to_owned(), source })?;
        specs.push(ColumnSpec {
            name: name.to_owned(),
            wire: Name::new_static(wire),
            kind,
            nullable: holds_null::<A>(*column, kind),
            role,
            tag: Tag::new(rule.strategy, rule.number),
            group: rule.group.map(Name::new_static),
            is_tag: rule.tag,
            fill,
        });
    }
    Ok(specs)
}

/// The column's kind by its field's type, or the name of a type that has none.
fn kind<A: Syncable>(column: ColumnOf<A>) -> Result<ColumnKind, String> {
    let column_type = column.def().get_column_type().clone();
    // A list has the array type of its elements.
    if matches!(column_type, ColumnType::Array(_) | ColumnType::Vector(_)) {
        return Err(format!("{column_type:?}"));
    }
    let array_type = ModelOf::<A>::get_value_type(column);
    ColumnKind::from_array_type(&array_type).ok_or_else(|| format!("{array_type:?}"))
}

fn fill(kind: ColumnKind, value: &Value) -> Result<SyncValue, ValueError> {
    let wrong = || ValueError::WrongType { expected: kind, found: format!("{value:?}") };
    let value = from_database(value).ok_or_else(wrong)?;
    to_database(kind, &value).map(|_| value)
}

/// Whether the field's own type takes a `NULL`; what the column allows beyond that no model of it could hold.
fn holds_null<A: Syncable>(column: ColumnOf<A>, kind: ColumnKind) -> bool {
    to_field(kind, &SyncValue::Null)
        .is_ok_and(|null| <A as ActiveModelTrait>::default().try_set(column, null).is_ok())
}

fn check_keys<A: Syncable>(specs: &[ColumnSpec], keys: &[usize]) -> Result<(), ModelError> {
    let model = || A::SYNC_ID.to_owned();
    if keys.is_empty() {
        return Err(ModelError::NoKey { model: model() });
    }
    for key in keys.iter().map(|&index| &specs[index]) {
        if key.nullable {
            return Err(ModelError::NullableKey { model: model(), column: key.name.clone() });
        }
        let numbered = <<A::Entity as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::auto_increment();
        if numbered && is_integer(key.kind) {
            return Err(ModelError::AutoIncrementKey { model: model(), column: key.name.clone() });
        }
    }
    Ok(())
}

fn is_integer(kind: ColumnKind) -> bool {
    use ColumnKind::{I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(kind, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
