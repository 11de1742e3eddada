//! Where a path leads, as the waiting thread would find it, in the world's coordinates.
//!
//! The common path has no symbolic link in it: the kernel confirms that in one system call, and
//! then the text itself is the answer. Everything else is walked, one component at a time.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::tracee::{Call, Trouble, status_numbers};

/// Most symbolic links in one path (`MAXSYMLINKS`).
const LINKS_MAX: u32 = 40;

/// `PROC_SUPER_MAGIC`.
const PROC_MAGIC: u64 = 0x9fa0;

/// What the kernel puts behind the name of a file that was removed.
const DELETED: &[u8] = b" (deleted)";

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Absolute and free of symbolic links, but for the last component with [`Last::Keep`].
    pub(super) path: Vec<u8>,
    pub(super) found: Found,
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, in a directory that exists.
    Absent,
    Directory,
    Symlink,
    /// Anything else.
    File,
    /// A file without a path: a pipe, a socket, a removed or memory file, reached through `/proc`.
    Nameless,
}

/// A file opened as a mere reference, and what it is.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
}

/// Whether the last component is followed if it is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

impl Call<'_> {
    /// Finds out where `path` leads; an error is the one the kernel would give.
    pub(super) fn locate(&self, dir: i32, path: &[u8], last: Last) -> Result<Place, Trouble> {
        let place = self.find_out(dir, path, last)?;
        self.check_process(&place.path)?;
        Ok(place)
    }

    fn find_out(&self, dir: i32, path: &[u8], last: Last) -> Result<Place, Trouble> {
        let full = full(path, || self.directory(dir))?;
        if self.shared.asked.get().is_some_and(|asked| asked.comes_through(&full)) {
            return self.walk(&full, last);
        }
        if let Some(place) = self.in_known_directory(&full, last) {
            return Ok(place);
        }
        match self.straight(&full, last)? {
            Some((place, _)) => Ok(place),
            None => self.walk(&full, last),
        }
    }

    /// The same for a path that is to be opened: with the file, if it was opened on the way.
    pub(super) fn locate_open(
        &self,
        path: &[u8],
        last: Last,
        directory: impl FnOnce() -> Result<Vec<u8>, Trouble>,
    ) -> Result<(Place, Option<Opened>), Trouble> {
        let full = full(path, directory)?;
        let found = match self.straight(&full, last)? {
            Some(found) => found,
            None => (self.walk(&full, last)?, None),
        };
        self.check_process(&found.0.path)?;
        Ok(found)
    }

    /// The same for what lies there without a link, such as a process's map of its memory: for our own the
    /// kernel never asks who we are.
    fn check_process(&self, path: &[u8]) -> Result<(), Trouble> {
        match path.strip_prefix(b"/proc/") {
            Some(name) if name.first().is_some_and(u8::is_ascii_digit) => self.check_own(name),
            Some(_) | None => Ok(()),
        }
    }

    /// The path of the directory that relative paths start from.
    pub(super) fn directory(&self, dir: i32) -> Result<Vec<u8>, Trouble> {
        let name = if dir == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{dir}") };
        let path = self.proc_link(&name).map_err(|errno| match errno {
            Errno::NOENT if dir != libc::AT_FDCWD => Trouble::Errno(libc::EBADF),
            _ => Trouble::unresolvable(format!("no {name}: {errno}"), libc::EACCES),
        })?;
        if !path.starts_with(b"/") {
            return Err(Trouble::Errno(libc::ENOTDIR));
        }
        if path.ends_with(DELETED) && self.stat(&path).is_err() {
            // Nothing can be found or made in a directory that was removed.
            return Err(Trouble::Errno(libc::ENOENT));
        }
        Ok(path)
    }

    /// What lies at a path without symbolic links in its directories.
    fn stat(&self, path: &[u8]) -> Result<Stat, Trouble> {
        Ok(self.look_at(path)?.stat)
    }

    /// The same with the file itself. A directory that has become a symbolic link since it was
    /// looked at is not followed: an absolute one would lead us to the host's files.
    fn look_at(&self, path: &[u8]) -> Result<Opened, Trouble> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::IN_ROOT;
        let asked = self.shared.asked.get().and_then(|asked| asked.hidden(path)?.seen(path));
        let world = self.root()?;
        let (root, path) = asked.unwrap_or((world, path));
        let fd = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?;
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Opened { fd, stat })
    }

    /// Opens a resolved path as a mere reference; fails if a symbolic link has come in between.
    pub(super) fn reference(&self, path: &[u8]) -> Result<OwnedFd, Trouble> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::IN_ROOT;
        Ok(rustix::fs::openat2(self.root()?, path, flags, Mode::empty(), resolve)?)
    }

    /// The place of a path in a directory that was looked at a moment ago.
    fn in_known_directory(&self, full: &[u8], last: Last) -> Option<Place> {
        let parent = plain_parent(full)?;
        if !self.shared.straight.knows(parent) {
            return None;
        }
        let found = match self.stat(full) {
            Ok(stat) => found(&stat),
            Err(Trouble::Errno(libc::ENOENT)) => Found::Absent,
            Err(_) => return None,
        };
        let follow = found == Found::Symlink && last == Last::Follow;
        (!follow).then(|| Place { path: lexical(full), found })
    }

    /// The place of a path that has no symbolic link in it, and what is there; `None` if it has
    /// one, or may have.
    fn straight(
        &self,
        full: &[u8],
        last: Last,
    ) -> Result<Option<(Place, Option<Opened>)>, Trouble> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if last == Last::Keep {
            flags |= OFlags::NOFOLLOW;
        }
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::IN_ROOT;
        let opened = rustix::fs::openat2(self.root()?, full, flags, Mode::empty(), resolve);
        let (found, opened) = match opened {
            Ok(fd) => {
                let stat = rustix::fs::fstat(&fd)?;
                (found(&stat), Some(Opened { fd, stat }))
            }
            Err(Errno::NOENT) => {
                if !self.holds_a_place(full) {
                    return Err(Trouble::Errno(libc::ENOENT));
                }
                (Found::Absent, None)
            }
            // EAGAIN: something was renamed while `..` was looked up.
            Err(Errno::LOOP | Errno::AGAIN | Errno::XDEV) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if let Some(parent) = plain_parent(full) {
            self.shared.straight.learn(parent);
        }
        Ok(Some((Place { path: lexical(full), found }, opened)))
    }

    /// Whether only the last component of a path is missing.
    fn holds_a_place(&self, full: &[u8]) -> bool {
        let end = full.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        let text = full.get(..end).unwrap_or_default();
        let start = text.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (parent, name) = text.split_at(start);
        if name == b"." || name == b".." {
            return false;
        }
        self.stat(parent).is_ok_and(|stat| found(&stat) == Found::Directory)
    }

    /// Follows a path one component at a time.
    fn walk(&self, full: &[u8], last: Last) -> Result<Place, Trouble> {
        let mut done: Vec<u8> = Vec::with_capacity(full.len());
        let mut todo: Vec<Vec<u8>> = components(full);
        let mut must_be_directory = ends_in_directory(full);
        let mut links_left = LINKS_MAX;
        while let Some(name) = todo.pop() {
            if name == b".." {
                let parent = done.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                done.truncate(parent);
                continue;
            }
            let is_last = todo.is_empty();
            let candidate = [done.as_slice(), b"/", &name].concat();
            let found = match self.stat(&candidate) {
                Ok(stat) => found(&stat),
                // Beneath it lies what only we see.
                Err(Trouble::Errno(libc::ENOENT))
                    if !is_last && self.leads_to_asked(&candidate) =>
                {
                    Found::Directory
                }
                Err(Trouble::Errno(libc::ENOENT)) if is_last => Found::Absent,
                Err(trouble) => return Err(trouble),
            };
            let keep = is_last && last == Last::Keep && !must_be_directory;
            match found {
                Found::Symlink if !keep => {
                    links_left = links_left.checked_sub(1).ok_or(Trouble::Errno(libc::ELOOP))?;
                    match self.follow(&candidate)? {
                        Link::To(target) => {
                            must_be_directory |= is_last && ends_in_directory(&target);
                            if target.starts_with(b"/") {
                                done.clear();
                            }
                            todo.extend(components(&target));
                        }
                        Link::Straight(path) => done = path,
                        Link::Nameless if is_last => {
                            return Ok(Place { path: candidate, found: Found::Nameless });
                        }
                        Link::Nameless => return Err(Trouble::Errno(libc::ENOTDIR)),
                    }
                }
                Found::Directory => done = candidate,
                Found::Absent => return Ok(Place { path: candidate, found }),
                Found::File | Found::Symlink | Found::Nameless => {
                    if is_last && !must_be_directory {
                        return Ok(Place { path: candidate, found });
                    }
                    return Err(Trouble::Errno(libc::ENOTDIR));
                }
            }
        }
        self.end_of_walk(done)
    }

    /// Whether a place lies beneath a directory that the world need not have.
    fn leads_to_asked(&self, directory: &[u8]) -> bool {
        self.shared.asked.get().is_some_and(|asked| asked.is_above(directory))
    }

    /// A path whose every component has been followed.
    fn end_of_walk(&self, done: Vec<u8>) -> Result<Place, Trouble> {
        let path = if done.is_empty() { b"/".to_vec() } else { done };
        let found = found(&self.stat(&path)?);
        Ok(Place { path, found })
    }

    /// Where one symbolic link points. Those in `/proc` have no text that means anything to us:
    /// `self` would be ourselves, and the others lead to files, not to names.
    fn follow(&self, link: &[u8]) -> Result<Link, Trouble> {
        let fd = self.look_at(link)?.fd;
        if !is_proc(&fd)? {
            let target = rustix::fs::readlinkat(&fd, c"", Vec::new())?;
            return Ok(Link::To(target.into_bytes()));
        }
        let Some(name) = link.strip_prefix(b"/proc/") else {
            return Err(Trouble::unresolvable("a second /proc", libc::EACCES));
        };
        match name {
            b"self" => self.inside_number("NStgid:").map(Link::To),
            b"thread-self" => {
                let group = self.inside_number("NStgid:")?;
                let thread = self.inside_number("NSpid:")?;
                Ok(Link::To([group.as_slice(), b"/task/", &thread].concat()))
            }
            name if name.first().is_some_and(u8::is_ascii_digit) => {
                self.check_own(name)?;
                self.jump(link)
            }
            _ => {
                let target = rustix::fs::readlinkat(&fd, c"", Vec::new())?;
                Ok(Link::To(target.into_bytes()))
            }
        }
    }

    /// In a world without mounts `/proc` is the host's, and we may look where the payload may not: it
    /// is led to nothing but its own files.
    fn check_own(&self, name: &[u8]) -> Result<(), Trouble> {
        let number = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        if self.shared.places.is_none() || number == self.inside_number("NStgid:")? {
            return Ok(());
        }
        Err(Trouble::unresolvable("what another process has open", libc::EACCES))
    }

    /// A reference to the file behind a link in a process's directory. Only there is a link followed
    /// by the kernel: it has no text.
    fn behind(&self, link: &[u8]) -> Result<OwnedFd, Trouble> {
        let at = link.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (directory, name) = link.split_at_checked(at).unwrap_or_default();
        let directory = self.reference(directory)?;
        if !is_proc(&directory)? {
            return Err(Trouble::Errno(libc::EAGAIN));
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
    }

    /// The file behind a link in a process's directory, by the name it has now.
    fn jump(&self, link: &[u8]) -> Result<Link, Trouble> {
        let fd = self.behind(link)?;
        Ok(match self.name_of(&fd)? {
            Some(path) => Link::Straight(if path == b"/" { Vec::new() } else { path }),
            None => Link::Nameless,
        })
    }

    /// A reference to the file behind a link in a process's directory that leads to no path; fails
    /// where it leads to one by now.
    pub(super) fn nameless(&self, link: &[u8]) -> Result<OwnedFd, Trouble> {
        let fd = self.behind(link)?;
        if self.name_of(&fd)?.is_some() { Err(Trouble::Errno(libc::EAGAIN)) } else { Ok(fd) }
    }

    /// A reference to a file that the process has open.
    pub(super) fn open_file(&self, number: i32) -> Result<OwnedFd, Trouble> {
        let path = format!("/proc/{}/fd/{number}", self.tid());
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => Trouble::Errno(libc::EBADF),
            errno => errno.into(),
        })?;
        self.check_waiting()?;
        Ok(fd)
    }

    /// An open file that has no name. As kernels have it for everybody without capabilities, one that has a name
    /// is called by it.
    pub(super) fn open_nameless(&self, number: i32) -> Result<OwnedFd, Trouble> {
        let file = self.open_file(number)?;
        if rustix::fs::fstat(&file)?.st_nlink > 0 {
            return Err(Trouble::Errno(libc::ENOENT));
        }
        Ok(file)
    }

    /// The path of an open file, if that path leads to this very file.
    pub(super) fn name_of(&self, fd: &OwnedFd) -> Result<Option<Vec<u8>>, Trouble> {
        let own = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        let path = rustix::fs::readlink(own, Vec::new())?.into_bytes();
        if !path.starts_with(b"/") {
            return Ok(None);
        }
        let here = rustix::fs::fstat(fd)?;
        let there = self.stat(&path);
        let is_there = |it: &Stat| it.st_dev == here.st_dev && it.st_ino == here.st_ino;
        if there.as_ref().is_ok_and(is_there) {
            return Ok(Some(path));
        }
        // Without mounts that bound it, what has a name is decided by that name or not at all: one
        // that cannot be looked up (a closed directory above it, another file there by now) is not a
        // file without a name.
        if self.shared.places.is_some() && here.st_nlink > 0 {
            return Err(Trouble::unresolvable("a file whose path cannot be told", libc::EACCES));
        }
        Ok(None)
    }

    /// The waiting thread's number as its own world counts.
    fn inside_number(&self, label: &str) -> Result<Vec<u8>, Trouble> {
        let numbers = status_numbers(self.tid(), label);
        // Who counts processes differently could have a number that is somebody else's here.
        let here = |numbers: &Vec<i32>| self.shared.places.is_none() || numbers.len() == 1;
        let numbers = numbers.filter(here);
        let inside = numbers.and_then(|numbers| numbers.last().copied()).ok_or_else(|| {
            Trouble::unresolvable("the process does not show itself", libc::EACCES)
        })?;
        Ok(inside.to_string().into_bytes())
    }
}

