//! Caches of package managers: the host's are read-only, and each project has its own on top.
//!
//! A tool must be able to write to its cache (locks, unpacked sources, downloads), and nothing that
//! an agent wrote may be in the cache that the host builds from. So the cache's directory is a
//! private one that lives as long as the project, `STATE/caches/PROJECT/NAME`, filled with links to
//! what the host's holds. That is shown read-only beneath [`HOST_CACHES`]. What is small and
//! rewritten in place (indexes) is copied. Only what the policy lets the agent read is linked.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::ComposeError;
use super::identity::Payload;
use super::layout::{Layout, Real, Use, real};
use crate::assemble::Assembled;
use crate::home::Home;
use crate::notice::Notice;
use crate::state::StateDirs;
use crate::whole_file::{create_private_dir, sha256_hex};

/// Where the host's caches appear in the world.
const HOST_CACHES: &str = "/run/ringfence/host";

/// Largest file that is copied; larger ones are linked. In bytes: index files are smaller.
const COPY_BYTES_MAX: u64 = 64 * 1024;

/// Most files that are linked or copied for one cache: beyond it the start would be slow, and the
/// tool downloads again what it misses.
const FILES_MAX: usize = 20_000;

/// How a directory is opened that must not be a link.
const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// How a part of a cache is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// Small files are copied, large ones linked, at any depth.
    Files,
    /// Whole directories, this many levels down, are linked: their content never changes.
    Dirs(usize),
}

/// One cache: where it is, and its parts.
struct Cache {
    name: &'static str,
    variable: Option<&'static str>,
    below_home: &'static str,
    parts: &'static [(&'static str, Fill)],
    beside: Beside,
}

/// What is beside the parts of a cache that the policy shows as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Programs and settings, which are shown as they are.
    Kept,
    /// What the tool makes of the parts by itself.
    MadeAnew,
}

const CACHES: &[Cache] = &[
    Cache {
        name: "cargo",
        variable: Some("CARGO_HOME"),
        below_home: ".cargo",
        parts: &[
            ("registry/index", Fill::Files),
            ("registry/cache", Fill::Files),
            ("registry/src", Fill::Dirs(2)),
            ("git/db", Fill::Dirs(1)),
            ("git/checkouts", Fill::Dirs(2)),
        ],
        beside: Beside::Kept,
    },
    Cache {
        name: "npm",
        variable: Some("npm_config_cache"),
        below_home: ".npm",
        parts: &[("_cacache/content-v2", Fill::Files), ("_cacache/index-v5", Fill::Files)],
        beside: Beside::Kept,
    },
    Cache {
        name: "pip",
        variable: Some("PIP_CACHE_DIR"),
        below_home: ".cache/pip",
        parts: &[("http-v2", Fill::Files), ("wheels", Fill::Files)],
        beside: Beside::Kept,
    },
    // Go unpacks what it has the archive of: at places of any depth, into directories that it closes.
    Cache {
        name: "go",
        variable: None,
        below_home: "go/pkg/mod",
        parts: &[("cache/download", Fill::Files)],
        beside: Beside::MadeAnew,
    },
    Cache {
        name: "maven",
        variable: None,
        below_home: ".m2",
        parts: &[("repository", Fill::Files)],
        beside: Beside::Kept,
    },
];

/// Where the private parts of one project are kept, and whose they are.
pub(super) struct Store<'a> {
    dir: PathBuf,
    payload: &'a Payload,
}

impl Store<'_> {
    pub(super) fn of<'a>(
        dirs: &StateDirs,
        assembled: &Assembled,
        payload: &'a Payload,
    ) -> Store<'a> {
        let project = sha256_hex(assembled.project.dir.as_os_str().as_bytes());
        let short = project.get(..16).unwrap_or(&project);
        Store { dir: dirs.caches().join(short), payload }
    }

    /// The `.cache` of the worlds' homes.
    pub(super) fn of_home(&self) -> PathBuf {
        self.dir.join("home")
    }
}

