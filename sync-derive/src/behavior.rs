//! `#[behavior]`: the hooks of sync around those of the user.
//!
//! Each hook of the user's keeps its body. `after_save` and `after_delete` begin with a guard that sends the
//! hint when it is dropped, so an early return, a `?` and a panic all send it: the row was written before the
//! hook began. `before_save` becomes an async block, behind which the key is filled if the user's code left
//! it unset:
//!
//! ```text
//! #[async_trait]
//! impl ActiveModelBehavior for ActiveModel {
//!     async fn before_save<C>(mut self, db: &C, insert: bool) -> Result<Self, DbErr> where C: ConnectionTrait {
//!         let __sync_insert = insert;
//!         let __sync_saved: Result<Self, DbErr> = async move { /* the user's body */ }.await;
//!         let mut __sync_saved = __sync_saved?;
//!         ::sync_core::__private::fill_key(&mut __sync_saved, __sync_insert);
//!         Ok(__sync_saved)
//!     }
//!     async fn after_save<C>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> where C: ConnectionTrait {
//!         let __sync_hint = ::sync_core::hooks::Hint::saved::<Self>(&model, insert);
//!         /* the user's body */
//!     }
//! }
//! ```

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Meta, Pat, PatIdent, Path, ReturnType,
    parse_quote, spanned::Spanned,
};

use crate::model::Errors;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let original = item.clone();
    let mut item: ItemImpl = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => {
            errors.push(syn::Error::new(
                error.span(),
                "`#[behavior]` stands on `impl ActiveModelBehavior for ActiveModel`",
            ));
            return told(errors, &original);
        }
    };
    let krate = krate(arguments, &mut errors);
    check(&item, &mut errors);
    if let Err(error) = errors.into_result() {
        let error = error.into_compile_error();
        return quote!(#error #original);
    }
    wrap(&mut item, &krate);
    if !item.attrs.iter().any(is_async_trait) {
        item.attrs.push(parse_quote!(#[#krate::__private::async_trait::async_trait]));
    }
    quote!(#item)
}

fn told(errors: Errors, original: &TokenStream) -> TokenStream {
    let error = errors.into_result().map_or_else(syn::Error::into_compile_error, |()| TokenStream::new());
    quote!(#error #original)
}

/// `#[behavior]` or `#[behavior(crate = "..")]`.
fn krate(arguments: TokenStream, errors: &mut Errors) -> Path {
    let default: Path = parse_quote!(::sync_core);
    if arguments.is_empty() {
        return default;
    }
    let parsed = syn::parse2::<Meta>(arguments.clone()).ok().and_then(|meta| match meta {
        Meta::NameValue(meta) if meta.path.is_ident("crate") => match meta.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                text.parse_with(Path::parse_mod_style).ok()
            }
            _ => None,
        },
        _ => None,
    });
    parsed.unwrap_or_else(|| {
        errors.add(arguments, "`#[behavior]` takes nothing but `crate = \"..\"`, for a renamed `sync_core`");
        default
    })
}

fn check(item: &ItemImpl, errors: &mut Errors) {
    let on_behavior = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
    if on_behavior.is_none_or(|segment| segment.ident != "ActiveModelBehavior") {
        errors.add(&item.self_ty, "`#[behavior]` stands on `impl ActiveModelBehavior for ActiveModel`");
        return;
    }
    for hook in hooks(item) {
        // What stood above has run already, and has turned the hooks into functions that return a boxed
        // future.
        if hook.sig.asyncness.is_none() {
            errors.add(
                &hook.sig,
                "`#[behavior]` must see the hooks as they are written: put it above `#[async_trait]`",
            );
            return;
        }
    }
}

fn hooks(item: &ItemImpl) -> impl Iterator<Item = &ImplItemFn> {
    item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(function) if HOOKS.iter().any(|hook| function.sig.ident == hook) => Some(function),
        _ => None,
    })
}

const HOOKS: [&str; 4] = ["before_save", "after_save", "before_delete", "after_delete"];

