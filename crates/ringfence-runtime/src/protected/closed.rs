//! Directories that their owner may not look into.
//!
//! Git and others find by name what is in a directory that does not list it. What a world leaves
//! there would be found by them, and not by us.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags, ResolveFlags};

use super::between;

/// To read, write and enter, for the owner.
const OWNERS: u32 = 0o700;

/// Gives the owner, if that is us, back what a directory beneath `root` and those above it, `root`
/// included, do not let them do; returns the directories that were changed.
pub(super) fn open_up(root: &Path, dir: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![root.to_owned()];
    dirs.extend(between(root, dir));
    dirs.push(dir.to_owned());
    dirs.retain(|dir| dir.starts_with(root) && open_one(dir) == Some(()));
    dirs
}

/// By a descriptor that is reached without links: another session may be at work in the tree.
fn open_one(dir: &Path) -> Option<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    let fd = rustix::fs::openat2(rustix::fs::CWD, dir, flags, Mode::empty(), resolve).ok()?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    let ours = stat.st_uid == rustix::process::geteuid().as_raw();
    if !ours || stat.st_mode & OWNERS == OWNERS {
        return None;
    }
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | OWNERS);
    rustix::fs::chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), mode).ok()
}

/// Whether something that the host runs may have been put into a directory that cannot be read: it
/// is ours, or everybody may write to it.
pub(super) fn may_hide(dir: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let ours = fs::symlink_metadata(dir).map_or(true, |metadata| metadata.uid() == own);
    ours || rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}
