//! The names of things: devices, libraries, logs, records, positions.
//!
//! Each is a type of its own, so that one cannot stand in for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use uuid::Uuid;

/// A short name: of a model or a column. Up to 23 bytes are held without an allocation.
pub type Name = smol_str::SmolStr;

/// The most bytes that the name of a model or a column may have.
pub const MAX_NAME: usize = 255;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// A new random (version 4) id.
            pub fn random(random: &dyn crate::runtime::Random) -> Self {
                let mut bytes = [0; 16];
                random.fill(&mut bytes);
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The id as a UUID.
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id! {
    /// One replica's identity. Its last seven bytes are the node part of every [`Stamp`](crate::Stamp) it makes.
    DeviceId
}
uuid_id! {
    /// The set of records that sync together: a tenant, a workspace, one user's data.
    LibraryId
}
uuid_id! {
    /// One incarnation of a replica's log. A restored or rebuilt log has another, so cursors into the old one end.
    LogId
}

impl DeviceId {
    /// The seven bytes that mark this device's stamps.
    pub fn node(&self) -> crate::stamp::Node {
        let bytes = self.as_bytes();
        crate::stamp::Node::from_tail(bytes)
    }
}

/// A record of a model: the canonical bytes of its primary key (see [`SyncValue`](crate::SyncValue)).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(SmallVec<[u8; INLINE_KEY]>);

/// Keys up to this many bytes, as those of one UUID or integer are, need no memory of their own.
const INLINE_KEY: usize = 24;

impl RecordId {
    /// The record with these canonical key bytes. Nothing is checked here: a key that does not decode is
    /// refused where the model is known.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self(SmallVec::from_slice(bytes.as_ref()))
    }

    /// The canonical bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Readable where the bytes are a key (`018f…`, `"name"`, `(1, 2)`), hexadecimal otherwise.
impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::value::decode_key(&self.0) {
            Ok(key) if key.len() == 1 => write!(f, "{}", key[0]),
            Ok(key) => {
                f.write_str("(")?;
                for (index, part) in key.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{part}")?;
                }
                f.write_str(")")
            }
            Err(_) => self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// A position in a replica's log: 0 before the first entry, rising by at least one per entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// 32 bytes of BLAKE3: a head of a chain, a digest of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateHash(#[serde(with = "serde_bytes")] pub [u8; 32]);
