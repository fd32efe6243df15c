//! From the entity to code. For `#[sync(id = "volume", merge = prefer_tagged)]` with a skipped `mount_point`
//! comes out:
//!
//! ```text
//! impl ::sync_core::Syncable for ActiveModel {
//!     const SYNC_ID: &'static str = "volume";
//!     fn sync_fields() -> Vec<&'static str> { fields_except::<Self>(&[Column::MountPoint]) }
//!     fn merge(local: Model, remote: Model) -> Model { prefer_tagged(local, remote) }
//!     fn rules() -> ::sync_core::Rules { Rules::new().without_should_sync() }
//! }
//! #[async_trait]
//! impl ActiveModelBehavior for ActiveModel { /* before_save, after_save, after_delete */ }
//! inventory::submit! { ::sync_core::Registration::of::<ActiveModel>() }
//! ```
//!
//! The hooks are written out, not left to `impl_syncable!`, so that the compiler's word on a second
//! `impl ActiveModelBehavior` points at the derive.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Fields, Ident, spanned::Spanned};

use crate::{
    checks,
    model::{Entity, Errors, is_relation, refuse_sync_on_relation},
};

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let Some(fields) = fields(input, &mut errors) else {
        return told(errors);
    };
    if input.ident == "ModelEx" {
        // `#[sea_orm::model]` repeats the derive here, on the one struct that has the relations.
        let relations = fields.iter().filter(|field| is_relation(&field.ty));
        relations.for_each(|field| refuse_sync_on_relation(field, &mut errors));
        return told(errors);
    }
    let entity = Entity::parse(input, fields, &mut errors);
    checks::check(&entity, &mut errors);
    match errors.into_result() {
        Ok(()) => {
            let (syncable, hooks, registration) = (syncable(&entity), hooks(&entity), registration(&entity));
            quote!(#syncable #hooks #registration)
        }
        Err(errors) => {
            let (errors, fallback) = (errors.into_compile_error(), fallback(&entity));
            quote!(#errors #fallback)
        }
    }
}

fn told(errors: Errors) -> TokenStream {
    errors.into_result().map_or_else(syn::Error::into_compile_error, |()| TokenStream::new())
}

fn fields<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Option<&'a Fields> {
    match &input.data {
        Data::Struct(data) if input.ident == "Model" || input.ident == "ModelEx" => Some(&data.fields),
        _ => {
            errors.add(
                &input.ident,
                "`Syncable` is for entities: derive it on the struct `Model` that derives `DeriveEntityModel`",
            );
            None
        }
    }
}

