//! The derive macro and the attribute of `sync-core`, which exports both.

mod attributes;
mod behavior;
mod checks;
mod expand;
mod model;

use proc_macro::TokenStream;

/// x
#[proc_macro_derive(Syncable, attributes(sync))]
pub fn derive_syncable(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::derive(&input).into()
}

/// x
#[proc_macro_attribute]
pub fn behavior(arguments: TokenStream, item: TokenStream) -> TokenStream {
    behavior::expand(arguments.into(), item.into()).into()
}
