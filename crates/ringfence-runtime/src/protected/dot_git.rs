//! What `.git` is in a working tree: the repository, or a link or a file that leads to it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::is_git_dir;

/// Largest `.git` file that git reads, in bytes.
const DOT_GIT_BYTES_MAX: u64 = 1 << 20;

/// The git directory of a working tree: `.git` itself, or where the link or the file `.git` leads.
pub(super) fn leads_to(worktree: &Path) -> Option<PathBuf> {
    let dot_git = worktree.join(".git");
    let metadata = fs::metadata(&dot_git).ok()?;
    if metadata.is_dir() {
        return Some(dot_git);
    }
    if !metadata.is_file() || metadata.len() > DOT_GIT_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(&dot_git).ok()?.take(DOT_GIT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let to = bytes.strip_prefix(b"gitdir: ")?;
    // Git takes away the ends of lines, and no other blank. It reads up to a NUL.
    let length = to.iter().rposition(|byte| !b"\r\n".contains(byte))? + 1;
    let to = to.get(..length)?.split(|byte| *byte == 0).next()?;
    Some(worktree.join(OsStr::from_bytes(to)))
}

/// Whether a file called `.git` is as git makes it for a working tree of its own or for a submodule:
/// it leads to a part of a repository that knows of it.
pub(crate) fn is_plain(dot_git: &Path) -> bool {
    let is_file = fs::symlink_metadata(dot_git).is_ok_and(|metadata| metadata.is_file());
    let Some(worktree) = dot_git.parent().filter(|_| is_file) else { return false };
    let Some(git_dir) = leads_to(worktree).and_then(|dir| fs::canonicalize(dir).ok()) else {
        return false;
    };
    is_own_worktree(&git_dir, dot_git) || is_submodule(&git_dir, worktree)
}

/// `git worktree add` notes in the repository where the working tree is.
fn is_own_worktree(git_dir: &Path, dot_git: &Path) -> bool {
    let worktrees = git_dir.parent().filter(|above| above.ends_with("worktrees"));
    let noted = fs::read_to_string(git_dir.join("gitdir")).unwrap_or_default();
    let known = fs::canonicalize(git_dir.join(noted.trim_end_matches(['\r', '\n'])));
    worktrees.and_then(Path::parent).is_some_and(is_git_dir)
        && known.is_ok_and(|known| fs::canonicalize(dot_git).is_ok_and(|it| it == known))
}

/// `git submodule add` puts the repository into that of the working tree around it.
fn is_submodule(git_dir: &Path, worktree: &Path) -> bool {
    let around = worktree.ancestors().skip(1).filter_map(leads_to);
    let mut modules = around.filter_map(|dir| fs::canonicalize(dir.join("modules")).ok());
    is_git_dir(git_dir) && modules.any(|modules| git_dir.starts_with(modules))
}

#[cfg(test)]
mod tests;