/// The path from the world's root, with the directory before it if it is relative.
fn full(
    path: &[u8],
    directory: impl FnOnce() -> Result<Vec<u8>, Trouble>,
) -> Result<Vec<u8>, Trouble> {
    if path.is_empty() {
        return Err(Trouble::Errno(libc::ENOENT));
    }
    if path.starts_with(b"/") {
        return Ok(path.to_vec());
    }
    let mut full = directory()?;
    full.push(b'/');
    full.extend_from_slice(path);
    Ok(full)
}

/// Where a symbolic link leads.
enum Link {
    /// To this text, relative to its directory unless it starts with a slash.
    To(Vec<u8>),
    /// To this path, which has no symbolic links.
    Straight(Vec<u8>),
    /// To a file without a path.
    Nameless,
}

fn found(stat: &Stat) -> Found {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Found::Directory,
        FileType::Symlink => Found::Symlink,
        FileType::RegularFile
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Found::File,
    }
}

/// The directory part of a path that names an entry in it without `..`; `None` for other paths.
fn plain_parent(full: &[u8]) -> Option<&[u8]> {
    let at = full.iter().rposition(|byte| *byte == b'/')?;
    let (parent, name) = full.split_at_checked(at + 1)?;
    let plain = !matches!(name, b"" | b"." | b"..")
        && parent.split(|byte| *byte == b'/').all(|part| part != b"..");
    plain.then_some(parent)
}

/// The components of a path, last one first, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

/// Whether a path can only name a directory: `a/`, `a/.`.
fn ends_in_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || path.ends_with(b"/.") || path == b"."
}

/// Whether a file belongs to a `/proc`.
fn is_proc(file: &OwnedFd) -> Result<bool, Trouble> {
    let magic = rustix::fs::fstatfs(file)?.f_type;
    Ok(u64::try_from(magic) == Ok(PROC_MAGIC))
}

/// A path without `.`, `..` and empty components; only right where no symbolic link is in it.
pub(super) fn lexical(path: &[u8]) -> Vec<u8> {
    let mut names = path.split(|byte| *byte == b'/').skip(1);
    if path.starts_with(b"/") && names.all(|part| !matches!(part, b"" | b"." | b"..")) {
        return path.to_vec();
    }
    let mut parts: Vec<&[u8]> = Vec::with_capacity(16);
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() { b"/".to_vec() } else { [b"/".as_slice(), &parts.join(&b'/')].concat() }
}
