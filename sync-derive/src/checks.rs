//! What is wrong with an entity although each word in it is right. Every message says what to write instead.

use crate::{
    model::{Column, Entity, Errors},
    rules,
};

pub(crate) fn check(entity: &Entity, errors: &mut Errors) {
    id(entity, errors);
    keys(entity, errors);
    libraries(entity, errors);
    names(entity, errors);
    entity.columns.iter().for_each(|column| skip(column, errors));
    rules::check(entity, errors);
}

fn id(entity: &Entity, errors: &mut Errors) {
    if entity.container.id.is_none() && entity.table.is_none() {
        errors.add(
            &entity.ident,
            "the model needs a name on the wire, and there is no `#[sea_orm(table_name = \"..\")]` here \
             to take it from: write `#[sync(id = \"..\")]`",
        );
    }
}

fn keys(entity: &Entity, errors: &mut Errors) {
    let mut keys = entity.columns.iter().filter(|column| column.is_key());
    let (first, second) = (keys.next(), keys.next());
    match (first, second) {
        (None, _) if entity.table.is_some() => errors.add(
            &entity.ident,
            "a record is known by its primary key, and this entity has none: mark a column with \
             `#[sea_orm(primary_key, auto_increment = false)]`",
        ),
        // SeaORM's own rule: a single key counts up unless told not to, or of a type that cannot.
        (Some(key), None) if key.is_integer() && key.sea_orm.auto_increment != Some(false) => errors.add(
            &key.field,
            "two devices would give one number to two records: make the key a `Uuid` with \
             `#[sea_orm(primary_key, auto_increment = false)]`, or keep the integer with \
             `auto_increment = false` if the application gives out numbers that no other device does",
        ),
        _ => {}
    }
}

fn libraries(entity: &Entity, errors: &mut Errors) {
    let mut spans = entity.columns.iter().filter_map(|column| column.words.library);
    if let Some(first) = spans.next() {
        errors.at(
            first,
            "`library` is not supported yet: leave it out; a database holds one library, which the engine \
             is started with",
        );
    }
    spans.for_each(|span| errors.at(span, "a row is of one library: only one column can hold it"));
}

fn names(entity: &Entity, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for name in entity.columns.iter().filter_map(|column| column.words.name.as_ref()) {
        if !seen.insert(name.value()) {
            errors.add(name, format!("another column is `{}` on the wire already", name.value()));
        }
    }
}

fn skip(column: &Column, errors: &mut Errors) {
    let words = &column.words;
    match (words.skip, &words.default) {
        (Some(span), _) if column.is_key() => {
            errors
                .at(span, "the key names the record on every device, so it always travels: take `skip` off");
        }
        (Some(span), _) if !column.fills_itself() => errors.at(
            span,
            "another device cannot fill this column, and NULL is not allowed: make it an `Option`, give it a \
             database default (`#[sea_orm(default_value = ..)]` or `default_expr`), or write \
             `#[sync(skip, default = ..)]`",
        ),
        (None, Some((span, _))) => {
            errors.at(
                *span,
                "`default` is what a skipped column holds on other devices: write `skip` too, or leave it out",
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    /// SeaORM refuses such an entity too, at length and in words that change with the compiler, so this
    /// stands here and not among the cases that are compiled.
    #[test]
    fn an_entity_without_a_key_is_told_what_to_mark() {
        let told = crate::expand::derive(&parse_quote! {
            #[sea_orm(table_name = "volumes")]
            pub struct Model {
                pub id: Uuid,
            }
        });
        assert!(
            told.to_string().contains("mark a column with `#[sea_orm(primary_key, auto_increment = false)]`")
        );
    }

    #[test]
    fn the_expanded_form_must_name_its_id_and_may_keep_its_key_elsewhere() {
        let unnamed = crate::expand::derive(&parse_quote! { struct Model { id: Uuid } }).to_string();
        assert!(unnamed.contains("compile_error"));
        assert!(unnamed.contains("#[sync(id = \\\"..\\\")]"), "{unnamed}");
        let named = crate::expand::derive(&parse_quote! { #[sync(id = "volume")] struct Model { id: Uuid } });
        assert!(!named.to_string().contains("compile_error"));
    }
}
