//! What can make or remove a name, carried out on a copy of the path, following no symbolic link.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatxAttributes,
    StatxFlags, Timestamps,
};
use rustix::io::Errno;

use super::Deed;
use crate::sys::notify::{self as sys, OnExec};

/// What a process may ask for that is passed on, of the flags of `open(2)`.
const OPEN_FLAGS: OFlags = OFlags::RWMODE
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::TRUNC)
    .union(OFlags::APPEND)
    .union(OFlags::NONBLOCK)
    .union(OFlags::DSYNC)
    .union(OFlags::SYNC)
    .union(OFlags::DIRECT)
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOATIME);

/// Permission bits of what is made; set-id bits are none of them.
const MODE_BITS: u32 = 0o1777;

/// How often a file may come and go while it is being opened.
const OPEN_TRIES_MAX: usize = 8;

/// Longest path in a unix socket's address.
const SOCKET_PATH_BYTES_MAX: usize = 108;

/// The device number of `/dev/tty`, which for us would be our own terminal.
const OWN_TERMINAL: (u32, u32) = (5, 0);

/// Something to be made.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) what: What,
    /// The process's own mask for the permissions of what it makes.
    pub(super) umask: Mode,
    /// The tree that the paths are in, where that is not the world.
    pub(super) tree: Option<Arc<OwnedFd>>,
}

/// What is to be made. Paths are absolute, without symbolic links, and in the world's coordinates.
#[derive(Debug)]
pub(super) enum What {
    /// Opens a file; makes it where it is missing, if the flags say so.
    Open { path: Vec<u8>, flags: OFlags, mode: u32 },
    /// The same for what was not there a moment ago.
    Create { path: Vec<u8>, flags: OFlags, mode: u32 },
    /// Opens what has no path.
    Reopen { file: OwnedFd, flags: OFlags },
    /// Makes a directory.
    Directory { path: Vec<u8>, mode: u32 },
    /// Makes a pipe, a socket or an empty file.
    Node { path: Vec<u8>, mode: u32 },
    /// Gives a socket a path.
    Socket { socket: OwnedFd, path: Vec<u8>, shown: Shown },
    /// Gives a socket an address that names no file.
    Address { socket: OwnedFd, address: Vec<u8> },
    /// Makes a symbolic link.
    Symlink { says: Vec<u8>, path: Vec<u8> },
    /// Gives a second name to what has this one.
    Link { from: Vec<u8>, path: Vec<u8> },
    /// Gives a name to an open file.
    LinkFile { file: OwnedFd, path: Vec<u8> },
    /// Takes a name away.
    Remove { path: Vec<u8>, flags: AtFlags },
    /// Gives another name.
    Rename { from: Vec<u8>, to: Vec<u8>, flags: RenameFlags },
    /// Makes a file as long as this.
    Truncate { path: Vec<u8>, length: u64 },
    /// Changes permissions or times.
    Change { which: Metadata, changing: Changing },
    /// Asks what may be done with a file, and does nothing.
    Access { path: Vec<u8>, mode: u32 },
}

impl What {
    /// Whether it comes to an open file.
    pub(super) fn opens(&self) -> bool {
        matches!(self, What::Open { .. } | What::Create { .. } | What::Reopen { .. })
    }

    /// Every path in it.
    pub(super) fn paths(&self) -> Vec<&[u8]> {
        match self {
            What::Open { path, .. }
            | What::Create { path, .. }
            | What::Directory { path, .. }
            | What::Node { path, .. }
            | What::Socket { path, .. }
            | What::Symlink { path, .. }
            | What::LinkFile { path, .. }
            | What::Remove { path, .. }
            | What::Truncate { path, .. }
            | What::Access { path, .. }
            | What::Change { which: Metadata::At { path }, .. } => vec![path],
            What::Link { from, path: to } | What::Rename { from, to, .. } => vec![from, to],
            What::Reopen { .. }
            | What::Address { .. }
            | What::Change { which: Metadata::Of(_), .. } => Vec::new(),
        }
    }

    /// The same, to be changed.
    pub(super) fn paths_mut(&mut self) -> Vec<&mut Vec<u8>> {
        match self {
            What::Open { path, .. }
            | What::Create { path, .. }
            | What::Directory { path, .. }
            | What::Node { path, .. }
            | What::Socket { path, .. }
            | What::Symlink { path, .. }
            | What::LinkFile { path, .. }
            | What::Remove { path, .. }
            | What::Truncate { path, .. }
            | What::Access { path, .. }
            | What::Change { which: Metadata::At { path }, .. } => vec![path],
            What::Link { from, path: to } | What::Rename { from, to, .. } => vec![from, to],
            What::Reopen { .. }
            | What::Address { .. }
            | What::Change { which: Metadata::Of(_), .. } => Vec::new(),
        }
    }
}

