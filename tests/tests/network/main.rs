//! Real engines on real databases, joined by the real HTTP transport on loopback.

mod bodies;
mod data;
mod follow;
mod groups;
mod part;
mod relay;
mod restored;

use sea_orm::{ActiveModelTrait, EntityTrait, PaginatorTrait, Set};
use sync_tests::{Device, entities::item};

async fn add(device: &Device, title: &str, count: usize) {
    for number in 0..count {
        item::ActiveModel { title: Set(format!("{title} {number}")), qty: Set(1), ..Default::default() }
            .insert(&device.db)
            .await
            .expect("an item");
    }
}

async fn items(device: &Device) -> u64 {
    item::Entity::find().count(&device.db).await.expect("a count")
}
