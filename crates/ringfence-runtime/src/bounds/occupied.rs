//! The space on disks that is taken by what a world may write.
//!
//! The trees that it may write are walked, from its own root and without following a link, and what
//! its processes hold open without a name is added. What cannot be walked cannot be held to a limit,
//! so that is an error, except where it was so from the beginning.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::mounts;
use super::sampled::members;

/// How many directories may lie in one another: each takes a descriptor while its tree is walked.
const DEPTH_MAX: usize = 256;
/// What `st_blocks` counts in, in bytes (`inode(7)`).
const BLOCK_BYTES: u64 = 512;

/// A file or directory, however it is named.
pub(super) type Id = (u64, u64);

/// What is taken by the trees of a world.
#[derive(Debug, Default)]
pub(super) struct Occupied {
    /// Mounts that were there at some look.
    known: HashSet<PathBuf>,
    /// What was there before the world could write it, in bytes.
    before: u64,
    /// Directories that could not be read before.
    closed: HashSet<Id>,
}

/// One walk.
#[derive(Debug)]
struct Walk<'a> {
    /// Nobody waits for its end any more.
    over: &'a AtomicBool,
    seen: HashSet<Id>,
    devices: HashSet<u64>,
    bytes: u64,
    closed: Vec<(Id, PathBuf)>,
}

impl Occupied {
    /// What the trees have grown by since they were first looked at, in bytes.
    ///
    /// A walk that is `over` ends early and says nothing true.
    pub(super) fn look(
        &mut self,
        world: (BorrowedFd<'_>, i32),
        over: &AtomicBool,
    ) -> io::Result<u64> {
        let (root, init) = world;
        let mounts = mounts::of_world(init)?;
        let mut walk = Walk {
            over,
            seen: HashSet::new(),
            devices: HashSet::new(),
            bytes: 0,
            closed: Vec::new(),
        };
        for mount in mounts.iter().filter(|mount| mount.is_writable() && mount.is_on_disk()) {
            let (bytes, closed) = (walk.bytes, walk.closed.len());
            walk.tree(root, &mount.place)?;
            if self.known.insert(mount.place.clone()) {
                self.before = self.before.saturating_add(walk.bytes.saturating_sub(bytes));
                self.closed.extend(walk.closed.iter().skip(closed).map(|(id, _)| *id));
            }
        }
        if let Some((_, dir)) = walk.closed.iter().find(|(id, _)| !self.closed.contains(id)) {
            let message = format!("`{}` cannot be read any more", dir.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        for nameless in nameless(init)? {
            if walk.devices.contains(&nameless.id.0) && walk.seen.insert(nameless.id) {
                walk.bytes = walk.bytes.saturating_add(nameless.bytes);
            }
        }
        Ok(walk.bytes.saturating_sub(self.before))
    }
}

impl Walk<'_> {
    /// Adds what is at and beneath `place` of the world, on the same file system.
    fn tree(&mut self, root: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = place.strip_prefix("/").unwrap_or(place);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let top = match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Ok(top) => top,
            // A mount beneath another, or one that is gone: what is above it counts. Anything else
            // hides what is there.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&top)?;
        if !self.add(&stat) || FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        let top = match below(top.as_fd(), c".") {
            Ok(top) => top,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.closed.push(((stat.st_dev, stat.st_ino), place.to_path_buf()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut open = vec![(Dir::new(top)?, place.to_path_buf())];
        while let Some((dir, at)) = open.last_mut() {
            if self.over.load(Ordering::Acquire) {
                return Ok(());
            }
            let Some(entry) = dir.next() else {
                open.pop();
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = rustix::fs::statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW);
            let found = match found {
                Ok(found) => found,
                // One that is gone takes nothing.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            // A directory on another device is another mount; a file on another is one that an
            // overlay has from another of its layers.
            let is_elsewhere = is_dir && found.st_dev != stat.st_dev;
            if is_elsewhere || !self.add(&found) || !is_dir {
                continue;
            }
            let path = at.join(OsStr::from_bytes(name.to_bytes()));
            match below(dir.fd()?.as_fd(), name) {
                Ok(next) if open.len() < DEPTH_MAX => open.push((Dir::new(next)?, path)),
                Ok(_) => return Err(io::Error::other("directories lie too deep in one another")),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.closed.push(((found.st_dev, found.st_ino), path));
                }
                // Gone, or something else by now.
                Err(error) if matches!(error.raw_os_error(), Some(2 | 20 | 40)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Counts a file once, whatever its names; whether it was new.
    fn add(&mut self, stat: &rustix::fs::Stat) -> bool {
        let is_new = self.seen.insert((stat.st_dev, stat.st_ino));
        if is_new {
            self.devices.insert(stat.st_dev);
            let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
            self.bytes = self.bytes.saturating_add(blocks.saturating_mul(BLOCK_BYTES));
        }
        is_new
    }
}

fn below(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// A file that a process holds open and that has no name any more, or never had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nameless {
    pub(super) id: Id,
    /// Made by memfd_create(2), which takes memory and no disk.
    pub(super) is_memory: bool,
    /// What it takes.
    pub(super) bytes: u64,
}

/// All of them, once for each descriptor; the first process is ours.
pub(super) fn nameless(init: i32) -> io::Result<Vec<Nameless>> {
    let mut found = Vec::new();
    for pid in members(init)?.into_iter().filter(|pid| *pid != init) {
        let dir = match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if has_ended(pid) {
                    continue;
                }
                return Err(error);
            }
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in dir.flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.as_os_str().as_encoded_bytes();
            if !target.ends_with(b" (deleted)") {
                continue;
            }
            let is_memory = target.starts_with(b"/memfd:");
            if let Ok(meta) = fs::metadata(entry.path())
                && meta.is_file()
            {
                let bytes = meta.blocks().saturating_mul(BLOCK_BYTES);
                found.push(Nameless { id: (meta.dev(), meta.ino()), is_memory, bytes });
            }
        }
    }
    Ok(found)
}

/// Memory that may be in no process: that of the world's own file system, and of files without a name.
///
/// A process that does not let its descriptors be seen is an error.
pub(super) fn unmapped_bytes(root: &OwnedFd, init: i32) -> io::Result<u64> {
    let tmp = rustix::fs::openat(root, "tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let tmp = tmp.and_then(|tmp| rustix::fs::fstatvfs(&tmp));
    let own =
        tmp.map_or(0, |it| it.f_blocks.saturating_sub(it.f_bfree).saturating_mul(it.f_frsize));
    let files = nameless(init)?;
    let files: HashMap<_, _> =
        files.iter().filter(|it| it.is_memory).map(|it| (it.id, it.bytes)).collect();
    Ok(files.values().fold(own, |all, bytes| all.saturating_add(*bytes)))
}

/// Whether a process only waits to be waited for, or is gone.
pub(super) fn has_ended(pid: i32) -> bool {
    let stat = match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => String::from_utf8_lossy(&stat).into_owned(),
        Err(error) => return is_gone(&error),
    };
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_none_or(|state| matches!(state, 'Z' | 'X'))
}

/// Whether this is how a process says that there is none any more; every other error hides one.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::NOENT | Errno::SRCH))
}

#[cfg(test)]
#[path = "occupied_tests.rs"]
mod tests;
