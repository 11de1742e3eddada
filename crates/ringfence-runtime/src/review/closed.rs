//! What a session has closed even to its owner, who is whoever looks at it: opened, and noted.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_sandbox::beneath::Dir;
use rustix::fs::{FileType, Mode, OFlags};

use super::ReviewError;
use super::kept::{Kept, is_running};
use crate::state::StateDirs;
use crate::whole_file;

/// Most directories on the way to something.
const DEPTH_MAX: usize = 512;

/// What stands for a place of a tree in the list of permissions.
pub(super) fn key(tree: usize, below: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    format!("{tree}/{}", whole_file::hex(below.as_os_str().as_bytes()))
}

/// Opens for its owner what the session closed; how it was is noted, shown and committed.
///
/// Not while the session runs: its overlay stands on these very directories.
pub fn open_up(dirs: &StateDirs, kept: &mut Kept) -> Result<(), ReviewError> {
    // Nothing is closed to root.
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let before = kept.modes.len();
    for tree in 0..kept.trees.len() {
        let upper = kept.upper(dirs, tree);
        let above = upper.parent().unwrap_or(&upper).to_owned();
        let opened = Dir::at(&above)
            .and_then(|above| open(&above, OsStr::new("upper"), (kept, tree, Path::new("")), 0));
        opened.map_err(ReviewError::io("open", upper))?;
    }
    if kept.modes.len() == before { Ok(()) } else { kept.save(dirs) }
}

/// The same for a session that has ended, as far as is known.
pub(super) fn open_up_ended(dirs: &StateDirs, kept: &mut Kept) -> Result<(), ReviewError> {
    if is_running(dirs, &kept.session) { Ok(()) } else { open_up(dirs, kept) }
}

fn open(
    above: &Dir,
    name: &OsStr,
    (kept, tree, below): (&mut Kept, usize, &Path),
    depth: usize,
) -> io::Result<()> {
    let Some(stat) = above.stat(name)? else { return Ok(()) };
    let wanted = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 0o700,
        FileType::RegularFile => 0o400,
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Ok(()),
    };
    if stat.st_mode & wanted != wanted {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let it = rustix::fs::openat(above.fd(), name, flags, Mode::empty())?;
        let mode = rustix::fs::fstat(it.as_fd())?.st_mode & 0o7777;
        set_mode(&it, mode | wanted)?;
        kept.modes.entry(key(tree, below)).or_insert(mode);
    }
    if wanted == 0o400 || depth > DEPTH_MAX {
        return Ok(());
    }
    let dir = above.beneath(Path::new(name))?;
    for inner in dir.names()? {
        let path: PathBuf = below.join(&inner);
        open(&dir, &inner, (&mut *kept, tree, &path), depth + 1)?;
    }
    Ok(())
}

/// What is only referred to has no other way to it than its name in `/proc`.
fn set_mode(it: &OwnedFd, mode: u32) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", it.as_raw_fd());
    Ok(rustix::fs::chmod(own, Mode::from_raw_mode(mode))?)
}
