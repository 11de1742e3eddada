//! The waiting thread, as `/proc` and its memory show it.

use std::fs;
use std::io::Read as _;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::listen::{Judged, Shared};
use crate::sys::notify::{Notification, Reply};
use crate::sys::pidinfo;

/// Longest target of a link in `/proc`, in bytes: a path with ` (deleted)` behind it.
const LINK_BYTES_MAX: usize = 4096 + 16;

/// Most of `/proc/TID/status` that is read, in bytes: it has about 1,500. Of a process in some
/// hundred groups the lines behind those are not found, and what needs them is denied.
const STATUS_BYTES_MAX: usize = 4096;

/// Why a call is not handed out as what it seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The call no longer waits.
    Gone,
    /// The kernel would answer with this error number, and so do we: nothing is attempted.
    Errno(i32),
    /// There is no telling what would happen.
    Unresolvable {
        /// What is wrong.
        why: String,
        /// What to answer.
        errno: i32,
    },
}

impl Trouble {
    pub(super) fn unresolvable(why: impl Into<String>, errno: i32) -> Trouble {
        Trouble::Unresolvable { why: why.into(), errno }
    }
}

impl From<rustix::io::Errno> for Trouble {
    fn from(errno: rustix::io::Errno) -> Trouble {
        Trouble::Errno(errno.raw_os_error())
    }
}

/// A call that waits, with what is needed to look at its thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) shared: &'a Shared,
    pub(super) notification: Notification,
}

impl Call<'_> {
    /// The waiting thread.
    pub(super) fn tid(&self) -> i32 {
        self.notification.tid
    }

    /// One of the six argument registers.
    pub(super) fn arg(&self, at: usize) -> u64 {
        self.notification.args.get(at).copied().unwrap_or(0)
    }

    /// An argument register as the kernel takes an `int` out of it: the low half.
    pub(super) fn int(&self, at: usize) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "the kernel ignores the high half")]
        let low = self.arg(at) as u32;
        low.cast_signed()
    }

    /// What was read is only worth something if the thread still waited after the reading:
    /// else its number may name another one by now.
    ///
    /// An answer checks that by itself, for a call that no longer waits cannot be answered. So this
    /// is asked once before anybody decides, connects or makes something, and before anything is
    /// kept.
    pub(super) fn check_waiting(&self) -> Result<(), Trouble> {
        if self.shared.line.still_waits(self.notification.id) { Ok(()) } else { Err(Trouble::Gone) }
    }

    /// The target of a link below the thread's directory in `/proc`.
    pub(super) fn proc_link(&self, name: &str) -> rustix::io::Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(LINK_BYTES_MAX);
        let path = format!("/proc/{}/{name}", self.tid());
        rustix::fs::readlinkat_raw(
            rustix::fs::CWD,
            path,
            rustix::buffer::spare_capacity(&mut buffer),
        )?;
        Ok(buffer)
    }

    /// The world's root directory; opened with the first call and the same for all, because no
    /// process of a world can change its root.
    pub(super) fn root(&self) -> Result<BorrowedFd<'_>, Trouble> {
        self.shared.root(|| {
            let path = format!("/proc/{}/root", self.tid());
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
                Trouble::unresolvable(format!("the root is hidden: {errno}"), libc::EACCES)
            })?;
            self.check_waiting()?;
            Ok(fd)
        })
    }

    /// The waiting thread's mask for the permissions of what it makes.
    pub(super) fn umask(&self) -> Result<Mode, Trouble> {
        self.shared.umasks.of(self.group()?, || {
            let mask = status_line(self.tid(), "Umask:");
            let mask = mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
            let mask = mask.map(Mode::from_raw_mode).ok_or_else(|| {
                Trouble::unresolvable("the process does not show its umask", libc::EACCES)
            })?;
            self.check_waiting()?;
            Ok(mask)
        })
    }

    /// The waiting thread sets that mask: remembered first, so that nothing it makes next is made
    /// with the one before.
    pub(super) fn sets_umask(&self) -> Result<Judged, Trouble> {
        let group = self.group()?;
        self.check_waiting()?;
        let mask = Mode::from_raw_mode(self.int(0).cast_unsigned() & 0o777);
        self.shared.umasks.set(group, mask);
        Ok(Judged::Answer(Reply::Continue))
    }

    /// The waiting thread is about to have a mask together with another process, or apart from its
    /// own.
    pub(super) fn shares_umask(&self) -> Judged {
        self.shared.umasks.forget_for_good();
        Judged::Answer(Reply::Continue)
    }

    /// What `/dev/tty` means to the waiting thread, by its own name.
    pub(super) fn terminal(&self) -> Result<Vec<u8>, Trouble> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.tid()));
        // Behind the program's name, which may hold anything: state, parent, group, session, tty.
        let stat = stat.ok();
        let number = stat.as_ref().and_then(|stat| stat.rsplit_once(')')?.1.split(' ').nth(5));
        let number: u64 = number.and_then(|number| number.parse().ok()).unwrap_or(0);
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        // Pseudoterminals have majors 136 to 143, of which the kernel uses the first.
        if major == 136 {
            Ok(format!("/dev/pts/{minor}").into_bytes())
        } else {
            Err(Trouble::Errno(libc::ENXIO))
        }
    }

    /// The thread group of the waiting thread.
    pub(super) fn group(&self) -> Result<i32, Trouble> {
        let tid = self.tid();
        if let Some(group) = self.shared.known_group(tid) {
            return Ok(group);
        }
        let group = status_numbers(tid, "Tgid:").and_then(|numbers| numbers.first().copied());
        self.check_waiting()?;
        let group = group.ok_or_else(|| {
            Trouble::unresolvable("the process does not show itself", libc::EACCES)
        })?;
        self.shared.learn_group(tid, group);
        Ok(group)
    }
}

/// A descriptor of a process; `None` if it is none, but a thread that is not the first of its own.
pub(super) fn pidfd(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// The numbers behind a label in `/proc/TID/status`.
pub(super) fn status_numbers(tid: i32, label: &str) -> Option<Vec<i32>> {
    let line = status_line(tid, label)?;
    Some(line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
}

/// What stands behind a label in `/proc/TID/status`.
fn status_line(tid: i32, label: &str) -> Option<String> {
    let mut file = fs::File::open(format!("/proc/{tid}/status")).ok()?;
    // The kernel writes the whole text anew for each call that reads it, and all of it at once.
    let mut text = [0; STATUS_BYTES_MAX];
    let length = file.read(&mut text).ok()?;
    let mut lines = text.get(..length)?.split(|byte| *byte == b'\n');
    let found = lines.find_map(|line| line.strip_prefix(label.as_bytes()))?;
    String::from_utf8(found.to_vec()).ok()
}

/// The parent of a process, if it can still be told.
pub(super) fn parent(pid: i32, pidfd: Option<&OwnedFd>) -> Option<i32> {
    let told = pidfd.and_then(|pidfd| pidinfo::parent(pidfd).ok());
    // Kernels before 6.13 do not tell.
    told.or_else(|| status_numbers(pid, "PPid:")?.first().copied()).filter(|parent| *parent > 0)
}