fn syncable(entity: &Entity) -> TokenStream {
    let krate = entity.krate();
    let container = &entity.container;
    let id = match (&container.id, &entity.table) {
        (Some(id), _) => quote!(#id),
        (None, table) => quote!(#table),
    };
    let key = container.manual_key.then(|| quote!(const KEY: #krate::KeyPolicy = #krate::KeyPolicy::Manual;));
    let skipped =
        entity.columns.iter().filter(|column| column.words.skip.is_some()).map(|column| &column.variant);
    let merge = container.merge.as_ref().map(|path| {
        let model = Ident::new("Model", path.span());
        let function = quote_spanned!(path.span()=> let function: fn(#model, #model) -> #model = #path;);
        quote! {
            fn merge(local: #model, remote: #model) -> #model {
                #function
                function(local, remote)
            }
        }
    });
    let should_sync = container.should_sync.as_ref().map(|path| {
        let model = Ident::new("Model", path.span());
        let function = quote_spanned!(path.span()=> let function: fn(&#model) -> bool = #path;);
        quote! {
            fn should_sync(&self) -> bool {
                #function
                // Without a whole row there is nothing to ask about; the engine asks about whole rows only.
                #krate::__private::sea_orm::TryIntoModel::try_into_model(::core::clone::Clone::clone(self))
                    .map_or(true, |model| function(&model))
            }
        }
    });
    let rules = rules(entity);
    quote! {
        #[automatically_derived]
        impl #krate::Syncable for ActiveModel {
            const SYNC_ID: &'static str = #id;
            #key

            fn sync_fields() -> ::std::vec::Vec<&'static str> {
                #krate::__private::fields_except::<Self>(&[#(Column::#skipped),*])
            }

            #merge
            #should_sync

            fn rules() -> #krate::Rules {
                #rules
            }
        }
    }
}

fn rules(entity: &Entity) -> TokenStream {
    let krate = entity.krate();
    let container = &entity.container;
    let merge = container.merge.is_none().then(|| quote!(.without_merge()));
    let should_sync = container.should_sync.is_none().then(|| quote!(.without_should_sync()));
    let triggers = container.log_triggers.then(|| quote!(.triggers(#krate::TriggerPolicy::Log)));
    let policy = container.whole_record.map(|_| quote!(.policy(#krate::MergePolicy::Record)));
    let columns = entity.columns.iter().filter_map(|column| {
        let words = &column.words;
        let wire = words.name.as_ref().map(|name| quote!(.wire(#name)));
        let fill = words.default.as_ref().map(|(_, value)| {
            let ty = &column.field.ty;
            let typed = quote_spanned!(value.span()=> { let value: #ty = #value; value });
            quote!(.fill(#typed))
        });
        let strategy = words.strategy.map(|(_, strategy)| {
            let variant = strategy.variant();
            quote!(.strategy(#krate::Strategy::#variant))
        });
        let number = words.rule.as_ref().map(|number| quote!(.number(#number)));
        let group = words.group.as_ref().map(|group| quote!(.group(#group)));
        let tag = words.tag.map(|_| quote!(.tag()));
        let variant = &column.variant;
        let said = quote!(#wire #fill #strategy #number #group #tag);
        (!said.is_empty()).then(|| quote!(.column(Column::#variant, #krate::ColumnRule::new() #said)))
    });
    quote!(#krate::Rules::new() #merge #should_sync #triggers #policy #(#columns)*)
}

fn hooks(entity: &Entity) -> TokenStream {
    if entity.container.manual_hooks {
        return TokenStream::new();
    }
    let krate = entity.krate();
    let before_save = (!entity.container.manual_key).then(|| {
        quote! {
            async fn before_save<C>(
                mut self,
                _db: &C,
                insert: bool,
            ) -> ::core::result::Result<Self, #krate::__private::sea_orm::DbErr>
            where
                C: #krate::__private::sea_orm::ConnectionTrait,
            {
                #krate::__private::fill_key(&mut self, insert);
                ::core::result::Result::Ok(self)
            }
        }
    });
    quote! {
        #[automatically_derived]
        #[#krate::__private::async_trait::async_trait]
        impl #krate::__private::sea_orm::ActiveModelBehavior for ActiveModel {
            #before_save

            async fn after_save<C>(
                model: #krate::ModelOf<Self>,
                _db: &C,
                insert: bool,
            ) -> ::core::result::Result<#krate::ModelOf<Self>, #krate::__private::sea_orm::DbErr>
            where
                C: #krate::__private::sea_orm::ConnectionTrait,
            {
                #krate::hooks::saved(&model, insert);
                ::core::result::Result::Ok(model)
            }

            async fn after_delete<C>(
                self,
                _db: &C,
            ) -> ::core::result::Result<Self, #krate::__private::sea_orm::DbErr>
            where
                C: #krate::__private::sea_orm::ConnectionTrait,
            {
                #krate::hooks::deleted(&self);
                ::core::result::Result::Ok(self)
            }
        }
    }
}

fn registration(entity: &Entity) -> TokenStream {
    let krate = entity.krate();
    quote! {
        #krate::__private::inventory::submit! { #krate::Registration::of::<ActiveModel>() }
    }
}

/// Enough for the rest of the program to compile, so that a mistake is told once, where it was made.
fn fallback(entity: &Entity) -> TokenStream {
    let krate = entity.krate();
    let hooks = (!entity.container.manual_hooks).then(|| {
        quote! {
            #[automatically_derived]
            impl #krate::__private::sea_orm::ActiveModelBehavior for ActiveModel {}
        }
    });
    quote! {
        #[automatically_derived]
        impl #krate::Syncable for ActiveModel {
            const SYNC_ID: &'static str = "";
        }
        #hooks
    }
}
