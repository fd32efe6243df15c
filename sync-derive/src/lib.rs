//! The derive macro and the attribute of `sync-core`, which exports both; use them from there.
//!
//! ```text
//! attributes  #[sync(..)] and #[sea_orm(..)] as words      model     the entity, and the list of mistakes
//! checks      what is wrong although each word is right    expand    the code that comes out
//! rules       which columns can have which strategy
//! behavior    the attribute on hooks of the user's own
//! ```
//!
//! All mistakes of an entity are told at once, each at its place and with what to write instead.

mod attributes;
mod behavior;
mod checks;
mod expand;
mod model;
mod rules;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/syncable.md")]
#[proc_macro_derive(Syncable, attributes(sync))]
pub fn derive_syncable(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::derive(&input).into()
}

#[doc = include_str!("../docs/behavior.md")]
#[proc_macro_attribute]
pub fn behavior(arguments: TokenStream, item: TokenStream) -> TokenStream {
    behavior::expand(arguments.into(), item.into()).into()
}
