//! The end of a log: how many entries, and their root.

use crate::tree::{Hash, Tree};

/// How a log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Number of entries.
    pub size: u64,
    /// Root hash over them.
    pub root: Hash,
}

impl Closed {
    pub(crate) fn of(tree: &Tree) -> Closed {
        Closed { size: tree.size(), root: tree.root() }
    }

    /// As bytes, for another process: the size (little-endian) and the root.
    pub fn to_bytes(self) -> Vec<u8> {
        [self.size.to_le_bytes().as_slice(), &self.root].concat()
    }

    /// What [`Closed::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Closed> {
        let (size, root) = bytes.split_first_chunk::<8>()?;
        Some(Closed { size: u64::from_le_bytes(*size), root: root.try_into().ok()? })
    }
}
