//! Looks through a writable tree for repositories and for what the host runs by itself.
//!
//! Whoever wrote the tree may have written it against this: what is said to be a repository hides
//! nothing that lies in it, and every step, also one that a link or an index asks for, is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::gitlinks::{self, Gitlinks};
use super::{COMMON_DIR, IN_PROJECT, Stamp, Survey};
use super::{closed, dot_git, half_made, is_dot_git, is_git_dir, may_become_git_dir};

/// Deepest level below a writable root at which repositories are looked for.
const SCAN_DEPTH_MAX: usize = 4;

/// Most directory entries that are looked at in one writable root.
const SCAN_ENTRIES_MAX: usize = 20_000;

/// Room for the entries that the kernel gives at a time, in bytes.
const LISTING_BYTES: usize = 16 * 1024;

/// Directories that hold a great many files and no repository a person works in.
const SCAN_SKIPPED: &[&str] = &["node_modules", "target", ".venv", "venv", "__pycache__", ".cache"];

/// Looks at `root` and beneath, at most [`SCAN_DEPTH_MAX`] levels deep. Links are not followed,
/// but for those that git follows: `.git` itself may be one, or a file that leads elsewhere.
pub fn survey(root: &Path) -> Survey {
    walk(root, IfClosed::Leave)
}

/// The same of what a world has left: git and others find by name what a directory does not list,
/// so one of ours that is closed to ourselves is opened, and stays so.
pub(crate) fn survey_opening(root: &Path) -> Survey {
    walk(root, IfClosed::Open)
}

fn walk(root: &Path, if_closed: IfClosed) -> Survey {
    let mut walk = Walk {
        root,
        if_closed,
        left: SCAN_ENTRIES_MAX,
        found: Survey::default(),
        todo: Vec::new(),
        gitlinks: BTreeMap::new(),
        entered: BTreeSet::new(),
    };
    let (dir, run_by) = (root.to_owned(), RunBy::Nobody);
    walk.todo.push(Visit { dir, depth: 0, run_by, way: Way::Walked });
    while let Some(visit) = walk.todo.pop() {
        walk.visit(&visit);
    }
    walk.found.git_dirs.sort();
    walk.found
}

/// Each tree is looked through once, however many want to know what is in it.
#[derive(Debug, Default)]
pub struct Surveys(BTreeMap<PathBuf, Survey>);

impl Surveys {
    /// What was found in `root` when it was first asked for.
    pub fn of(&mut self, root: &Path) -> &Survey {
        self.0.entry(root.to_owned()).or_insert_with(|| survey(root))
    }
}

/// What becomes of a directory that cannot be looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfClosed {
    Leave,
    Open,
}

/// A directory that is still to be looked into.
struct Visit {
    dir: PathBuf,
    depth: usize,
    run_by: RunBy,
    way: Way,
}

/// Who runs the files of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunBy {
    Nobody,
    /// An editor, an agent or git: it is one of [`IN_PROJECT`], or a hooks directory.
    Host,
}

/// How a directory was come upon.
#[derive(PartialEq, Eq)]
enum Way {
    /// It lies in one that was looked into.
    Walked,
    /// It is part of a repository.
    OfGitDir,
    /// It is the repository of this working tree.
    OfWorktree(PathBuf),
}

/// What a directory lists.
struct Listing {
    /// Those that may matter: directories, and what the host runs.
    entries: Vec<Entry>,
    /// The names among [`KNOWN`].
    known: Vec<&'static str>,
    whole: Whole,
}

/// An entry of a directory.
struct Entry {
    name: OsString,
    kind: FileType,
}

/// Whether what is not listed is not there. Where names are compared without case, letters beyond
/// ASCII may stand for plain ones.
#[derive(PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

/// The names that make a directory look like a repository or a working tree, in lower case.
const KNOWN: &[&str] = &[".git", "head", "config", COMMON_DIR, "hooks", "objects", "refs"];

impl Listing {
    fn may_have(&self, name: &str) -> bool {
        self.whole == Whole::No || self.known.contains(&name)
    }

    /// Whether it is worth a closer look whether `dir` is a repository, or nearly one.
    fn may_be_git_dir(&self, dir: &Path) -> bool {
        let parts = self.known.iter().filter(|name| **name != ".git").count();
        self.whole == Whole::No || is_dot_git(dir) || parts >= half_made::PARTS_MIN
    }
}

