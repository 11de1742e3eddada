//! Finding and making the places in a world on which something is mounted.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::spec::Identity;
use crate::sys::process::as_file_user;

/// How often a look-up that raced with a rename is tried again.
const LOOKUP_TRIES_MAX: u32 = 16;

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    File,
}

/// Something that was made in a directory of the host, to be taken away at the end.
#[derive(Debug)]
pub(super) struct Made {
    parent: OwnedFd,
    name: PathBuf,
    kind: Kind,
}

impl Made {
    /// Takes it away again, if nothing has been put there since.
    pub(super) fn remove(&self) {
        let flags = match self.kind {
            Kind::Dir => AtFlags::REMOVEDIR,
            Kind::File => {
                match rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(found) if found.st_size == 0 => AtFlags::empty(),
                    Ok(_) | Err(_) => return,
                }
            }
        };
        // What is no longer empty, or gone, stays as it is.
        let _ = rustix::fs::unlinkat(&self.parent, &self.name, flags);
    }
}

/// A directory tree in which places are found without ever following a link out of it.
#[derive(Debug)]
pub(super) struct Ground {
    root: OwnedFd,
    /// The devices of the world's own file systems; what is made elsewhere is made on the host.
    own_devices: [u64; 2],
    /// Who makes places where root is nobody.
    payload: Option<Identity>,
}

impl Ground {
    /// The tree at `path`, a path of ours.
    pub(super) fn new(
        path: &Path,
        own_devices: [u64; 2],
        payload: Option<Identity>,
    ) -> io::Result<Ground> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Ground { root, own_devices, payload })
    }

    /// The tree's own directory.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The same, for a tree that is being put together elsewhere.
    pub(super) fn elsewhere(&self, path: &Path) -> io::Result<Ground> {
        Ground::new(path, self.own_devices, self.payload)
    }

    /// What is at `target`, if anything.
    pub(super) fn find(&self, target: &Path) -> io::Result<Option<OwnedFd>> {
        match lookup(self.root.as_fd(), relative(target)) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is at `target`, made with its parents if it is absent.
    pub(super) fn make(
        &self,
        target: &Path,
        kind: Kind,
        made: &mut Vec<Made>,
    ) -> io::Result<OwnedFd> {
        if let Some(found) = self.find(target)? {
            let is = kind_of(&found)?;
            let wrong = if is == Kind::File { libc::ENOTDIR } else { libc::EISDIR };
            return if is == kind { Ok(found) } else { Err(io::Error::from_raw_os_error(wrong)) };
        }
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.make(parent, Kind::Dir, made)?;
        match self.create(parent.as_fd(), name, kind) {
            Ok(()) => {
                if !self.own_devices.contains(&rustix::fs::fstat(&parent)?.st_dev) {
                    let parent = rustix::io::fcntl_dupfd_cloexec(&parent, 3)?;
                    made.push(Made { parent, name: name.into(), kind });
                }
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let place = lookup(parent.as_fd(), Path::new(name))?;
        if kind_of(&place)? == kind { Ok(place) } else { Err(io::ErrorKind::AlreadyExists.into()) }
    }

    fn create(&self, parent: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> rustix::io::Result<()> {
        match (create(parent, name, kind), self.payload) {
            // Root is nobody in a mount whose owners are mapped: the payload is somebody.
            (Err(Errno::OVERFLOW), Some(Identity { uid, gid })) => {
                as_file_user(uid, gid, || create(parent, name, kind))
            }
            (result, _) => result,
        }
    }
}

/// The directories that the world's root has of itself, while nobody but us has touched it.
#[derive(Debug, Default)]
pub(super) struct Skeleton {
    dirs: HashSet<PathBuf>,
    covered: HashSet<PathBuf>,
}

impl Skeleton {
    /// Whether `target` lies in the skeleton: nothing is mounted at it or above it.
    pub(super) fn holds(&self, target: &Path) -> bool {
        !target.ancestors().any(|above| self.covered.contains(above))
    }

    /// From now on something is mounted at `target`.
    pub(super) fn cover(&mut self, target: &Path) {
        self.covered.insert(target.to_path_buf());
    }

    /// Makes `target` and its parents in the root's own file system.
    pub(super) fn make(
        &mut self,
        root: BorrowedFd<'_>,
        target: &Path,
        kind: Kind,
    ) -> rustix::io::Result<()> {
        let Some(parent) = target.parent() else { return Ok(()) };
        if self.dirs.contains(target) {
            return Ok(());
        }
        self.make(root, parent, Kind::Dir)?;
        match create(root, relative(target).as_os_str(), kind) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        if kind == Kind::Dir {
            self.dirs.insert(target.to_path_buf());
        }
        Ok(())
    }
}

/// Whether `fd` stands for a directory or for something else that is not a link.
pub(super) fn kind_of(fd: impl AsFd) -> io::Result<Kind> {
    match rustix::fs::fstat(fd)?.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Ok(Kind::Dir),
        libc::S_IFLNK => Err(io::Error::from_raw_os_error(libc::ELOOP)),
        _ => Ok(Kind::File),
    }
}

/// Whether what is mounted over a place covers a directory or a file. A link of ours over a file of
/// the plan is shown as the link it is; nobody follows it in building the world.
pub(super) fn shown_as(tree: impl AsFd) -> io::Result<Kind> {
    match rustix::fs::fstat(tree)?.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Ok(Kind::Dir),
        _ => Ok(Kind::File),
    }
}

/// Whether `fd` stands for a symbolic link; what cannot be looked at is none.
pub(super) fn is_link(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|found| found.st_mode & libc::S_IFMT == libc::S_IFLNK)
}

/// Opens a path of the host that was checked to be free of links, and refuses it if it no longer is.
pub(super) fn open_source(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty())?;
    Ok(lookup(root.as_fd(), relative(path))?)
}

fn create(parent: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> rustix::io::Result<()> {
    match kind {
        Kind::Dir => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    }
}

fn lookup(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), within) {
            Err(Errno::AGAIN | Errno::INTR) if tries < LOOKUP_TRIES_MAX => tries += 1,
            result => return result,
        }
    }
}

/// An absolute path as seen from its root.
pub(super) fn relative(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