/// Puts the project's own caches in place of the host's, where the plan shows those read-only.
pub(super) fn share(
    home: &Home<'_>,
    store: &Store<'_>,
    layout: &mut Layout,
) -> Result<(), ComposeError> {
    for cache in CACHES {
        let set = cache.variable.and_then(|name| home.environment.path(name));
        let root = set.unwrap_or_else(|| home.dir.join(cache.below_home));
        match place_of(&root, layout) {
            Some(place) if !layout.is_writable(&place) => share_one(cache, &place, store, layout)?,
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Where a cache can be in the world: where the way to it leads there.
///
/// In what is shown of the host nothing can be made that the host does not have, nor in what is covered; and
/// its links are followed by the tools as well.
fn place_of(root: &Path, layout: &Layout) -> Option<PathBuf> {
    let above = root.parent()?;
    if layout.hides(above) {
        return None;
    }
    if !layout.shows(above) {
        return Some(root.to_owned());
    }
    match real(root) {
        Real::Is => Some(root.to_owned()),
        Real::Absent => None,
        Real::Through { .. } => {
            let led = fs::canonicalize(root).ok()?;
            let is_open = !layout.hides(led.parent()?) && !root.starts_with(&led);
            is_open.then_some(led)
        }
    }
}

fn share_one(
    cache: &Cache,
    root: &Path,
    store: &Store<'_>,
    layout: &mut Layout,
) -> Result<(), ComposeError> {
    let private = store.dir.join(cache.name);
    create_private_dir(&store.dir)?;
    if !private.exists() {
        let mode = fs::Permissions::from_mode(0o755);
        let made = match fs::create_dir(&private) {
            // Another session that starts just now was first; both leave it the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        let made = made.and_then(|()| fs::set_permissions(&private, mode));
        made.map_err(failed(&private))?;
        store.payload.own(&private)?;
    }
    let host_in_world = Path::new(HOST_CACHES).join(cache.name);
    // A cache that is granted as a whole: its programs and settings stay what they are.
    let whole = layout.shows(root);
    for (part, fill) in cache.parts {
        let source = root.join(part);
        // It is shown at a second place as it is, where no forbid covers anything.
        let shown = layout.shows(&source) && !layout.hides_within(&source);
        if !shown || real(&source) != Real::Is {
            continue;
        }
        let in_world = host_in_world.join(part);
        layout.remove_tree(&source);
        layout.bind_private(&in_world, &source, Use::Read);
        let mut filling = Filling { store, in_world, host: source, files_left: FILES_MAX };
        filling.fill(open(&private)?, part, *fill).map_err(failed(&root.join(part)))?;
        if filling.files_left == 0 {
            let text = format!(
                "`{}` holds more than {FILES_MAX} files: some are not shown to the agent",
                root.join(part).display()
            );
            layout.notices.push(Notice::new(text));
        }
    }
    if whole && cache.beside == Beside::MadeAnew {
        layout.remove_tree(root);
    } else if whole {
        keep_entries(root, cache, layout);
    } else {
        let empty: Vec<PathBuf> = cache.parts.iter().map(|(part, _)| root.join(part)).collect();
        for part in &empty {
            layout.remove_tree(part);
        }
        for parent in empty.iter().filter_map(|part| part.parent()).filter(|it| *it != root) {
            layout.remove_tree(parent);
        }
    }
    layout.bind_private(root, &private, Use::Write);
    Ok(())
}

fn open(dir: &Path) -> Result<OwnedFd, ComposeError> {
    rustix::fs::open(dir, DIRECTORY, Mode::empty()).map_err(|error| failed(dir)(error.into()))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ComposeError {
    let path = path.to_owned();
    move |source| ComposeError::Copy { path: path.clone(), source }
}

/// What stands beside the parts of a cache (`bin`, `config.toml`) is shown as it is.
fn keep_entries(root: &Path, cache: &Cache, layout: &mut Layout) {
    let first = |part: &str| part.split('/').next().unwrap_or(part).to_owned();
    let parts: Vec<String> = cache.parts.iter().map(|(part, _)| first(part)).collect();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_part =
            entry.file_name().to_str().is_some_and(|name| parts.iter().any(|it| it == name));
        let lock = path.extension().is_none() && entry.file_name().as_bytes().starts_with(b".");
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if !is_part && !lock && !is_link && layout.shows(&path) {
            layout.bind_planned(&path, &path, Use::Read);
        }
    }
}

/// One part of a cache being filled.
///
/// An agent wrote in the private directory in an earlier run, and another session of the project
/// may write in it now: every step is taken beneath a directory that is already open, and no link
/// is followed.
struct Filling<'a> {
    store: &'a Store<'a>,
    host: PathBuf,
    in_world: PathBuf,
    files_left: usize,
}

impl Filling<'_> {
    /// Fills `part` of the private cache whose directory is open.
    fn fill(&mut self, cache: OwnedFd, part: &str, fill: Fill) -> io::Result<()> {
        let mut dir = cache;
        for name in part.split('/') {
            dir = self.enter(&dir, OsStr::new(name))?;
        }
        let host = self.host.clone();
        self.fill_dir(&host, &dir, fill)
    }

    fn fill_dir(&mut self, from: &Path, to: &OwnedFd, fill: Fill) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if self.files_left == 0 {
                return Ok(());
            }
            match fill {
                Fill::Dirs(0 | 1) => self.link(&entry, to)?,
                Fill::Dirs(levels) if kind.is_dir() => {
                    let dir = self.enter(to, &entry.file_name())?;
                    self.fill_dir(&entry.path(), &dir, Fill::Dirs(levels - 1))?;
                }
                Fill::Files if kind.is_dir() => {
                    let dir = self.enter(to, &entry.file_name())?;
                    self.fill_dir(&entry.path(), &dir, Fill::Files)?;
                }
                Fill::Files | Fill::Dirs(_) if kind.is_file() => self.file(&entry, to)?,
                Fill::Files | Fill::Dirs(_) => {}
            }
        }
        Ok(())
    }

    /// Opens a directory, made where it is absent.
    fn enter(&self, parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.own(parent, name)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?)
    }

    fn file(&mut self, entry: &fs::DirEntry, to: &OwnedFd) -> io::Result<()> {
        if entry.metadata()?.len() > COPY_BYTES_MAX {
            return self.link(entry, to);
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let name = entry.file_name();
        let file = match rustix::fs::openat(to, &name, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.files_left -= 1;
        // What cannot be read stays empty: the tool then fetches it anew.
        let bytes = fs::read(entry.path()).unwrap_or_default();
        fs::File::from(file).write_all(&bytes)?;
        self.own(to, &name)
    }

    fn link(&mut self, entry: &fs::DirEntry, to: &OwnedFd) -> io::Result<()> {
        self.files_left -= 1;
        let path = entry.path();
        let below = path.strip_prefix(&self.host).unwrap_or(&path);
        match rustix::fs::symlinkat(self.in_world.join(below), to, entry.file_name()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn own(&self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let (uid, gid) = self.store.payload.owner_on_host();
        if rustix::process::geteuid().as_raw() == uid {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags)?)
    }
}
