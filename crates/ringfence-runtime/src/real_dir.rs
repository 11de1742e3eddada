//! A directory that was reached without following a symbolic link.
//!
//! What is done at the end of a session is done in trees in which another session may be at work:
//! a directory on the way may have become a link to somewhere else. So the way is walked by the
//! kernel, which refuses links, and everything else goes by the descriptor.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Uid};

use crate::whole_file::{FILE_BYTES_MAX, random_hex};

/// The directory, open.
#[derive(Debug)]
pub(crate) struct RealDir(OwnedFd);

impl RealDir {
    /// The directory in which `path` is, and the name of `path` in it.
    pub(crate) fn of(path: &Path) -> io::Result<(RealDir, &OsStr)> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS;
        let dir = rustix::fs::openat2(rustix::fs::CWD, parent, flags, Mode::empty(), resolve)?;
        Ok((RealDir(dir), name))
    }

    /// What is at a name, a link not followed.
    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The text of a regular file.
    pub(crate) fn read_text(&self, name: &OsStr) -> io::Result<String> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        File::from(file).take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
    }

    /// Replaces a regular file, which keeps its mode and owner: written beside, synced, renamed.
    pub(crate) fn replace(&self, name: &OsStr, text: &str) -> io::Result<()> {
        let was = self.stat(name)?;
        if FileType::from_raw_mode(was.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        let beside = format!(".{}.{}", name.to_string_lossy(), random_hex(4)?);
        let beside = OsStr::new(&beside);
        let done = self
            .write_new(beside, text, &was)
            .and_then(|()| Ok(rustix::fs::renameat(&self.0, beside, &self.0, name)?))
            .and_then(|()| Ok(rustix::fs::fsync(&self.0)?));
        if done.is_err() {
            // The temporary file is ours alone; a failure to remove it changes nothing.
            let _ = rustix::fs::unlinkat(&self.0, beside, AtFlags::empty());
        }
        done
    }

    fn write_new(&self, name: &OsStr, text: &str, like: &Stat) -> io::Result<()> {
        let mode = Mode::from_raw_mode(like.st_mode & 0o777);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.0, name, flags, mode)?);
        file.write_all(text.as_bytes())?;
        rustix::fs::fchmod(&file, mode)?;
        // Only root can give a file away, and only then can the owner differ.
        let owner = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        let _ = rustix::fs::fchown(&file, Some(owner.0), Some(owner.1));
        file.sync_all()
    }

    /// Lets its owner, if that is us, change what is in it.
    pub(crate) fn allow_changes(&self) -> io::Result<()> {
        const CHANGES: u32 = 0o300;
        let stat = rustix::fs::fstat(&self.0)?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if !ours || stat.st_mode & CHANGES == CHANGES {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | CHANGES);
        Ok(rustix::fs::fchmod(&self.0, mode)?)
    }

    /// Renames within the directory, over nothing.
    pub(crate) fn rename(&self, name: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(&self.0, name, &self.0, to, RenameFlags::NOREPLACE)?)
    }

    /// Removes a file, or an empty directory.
    pub(crate) fn remove(&self, name: &OsStr, flags: AtFlags) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, flags)?)
    }
}

#[cfg(test)]
#[path = "real_dir_tests.rs"]
mod tests;
