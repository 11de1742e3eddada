//! Copies of what a world's overlays hold, made and put back while none of its processes runs.
//!
//! A child of the mount helper does it: it may read what the world has closed to itself. What it puts
//! back goes through the overlays, whose upper layers nobody may change beneath them
//! (`Documentation/filesystems/overlayfs.rst`, "Changes to underlying filesystems"). Before that it
//! enters the world's mount namespace, where the kernel refuses to rename or remove what something is
//! mounted on. The trees are reached by descriptors that were opened before, and beneath them nothing
//! goes through a symbolic link.

mod back;
mod copy;
mod tree;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, memfd_create};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::channel::Message;
use super::root::Root;
use crate::beneath::Dir;

/// Most that is said to have been left out, thing by thing.
const LEFT_MAX: usize = 1000;
/// Largest account of what was done, and largest request, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// What is to be done with the upper layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// They are copied, up to this many bytes.
    Copy {
        /// The most that the copy may take of a disk.
        bytes_max: u64,
    },
    /// The overlays are made to show again what they showed when the copy was made.
    PutBack,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Files and directories that were copied, or that are others now.
    pub count: u64,
    /// What the copy takes of a disk, in bytes.
    pub bytes: u64,
    /// What was left out, each with the reason; the first ones.
    pub left: Vec<(PathBuf, String)>,
    /// How many those are in all.
    pub left_count: u64,
    /// Why nothing more was done, where that is so.
    pub failed: Option<String>,
}

impl Account {
    fn leave(&mut self, path: &Path, why: impl Into<io::Error>) {
        let why: io::Error = why.into();
        self.left_count += 1;
        if self.left.len() < LEFT_MAX {
            self.left.push((path.to_owned(), why.to_string()));
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.count.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.left_count.to_le_bytes());
        put(&mut out, self.failed.as_deref().unwrap_or_default().as_bytes());
        for (path, why) in &self.left {
            put(&mut out, path.as_os_str().as_bytes());
            put(&mut out, why.as_bytes());
        }
        out
    }

    fn decode(mut from: &[u8]) -> Option<Account> {
        let from = &mut from;
        let (count, bytes, left_count) = (number(from)?, number(from)?, number(from)?);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let failed = Some(text(take(from)?)).filter(|why| !why.is_empty());
        let mut left = Vec::new();
        while !from.is_empty() {
            left.push((path_of(take(from)?), text(take(from)?)));
        }
        Some(Account { count, bytes, left, left_count, failed })
    }
}

/// What the broker sends along.
pub(super) struct Request {
    /// Says what is to be done.
    pub(super) text: OwnedFd,
    /// Takes the account.
    pub(super) account: File,
}

impl Request {
    /// `guarded` names, tree by tree, places that are neither copied nor put back.
    pub(super) fn new(what: Keeping, guarded: &[Vec<PathBuf>]) -> io::Result<Request> {
        let mut bytes = Vec::new();
        let most = match what {
            Keeping::Copy { bytes_max } => bytes_max,
            Keeping::PutBack => PUT_BACK,
        };
        bytes.extend(most.to_le_bytes());
        for (tree, places) in guarded.iter().enumerate() {
            for place in places {
                bytes.extend(u64::try_from(tree).unwrap_or(u64::MAX).to_le_bytes());
                put(&mut bytes, place.as_os_str().as_bytes());
            }
        }
        Ok(Request { text: memory(&bytes)?.into(), account: memory(&[])? })
    }

    /// What was done, once it is.
    pub(super) fn account(&self) -> io::Result<Account> {
        Account::decode(&whole(&self.account)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Stands for [`Keeping::PutBack`] where else a number of bytes is.
const PUT_BACK: u64 = u64::MAX;

/// The code of the mount helper's child; its result is the exit code.
pub(super) fn run(root: &Root, message: Message) -> i32 {
    let mut fds = message.fds.into_iter();
    let (Some(text), Some(account), Some(dir), Some(mounts)) =
        (fds.next(), fds.next(), fds.next(), fds.next())
    else {
        return 1;
    };
    let account = File::from(account);
    let mut done = Account::default();
    let asked = whole(&File::from(text))
        .and_then(|bytes| asked(&bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)));
    let result = asked.and_then(|(what, guarded)| {
        carry_out(root, (what, &guarded), (dir.into(), &mounts), &mut done)
    });
    done.failed = result.err().map(|error| error.to_string());
    i32::from(account.write_all_at(&done.encode(), 0).is_err())
}

fn carry_out(
    root: &Root,
    (what, guarded): (Keeping, &[(usize, PathBuf)]),
    (dir, mounts): (Dir, &OwnedFd),
    done: &mut Account,
) -> io::Result<()> {
    // Each directory on the way takes some.
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    rustix::process::umask(Mode::empty());
    let trees: Vec<back::Tree> =
        root.overlays().map(back::Tree::open).collect::<io::Result<_>>()?;
    match what {
        Keeping::Copy { bytes_max } => {
            for (number, tree) in trees.iter().enumerate() {
                let name = number.to_string();
                rustix::fs::mkdirat(dir.fd(), &name, Mode::RWXU)?;
                let to = dir.beneath(Path::new(&name))?;
                copy::Copy::new(done, &to, bytes_max).whole(&tree.upper)?;
            }
            Ok(rustix::fs::syncfs(dir.fd())?)
        }
        Keeping::PutBack => {
            let kept: Vec<Dir> = (0..trees.len())
                .map(|number| dir.beneath(Path::new(&number.to_string())))
                .collect::<io::Result<_>>()?;
            move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
            for (number, (tree, kept)) in trees.iter().zip(&kept).enumerate() {
                let places = guarded.iter().filter(|(tree, _)| *tree == number);
                let places = places.map(|(_, place)| place.clone()).collect();
                back::Back::new(done, tree, places).whole(kept);
            }
            Ok(())
        }
    }
}

fn asked(mut from: &[u8]) -> Option<(Keeping, Vec<(usize, PathBuf)>)> {
    let from = &mut from;
    let what = match number(from)? {
        PUT_BACK => Keeping::PutBack,
        bytes_max => Keeping::Copy { bytes_max },
    };
    let mut guarded = Vec::new();
    while !from.is_empty() {
        guarded.push((usize::try_from(number(from)?).ok()?, path_of(take(from)?)));
    }
    Some((what, guarded))
}

fn memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("ringfence-keeping", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

fn whole(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(TEXT_BYTES_MAX)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    out.extend(bytes);
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u64::from_le_bytes(*bytes))
}

fn take(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(number(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes.to_vec())
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The descriptors that go with a request, in their order.
pub(super) fn descriptors<'a>(
    request: &'a Request,
    dir: &'a impl AsFd,
    mounts: &'a OwnedFd,
) -> [std::os::fd::BorrowedFd<'a>; 4] {
    [request.text.as_fd(), request.account.as_fd(), dir.as_fd(), mounts.as_fd()]
}

#[cfg(test)]
mod tests;
