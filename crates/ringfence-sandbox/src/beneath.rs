//! Directories of a tree, reached beneath its descriptor and never through a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// How often a look-up that raced with a rename is tried again.
const LOOKUP_TRIES_MAX: u32 = 64;

/// A directory, open.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl From<OwnedFd> for Dir {
    fn from(dir: OwnedFd) -> Dir {
        Dir(dir)
    }
}

impl Dir {
    /// The directory at an absolute path, none of whose parts is a link.
    pub fn at(path: &Path) -> io::Result<Dir> {
        open_dir(CWD, path, ResolveFlags::NO_SYMLINKS)
    }

    /// A directory beneath this one.
    pub fn beneath(&self, below: &Path) -> io::Result<Dir> {
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        let within =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        open_dir(self.0.as_fd(), below, within | ResolveFlags::NO_XDEV)
    }

    /// What is at a name, a link not followed; `None` where nothing is.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the directory itself is.
    pub fn own_stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.0)?)
    }

    /// The names in it, in order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// A regular file, for reading.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(File::from(file))
    }

    /// What a symbolic link says.
    pub fn link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let says = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(says.to_bytes())))
    }

    /// The attributes of the directory itself.
    pub fn attributes(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        attributes(&self.0)
    }

    /// Its descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }
}

/// The `user.*` attributes of an open file, with their values.
pub fn attributes(fd: impl std::os::fd::AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = Vec::with_capacity(64 * 1024);
    match rustix::fs::flistxattr(&fd, rustix::buffer::spare_capacity(&mut list)) {
        Ok(_) => {}
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let names = list.split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    let mut found = Vec::new();
    for name in names {
        let mut value = Vec::with_capacity(64 * 1024);
        let room = rustix::buffer::spare_capacity(&mut value);
        rustix::fs::fgetxattr(&fd, name, room)?;
        found.push((name.to_vec(), value));
    }
    Ok(found)
}

fn open_dir(from: impl std::os::fd::AsFd, path: &Path, how: ResolveFlags) -> io::Result<Dir> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(&from, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) if tries < LOOKUP_TRIES_MAX => tries += 1,
            opened => return Ok(Dir(opened?)),
        }
    }
}