impl From<&What> for Deed {
    fn from(what: &What) -> Deed {
        match what {
            What::Open { .. }
            | What::Reopen { .. }
            | What::Access { .. }
            | What::Address { .. } => Deed::Open,
            What::Create { .. } => Deed::Create,
            What::Directory { .. } => Deed::Directory,
            What::Node { .. } | What::Socket { .. } => Deed::Node,
            What::Symlink { says, .. } => Deed::Symlink(says.clone()),
            What::Link { from, .. } => Deed::Link(Some(from.clone())),
            What::LinkFile { .. } => Deed::Link(None),
            What::Remove { flags, .. } if flags.contains(AtFlags::REMOVEDIR) => {
                Deed::RemoveDirectory
            }
            What::Remove { .. } => Deed::Remove,
            What::Rename { from, to, .. } => Deed::Rename { from: from.clone(), to: to.clone() },
            What::Truncate { length, .. } => Deed::Truncate(*length),
            What::Change { changing: Changing::Mode(mode), .. } => Deed::Mode(*mode & MODE_BITS),
            What::Change { changing: Changing::Times(_), .. } => Deed::Times,
        }
    }
}

/// The file whose permissions or times change.
#[derive(Debug)]
pub(super) enum Metadata {
    /// The one at this path, itself.
    At { path: Vec<u8> },
    /// One without a path.
    Of(OwnedFd),
}

/// What changes of a file besides what is in it.
#[derive(Debug)]
pub(super) enum Changing {
    /// Its permission bits.
    Mode(u32),
    /// When it was read and written.
    Times(Timestamps),
}

/// What a socket says it is called. The kernel keeps the text that it was given, and follows links
/// in it: only a bare name leads where it was decided to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The name that the process gave.
    AsGiven,
    /// A path that leads nowhere for the process, so that what it removes by it is nothing else.
    Elsewhere,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Made {
    /// Nothing for the process to hold.
    Nothing,
    /// An open file for the process.
    File { file: OwnedFd, on_exec: OnExec },
    /// Something that does not open at once.
    Waiting(Later),
}

/// A file that is not open yet: a pipe opens when somebody has the other end, and what somebody
/// holds a lease on (`F_SETLEASE`) when they give it back.
#[derive(Debug)]
pub(super) struct Later {
    file: OwnedFd,
    flags: OFlags,
}

/// Makes something in the world with this root, as the calling thread.
pub(super) fn make(root: BorrowedFd<'_>, what: What) -> Result<Made, Errno> {
    match what {
        What::Open { path, flags, mode } | What::Create { path, flags, mode } => {
            return open(root, &path, flags, mode);
        }
        What::Reopen { file, flags } => return reopen(file, flags),
        What::Directory { path, mode } => directory(root, &path, mode)?,
        What::Node { path, mode } => {
            let (dir, name) = parent(root, &path)?;
            match FileType::from_raw_mode(mode) {
                kind @ (FileType::Fifo | FileType::Socket) => {
                    rustix::fs::mknodat(dir, name, kind, bits(mode), 0)?;
                }
                FileType::RegularFile | FileType::Unknown => {
                    rustix::fs::mknodat(dir, name, FileType::RegularFile, bits(mode), 0)?;
                }
                FileType::Directory
                | FileType::Symlink
                | FileType::CharacterDevice
                | FileType::BlockDevice => return Err(Errno::PERM),
            }
        }
        What::Socket { socket, path, shown } => bind(root, &socket, &path, shown)?,
        What::Address { socket, address } => sys::bind_raw(socket.as_fd(), &address)?,
        What::Symlink { says, path } => {
            let (dir, name) = parent(root, &path)?;
            rustix::fs::symlinkat(OsStr::from_bytes(&says), dir, name)?;
        }
        What::Link { from, path } => {
            let ((from_dir, from), (dir, name)) = (parent(root, &from)?, parent(root, &path)?);
            rustix::fs::linkat(from_dir, from, dir, name, AtFlags::empty())?;
        }
        What::LinkFile { file, path } => {
            let (dir, name) = parent(root, &path)?;
            rustix::fs::linkat(CWD, own(&file), dir, name, AtFlags::SYMLINK_FOLLOW)?;
        }
        What::Remove { path, flags } => {
            let (dir, name) = parent(root, &path)?;
            if is_mount_point(&dir, name)? {
                return Err(Errno::BUSY);
            }
            rustix::fs::unlinkat(dir, name, flags)?;
        }
        What::Rename { from, to, flags } => rename(root, &from, &to, flags)?,
        What::Truncate { path, length } => truncate(root, &path, length)?,
        What::Change { which, changing } => change(root, which, &changing)?,
        What::Access { path, mode } => {
            let file = itself(root, &path)?;
            let mode = Access::from_bits_truncate(mode);
            rustix::fs::accessat(CWD, own(&file), mode, AtFlags::empty())?;
        }
    }
    Ok(Made::Nothing)
}

