//! Opens that only read: told to who wants to know, and never decided.
//!
//! The kernel carries them out; the world's mounts bound what they find, as they do where nobody asks. So
//! the call goes on also where nothing can be found out about it. Another thread may change the path
//! before the kernel reads it: what is told is what the call named.

use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::file;
use super::listen::{Judged, Shared};
use super::locate::lexical;
use super::places::Places;
use super::tracee::{Call, Trouble};
use crate::sys::notify::Reply;

/// An open that only reads.
pub struct ReadOpen<'a> {
    /// The process (thread group), numbered in our pid namespace.
    pub pid: i32,
    /// The path as the process named it, absolute; symbolic links are not followed.
    pub path: &'a [u8],
    shared: &'a Shared,
}

/// Whether the world has something at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InWorld {
    /// It has.
    Is,
    /// It has not.
    Absent,
    /// That cannot be told: `/proc` is another to each process.
    Unknown,
}

/// Who is told of opens that only read.
pub(super) struct Told(pub(super) Box<dyn Fn(&ReadOpen<'_>) + Send + Sync>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody")
    }
}

/// What an open that only reads names.
#[derive(Debug)]
pub(super) struct Seen {
    pid: i32,
    path: Vec<u8>,
}

/// Whether a call is an open that only reads, by its registers, which cannot change.
pub(super) fn is_one(call: &Call<'_>) -> bool {
    let flags = match call.notification.number {
        libc::SYS_open => call.int(1),
        libc::SYS_openat => call.int(2),
        _ => return false,
    };
    flags & (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH) == 0
}

/// What such a call names; it goes on in any case.
pub(super) fn look(call: &Call<'_>) -> Judged {
    match seen(call) {
        Ok(seen) => Judged::Read(seen),
        Err(_) => Judged::Answer(Reply::Continue),
    }
}

/// The same where the payload opens nothing by itself: it is told of, and carried out by us.
pub(super) fn look_or_open(call: &Call<'_>) -> Result<Judged, Trouble> {
    if !call.shared.places.as_ref().is_some_and(Places::opens_all) {
        let asked = file::look_asked(call)?;
        let is_watched = call.shared.reads.get().is_some();
        if let (true, Some(_), Ok(seen)) = (is_watched, &asked, seen(call)) {
            call.shared.tell_read(&seen);
        }
        return Ok(match asked {
            Some(asked) => asked,
            None if is_watched => look(call),
            None => Judged::Answer(Reply::Continue),
        });
    }
    if call.shared.reads.get().is_some()
        && let Ok(seen) = seen(call)
    {
        call.shared.tell_read(&seen);
    }
    file::look(call)
}

fn seen(call: &Call<'_>) -> Result<Seen, Trouble> {
    let (dir, path) = match call.notification.number {
        libc::SYS_open => (libc::AT_FDCWD, call.path(call.arg(0))?),
        _ => (call.int(0), call.path(call.arg(1))?),
    };
    // While it waits: later there may be no process to ask.
    call.root()?;
    let pid = call.group()?;
    if path.is_empty() {
        return Err(Trouble::Errno(libc::ENOENT));
    }
    if path.starts_with(b"/") {
        return Ok(Seen { pid, path: lexical(&path) });
    }
    let mut full = call.directory(dir)?;
    full.push(b'/');
    full.extend_from_slice(&path);
    Ok(Seen { pid, path: lexical(&full) })
}

impl Shared {
    /// Tells of an open that waits to go on.
    pub(super) fn tell_read(&self, seen: &Seen) {
        if let Some(told) = self.reads.get() {
            (told.0)(&ReadOpen { pid: seen.pid, path: &seen.path, shared: self });
        }
    }
}

impl ReadOpen<'_> {
    /// Whether the world has something there now, symbolic links followed.
    pub fn in_world(&self) -> InWorld {
        let Some(root) = self.shared.known_root() else { return InWorld::Unknown };
        if self.path == b"/proc" || self.path.starts_with(b"/proc/") {
            return InWorld::Unknown;
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = rustix::fs::openat2(
            root.as_fd(),
            self.path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        );
        match found {
            Ok(fd) => self.shown(&fd),
            Err(Errno::NOENT | Errno::NOTDIR) => InWorld::Absent,
            Err(_) => InWorld::Unknown,
        }
    }

    /// What is there is in the world, unless its places alone say what that is.
    fn shown(&self, fd: &OwnedFd) -> InWorld {
        let Some(places) = &self.shared.places else { return InWorld::Is };
        let own = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let Ok(path) = rustix::fs::readlink(own, Vec::new()) else { return InWorld::Unknown };
        match places.read(path.as_bytes()) {
            Ok(()) => InWorld::Is,
            Err(_) => InWorld::Absent,
        }
    }
}