fn is_async_trait(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "async_trait")
}

fn wrap(item: &mut ItemImpl, krate: &Path) {
    let mut missing: Vec<&str> = vec!["before_save", "after_save", "after_delete"];
    for item in &mut item.items {
        let ImplItem::Fn(function) = item else { continue };
        let name = function.sig.ident.to_string();
        missing.retain(|missing| *missing != name);
        match name.as_str() {
            "before_save" => fill_after(function, krate),
            "after_save" => hint_saved(function, krate),
            "after_delete" => hint_deleted(function, krate),
            _ => {}
        }
    }
    for name in missing {
        let mut function = plain(name, krate);
        match name {
            "before_save" => fill_after(&mut function, krate),
            "after_save" => hint_saved(&mut function, krate),
            _ => hint_deleted(&mut function, krate),
        }
        item.items.push(ImplItem::Fn(function));
    }
}

/// SeaORM's own default of a hook.
fn plain(name: &str, krate: &Path) -> ImplItemFn {
    let (result, sea_orm) = (quote!(::core::result::Result), quote!(#krate::__private::sea_orm));
    match name {
        "before_save" => parse_quote! {
            async fn before_save<C>(self, _db: &C, insert: bool) -> #result<Self, #sea_orm::DbErr>
            where
                C: #sea_orm::ConnectionTrait,
            {
                #result::Ok(self)
            }
        },
        "after_save" => parse_quote! {
            async fn after_save<C>(
                model: #krate::ModelOf<Self>,
                _db: &C,
                insert: bool,
            ) -> #result<#krate::ModelOf<Self>, #sea_orm::DbErr>
            where
                C: #sea_orm::ConnectionTrait,
            {
                #result::Ok(model)
            }
        },
        _ => parse_quote! {
            async fn after_delete<C>(self, _db: &C) -> #result<Self, #sea_orm::DbErr>
            where
                C: #sea_orm::ConnectionTrait,
            {
                #result::Ok(self)
            }
        },
    }
}

fn fill_after(function: &mut ImplItemFn, krate: &Path) {
    let Some(insert) = argument(function, 2, "__sync_insert") else { return };
    let ReturnType::Type(_, output) = &function.sig.output else { return };
    let body = &function.block;
    function.block = parse_quote! {{
        let __sync_insert: bool = #insert;
        let __sync_saved: #output = async move #body.await;
        let mut __sync_saved = __sync_saved?;
        #krate::__private::fill_key(&mut __sync_saved, __sync_insert);
        ::core::result::Result::Ok(__sync_saved)
    }};
}

fn hint_saved(function: &mut ImplItemFn, krate: &Path) {
    let Some(insert) = argument(function, 2, "__sync_insert") else { return };
    let Some(model) = argument(function, 0, "__sync_model") else { return };
    let hint = parse_quote!(let __sync_hint = #krate::hooks::Hint::saved::<Self>(&#model, #insert););
    function.block.stmts.insert(0, hint);
}

fn hint_deleted(function: &mut ImplItemFn, krate: &Path) {
    let hint = parse_quote!(let __sync_hint = #krate::hooks::Hint::deleted(&self););
    function.block.stmts.insert(0, hint);
}

/// The name of a hook's argument. One that is taken apart in the signature is given `name`, and taken apart
/// in the body. `None` for a signature that the compiler will refuse.
fn argument(function: &mut ImplItemFn, index: usize, name: &str) -> Option<Ident> {
    let FnArg::Typed(argument) = function.sig.inputs.iter_mut().nth(index)? else { return None };
    if let Pat::Ident(PatIdent { ident, by_ref: None, subpat: None, .. }) = &*argument.pat {
        return Some(ident.clone());
    }
    let ident = Ident::new(name, argument.pat.span());
    let pattern = std::mem::replace(&mut *argument.pat, parse_quote!(#ident));
    function.block.stmts.insert(0, parse_quote!(let #pattern = #ident;));
    Some(ident)
}
