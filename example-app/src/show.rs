//! Tables for people.

use std::collections::HashMap;

use comfy_table::{Table, presets};
use sea_orm::EntityTrait;
use sync_core::Stamp;
use uuid::Uuid;

use crate::{entities::device, error::AppError, library::Library};

/// A table with these headings.
pub(crate) fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(headings);
    table
}

/// Devices by their names.
#[derive(Debug)]
pub(crate) struct Names(HashMap<Uuid, String>);

impl Names {
    /// The devices that the library knows.
    pub(crate) async fn load(library: &Library) -> Result<Self, AppError> {
        let devices = device::Entity::find().all(&library.db).await?;
        Ok(Self(devices.into_iter().map(|device| (device.id, device.name)).collect()))
    }

    /// The name of a device.
    pub(crate) fn of(&self, device: sync_core::DeviceId) -> String {
        self.0.get(&device.uuid()).cloned().unwrap_or_else(|| device.to_string())
    }

    /// The name of the device that made a stamp.
    pub(crate) fn author(&self, stamp: Stamp) -> String {
        let known = self.0.iter().find(|(id, _)| sync_core::DeviceId::from(**id).node() == stamp.node());
        match known {
            Some((_, name)) => name.clone(),
            None if stamp.is_nil() => "(adopted)".to_owned(),
            None => "(unknown)".to_owned(),
        }
    }
}

/// Bytes as people say them.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// Half of a digest: enough for an eye to compare.
pub(crate) fn digest(digest: [u8; 16]) -> String {
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
