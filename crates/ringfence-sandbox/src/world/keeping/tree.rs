//! What layers are made of.

use std::ffi::OsStr;
use std::io;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};

use crate::beneath::{Dir, attributes};

/// Permission bits that are kept.
pub(super) const MODE_BITS: u32 = 0o7777;
/// What the kernel calls attributes by which it marks entries of a layer.
pub(super) const OF_OVERLAYS: &[u8] = b"user.overlay.";
/// What it calls those that the world itself has set under such a name.
const OF_WORLD: &[u8] = b"user.overlay.overlay.";
/// Most directories on the way to something.
pub(super) const DEPTH_MAX: usize = 512;

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether an entry of a layer says that nothing is there.
pub(super) fn is_whiteout(dir: &Dir, name: &OsStr, stat: &Stat) -> io::Result<bool> {
    match kind(stat) {
        FileType::CharacterDevice => Ok(stat.st_rdev == 0),
        FileType::RegularFile if stat.st_size == 0 => {
            let own = attributes(dir.file(name)?)?;
            Ok(own.iter().any(|(name, _)| name == b"user.overlay.whiteout"))
        }
        FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::BlockDevice
        | FileType::Unknown => Ok(false),
    }
}

/// Whether a directory of a layer hides what the lower one has.
pub(super) fn is_opaque(dir: &Dir) -> io::Result<bool> {
    let own = dir.attributes()?;
    Ok(own.iter().any(|(name, value)| name == b"user.overlay.opaque" && value == b"y"))
}

/// What the world calls an attribute of a layer; nothing where it does not see it.
pub(super) fn as_the_world_sees(name: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = name.strip_prefix(OF_WORLD) {
        return Some([OF_OVERLAYS, rest].concat());
    }
    (!name.starts_with(OF_OVERLAYS)).then(|| name.to_vec())
}

pub(super) fn times(stat: &Stat) -> Timestamps {
    let nanos = |it: u64| i64::try_from(it).unwrap_or_default();
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: nanos(stat.st_atime_nsec) },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: nanos(stat.st_mtime_nsec) },
    }
}

/// Gives an open file or directory the owner, the permissions and the times of another; only root
/// gives away, and for everybody else all is theirs.
pub(super) fn dress(file: impl std::os::fd::AsFd, like: &Stat) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(like.st_mode & MODE_BITS))?;
    Ok(rustix::fs::futimens(&file, &times(like))?)
}

/// The same for what has a name and cannot be opened.
pub(super) fn dress_at(dir: &Dir, name: &OsStr, like: &Stat) -> io::Result<()> {
    let itself = AtFlags::SYMLINK_NOFOLLOW;
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        rustix::fs::chownat(dir.fd(), name, Some(uid), Some(gid), itself)?;
    }
    Ok(rustix::fs::utimensat(dir.fd(), name, &times(like), itself)?)
}

/// A new file that nobody else has opened.
pub(super) fn new_file(dir: &Dir, name: &OsStr) -> io::Result<std::fs::File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(rustix::fs::openat(dir.fd(), name, flags, mode)?.into())
}
