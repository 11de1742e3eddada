//! One record in a segment file, and the leaf that stands for it in the tree.

use ringfence_core::Entry;
use sha2::{Digest, Sha256};

use crate::LogError;
use crate::tree::{Hash, leaf_hash};

/// Largest entry, in bytes of JSON: an argv of 1 MiB in which every byte needs six still fits.
pub const ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Room that most records fit in, in bytes: saves growing step by step.
const RECORD_BYTES_USUAL: usize = 1024;

/// Bytes of a record before its payload.
pub(crate) const HEADER_BYTES: usize = 48;

/// First byte of a leaf's data: which form of commitment follows.
const COMMITMENT_VERSION: u8 = 1;

/// Bytes of the checksum.
const SUM_BYTES: usize = 4;

/// Bytes of length and index.
const BYTES_BEFORE_SALT: usize = 12;

/// Random bytes that keep the leaf from telling a guessable payload.
pub(crate) type Salt = [u8; 32];

/// Leaf hash of a payload: over `0x01 || SHA-256(salt || payload)`.
pub fn leaf_of(salt: &[u8; 32], payload: &[u8]) -> Hash {
    leaf_over(&Sha256::new().chain_update(salt).chain_update(payload).finalize().into())
}

/// Leaf hash over a commitment.
fn leaf_over(commitment: &Hash) -> Hash {
    let mut data = [COMMITMENT_VERSION; 33];
    if let Some(tail) = data.last_chunk_mut::<32>() {
        *tail = *commitment;
    }
    leaf_hash(&data)
}

/// An entry ready to be appended; everything that does not depend on its index is done.
pub(crate) struct Prepared<'a> {
    /// Length, index, salt and payload: what the checksum is over, in its order.
    summed: &'a mut Vec<u8>,
    pub(crate) leaf: Hash,
}

impl Prepared<'_> {
    /// Prepares `entry` in `room`, whose contents are of no use to anybody.
    pub(crate) fn new<'a>(
        entry: &Entry,
        salt: &Salt,
        room: &'a mut Vec<u8>,
    ) -> Result<Prepared<'a>, LogError> {
        room.clear();
        room.reserve(RECORD_BYTES_USUAL);
        room.extend_from_slice(&[0; BYTES_BEFORE_SALT]);
        room.extend_from_slice(salt);
        serde_json::to_writer(&mut *room, entry).map_err(LogError::Json)?;
        let payload_bytes = room.len() - BYTES_BEFORE_SALT - salt.len();
        if payload_bytes > ENTRY_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: payload_bytes });
        }
        if let Some(length) = room.first_chunk_mut::<4>() {
            // At most ENTRY_BYTES_MAX, so it always fits.
            *length = u32::try_from(payload_bytes).unwrap_or(u32::MAX).to_le_bytes();
        }
        let committed = room.get(BYTES_BEFORE_SALT..).unwrap_or_default();
        Ok(Prepared { leaf: leaf_over(&Sha256::digest(committed).into()), summed: room })
    }

    /// Bytes the record takes in the segment.
    pub(crate) fn record_bytes(&self) -> usize {
        SUM_BYTES + self.summed.len()
    }

    /// Appends the record of entry `index` to `buffer`.
    pub(crate) fn append_to(&mut self, buffer: &mut Vec<u8>, index: u64) {
        if let Some(place) = self.summed.get_mut(4..BYTES_BEFORE_SALT) {
            place.copy_from_slice(&index.to_le_bytes());
        }
        buffer.reserve(self.record_bytes());
        if let Some((length, rest)) = self.summed.split_first_chunk::<4>() {
            buffer.extend_from_slice(length);
            buffer.extend_from_slice(&crc32fast::hash(self.summed).to_le_bytes());
            buffer.extend_from_slice(rest);
        }
    }
}

fn checksum(length: &[u8], index: &[u8], salt: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [length, index, salt, payload] {
        sum.update(part);
    }
    sum.finalize()
}

/// A record as found in a segment.
#[derive(Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) index: u64,
    pub(crate) salt: &'a Salt,
    pub(crate) payload: &'a [u8],
}

impl Raw<'_> {
    pub(crate) fn leaf(&self) -> Hash {
        leaf_of(self.salt, self.payload)
    }

    pub(crate) fn record_bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }
}

/// What the first bytes of a segment's rest are.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// A whole record.
    Record(Raw<'a>),
    /// The beginning of a record.
    Incomplete,
    /// No record.
    Damaged(&'static str),
}

/// Reads the record at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Parsed::Incomplete };
    let Ok(payload_bytes) = usize::try_from(u32::from_le_bytes(*length)) else {
        return Parsed::Damaged("its length is impossible");
    };
    if payload_bytes > ENTRY_BYTES_MAX {
        return Parsed::Damaged("its length is impossible");
    }
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Parsed::Incomplete };
    let Some((index, rest)) = rest.split_first_chunk::<8>() else { return Parsed::Incomplete };
    let Some((salt, rest)) = rest.split_first_chunk::<32>() else { return Parsed::Incomplete };
    let Some(payload) = rest.get(..payload_bytes) else { return Parsed::Incomplete };
    if checksum(length, index, salt, payload) != u32::from_le_bytes(*sum) {
        return Parsed::Damaged("its checksum is wrong");
    }
    Parsed::Record(Raw { index: u64::from_le_bytes(*index), salt, payload })
}