struct Walk<'a> {
    root: &'a Path,
    if_closed: IfClosed,
    left: usize,
    found: Survey,
    todo: Vec<Visit>,
    /// What the indexes of each git directory say.
    gitlinks: BTreeMap<PathBuf, Gitlinks>,
    /// Git directories with the working trees that were entered from them.
    entered: BTreeSet<(PathBuf, PathBuf)>,
}

impl Walk<'_> {
    fn visit(&mut self, visit: &Visit) {
        let listing = self.list(visit);
        if visit.run_by == RunBy::Host || !listing.known.is_empty() {
            self.enter(&visit.dir);
        }
        if listing.may_be_git_dir(&visit.dir) {
            if is_git_dir(&visit.dir) {
                self.take_git_dir(visit);
                // One of another name may be no repository at all, but what hides the rest.
                let walked = visit.way == Way::Walked && !is_dot_git(&visit.dir);
                if !walked && visit.dir != self.root {
                    return;
                }
            } else if may_become_git_dir(&visit.dir) {
                half_made::take(&visit.dir, &mut self.found);
            }
        }
        // A directory is met among the others.
        if listing.may_have(".git")
            && fs::symlink_metadata(visit.dir.join(".git")).is_ok_and(|it| !it.is_dir())
        {
            self.follow_dot_git(&visit.dir, visit.depth);
        }
        for entry in &listing.entries {
            self.look_at(entry, visit);
        }
    }

    /// What is in a directory, as far as there are steps left.
    fn list(&mut self, visit: &Visit) -> Listing {
        let mut listing = Listing { entries: Vec::new(), known: Vec::new(), whole: Whole::No };
        let Some(dir) = self.read(&visit.dir) else { return listing };
        listing.whole = Whole::Yes;
        let mut space = [MaybeUninit::uninit(); LISTING_BYTES];
        let mut entries = RawDir::new(dir, &mut space);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else {
                listing.whole = Whole::No;
                break;
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if !self.counts() {
                listing.whole = Whole::No;
                break;
            }
            if let Some(known) = KNOWN.iter().find(|it| name.eq_ignore_ascii_case(it.as_bytes())) {
                listing.known.push(known);
            } else if !name.is_ascii() {
                listing.whole = Whole::No;
            }
            let name = OsStr::from_bytes(name);
            let kind = entry.file_type();
            let plain = kind == FileType::RegularFile && visit.run_by == RunBy::Nobody;
            if !plain || is_listed(name) {
                listing.entries.push(Entry { name: name.to_owned(), kind });
            }
        }
        listing
    }

    fn read(&mut self, dir: &Path) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let read = || rustix::fs::open(dir, flags, Mode::empty());
        match read() {
            Ok(read) => return Some(read),
            Err(Errno::ACCESS | Errno::PERM) => {}
            Err(_) => return None,
        }
        self.open(dir);
        let read = read().ok();
        self.found.cut_short |= read.is_none() && closed::may_hide(dir);
        read
    }

    /// Looks whether what a directory lists can be looked at, too.
    fn enter(&mut self, dir: &Path) {
        let entered = || fs::symlink_metadata(dir.join("."));
        let closed = |it: io::Error| it.kind() == io::ErrorKind::PermissionDenied;
        if entered().is_err_and(closed) {
            self.open(dir);
            self.found.cut_short |= entered().is_err_and(closed);
        }
    }

    fn open(&mut self, dir: &Path) {
        if self.if_closed == IfClosed::Open {
            self.found.opened.extend(closed::open_up(self.root, dir));
        }
    }

    /// Whether one more step may be taken.
    fn counts(&mut self) -> bool {
        let rest = self.left.checked_sub(1);
        self.found.cut_short |= rest.is_none();
        self.left = rest.unwrap_or(0);
        rest.is_some()
    }

    fn look_at(&mut self, entry: &Entry, visit: &Visit) {
        let (name, path) = (entry.name.as_os_str(), visit.dir.join(&entry.name));
        // Some file systems do not say what an entry is.
        let is_dir = if entry.kind == FileType::Unknown {
            fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir())
        } else {
            entry.kind == FileType::Directory
        };
        let listed = is_listed(name);
        let run_by = if listed { RunBy::Host } else { visit.run_by };
        if is_dir {
            let skipped = SCAN_SKIPPED.iter().any(|skipped| name == *skipped);
            let deep = visit.depth >= SCAN_DEPTH_MAX && !listed && name != ".git";
            if !skipped && !deep && visit.depth < 2 * SCAN_DEPTH_MAX {
                let depth = visit.depth + 1;
                self.todo.push(Visit { dir: path, depth, run_by, way: Way::Walked });
            }
        } else if run_by == RunBy::Host
            && Path::new(name).extension().is_none_or(|extension| extension != "sample")
        {
            note(&path, &mut self.found);
        }
    }

    fn take_git_dir(&mut self, visit: &Visit) {
        if !self.found.git_dirs.contains(&visit.dir) {
            self.found.git_dirs.push(visit.dir.clone());
            self.take_parts(visit);
            take_git_files(&visit.dir, &mut self.found);
        }
        let worktree = match &visit.way {
            Way::OfWorktree(worktree) => Some(worktree.as_path()),
            Way::Walked => visit.dir.parent(),
            // Its working tree leads here by itself.
            Way::OfGitDir => None,
        };
        if let Some(worktree) = worktree {
            self.take_submodules(&visit.dir, worktree, visit.depth);
        }
    }

    fn take_parts(&mut self, visit: &Visit) {
        for name in ["modules", "worktrees"] {
            let parts = visit.dir.join(name);
            // Opened where it is closed; what it lists is read again.
            let listed = self.read(&parts).and_then(|_| fs::read_dir(&parts).ok());
            self.enter(&parts);
            let listed = listed.into_iter().flatten().flatten();
            for part in listed.map(|entry| entry.path()).filter(|path| path.is_dir()) {
                if !self.counts() {
                    return;
                }
                if let Some(dir) = self.within(&part) {
                    let (depth, run_by) = (visit.depth, RunBy::Nobody);
                    self.todo.push(Visit { dir, depth, run_by, way: Way::OfGitDir });
                }
            }
        }
        let (dir, run_by) = (visit.dir.join("hooks"), RunBy::Host);
        self.todo.push(Visit { dir, depth: visit.depth, run_by, way: Way::Walked });
    }

    /// Git enters the submodules that an index names, however deep and in whatever directory.
    fn take_submodules(&mut self, git_dir: &Path, worktree: &Path, depth: usize) {
        if !self.entered.insert((git_dir.to_owned(), worktree.to_owned())) {
            return;
        }
        let links =
            self.gitlinks.entry(git_dir.to_owned()).or_insert_with(|| gitlinks::of(git_dir));
        self.found.cut_short |= links.unreadable;
        for path in links.paths.clone() {
            if !self.counts() {
                return;
            }
            self.follow_dot_git(&worktree.join(path), depth);
        }
    }

    /// A working tree's `.git` may be a link or a file that leads to a repository anywhere.
    fn follow_dot_git(&mut self, worktree: &Path, depth: usize) {
        // What lies outside of the writable tree was not written from within.
        let Some(worktree) = self.within(worktree) else { return };
        let path = worktree.join(".git");
        let Ok(metadata) = fs::symlink_metadata(&path) else { return };
        if !metadata.is_dir() {
            note(&path, &mut self.found);
            self.found.dot_git_files.insert(path.clone());
        }
        let leads_to = dot_git::leads_to(&worktree).and_then(|dir| self.within(&dir));
        if let Some(dir) = leads_to.filter(|dir| is_git_dir(dir) || *dir == path) {
            let (run_by, way) = (RunBy::Nobody, Way::OfWorktree(worktree));
            self.todo.push(Visit { dir, depth, run_by, way });
        }
    }

    /// A directory under its real name, if it is one of the writable tree.
    fn within(&self, dir: &Path) -> Option<PathBuf> {
        fs::canonicalize(dir).ok().filter(|dir| dir.starts_with(self.root))
    }
}

/// Whether the host runs what is in a directory of this name, or the file itself.
fn is_listed(name: &OsStr) -> bool {
    IN_PROJECT.iter().any(|(listed, _, _)| name == *listed)
}

/// The files by which git knows what to run and where the rest is.
pub(super) fn take_git_files(git_dir: &Path, found: &mut Survey) {
    for name in ["config", "config.worktree", COMMON_DIR] {
        note(&git_dir.join(name), found);
    }
}

/// Notes that the host may run a file, if it is there.
pub(super) fn note(path: &Path, found: &mut Survey) {
    if let Ok(metadata) = fs::symlink_metadata(path) {
        found.runnable.insert(path.to_owned(), Stamp::of(&metadata));
    }
}
