//! From attributes to words: `#[sync(..)]`, and what is needed of `#[sea_orm(..)]`.
//!
//! Nothing is judged here but grammar: unknown and repeated words. What the words mean together is for
//! `checks`.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Path, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use crate::model::Errors;

/// The words of `#[sync(..)]` on the struct.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) id: Option<LitStr>,
    pub(crate) merge: Option<Path>,
    pub(crate) should_sync: Option<Path>,
    pub(crate) manual_hooks: bool,
    pub(crate) manual_key: bool,
    pub(crate) log_triggers: bool,
    pub(crate) whole_record: Option<Span>,
    pub(crate) krate: Option<Path>,
}

/// The words of `#[sync(..)]` on a field.
#[derive(Default)]
pub(crate) struct FieldWords {
    pub(crate) skip: Option<Span>,
    pub(crate) default: Option<(Span, Expr)>,
    pub(crate) name: Option<LitStr>,
    pub(crate) library: Option<Span>,
    pub(crate) strategy: Option<(Span, Strategy)>,
    pub(crate) rule: Option<LitInt>,
    pub(crate) group: Option<LitStr>,
    pub(crate) tag: Option<Span>,
}

/// A `strategy`, by the variant of `sync_core::Strategy`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Lww,
    Max,
    Min,
    Counter,
    Set,
}

impl Strategy {
    const ALL: [(&str, Self); 5] = [
        ("lww", Self::Lww),
        ("max", Self::Max),
        ("min", Self::Min),
        ("counter", Self::Counter),
        ("set", Self::Set),
    ];

    pub(crate) fn variant(self) -> Ident {
        let name = match self {
            Self::Lww => "Lww",
            Self::Max => "Max",
            Self::Min => "Min",
            Self::Counter => "Counter",
            Self::Set => "Set",
        };
        Ident::new(name, Span::call_site())
    }
}

/// What `#[sea_orm(..)]` on a field says of its column.
#[derive(Default)]
pub(crate) struct SeaOrmField {
    pub(crate) primary_key: bool,
    pub(crate) auto_increment: Option<bool>,
    pub(crate) ignore: bool,
    pub(crate) nullable: bool,
    pub(crate) has_default: bool,
    pub(crate) enum_name: Option<String>,
}

const CONTAINER_WORDS: &str = "`id`, `merge`, `should_sync`, `policy`, `hooks`, `key`, `triggers`, `crate`";
const FIELD_WORDS: &str = "`skip`, `default`, `name`, `strategy`, `rule`, `group`, `tag`";

/// `name` or `name = value`.
struct Word {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for Word {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self { name, value })
    }
}

impl Container {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        for word in words(attributes, errors) {
            match word.name.to_string().as_str() {
                "id" => this.id = word.text("id = \"volume\"", errors),
                "merge" => this.merge = word.path("merge = prefer_tagged", errors),
                "should_sync" => this.should_sync = word.path("should_sync = is_shared", errors),
                "hooks" => this.manual_hooks = word.only("manual", errors),
                "key" => this.manual_key = word.only("manual", errors),
                "triggers" => this.log_triggers = word.only("log", errors),
                "crate" => this.krate = word.quoted_path("crate = \"my_sync\"", errors),
                "policy" => this.whole_record = word.policy(errors),
                _ => word.unknown(CONTAINER_WORDS, "the struct", errors),
            }
        }
        this
    }
}

impl FieldWords {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        for word in words(attributes, errors) {
            match word.name.to_string().as_str() {
                "skip" => {
                    word.flag(errors);
                    this.skip = Some(word.name.span());
                }
                "default" => this.default = word.expression("default = 0", errors),
                "name" => this.name = word.text("name = \"old_name\"", errors),
                "strategy" => this.strategy = word.strategy(errors),
                "rule" => this.rule = word.number("rule = 1", errors),
                "group" => this.group = word.text("group = \"place\"", errors),
                "tag" => {
                    word.flag(errors);
                    this.tag = Some(word.name.span());
                }
                "library" => this.library = Some(word.name.span()),
                _ => word.unknown(FIELD_WORDS, "a field", errors),
            }
        }
        this
    }
}

