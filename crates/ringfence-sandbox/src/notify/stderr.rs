//! A word to the process that waits, on its standard error: never into a file, and never waiting.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::SendFlags;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

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
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()) {
            if bytes.len() + character.len_utf8() > TEXT_BYTES_MAX {
                break;
            }
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let notification =
            Notification { id: self.pending.id, tid: self.tid, arch: 0, number: 0, args: [0; 6] };
        let call = Call { shared: &self.pending.shared, notification };
        if write(&call, &bytes).is_ok() { Written::Yes } else { Written::No }
    }
}

fn write(call: &Call<'_>, bytes: &[u8]) -> Result<(), Trouble> {
    let path = format!("/proc/{}/fd/2", call.tid());
    let stat = rustix::fs::stat(&path)?;
    let major = rustix::fs::major(stat.st_rdev);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => {
            rustix::io::write(open(call, &path)?, bytes)?;
        }
        FileType::CharacterDevice if TERMINAL_MAJORS.iter().any(|range| range.contains(&major)) => {
            let terminal = open(call, &path)?;
            if !rustix::termios::isatty(&terminal) {
                return Err(Trouble::Errno(libc::ENOTTY));
            }
            rustix::io::write(terminal, bytes)?;
        }
        FileType::Socket => {
            let pidfd = connect::pidfd(call)?;
            call.check_waiting()?;
            let socket = pidfd_getfd(pidfd, 2, PidfdGetfdFlags::empty())?;
            rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
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

/// Opens standard error once more: the process's own open file may be one that waits.
fn open(call: &Call<'_>, path: &str) -> Result<OwnedFd, Trouble> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    call.check_waiting()?;
    // The link may lead elsewhere by now than it did when it was looked at.
    let regular = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::RegularFile;
    if regular { Err(Trouble::Errno(libc::EINVAL)) } else { Ok(fd) }
}
