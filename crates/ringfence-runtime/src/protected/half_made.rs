//! Directories that are no repository yet, and are one with its hooks after a person's `git init`.
//!
//! `git init` completes what it finds: it leaves the hooks and the configuration that are there. A
//! directory called `.git` is what it would complete; any other one (`git init --bare DIR`) is taken
//! for such when it has at least two of the things that a repository has.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::walk::take_git_files;
use super::{Stamp, Survey};

/// How many of a repository's parts make a directory look like one.
pub(super) const PARTS_MIN: usize = 2;

/// The hooks that git runs (githooks(5)); a file of another name beside them is not run.
const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// Whether git takes a directory for a repository, or would after `git init`.
pub fn may_become_git_dir(dir: &Path) -> bool {
    if is_dot_git(dir) || super::is_git_dir(dir) {
        return true;
    }
    let metadata = |name: &str| fs::symlink_metadata(dir.join(name));
    let files =
        ["HEAD", "config"].iter().filter(|name| metadata(name).is_ok_and(|it| !it.is_dir()));
    let dirs = ["hooks", "objects", "refs"].iter().filter(|name| dir.join(name).is_dir());
    files.chain(dirs).count() >= PARTS_MIN
}

/// Whether a path is that of a working tree's repository, whatever is there.
pub(crate) fn is_dot_git(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".git")
}

/// Notes what git would run or read of it.
pub(super) fn take(dir: &Path, found: &mut Survey) {
    take_git_files(dir, found);
    for name in HOOKS {
        let path = dir.join("hooks").join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        // What cannot be started is no hook; where only git looks, no other file has that name.
        let starts = metadata.is_symlink() || metadata.permissions().mode() & 0o111 != 0;
        if starts || is_dot_git(dir) {
            found.runnable.insert(path, Stamp::of(&metadata));
        }
    }
}