/// All words of all `#[sync(..)]`, without the repeated ones.
fn words(attributes: &[Attribute], errors: &mut Errors) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("sync")) {
        match attribute.parse_args_with(Punctuated::<Word, Token![,]>::parse_terminated) {
            Ok(parsed) => {
                for word in parsed {
                    if words.iter().any(|known| known.name == word.name) {
                        errors.add(&word.name, format!("`{}` is said twice: keep one", word.name));
                    } else {
                        words.push(word);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    words
}

impl Word {
    fn flag(&self, errors: &mut Errors) {
        if let Some(value) = &self.value {
            errors.add(value, format!("`{0}` takes no value: write `#[sync({0})]`", self.name));
        }
    }

    fn text(&self, example: &str, errors: &mut Errors) -> Option<LitStr> {
        match &self.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) if !text.value().is_empty() => {
                return Some(text.clone());
            }
            Some(value) => errors.add(value, format!("`{}` is a name in quotes: `{example}`", self.name)),
            None => errors.add(&self.name, format!("`{}` needs a name: `{example}`", self.name)),
        }
        None
    }

    fn path(&self, example: &str, errors: &mut Errors) -> Option<Path> {
        match &self.value {
            Some(Expr::Path(path)) => return Some(path.path.clone()),
            Some(value) => {
                errors.add(
                    value,
                    format!("`{}` is the path of a function, without quotes: `{example}`", self.name),
                );
            }
            None => errors.add(&self.name, format!("`{}` needs a function: `{example}`", self.name)),
        }
        None
    }

    fn quoted_path(&self, example: &str, errors: &mut Errors) -> Option<Path> {
        let text = self.text(example, errors)?;
        text.parse_with(Path::parse_mod_style).map_err(|error| errors.push(error)).ok()
    }

    fn expression(&self, example: &str, errors: &mut Errors) -> Option<(Span, Expr)> {
        if self.value.is_none() {
            errors.add(&self.name, format!("`{}` needs a value: `{example}`", self.name));
        }
        self.value.clone().map(|value| (self.name.span(), value))
    }

    /// True; the only value that says something else than the absence of the word is `value`.
    fn only(&self, value: &str, errors: &mut Errors) -> bool {
        match &self.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) if text.value() == value => {}
            Some(other) => errors.add(other, format!("the only value here is `{} = \"{value}\"`", self.name)),
            None => errors.add(&self.name, format!("write `{} = \"{value}\"`", self.name)),
        }
        true
    }

    fn strategy(&self, errors: &mut Errors) -> Option<(Span, Strategy)> {
        let name = self.text("strategy = \"max\"", errors)?;
        let value = name.value();
        if let Some((_, strategy)) = Strategy::ALL.into_iter().find(|(known, _)| *known == value) {
            return Some((name.span(), strategy));
        }
        let known = Strategy::ALL.map(|(known, _)| format!("\"{known}\"")).join(", ");
        match value.as_str() {
            "text" => errors.add(
                &name,
                format!(
                    "the strategy `{value}` is not supported yet: leave it out, and the last writer wins; \
                     `#[sync(merge = path)]` on the struct can decide otherwise"
                ),
            ),
            "siblings" => errors.add(
                &name,
                "whole rows that stand side by side are `#[sync(policy = \"record\")]` on the struct",
            ),
            _ => errors.add(&name, format!("there is no strategy `{value}`: write one of {known}")),
        }
        None
    }

    /// Where the whole record is one.
    fn policy(&self, errors: &mut Errors) -> Option<Span> {
        let policy = self.text("policy = \"record\"", errors)?;
        match policy.value().as_str() {
            "record" => return Some(policy.span()),
            "column" => {}
            other => errors.add(
                &policy,
                format!("there is no policy `{other}`: write \"column\", which is what it is without, or \"record\""),
            ),
        }
        None
    }

    fn number(&self, example: &str, errors: &mut Errors) -> Option<LitInt> {
        match &self.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) if number.base10_parse::<u8>().is_ok() => {
                return Some(number.clone());
            }
            Some(value) => {
                errors.add(value, format!("`{}` is a number from 0 to 255: `{example}`", self.name))
            }
            None => errors.add(&self.name, format!("`{}` needs a number: `{example}`", self.name)),
        }
        None
    }

    fn unknown(&self, known: &str, place: &str, errors: &mut Errors) {
        errors
            .add(&self.name, format!("`#[sync({})]` is not known here: on {place} write {known}", self.name));
    }
}

impl SeaOrmField {
    /// SeaORM judges its own words; those that cannot be read here are its to refuse.
    pub(crate) fn parse(attributes: &[Attribute]) -> Self {
        let mut this = Self::default();
        for_each_sea_orm(attributes, |name, value| match name.as_str() {
            "primary_key" => this.primary_key = true,
            "auto_increment" => {
                this.auto_increment =
                    value.and_then(|value| syn::parse2::<syn::LitBool>(value).ok()).map(|value| value.value)
            }
            "ignore" => this.ignore = true,
            "nullable" => this.nullable = true,
            "default_value" | "default_expr" => this.has_default = true,
            "enum_name" => this.enum_name = value.and_then(text),
            _ => {}
        });
        this
    }
}

/// `#[sea_orm(table_name = "..")]`, which only the compact form of an entity has on its `Model`.
pub(crate) fn table_name(attributes: &[Attribute]) -> Option<String> {
    let mut table = None;
    for_each_sea_orm(attributes, |name, value| {
        if name == "table_name" {
            table = value.and_then(text);
        }
    });
    table
}

fn text(value: TokenStream) -> Option<String> {
    syn::parse2::<LitStr>(value).ok().map(|text| text.value())
}

fn for_each_sea_orm(attributes: &[Attribute], mut each: impl FnMut(String, Option<TokenStream>)) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("sea_orm")) {
        let _ = attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
            let value = if meta.input.peek(Token![=]) {
                Some(meta.value()?.parse::<Expr>()?.into_token_stream())
            } else if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                Some(content.parse()?)
            } else {
                None
            };
            each(name, value);
            Ok(())
        });
    }
}