/// Makes a file or a directory where nothing is, and opens nothing that is there; other things fail.
pub(super) fn fresh(root: BorrowedFd<'_>, what: &What) -> Result<Made, Errno> {
    match what {
        What::Create { path, flags, mode } => create(root, path, *flags, *mode),
        What::Directory { path, mode } => {
            directory(root, path, *mode)?;
            Ok(Made::Nothing)
        }
        What::Open { .. }
        | What::Reopen { .. }
        | What::Node { .. }
        | What::Socket { .. }
        | What::Address { .. }
        | What::Symlink { .. }
        | What::Link { .. }
        | What::LinkFile { .. }
        | What::Remove { .. }
        | What::Rename { .. }
        | What::Truncate { .. }
        | What::Access { .. }
        | What::Change { .. } => Err(Errno::OPNOTSUPP),
    }
}

fn directory(root: BorrowedFd<'_>, path: &[u8], mode: u32) -> Result<(), Errno> {
    let (dir, name) = parent(root, path)?;
    rustix::fs::mkdirat(dir, name, bits(mode))
}

fn create(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: u32) -> Result<Made, Errno> {
    let fresh = passed_on(flags) | OFlags::CREATE | OFlags::EXCL;
    let path = OsStr::from_bytes(path);
    let file = rustix::fs::openat2(root, path, fresh, bits(mode), straight())?;
    Ok(Made::File { file, on_exec: on_exec(flags) })
}

/// Only a regular file: to open anything else may mean to wait.
fn truncate(root: BorrowedFd<'_>, path: &[u8], length: u64) -> Result<(), Errno> {
    let file = itself(root, path)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(own(&file), flags, Mode::empty())?;
    rustix::fs::ftruncate(file, length)
}

fn change(root: BorrowedFd<'_>, which: Metadata, changing: &Changing) -> Result<(), Errno> {
    let file = match which {
        Metadata::At { path } => itself(root, &path)?,
        Metadata::Of(file) => file,
    };
    match changing {
        Changing::Mode(mode) => rustix::fs::chmod(own(&file), bits(*mode)),
        Changing::Times(times) => rustix::fs::utimensat(CWD, own(&file), times, AtFlags::empty()),
    }
}

/// What is at a path, as a mere reference; a symbolic link there is not followed.
fn itself(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(root, OsStr::from_bytes(path), flags, Mode::empty(), straight())
}

/// The directory of a path, opened as a mere reference, and the name in it.
fn parent<'a>(root: BorrowedFd<'_>, path: &'a [u8]) -> Result<(OwnedFd, &'a OsStr), Errno> {
    let at = path.iter().rposition(|byte| *byte == b'/').ok_or(Errno::INVAL)?;
    let (dir, name) = path.split_at_checked(at + 1).ok_or(Errno::INVAL)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat2(root, OsStr::from_bytes(dir), flags, Mode::empty(), straight())?;
    Ok((dir, OsStr::from_bytes(name)))
}

fn straight() -> ResolveFlags {
    ResolveFlags::NO_SYMLINKS | ResolveFlags::IN_ROOT
}

fn bits(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & MODE_BITS)
}

/// The name of an open file of ours.
fn own(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Opens what is there, or else makes it. In two steps, because what is there may be a pipe or a
/// device, on which one open would wait or would mean ourselves.
fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: u32) -> Result<Made, Errno> {
    if flags.contains(OFlags::EXCL) {
        return create(root, path, flags, mode);
    }
    for _ in 0..OPEN_TRIES_MAX {
        let reference = OFlags::PATH | OFlags::CLOEXEC;
        let there = OsStr::from_bytes(path);
        match rustix::fs::openat2(root, there, reference, Mode::empty(), straight()) {
            Ok(file) => return reopen(file, flags),
            Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
            Err(errno) => return Err(errno),
        }
        match create(root, path, flags, mode) {
            // Somebody else has made it meanwhile.
            Err(Errno::EXIST) => {}
            made => return made,
        }
    }
    Err(Errno::AGAIN)
}

