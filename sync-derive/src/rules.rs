//! Which columns can have which strategy or group, as far as their types can be seen here. What stands behind a newtype the
//! engine sees when it starts.

use proc_macro2::Span;

use crate::{
    attributes::Strategy,
    model::{Column, Entity, Errors, is},
};

const FLOATS: &[&str] = &["f32", "f64"];
const SIMPLE: &[&str] = &["bool", "String", "char", "Uuid", "Decimal", "BigDecimal", "Vec"];
const TIMES: &[&str] = &[
    "Date",
    "Time",
    "DateTime",
    "DateTimeUtc",
    "DateTimeLocal",
    "DateTimeWithTimeZone",
    "ChronoDate",
    "ChronoTime",
    "ChronoDateTime",
    "ChronoDateTimeUtc",
    "ChronoDateTimeLocal",
    "ChronoDateTimeWithTimeZone",
    "TimeDate",
    "TimeTime",
    "TimeDateTime",
    "TimeDateTimeWithTimeZone",
];
const INTEGERS: &[&str] = &["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"];
const JSON: &[&str] = &["Json", "JsonValue"];

pub(crate) fn check(entity: &Entity, errors: &mut Errors) {
    for column in &entity.columns {
        if let Some((span, strategy)) = column.words.strategy {
            place(column, span, errors);
            types(column, span, strategy, errors);
            together(entity, column, span, strategy, errors);
        }
        match &column.words.rule {
            Some(rule) if column.words.strategy.is_none() => errors.add(
                rule,
                "`rule` counts how often the strategy of a column was changed: write the `strategy` too (\"lww\" is one)",
            ),
            _ => {}
        }
        group(entity, column, errors);
        tag(column, errors);
    }
}

/// What a scope can choose by: a value that travels, or the elements of a set.
fn tag(column: &Column, errors: &mut Errors) {
    let Some(span) = column.words.tag else { return };
    let strategy = column.words.strategy.map(|(_, strategy)| strategy);
    if column.is_key() {
        errors.at(span, "the key names one record, and a scope can name that record: leave `tag` out");
    } else if column.words.skip.is_some() {
        errors.at(
            span,
            "a skipped column does not travel, so no scope can go by it: leave `skip` or `tag` out",
        );
    } else if strategy == Some(Strategy::Counter) {
        errors.at(span, "a counter is no tag: leave `tag` or the strategy out");
    } else if is(&column.field.ty, JSON) && strategy != Some(Strategy::Set) {
        errors.at(span, "JSON can hold tags as a set: write `#[sync(tag, strategy = \"set\")]`");
    }
}

/// What never merges has no rule.
fn place(column: &Column, span: Span, errors: &mut Errors) {
    if column.is_key() {
        errors.at(span, "the key names the record and never changes, so it does not merge: leave it out");
    } else if column.words.skip.is_some() {
        errors.at(span, "a skipped column does not travel, so it does not merge: leave `skip` or this out");
    }
}

fn types(column: &Column, span: Span, strategy: Strategy, errors: &mut Errors) {
    let ty = &column.field.ty;
    match strategy {
        Strategy::Counter if is(ty, &["Option"]) => {
            errors.at(span, "a counter is a number and never NULL: take the `Option` off its type");
        }
        Strategy::Counter if is(ty, FLOATS) => errors.at(
            span,
            "a sum of floats depends on the order in which they are added: count in whole units, in an `i64`",
        ),
        Strategy::Counter if is(ty, &["u64"]) => {
            errors.at(span, "a counter has at most 63 bits: make the column an `i64`");
        }
        Strategy::Counter if [SIMPLE, TIMES, JSON].iter().any(|names| is(ty, names)) => {
            errors.at(span, "only integers can be counted: make the column an `i64`");
        }
        Strategy::Set if is(ty, &["Option"]) => {
            errors.at(
                span,
                "a set is an array and never NULL, an empty one is `[]`: take the `Option` off its type",
            );
        }
        Strategy::Set if [SIMPLE, TIMES, FLOATS, INTEGERS].iter().any(|names| is(ty, names)) => {
            errors.at(span, "only a JSON array can be a set: make the column `Json`");
        }
        Strategy::Max | Strategy::Min if is(ty, JSON) => errors
            .at(span, "JSON has no largest and smallest value: keep what is compared in a column of its own"),
        _ => {}
    }
}

fn together(entity: &Entity, column: &Column, span: Span, strategy: Strategy, errors: &mut Errors) {
    if strategy == Strategy::Lww {
        return;
    }
    if entity.container.whole_record.is_some() {
        errors.at(
            span,
            "under `policy = \"record\"` the whole row is decided together, by the last writer: leave the strategy out, \
             or the policy",
        );
    } else if column.words.group.is_some() {
        errors.at(
            span,
            "the columns of a group are decided together, by the last writer: leave the strategy out, or take the \
             column out of the group",
        );
    }
}

fn group(entity: &Entity, column: &Column, errors: &mut Errors) {
    let Some(group) = &column.words.group else { return };
    let same = |other: &&Column| other.words.group.as_ref().is_some_and(|name| name.value() == group.value());
    if column.is_key() || column.words.skip.is_some() {
        place(column, group.span(), errors);
    } else if entity.container.whole_record.is_some() {
        errors.add(group, "under `policy = \"record\"` all columns are one group already: leave `group` out");
    } else if entity.columns.iter().filter(same).count() < 2 {
        errors.add(
            group,
            format!(
                "no other column is in the group `{0}`: write `group = \"{0}\"` on those that belong to it",
                group.value()
            ),
        );
    }
}
