//! What is held back and comes again by another way: out of a commit that the session made in git.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ringfence_sandbox::beneath::Dir;

use super::kept::Kept;
use super::{Change, Kind, What};
use crate::state::StateDirs;

/// Most of an index that is looked through, in bytes; of a larger one nobody knows what is in it.
const INDEX_BYTES_MAX: u64 = 64 << 20;
/// The version of git's index that has no whole names (`gitformat-index(5)`).
const WITHOUT_NAMES: u8 = 4;

/// A file that may be in what the session committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThroughGit {
    /// The file, within the repository.
    pub path: PathBuf,
    /// The working tree.
    pub repository: PathBuf,
    /// The references that the session made or moved, as git calls them.
    pub references: Vec<String>,
}

/// Of what the host would run by itself, what may be in a commit of the session's: git tracks it, as
/// the index there says, and a reference was moved. `all` is what waits, `of` what is asked about.
pub fn through_git(
    (dirs, kept): (&StateDirs, &Kept),
    all: &[&Change],
    of: &[&Change],
) -> Vec<ThroughGit> {
    let runs = of.iter().filter(|it| it.host_runs.is_some() && it.kind != Kind::Deleted);
    runs.filter_map(|change| {
        let repositories = change.below.ancestors().skip(1);
        let (root, references) = repositories
            .map(|root| (root, references(all, (change.tree, root))))
            .find(|(_, references)| !references.is_empty())?;
        let path = change.below.strip_prefix(root).ok()?.to_owned();
        let upper = kept.upper(dirs, change.tree).join(root);
        // Where the session did not write the index, it added nothing.
        let tree = kept.trees.get(change.tree)?.path.components();
        is_tracked(&upper, &path).then(|| ThroughGit {
            path,
            // Part by part: an empty one would leave a slash at the end.
            repository: tree.chain(root.components()).collect(),
            references,
        })
    })
    .collect()
}

/// The references of a repository that were made or moved.
fn references(all: &[&Change], (tree, root): (usize, &Path)) -> Vec<String> {
    let git = root.join(".git");
    let moved = all.iter().filter(|it| {
        it.tree == tree
            && it.what == What::File
            && it.kind != Kind::Deleted
            && it.below.starts_with(git.join("refs"))
    });
    let name = |it: &&&Change| Some(it.below.strip_prefix(&git).ok()?.to_str()?.to_owned());
    moved.filter_map(|it| name(&it)).collect()
}

/// Whether git's index names a file.
fn is_tracked(repository: &Path, path: &Path) -> bool {
    let index = Dir::at(repository)
        .and_then(|dir| dir.beneath(Path::new(".git")))
        .and_then(|dir| dir.file(OsStr::new("index")));
    let mut bytes = Vec::new();
    let Ok(index) = index else { return false };
    if index.take(INDEX_BYTES_MAX).read_to_end(&mut bytes).is_err() {
        return true;
    }
    let is_whole = u64::try_from(bytes.len()).is_ok_and(|it| it < INDEX_BYTES_MAX);
    let named = [path.as_os_str().as_bytes(), b"\0"].concat();
    !is_whole || bytes.get(7) == Some(&WITHOUT_NAMES) || contains(&bytes, &named)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|at| at == what)
}
