//! Places in writable trees whose content the host runs by itself: git hooks, editor tasks, agent
//! settings.
//!
//! What exists is read-only in the world. What does not exist is covered too, for a file that
//! appears there would be just as good (CVE-2026-25725). Every directory above a protected place,
//! up to the root of the writable tree, is a mount point of its own: the kernel lets nobody rename
//! a mount point, so that `mv .git x` cannot move the protection away.

mod gitlinks;
mod half_made;
mod named;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(crate) use half_made::is_dot_git;
pub use half_made::may_become_git_dir;
pub(crate) use named::PersonsFiles;

/// Deepest level below a writable root at which repositories are looked for.
const SCAN_DEPTH_MAX: usize = 4;

/// Most directory entries that are looked at in one writable root.
const SCAN_ENTRIES_MAX: usize = 20_000;

/// Directories that hold a great many files and no repository a person works in.
const SCAN_SKIPPED: &[&str] = &["node_modules", "target", ".venv", "venv", "__pycache__", ".cache"];

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

/// Protected places directly in a project: name, kind, and why.
pub const IN_PROJECT: &[(&str, Kind, &str)] = &[
    (".ringfence", Kind::Dir, "this is the policy itself"),
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
    listed.chain(git_dir_of(project).iter().flat_map(|dir| in_git_dir(dir))).collect()
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

/// What a walk through a writable tree found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Git directories, submodules' included.
    pub git_dirs: Vec<PathBuf>,
    /// Files that the host may run by itself, wherever in the tree they are.
    pub runnable: BTreeMap<PathBuf, Stamp>,
    /// The tree was too large to look at all of it.
    pub cut_short: bool,
}

/// Tells whether a file is still the same; the change time cannot be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    names: u64,
    changed: (i64, i64),
}

/// Looks at `root` and beneath, at most [`SCAN_DEPTH_MAX`] levels deep, without following links.
pub fn survey(root: &Path) -> Survey {
    let mut found = Survey::default();
    let mut left = SCAN_ENTRIES_MAX;
    let mut todo = vec![Visit { dir: root.to_owned(), depth: 0, run_by: RunBy::Nobody }];
    while let Some(visit) = todo.pop() {
        if is_git_dir(&visit.dir) {
            if found.git_dirs.contains(&visit.dir) {
                continue;
            }
            take_git_dir(&visit, &mut found, &mut todo);
            take_submodules(root, &visit, &mut found, &mut todo);
            continue;
        }
        if may_become_git_dir(&visit.dir) {
            half_made::take(&visit, &mut found);
        }
        follow_dot_git(root, &visit, &mut todo);
        for entry in fs::read_dir(&visit.dir).into_iter().flatten().flatten() {
            let Some(rest) = left.checked_sub(1) else {
                found.cut_short = true;
                break;
            };
            left = rest;
            look_at(&entry, &visit, &mut found, &mut todo);
        }
    }
    found.git_dirs.sort();
    found
}

/// A directory that is still to be looked into.
struct Visit {
    dir: PathBuf,
    depth: usize,
    run_by: RunBy,
}

/// Who runs the files of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunBy {
    Nobody,
    /// An editor, an agent or git: it is one of [`IN_PROJECT`], or a hooks directory.
    Host,
}

fn look_at(entry: &fs::DirEntry, visit: &Visit, found: &mut Survey, todo: &mut Vec<Visit>) {
    let (name, path) = (entry.file_name(), entry.path());
    let Ok(kind) = entry.file_type() else { return };
    let listed = IN_PROJECT.iter().any(|(listed, _, _)| name == *listed);
    let run_by = if listed { RunBy::Host } else { visit.run_by };
    if kind.is_dir() {
        let skipped = SCAN_SKIPPED.iter().any(|skipped| name == *skipped);
        let deep = visit.depth >= SCAN_DEPTH_MAX && !listed && name != ".git";
        if !skipped && !deep && visit.depth < 2 * SCAN_DEPTH_MAX {
            todo.push(Visit { dir: path, depth: visit.depth + 1, run_by });
        }
    } else if (run_by == RunBy::Host || kind.is_symlink() && name == ".git")
        && path.extension().is_none_or(|extension| extension != "sample")
        && let Ok(metadata) = fs::symlink_metadata(&path)
    {
        found.runnable.insert(path, Stamp::of(&metadata));
    }
}

fn take_git_dir(visit: &Visit, found: &mut Survey, todo: &mut Vec<Visit>) {
    let below = ["modules", "worktrees"].map(|name| fs::read_dir(visit.dir.join(name)));
    let modules = below.into_iter().flatten().flatten().flatten();
    for module in modules.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        todo.push(Visit { dir: module, depth: visit.depth, run_by: RunBy::Nobody });
    }
    let hooks = visit.dir.join("hooks");
    todo.push(Visit { dir: hooks, depth: visit.depth, run_by: RunBy::Host });
    take_git_files(&visit.dir, found);
    found.git_dirs.push(visit.dir.clone());
}

/// The files by which git knows what to run and where the rest is.
fn take_git_files(git_dir: &Path, found: &mut Survey) {
    for name in ["config", "config.worktree", COMMON_DIR] {
        let path = git_dir.join(name);
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            found.runnable.insert(path, Stamp::of(&metadata));
        }
    }
}

/// Git enters the submodules that an index names, however deep and in whatever directory.
fn take_submodules(root: &Path, visit: &Visit, found: &mut Survey, todo: &mut Vec<Visit>) {
    let Some(worktree) = visit.dir.parent() else { return };
    let links = gitlinks::of(&visit.dir);
    found.cut_short |= links.unreadable;
    let dirs = links.paths.iter().filter_map(|path| gitlinks::git_dir(&worktree.join(path)));
    todo.extend(dirs.filter_map(|dir| within(root, &dir, visit.depth)));
}

/// A working tree's `.git` may be a link or a file that leads to a repository anywhere.
fn follow_dot_git(root: &Path, visit: &Visit, todo: &mut Vec<Visit>) {
    let leads_on = |metadata: fs::Metadata| !metadata.is_dir();
    if fs::symlink_metadata(visit.dir.join(".git")).is_ok_and(leads_on) {
        let dir = gitlinks::git_dir(&visit.dir).filter(|dir| is_git_dir(dir));
        todo.extend(dir.and_then(|dir| within(root, &dir, visit.depth)));
    }
}

/// What lies outside of the writable tree was not written from within.
fn within(root: &Path, dir: &Path, depth: usize) -> Option<Visit> {
    let dir = fs::canonicalize(dir).ok().filter(|dir| dir.starts_with(root))?;
    Some(Visit { dir, depth, run_by: RunBy::Nobody })
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
    let whole = dir.join("objects").is_dir() && dir.join("refs").is_dir();
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
