//! The Merkle tree of RFC 6962, section 2.1: hashes, the growing tree, and both kinds of proof.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hash of a leaf: SHA-256 of a zero byte and the leaf's data.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// Hash of an inner node: SHA-256 of a one byte and both children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One piece: the hash then reads it where it stands.
    let mut data = [1; 1 + 32 + 32];
    if let Some((_, children)) = data.split_first_mut()
        && let ([first, second], _) = children.as_chunks_mut::<32>()
    {
        (*first, *second) = (*left, *right);
    }
    Sha256::digest(data).into()
}

/// A growing tree: only the roots of its perfect subtrees, largest first.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// The empty tree.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// The tree of `size` leaves whose perfect subtrees have these roots, largest first.
    pub(crate) fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Tree> {
        let whole = u32::try_from(peaks.len()) == Ok(size.count_ones());
        whole.then_some(Tree { size, peaks })
    }

    /// The roots of its perfect subtrees, largest first.
    pub(crate) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one bit of the size is a perfect subtree that this leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root hash; that of the empty tree is SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Tree {
        let mut tree = Tree::new();
        for leaf in leaves {
            tree.push(leaf);
        }
        tree
    }
}

/// Root of the tree over these leaf hashes.
pub fn root_of(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<Tree>().root()
}

/// Proof that leaf `index` is in the tree over `leaves`; `None` when there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut range, mut at, mut proof) = (leaves, index, Vec::new());
    while range.len() > 1 {
        let (left, right) = range.split_at(split_point(range.len()));
        if at < left.len() {
            proof.push(root_of(right));
            range = left;
        } else {
            proof.push(root_of(left));
            at -= left.len();
            range = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Proof that the tree over the first `old` leaves is a prefix of the tree over all of them.
pub fn consistency_proof(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    let (mut range, mut left_of, mut whole, mut proof) = (leaves, old, true, Vec::new());
    while left_of < range.len() {
        let (left, right) = range.split_at(split_point(range.len()));
        if left_of <= left.len() {
            proof.push(root_of(right));
            range = left;
        } else {
            proof.push(root_of(left));
            left_of -= left.len();
            range = right;
            whole = false;
        }
    }
    if !whole {
        proof.push(root_of(range));
    }
    proof.reverse();
    Some(proof)
}

/// Checks an inclusion proof (RFC 9162, section 2.1.3.2).
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Checks a consistency proof (RFC 9162, section 2.1.4.2) from `old` to `new`, each (size, root).
pub fn extends(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    let seed =
        if old_size.is_power_of_two() { Some((old_root, proof)) } else { proof.split_first() };
    let Some((seed, steps)) = seed else { return false };
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    let shift = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(step, &old_hash);
            new_hash = node_hash(step, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// The largest power of two smaller than `len`, which is at least 2.
fn split_point(len: usize) -> usize {
    1 << (len - 1).ilog2()
}
