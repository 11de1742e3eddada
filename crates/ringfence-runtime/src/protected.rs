//! Places in writable trees whose content the host runs by itself: git hooks, editor tasks, agent
//! settings.
//!
//! What exists is read-only in the world. What does not exist is covered too, for a file that
//! appears there would be just as good (CVE-2026-25725). Every directory above a protected place,
//! up to the root of the writable tree, is a mount point of its own: the kernel lets nobody rename
//! a mount point, so that `mv .git x` cannot move the protection away.

mod closed;
mod dot_git;
mod gitlinks;
mod half_made;
mod named;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(crate) use dot_git::is_plain as is_plain_dot_git;
pub(crate) use half_made::is_dot_git;
pub use half_made::may_become_git_dir;
pub(crate) use named::PersonsFiles;
pub(crate) use walk::survey_opening;
pub use walk::{Surveys, survey};

/// A directory or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Covered by an empty directory where absent.
    Dir,
    /// Held by policy and by the quarantine where absent: an empty file would show in the tree.
    File,
}

/// One protected place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// What it is where it is absent.
    pub kind: Kind,
    /// Why, for a person; safe inside a Cedar string.
    pub why: &'static str,
}

/// The place that nothing lifts.
const OWN: &str = ".ringfence";

/// Protected places directly in a project: name, kind, and why.
pub const IN_PROJECT: &[(&str, Kind, &str)] = &[
    (OWN, Kind::Dir, "this is the policy itself"),
    (".claude", Kind::Dir, "Claude Code runs hooks, agents and commands from here on the host"),
    (".codex", Kind::Dir, "Codex takes its configuration from here on the host"),
    (".cursor", Kind::Dir, "Cursor runs hooks and servers from here on the host"),
    (".gemini", Kind::Dir, "Gemini runs servers and commands from here on the host"),
    (".vscode", Kind::Dir, "the editor runs tasks from here on the host"),
    (".idea", Kind::Dir, "the editor runs configurations from here on the host"),
    (".zed", Kind::Dir, "the editor runs tasks from here on the host"),
    (".husky", Kind::Dir, "git runs these hooks on the host"),
    (".devcontainer", Kind::Dir, "the editor runs commands from here on the host"),
    (".mcp.json", Kind::File, "agents start servers from here on the host"),
    (".envrc", Kind::File, "the shell runs this on the host"),
];

/// What lets agents write to a protected place of a project all the same, and why it is none by itself.
pub fn lifted_by(project: &Path, path: &Path) -> Option<String> {
    let inside = path.strip_prefix(project).ok()?;
    let (name, _, why) = IN_PROJECT.iter().find(|(name, _, _)| inside.starts_with(name))?;
    (*name != OWN).then(|| {
        format!(
            "`[dangerous] unprotect = [\"{name}\"]` in your settings lets agents write there; {why}"
        )
    })
}

/// Protected places in a git directory.
const IN_GIT_DIR: &[(&str, Kind, &str)] = &[
    ("hooks", Kind::Dir, "git runs these hooks on the host"),
    ("config", Kind::File, "git runs programs named here on the host; the world has a copy"),
    ("config.worktree", Kind::File, "git runs programs named here on the host"),
    (COMMON_DIR, Kind::File, "git takes configuration and hooks from where this says"),
];

/// Says where a git directory takes configuration, hooks and objects from; absent in most.
pub const COMMON_DIR: &str = "commondir";
/// What it says when that is the directory itself.
pub const COMMON_DIR_ITSELF: &str = ".\n";
/// The protected places of a git directory whose configuration and hooks are elsewhere.
const IN_LINKED_GIT_DIR: &[&str] = &[COMMON_DIR, "config.worktree"];

/// The protected places of a project, whether or not they exist; those of its repository only if
/// it has one (repositories born in a world are looked at when it ends).
pub fn in_project(project: &Path, unprotected: &[String]) -> Vec<Place> {
    let listed = IN_PROJECT
        .iter()
        .filter(|(name, _, _)| !unprotected.iter().any(|free| free == name))
        .map(|(name, kind, why)| Place { path: project.join(name), kind: *kind, why });
    let repository = git_dir_of(project);
    let in_repository = repository.iter().flat_map(|dir| in_git_dir(dir));
    listed.chain(in_repository).chain(dot_git_file(project)).collect()
}