fn passed_on(flags: OFlags) -> OFlags {
    flags & OPEN_FLAGS | OFlags::CLOEXEC | OFlags::NOCTTY
}

fn on_exec(flags: OFlags) -> OnExec {
    if flags.contains(OFlags::CLOEXEC) { OnExec::Close } else { OnExec::Keep }
}

/// Opens once more, as it was asked for, what we hold as a mere reference.
fn reopen(file: OwnedFd, flags: OFlags) -> Result<Made, Errno> {
    let stat = rustix::fs::fstat(&file)?;
    let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let existing = flags - OFlags::CREATE - OFlags::EXCL;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory if flags & OFlags::RWMODE != OFlags::RDONLY => Err(Errno::ISDIR),
        FileType::Directory if flags.intersects(OFlags::CREATE | OFlags::TRUNC) => {
            Err(Errno::ISDIR)
        }
        FileType::CharacterDevice if device == OWN_TERMINAL => Err(Errno::NXIO),
        FileType::Fifo if !flags.contains(OFlags::NONBLOCK) => {
            Ok(Made::Waiting(Later { file, flags: existing }))
        }
        FileType::RegularFile => open_at_once(file, existing),
        FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => {
            let file = rustix::fs::open(own(&file), passed_on(existing), Mode::empty())?;
            Ok(Made::File { file, on_exec: on_exec(flags) })
        }
    }
}

/// Opens a file if nobody has to be waited for.
fn open_at_once(file: OwnedFd, flags: OFlags) -> Result<Made, Errno> {
    let waits = !flags.contains(OFlags::NONBLOCK);
    let now = passed_on(flags) | OFlags::NONBLOCK;
    match rustix::fs::open(own(&file), now, Mode::empty()) {
        Ok(file) => {
            if waits {
                let set = rustix::fs::fcntl_getfl(&file)?;
                rustix::fs::fcntl_setfl(&file, set - OFlags::NONBLOCK)?;
            }
            Ok(Made::File { file, on_exec: on_exec(flags) })
        }
        Err(Errno::AGAIN) if waits => Ok(Made::Waiting(Later { file, flags })),
        Err(errno) => Err(errno),
    }
}

impl Later {
    /// Waits for it.
    pub(super) fn open(self) -> Result<(OwnedFd, OnExec), Errno> {
        let file = rustix::fs::open(own(&self.file), passed_on(self.flags), Mode::empty())?;
        Ok((file, on_exec(self.flags)))
    }
}

/// Binds a socket to a name in its directory, to which the calling thread goes for that if the way
/// through `/proc` is too long for an address.
fn bind(root: BorrowedFd<'_>, socket: &OwnedFd, path: &[u8], shown: Shown) -> Result<(), Errno> {
    let (dir, name) = parent(root, path)?;
    let through = [own(&dir).as_bytes(), b"/", name.as_bytes()].concat();
    if shown == Shown::Elsewhere && through.len() <= SOCKET_PATH_BYTES_MAX {
        return sys::bind_raw(socket.as_fd(), &unix_address(&through));
    }
    rustix::process::fchdir(dir)?;
    let bound = sys::bind_raw(socket.as_fd(), &unix_address(name.as_bytes()));
    // It would keep what is mounted there from being unmounted.
    rustix::process::chdir("/")?;
    bound
}

fn unix_address(path: &[u8]) -> Vec<u8> {
    let family = u16::try_from(libc::AF_UNIX).unwrap_or_default();
    [&family.to_ne_bytes(), path].concat()
}

/// Renames what the process itself could rename: not what something is mounted on. The kernel asks
/// that of the mounts of whoever renames, and the world's are not ours.
fn rename(root: BorrowedFd<'_>, from: &[u8], to: &[u8], flags: RenameFlags) -> Result<(), Errno> {
    let ((from_dir, from), (to_dir, to)) = (parent(root, from)?, parent(root, to)?);
    for (dir, name) in [(&from_dir, from), (&to_dir, to)] {
        match is_mount_point(dir, name) {
            Ok(false) | Err(Errno::NOENT) => {}
            Ok(true) => return Err(Errno::BUSY),
            Err(errno) => return Err(errno),
        }
    }
    rustix::fs::renameat_with(from_dir, from, to_dir, to, flags)
}

fn is_mount_point(dir: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(dir, name, flags, StatxFlags::TYPE)?;
    if !stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Errno::OPNOTSUPP);
    }
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
