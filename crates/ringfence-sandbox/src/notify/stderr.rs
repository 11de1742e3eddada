//! A word to the process that waits, on its standard error: never into a file, and never waiting.

use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::ReadWriteFlags;
use rustix::net::SendFlags;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use super::tracee::{Call, Trouble};
use super::{Attempt, Members, connect};
use crate::sys::notify::Notification;

/// Longest text, in bytes: what a pipe takes as a whole (`PIPE_BUF`).
const TEXT_BYTES_MAX: usize = 4096;

/// The device numbers of terminals that say which terminal they are: consoles and serial lines, and
/// pseudoterminals. `/dev/tty` (5) is left out, for us it would be our own.
const TERMINAL_MAJORS: [std::ops::RangeInclusive<u32>; 2] = [4..=4, 136..=143];

/// Least width of a terminal that lines are broken for, and how far what follows is set in.
const COLUMNS_MIN: usize = 40;
const HANGING: usize = 2;

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

/// The standard errors of one world's processes, for who waits elsewhere: for the answer of a server of ours.
#[derive(Debug, Clone, Copy)]
pub struct WorldStderr {
    world: Members,
}

impl WorldStderr {
    /// Of the world whose first process, or supervisor, has this number here.
    pub fn below(root: i32) -> WorldStderr {
        WorldStderr { world: Members::below(root) }
    }

    /// Writes to one process, as [`Attempt::write_stderr`] does, unless it is none of the world's (any more).
    pub fn write(self, pid: i32, text: &str) -> Written {
        let Some(member) = self.world.member(pid) else { return Written::No };
        let still_the_same =
            || if member.is_still_one() { Ok(()) } else { Err(Trouble::Errno(libc::ESRCH)) };
        let pidfd = || member.pidfd.try_clone().map_err(|_| Trouble::Errno(libc::EMFILE));
        Target { pidfd: &pidfd, still_the_same: &still_the_same }.tell(text)
    }
}

/// A process that is told something.
struct Target<'a> {
    pidfd: &'a dyn Fn() -> Result<OwnedFd, Trouble>,
    still_the_same: &'a dyn Fn() -> Result<(), Trouble>,
}

impl Target<'_> {
    fn tell(&self, text: &str) -> Written {
        if write(self, text).is_ok() { Written::Yes } else { Written::No }
    }
}

/// The text with its lines broken between words where they are longer than a terminal is wide; a command
/// in backticks stays whole. Where the width is not known nothing is broken.
fn folded(text: &str, columns: usize) -> String {
    if columns < COLUMNS_MIN {
        return text.to_owned();
    }
    let lines = text.split_inclusive('\n');
    lines.fold(String::with_capacity(text.len()), |mut out, line| {
        let indent = line.len() - line.trim_start_matches(' ').len() + HANGING;
        let mut at = 0;
        for (number, word) in words(line).into_iter().enumerate() {
            let width = word.trim_end().chars().count();
            if number > 0 && at + width > columns {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                at = indent;
            }
            out.push_str(word);
            at += word.chars().count();
        }
        out
    })
}

/// The words of a line, each with the spaces after it; the first one with those before it.
fn words(line: &str) -> Vec<&str> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let (mut words, mut start, mut in_command, mut before) = (Vec::new(), 0, false, ' ');
    for (at, character) in line.char_indices() {
        if at > indent && before == ' ' && character != ' ' && !in_command {
            words.extend(line.get(start..at));
            start = at;
        }
        in_command ^= character == '`';
        before = character;
    }
    words.extend(line.get(start..));
    words
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
fn write(target: &Target<'_>, text: &str) -> Result<(), Trouble> {
    let bytes = &plain(text);
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
        FileType::Fifo => write_to_pipe(&stderr, bytes)?,
        FileType::CharacterDevice if TERMINAL_MAJORS.iter().any(|range| range.contains(&major)) => {
            if !rustix::termios::isatty(&stderr) {
                return Err(Trouble::Errno(libc::ENOTTY));
            }
            let columns = rustix::termios::tcgetwinsize(&stderr).map_or(0, |size| size.ws_col);
            let bytes = plain(&folded(text, usize::from(columns)));
            rustix::io::write(without_waiting(&stderr)?, &bytes)?;
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

/// A pipe of another user's, whoever started us, cannot be opened once more; the kernel can be asked not to wait
/// for this one write (since Linux 6.4), or there is none.
fn write_to_pipe(stderr: &OwnedFd, bytes: &[u8]) -> Result<(), Trouble> {
    if let Ok(again) = without_waiting(stderr) {
        rustix::io::write(again, bytes)?;
    } else {
        let (bytes, at_its_end) = ([IoSlice::new(bytes)], u64::MAX);
        rustix::io::pwritev2(stderr, &bytes, at_its_end, ReadWriteFlags::NOWAIT)?;
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

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn what_is_said_on_a_terminal_is_broken_between_words_and_a_command_stays_whole() {
        let text = "denied: agent `a` may not read /some/where/that/is/rather/far/away\n  rule   \
                    none\nhint (for the person outside): to allow it, run `ringfence grant \
                    fs.read:/some/where --session`\n";
        let expected = "denied: agent `a` may not read\n  /some/where/that/is/rather/far/away\n  \
                        rule   none\nhint (for the person outside): to allow\n  it, run\n  \
                        `ringfence grant fs.read:/some/where --session`\n";
        assert_eq!(folded(text, 40), expected);
        for unknown in [0, 39, 500] {
            assert_eq!(folded(text, unknown), text);
        }
        let long = format!("{}\n", "x".repeat(100));
        assert_eq!(folded(&long, 40), long, "what has no spaces stays whole");
    }

    #[test]
    fn an_odd_backtick_and_empty_lines_are_kept() {
        let text = "a `b c d e f g h i j k l m n o p q r s t u v w x y z\n\n  \nend";
        assert_eq!(folded(text, 40), text.replacen("a `", "a\n  `", 1));
    }
}
