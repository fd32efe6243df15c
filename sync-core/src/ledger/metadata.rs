//! The `sync_metadata` table: what there is one of.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::{Serialize, de::DeserializeOwned};

use super::LedgerError;
use crate::store::{FORMAT, StoreError, sql};

/// The table as a map.
pub(super) struct Metadata(HashMap<String, Vec<u8>>);

pub(super) const KEY_FORMAT: &str = "format";
pub(super) const KEY_DEVICE: &str = "device_id";
pub(super) const KEY_LIBRARY: &str = "library_id";
pub(super) const KEY_LOG: &str = "log_id";
pub(super) const KEY_STAMP: &str = "last_stamp";
pub(super) const KEY_FINGERPRINT: &str = "fingerprint";
pub(super) const KEY_RENEWALS: &str = "renewals";
pub(super) const KEY_PROBE: &str = "probe";
pub(super) const KEY_RETIRED: &str = "retired";
pub(super) const KEY_SCOPE: &str = "scope";
pub(super) const KEY_FORGOTTEN: &str = "forgotten_before";

/// The key of where a library stands.
pub(super) fn key_head(library: i64) -> String {
    format!("head/{library}")
}

impl Metadata {
    /// Reads the table; refuses one of a later format.
    pub(super) async fn read<C: ConnectionTrait>(db: &C) -> Result<Self, LedgerError> {
        Self::of(&sql::all(db, "SELECT key, value FROM sync_metadata", []).await?)
    }

    /// Reads the table, and the largest id in `sync_objects`. Each transaction wants both, and to ask costs more than the answer.
    pub(super) async fn with_last_object<C: ConnectionTrait>(db: &C) -> Result<(Self, i64), LedgerError> {
        let statement = "SELECT key, value FROM sync_metadata UNION ALL SELECT '', coalesce(max(id), 0) FROM sync_objects";
        let mut rows = sql::all(db, statement, []).await?;
        let mut last_object = 0;
        if let Some(at) =
            rows.iter().position(|row| sql::column::<String>(row, 0).is_ok_and(|key| key.is_empty()))
        {
            last_object = sql::column(&rows.swap_remove(at), 1)?;
        }
        Ok((Self::of(&rows)?, last_object))
    }

    fn of(rows: &[QueryResult]) -> Result<Self, LedgerError> {
        let map: HashMap<String, Vec<u8>> = rows
            .iter()
            .map(|row| Ok::<_, StoreError>((sql::column(row, 0)?, sql::column(row, 1)?)))
            .collect::<Result<_, _>>()?;
        if let Some(format) = map.get(KEY_FORMAT) {
            let found = u64::from_be_bytes(sql::bytes(format, KEY_FORMAT)?);
            if found > FORMAT {
                return Err(StoreError::NewerFormat { found, known: FORMAT }.into());
            }
        }
        Ok(Self(map))
    }

    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// The 16 bytes of an id.
    pub(super) fn id(&self, key: &str) -> Result<Option<[u8; 16]>, LedgerError> {
        Ok(self.get(key).map(|bytes| sql::bytes(bytes, key)).transpose()?)
    }

    /// What is kept as MessagePack with names.
    pub(super) fn packed<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LedgerError> {
        self.get(key)
            .map(|bytes| {
                rmp_serde::from_slice(bytes).map_err(|error| LedgerError::Corrupt(format!("{key}: {error}")))
            })
            .transpose()
    }
}

/// What a later stage keeps under a key of its own, as MessagePack with names.
pub(crate) async fn kept<T: DeserializeOwned>(
    db: &impl ConnectionTrait,
    key: &str,
) -> Result<Option<T>, LedgerError> {
    Metadata::read(db).await?.packed(key)
}

/// Keeps it.
pub(crate) async fn keep<T: Serialize>(
    db: &impl ConnectionTrait,
    key: &str,
    value: &T,
) -> Result<(), LedgerError> {
    save(db, [(key.to_owned(), pack(value)?)]).await
}

/// A value as MessagePack with names.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, LedgerError> {
    rmp_serde::to_vec_named(value).map_err(|error| LedgerError::Corrupt(error.to_string()))
}

/// Writes values under their keys.
pub(super) async fn save<C: ConnectionTrait>(
    db: &C,
    values: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<(), LedgerError> {
    let rows: Vec<Value> = values.into_iter().flat_map(|(key, value)| [key.into(), value.into()]).collect();
    let tuples = vec!["(?, ?)"; rows.len() / 2].join(", ");
    let statement = format!(
        "INSERT INTO sync_metadata (key, value) VALUES {tuples} ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    );
    sql::execute(db, &statement, rows).await?;
    Ok(())
}
