//! Copies an upper layer as it is, with its marks.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat};

use super::Account;
use super::tree::{DEPTH_MAX, dress, dress_at, is_whiteout, kind, new_file};
use crate::beneath::Dir;
use crate::copying::{copy_attributes, copy_data};

/// What `st_blocks` counts in, in bytes (`inode(7)`).
const BLOCK_BYTES: u64 = 512;

/// One copy of one layer.
pub(super) struct Copy<'a> {
    done: &'a mut Account,
    to: &'a Dir,
    bytes_max: u64,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), PathBuf>,
}

impl Copy<'_> {
    pub(super) fn new<'a>(done: &'a mut Account, to: &'a Dir, bytes_max: u64) -> Copy<'a> {
        Copy { done, to, bytes_max, names: HashMap::new() }
    }

    /// Copies all of it; an error leaves a copy that is none.
    pub(super) fn whole(&mut self, upper: &Dir) -> io::Result<()> {
        let to = self.to.beneath(Path::new(""))?;
        self.dir((upper, &to), Path::new(""), 0)
    }

    fn dir(&mut self, (from, to): (&Dir, &Dir), below: &Path, depth: usize) -> io::Result<()> {
        for name in from.names()? {
            let path = below.join(&name);
            let Some(stat) = from.stat(&name)? else { continue };
            if depth >= DEPTH_MAX {
                self.done.leave(&path, io::Error::other("it is too deep"));
                continue;
            }
            self.entry((from, to), (&name, &stat), (&path, depth))?;
        }
        copy_attributes(from.fd(), to.fd(), |name| Some(name.to_vec()))?;
        dress(to.fd(), &from.own_stat()?)
    }

    fn entry(
        &mut self,
        (from, to): (&Dir, &Dir),
        (name, stat): (&OsStr, &Stat),
        (path, depth): (&Path, usize),
    ) -> io::Result<()> {
        match kind(stat) {
            FileType::Directory => {
                rustix::fs::mkdirat(to.fd(), name, Mode::RWXU)?;
                let (from, to) = (from.beneath(Path::new(name))?, to.beneath(Path::new(name))?);
                self.dir((&from, &to), path, depth + 1)?;
            }
            FileType::RegularFile => self.file((from, to), (name, stat), path)?,
            FileType::Symlink => {
                rustix::fs::symlinkat(from.link(name)?, to.fd(), name)?;
                dress_at(to, name, stat)?;
            }
            FileType::CharacterDevice if is_whiteout(from, name, stat)? => {
                let kind = FileType::CharacterDevice;
                rustix::fs::mknodat(to.fd(), name, kind, Mode::empty(), 0)?;
            }
            FileType::Fifo => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                rustix::fs::mknodat(to.fd(), name, FileType::Fifo, mode, 0)?;
                dress_at(to, name, stat)?;
            }
            FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                self.done.leave(path, io::Error::other("it is a socket or a device"));
                return Ok(());
            }
        }
        self.done.count += 1;
        Ok(())
    }

    fn file(
        &mut self,
        (from, to): (&Dir, &Dir),
        (name, stat): (&OsStr, &Stat),
        path: &Path,
    ) -> io::Result<()> {
        let id = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.names.get(&id) {
            let dir = self.to.beneath(first.parent().unwrap_or(Path::new("")))?;
            let first = first.file_name().unwrap_or_default();
            return Ok(rustix::fs::linkat(dir.fd(), first, to.fd(), name, AtFlags::empty())?);
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
        self.done.bytes = self.done.bytes.saturating_add(blocks.saturating_mul(BLOCK_BYTES));
        if self.done.bytes > self.bytes_max {
            return Err(io::Error::other(format!("it takes more than {} bytes", self.bytes_max)));
        }
        let (source, copy) = (from.file(name)?, new_file(to, name)?);
        copy_data(&source, &copy)?;
        copy_attributes(&source, &copy, |name| Some(name.to_vec()))?;
        dress(&copy, stat)?;
        if stat.st_nlink > 1 {
            self.names.insert(id, path.to_owned());
        }
        Ok(())
    }
}
