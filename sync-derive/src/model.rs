//! The entity as the derive sees it, and the list of what is wrong with it.

use heck::ToUpperCamelCase;
use proc_macro2::Span;
use quote::ToTokens;
use syn::{DeriveInput, Field, Fields, Ident, Path, PathArguments, Type, ext::IdentExt, parse_quote};

use crate::attributes::{Container, FieldWords, SeaOrmField, table_name};

/// Every mistake found, told together.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn add(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(syn::Error::new(span, message));
    }

    pub(crate) fn into_result(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A struct named `Model`.
pub(crate) struct Entity {
    pub(crate) ident: Ident,
    pub(crate) container: Container,
    /// The table, where the entity is in SeaORM's compact form. In the expanded form the table, the keys and
    /// the column types stand in other items, which a derive cannot see: they are checked when the engine
    /// starts.
    pub(crate) table: Option<String>,
    pub(crate) columns: Vec<Column>,
}

/// A field that is a column.
pub(crate) struct Column {
    pub(crate) field: Field,
    /// The variant of the entity's `Column`.
    pub(crate) variant: Ident,
    pub(crate) words: FieldWords,
    pub(crate) sea_orm: SeaOrmField,
}

impl Entity {
    pub(crate) fn parse(input: &DeriveInput, fields: &Fields, errors: &mut Errors) -> Self {
        let container = Container::parse(&input.attrs, errors);
        let mut columns = Vec::new();
        for field in fields {
            let sea_orm = SeaOrmField::parse(&field.attrs);
            if sea_orm.ignore {
                refuse_sync(field, "a field that is no column (`#[sea_orm(ignore)]`): take it off", errors);
            } else if is_relation(&field.ty) {
                refuse_sync_on_relation(field, errors);
            } else if let Some(ident) = &field.ident {
                let words = FieldWords::parse(&field.attrs, errors);
                columns.push(Column {
                    field: field.clone(),
                    variant: variant(ident, &sea_orm),
                    words,
                    sea_orm,
                });
            }
        }
        Self { ident: input.ident.clone(), container, table: table_name(&input.attrs), columns }
    }

    /// `sync_core`, under the name it has in the user's crate.
    pub(crate) fn krate(&self) -> Path {
        self.container.krate.clone().unwrap_or_else(|| parse_quote!(::sync_core))
    }
}

impl Column {
    pub(crate) fn is_key(&self) -> bool {
        self.sea_orm.primary_key
    }

    /// True if a row that comes from another device can be written without a value for this column.
    pub(crate) fn fills_itself(&self) -> bool {
        let words = &self.words;
        is(&self.field.ty, &["Option"])
            || self.sea_orm.nullable
            || self.sea_orm.has_default
            || words.default.is_some()
    }

    pub(crate) fn is_integer(&self) -> bool {
        is(&self.field.ty, &["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"])
    }
}

pub(crate) fn refuse_sync_on_relation(field: &Field, errors: &mut Errors) {
    refuse_sync(field, "a relation: put it on the column that holds the key", errors);
}

fn refuse_sync(field: &Field, place: &str, errors: &mut Errors) {
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("sync")) {
        errors.add(attribute, format!("`#[sync(..)]` has no meaning on {place}"));
    }
}

pub(crate) fn is_relation(ty: &Type) -> bool {
    is(ty, &["HasOne", "HasMany", "BelongsTo"])
}

pub(crate) fn is(ty: &Type, names: &[&str]) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|segment| {
        !matches!(segment.arguments, PathArguments::Parenthesized(_))
            && names.iter().any(|name| segment.ident == name)
    })
}

/// The name that SeaORM gives the column's variant.
fn variant(field: &Ident, sea_orm: &SeaOrmField) -> Ident {
    let name = sea_orm.enum_name.clone().unwrap_or_else(|| field.unraw().to_string().to_upper_camel_case());
    // The only keyword in this case.
    if name == "Self" { Ident::new("Self_", field.span()) } else { Ident::new(&name, field.span()) }
}
