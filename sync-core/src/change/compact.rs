//! What is left of a change whose values later changes wrote again: its envelope, who they are, and its digest.
//!
//! ```text
//! { 0: id, .. 9: born, 12: [stamp, ..], 127: digest and check }
//! ```
//!
//! The context and the cells are gone. `12` names the changes that say together what this one said: each knew of it, and each
//! column that it wrote one of them wrote again. A stamp of the id's node is the distance from the id. `127` comes last,
//! whatever fields a later version adds: the 32 bytes of the digest of what the author encoded, and eight bytes of BLAKE3 of
//! all before.
//!
//! Invariant: the digest is that of the whole change, so the chain, and whoever has the whole one, see no difference.

use super::{
    Change, ChangeKind, EncodedChange, Header,
    decode::{Fields, full_stamp_of},
    encode::distance,
    key,
};
use crate::{
    ids::{LibraryId, StateHash},
    stamp::Stamp,
    value::{DecodeError, Item, Reader, put_array, put_bin, put_uint},
    vector::Clock,
};

/// The digest and its check.
const KEPT: usize = 40;
/// The key of the last field and the length of its value, as they are encoded.
const MARK: [u8; 3] = [key::DIGEST as u8, 0xc4, KEPT as u8];

/// What a compacted change still says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compacted {
    pub(crate) header: Header,
    /// The changes that say what it said.
    pub(crate) superseded_by: Vec<Stamp>,
}

impl Change {
    /// What stands in the bytes of each compacted change, and how many bytes before their end. Another change may have it there by chance.
    pub(crate) const MARK_OF_COMPACTED: ([u8; 3], i64) = (MARK, (MARK.len() + KEPT) as i64);

    /// The change without its values. `bytes` is what its author encoded, `superseded_by` names the later changes that say all that
    /// it said.
    pub(crate) fn compact(&self, library: LibraryId, bytes: &[u8], superseded_by: &[Stamp]) -> EncodedChange {
        let mut out = Vec::with_capacity(160);
        let header = Self { context: Clock::new(), cells: Vec::new(), ..self.clone() };
        header.encode_into(&mut out);
        // A map of at most ten pairs, whose number stands in its first byte.
        out[0] += 2;
        put_uint(&mut out, key::SUPERSEDED_BY);
        put_array(&mut out, superseded_by.len());
        for stamp in superseded_by {
            match distance(*stamp, self.id) {
                Some(ahead) => put_uint(&mut out, ahead),
                None => put_bin(&mut out, stamp.as_bytes()),
            }
        }
        out.extend_from_slice(&MARK);
        out.extend_from_slice(&Self::digest(library, bytes).0);
        let check = check(&out);
        out.extend_from_slice(&check);
        EncodedChange::from_bytes(out)
    }

    /// True if these are the bytes of a change whose values are gone: later changes wrote them again. What is left of it says
    /// who made it, when, and of which record.
    pub fn is_compacted(bytes: &[u8]) -> bool {
        kept_digest(bytes).is_some()
    }

    /// What is left of a compacted change; `None` of any other.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not canonical and valid.
    pub(crate) fn decode_compacted(bytes: &[u8]) -> Result<Option<Compacted>, DecodeError> {
        if !Self::is_compacted(bytes) {
            return Ok(None);
        }
        let mut fields = Fields::new(bytes)?;
        let header = fields.header()?;
        fields.born(header.id)?;
        let superseded_by = fields.superseded_by(header.id)?.ok_or(DecodeError::Missing("superseded_by"))?;
        Ok(Some(Compacted { header, superseded_by }))
    }

    /// True if a compacted change may say this much and no more.
    pub(super) fn is_bare(&self) -> bool {
        self.cells.is_empty()
            && self.context.stamps().is_empty()
            && self.kind == ChangeKind::Edit
            && self.generation % 2 == 1
    }
}

impl Fields<'_> {
    pub(super) fn superseded_by(&mut self, id: Stamp) -> Result<Option<Vec<Stamp>>, DecodeError> {
        self.field(key::SUPERSEDED_BY, |reader| {
            let length = reader.array()?;
            let mut stamps = Vec::new();
            for _ in 0..length {
                stamps.push(later_stamp(reader, id)?);
            }
            if stamps.is_empty() || !stamps.is_sorted_by(|a, b| a < b) || stamps[0] <= id {
                return Err(DecodeError::NotCanonical("superseded_by"));
            }
            Ok(stamps)
        })
    }
}

fn later_stamp(reader: &mut Reader<'_>, id: Stamp) -> Result<Stamp, DecodeError> {
    let invalid = DecodeError::Invalid { field: "superseded_by", reason: "not a later stamp" };
    match reader.item()? {
        Item::Uint(ahead) => {
            let prefix = id.prefix() + u128::from(ahead);
            let stamp = Stamp::from_prefix(prefix, id.node());
            // Beyond the end of time a stamp is another one.
            if stamp.prefix() == prefix { Ok(stamp) } else { Err(invalid) }
        }
        Item::Bin(bytes) => match full_stamp_of(bytes)? {
            stamp if distance(stamp, id).is_none() => Ok(stamp),
            _ => Err(DecodeError::NotCanonical("superseded_by")),
        },
        _ => Err(invalid),
    }
}

/// The digest of the whole change that `bytes` are left of.
pub(super) fn kept_digest(bytes: &[u8]) -> Option<StateHash> {
    let (front, kept) = bytes.split_last_chunk::<KEPT>()?;
    if !front.ends_with(&MARK) {
        return None;
    }
    let digest = *kept.first_chunk::<32>()?;
    (check(&bytes[..bytes.len() - 8]) == kept[32..]).then_some(StateHash(digest))
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    check
}
