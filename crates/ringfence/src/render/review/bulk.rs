//! Directories that programs fill with files nobody reads: folded to one line each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringfence_runtime::review::Change;

/// Fewer changes than this are named, wherever they are.
const FOLDED_MIN: usize = 10;
/// Names of such directories.
const NAMES: &[&str] =
    &[".gradle", ".next", ".tox", ".venv", "__pycache__", "node_modules", "target", "venv"];

/// What is named one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// All but what is in such directories.
    Bulk,
    /// Everything.
    Nothing,
}

/// The changes in one such directory.
pub(super) struct Bulk<'a> {
    pub(super) path: PathBuf,
    pub(super) changes: Vec<&'a Change>,
}

/// Parts changes into what is named one by one and the rest; what is to be looked at first is named
/// wherever it is.
pub(super) fn fold(changes: &[Change], how: Fold) -> (Vec<&Change>, Vec<Bulk<'_>>) {
    let root = |change: &Change| {
        let is_plain = change.host_runs.is_none()
            && change.secret.is_none()
            && change.leads_out.is_none()
            && change.held.is_none();
        (is_plain && how == Fold::Bulk).then(|| bulk_root(change)).flatten()
    };
    let mut bulks: BTreeMap<PathBuf, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        if let Some(root) = root(change) {
            bulks.entry(root).or_default().push(change);
        }
    }
    bulks.retain(|_, within| within.len() >= FOLDED_MIN);
    let is_single = |change: &&Change| root(change).is_none_or(|root| !bulks.contains_key(&root));
    let single = changes.iter().filter(is_single).collect();
    (single, bulks.into_iter().map(|(path, changes)| Bulk { path, changes }).collect())
}

/// The highest directory of the kind that a change is at or in.
fn bulk_root(change: &Change) -> Option<PathBuf> {
    let mut in_git = false;
    let depth = change.below.iter().position(|name| {
        let objects = in_git && name == "objects";
        in_git |= name == ".git";
        objects || NAMES.iter().any(|known| name == *known)
    })?;
    let after = change.below.iter().count().checked_sub(depth + 1)?;
    change.path.ancestors().nth(after).map(Path::to_owned)
}
