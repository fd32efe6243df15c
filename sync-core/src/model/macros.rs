//! `impl_syncable!`: what the derive writes, for those who would rather not derive.

/// Makes an entity sync without the derive, all columns, default rules.
///
/// `impl_syncable!(Model, ActiveModel, "volume")` writes `impl Syncable`, `impl ActiveModelBehavior` and the
/// registration. `impl_syncable!(hooks ActiveModel)` writes the last two, beside an `impl Syncable` of your
/// own. An entity with hooks of its own puts [`behavior`](crate::behavior) on them instead, and names itself
/// to the engine's builder.
#[macro_export]
macro_rules! impl_syncable {
    (hooks $active:ty) => {
        #[$crate::__private::async_trait::async_trait]
        impl $crate::__private::sea_orm::ActiveModelBehavior for $active {
            async fn before_save<C>(
                mut self,
                _db: &C,
                insert: bool,
            ) -> ::core::result::Result<Self, $crate::__private::sea_orm::DbErr>
            where
                C: $crate::__private::sea_orm::ConnectionTrait,
            {
                $crate::__private::fill_key(&mut self, insert);
                ::core::result::Result::Ok(self)
            }

            async fn after_save<C>(
                model: $crate::ModelOf<Self>,
                _db: &C,
                insert: bool,
            ) -> ::core::result::Result<$crate::ModelOf<Self>, $crate::__private::sea_orm::DbErr>
            where
                C: $crate::__private::sea_orm::ConnectionTrait,
            {
                $crate::hooks::saved(&model, insert);
                ::core::result::Result::Ok(model)
            }

            async fn after_delete<C>(
                self,
                _db: &C,
            ) -> ::core::result::Result<Self, $crate::__private::sea_orm::DbErr>
            where
                C: $crate::__private::sea_orm::ConnectionTrait,
            {
                $crate::hooks::deleted(&self);
                ::core::result::Result::Ok(self)
            }
        }

        $crate::__private::inventory::submit! { $crate::Registration::of::<$active>() }
    };
    ($model:ty, $active:ty, $id:literal) => {
        impl $crate::Syncable for $active {
            const SYNC_ID: &'static str = $id;

            fn rules() -> $crate::Rules {
                $crate::Rules::new().without_merge().without_should_sync()
            }
        }

        const _: fn($crate::ModelOf<$active>) -> $model = |model| model;

        $crate::impl_syncable!(hooks $active);
    };
}