/// The places in `tree` that git runs or reads because a person's own configuration of this
/// repository, or of all, names them; none where there is no repository.
pub(crate) fn named_in_git(git_dir: &Path, tree: &Path, persons: &PersonsFiles) -> Vec<Place> {
    match git_dir.parent().filter(|_| git_dir.ends_with(".git")) {
        Some(worktree) => named::places(worktree, tree, persons),
        None => Vec::new(),
    }
}

/// The protected places of one git directory.
pub fn in_git_dir(git_dir: &Path) -> Vec<Place> {
    let linked = git_dir.join(COMMON_DIR).exists() && !git_dir.join("objects").exists();
    IN_GIT_DIR
        .iter()
        .filter(|(name, _, _)| !linked || IN_LINKED_GIT_DIR.contains(name))
        .map(|(name, kind, why)| Place { path: git_dir.join(name), kind: *kind, why })
        .collect()
}

/// The git directory of a working tree, if `.git` is a real directory in it.
pub fn git_dir_of(worktree: &Path) -> Option<PathBuf> {
    let dot_git = worktree.join(".git");
    fs::symlink_metadata(&dot_git).is_ok_and(|metadata| metadata.is_dir()).then_some(dot_git)
}

/// The link or the file that says where the repository of a working tree is, if it has one.
fn dot_git_file(worktree: &Path) -> Option<Place> {
    let path = worktree.join(".git");
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_dir());
    is_file.then(|| Place::of_dot_git_file(path))
}

impl Place {
    /// What a [`Survey`] has among [`Survey::dot_git_files`].
    pub fn of_dot_git_file(path: PathBuf) -> Place {
        let why = "git takes configuration and hooks from where this leads";
        Place { path, kind: Kind::File, why }
    }
}

/// What a walk through a writable tree found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Git directories, submodules' included.
    pub git_dirs: Vec<PathBuf>,
    /// Files and links that are called `.git`: they say which repository a working tree has.
    pub dot_git_files: BTreeSet<PathBuf>,
    /// Files that the host may run by itself, wherever in the tree they are.
    pub runnable: BTreeMap<PathBuf, Stamp>,
    /// The tree was too large to look at all of it, or a part of it cannot be read.
    pub cut_short: bool,
    /// Directories that were closed to their owner and are open now.
    pub opened: Vec<PathBuf>,
}

/// Tells whether a file is still the same; the change time cannot be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    names: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Whether the file could be reached by another name as well.
    pub(crate) fn has_other_names(&self) -> bool {
        self.names > 1
    }

    fn of(metadata: &fs::Metadata) -> Stamp {
        Stamp {
            inode: metadata.ino(),
            size: metadata.size(),
            names: metadata.nlink(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Git itself takes a directory with these for a repository, whatever it is called: `HEAD` may be a
/// link that leads nowhere, and a file may say where the rest is.
pub fn is_git_dir(dir: &Path) -> bool {
    let has = |name: &str| fs::symlink_metadata(dir.join(name)).is_ok();
    // Git asks whether it may enter them, and so takes a file that may be run.
    let whole = dir.join("objects").exists() && dir.join("refs").exists();
    has("HEAD") && (whole || has(COMMON_DIR))
}

/// Whether a repository of its own, or a working tree of one, takes nothing from elsewhere.
pub fn is_plain_common_dir(git_dir: &Path, says: &str) -> bool {
    let worktrees = git_dir.parent().filter(|above| above.ends_with("worktrees"));
    match (says.trim_end(), worktrees.and_then(Path::parent)) {
        (".", _) => git_dir.join("objects").is_dir() && git_dir.join("refs").is_dir(),
        ("../..", Some(common)) => is_git_dir(common),
        _ => false,
    }
}

/// Whether a protected place is a file by its name: nothing that shows in the tree covers it where
/// it is absent.
pub(crate) fn is_single_file(path: &Path) -> bool {
    let mut all = IN_PROJECT.iter().chain(IN_GIT_DIR);
    let is = |name: &str| path.file_name().is_some_and(|it| it == name);
    all.any(|(name, kind, _)| *kind == Kind::File && is(name))
}

/// The directories above `place` up to `root`, nearest to the root first, without the root.
pub fn between(root: &Path, place: &Path) -> Vec<PathBuf> {
    let above = place.ancestors().skip(1);
    let mut dirs: Vec<PathBuf> =
        above.take_while(|dir| *dir != root && dir.starts_with(root)).map(Path::to_owned).collect();
    dirs.reverse();
    dirs
}

#[cfg(test)]
mod tests;
