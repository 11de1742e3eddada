//! A word to the process that waits, on its standard error: never into a file, and never waiting.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::SendFlags;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::tracee::{Call, Trouble};
use super::{Attempt, connect};
use crate::sys::notify::Notification;

/// Longest text, in bytes: what a pipe takes as a whole (`PIPE_BUF`).
const TEXT_BYTES_MAX: usize = 4096;

/// The device numbers of terminals that say which terminal they are: consoles and serial lines, and
/// pseudoterminals. `/dev/tty` (5) is left out, for us it would be our own.
const TERMINAL_MAJORS: [std::ops::RangeInclusive<u32>; 2] = [4..=4, 136..=143];

/// Whether a text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it, or as much as fitted.
    Yes,
    /// Standard error is closed, full, or leads to a file.
    No,
}

impl Attempt {
    /// Writes to the standard error of the process, if that is a terminal, a pipe or a socket with
    /// room; control characters other than line ends and tabs are left out.
    pub fn write_stderr(&self, text: &str) -> Written {
        let notification =
            Notification { id: self.pending.id, tid: self.tid, arch: 0, number: 0, args: [0; 6] };
        let call = Call { shared: &self.pending.shared, notification };
        let target =
            Target { pidfd: &|| connect::pidfd(&call), still_the_same: &|| call.check_waiting() };
        target.tell(text)
    }
}

/// The same for a process of a world that waits elsewhere, for the answer of a server of ours.
pub fn write_stderr_of(pid: i32, text: &str) -> Written {
    let open = || -> Result<OwnedFd, Trouble> {
        let pid = Pid::from_raw(pid).ok_or(Trouble::Errno(libc::ESRCH))?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    };
    let Ok(pidfd) = open() else { return Written::No };
    let still_the_same = || {
        // A world has a network of its own, so that a number that is a host's process by now is
        // seen; and as long as the process lives its number is its own.
        let network = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/ns/net"));
        let (its, ours) = (network(&pid.to_string())?, network("self")?);
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        let lives = poll(&mut ended, Some(&Timespec::default()))? == 0;
        let elsewhere = (its.st_dev, its.st_ino) != (ours.st_dev, ours.st_ino);
        if lives && elsewhere { Ok(()) } else { Err(Trouble::Errno(libc::ESRCH)) }
    };
    let pidfd = || pidfd.try_clone().map_err(|_| Trouble::Errno(libc::EMFILE));
    Target { pidfd: &pidfd, still_the_same: &still_the_same }.tell(text)
}

/// A process that is told something.
struct Target<'a> {
    pidfd: &'a dyn Fn() -> Result<OwnedFd, Trouble>,
    still_the_same: &'a dyn Fn() -> Result<(), Trouble>,
}

impl Target<'_> {
    fn tell(&self, text: &str) -> Written {
        if write(self, &plain(text)).is_ok() { Written::Yes } else { Written::No }
    }
}

/// The text without control characters, as far as it fits.
fn plain(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()) {
        if bytes.len() + character.len_utf8() > TEXT_BYTES_MAX {
            break;
        }
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

/// Writes where the process itself may write, which says nothing about what we may open: a pipe or
/// a terminal that it can only read is not written for it.
fn write(target: &Target<'_>, bytes: &[u8]) -> Result<(), Trouble> {
    let pidfd = (target.pidfd)()?;
    (target.still_the_same)()?;
    let stderr = pidfd_getfd(pidfd, 2, PidfdGetfdFlags::empty())?;
    let flags = rustix::fs::fcntl_getfl(&stderr)?;
    let writes = [OFlags::WRONLY, OFlags::RDWR].contains(&(flags & OFlags::ACCMODE));
    if !writes || flags.contains(OFlags::PATH) {
        return Err(Trouble::Errno(libc::EBADF));
    }
    let stat = rustix::fs::fstat(&stderr)?;
    let major = rustix::fs::major(stat.st_rdev);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => {
            rustix::io::write(without_waiting(&stderr)?, bytes)?;
        }
        FileType::CharacterDevice if TERMINAL_MAJORS.iter().any(|range| range.contains(&major)) => {
            if !rustix::termios::isatty(&stderr) {
                return Err(Trouble::Errno(libc::ENOTTY));
            }
            rustix::io::write(without_waiting(&stderr)?, bytes)?;
        }
        FileType::Socket => {
            rustix::net::send(stderr, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        }
        FileType::CharacterDevice
        | FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::BlockDevice
        | FileType::Unknown => return Err(Trouble::Errno(libc::EINVAL)),
    }
    Ok(())
}

/// The same pipe or terminal once more: whether the process's own open file waits is a state that
/// all who hold it share, so that it is not ours to change.
fn without_waiting(stderr: &OwnedFd) -> Result<OwnedFd, Trouble> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", stderr.as_raw_fd());
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
