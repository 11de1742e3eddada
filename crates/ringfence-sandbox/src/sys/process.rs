//! Forking, and what a process gives up before it runs somebody else's program.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::Pid;

/// The exit code of a forked process whose code panicked.
const PANICKED: i32 = 70;

/// Runs `child` in a new process and returns its id; `child`'s result is the exit code.
///
/// The calling process must have one thread: the child goes on with ordinary Rust code, which may
/// allocate, and a lock held by a vanished thread would never be released.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the caller has one thread (see above), so the child's memory is consistent.
    match unsafe { libc::fork() } {
        0 => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
            // SAFETY: _exit(2) has no conditions; exit handlers and destructors are the parent's.
            unsafe { libc::_exit(code) }
        }
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error),
    }
}

/// Gives the calling process, which must have been forked and never ask for its arguments again,
/// this name and no arguments, as `/proc/PID/cmdline` and `comm` show them.
pub(crate) fn retitle(title: &CStr) -> io::Result<()> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may hold anything, the third field is the first: proc_pid_stat(5).
    let (_, fields) = stat.rsplit_once(") ").ok_or_else(invalid)?;
    let mut bounds = fields.split(' ').skip(48 - 3).map(|field| field.trim().parse::<usize>());
    let (Some(Ok(start)), Some(Ok(end))) = (bounds.next(), bounds.next()) else {
        return Err(invalid());
    };
    let length = end.checked_sub(start).filter(|_| start != 0).ok_or_else(invalid)?;
    let shown = title.to_bytes();
    let shown = shown.get(..shown.len().min(length.saturating_sub(1))).unwrap_or_default();
    let arguments: *mut u8 = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the kernel put the arguments of this program between these two addresses, in one
    // mapping of its stack that stays and can be written. Nobody has a reference to them: Rust
    // copies them when it is asked, which the caller does not do again, and until then they stay
    // strings, because the last byte is 0. `shown` is shorter, and lies elsewhere.
    unsafe {
        arguments.write_bytes(0, length);
        arguments.copy_from_nonoverlapping(shown.as_ptr(), shown.len());
    }
    rustix::thread::set_name(title)?;
    Ok(())
}

/// Closes every descriptor but the standard ones and `kept`.
///
/// For a freshly forked child whose other descriptors are the parent's business: whatever value
/// still holds one of them must never be used again.
pub(crate) fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if first < fd {
            close_range(first, fd - 1, 0)?;
        }
        first = fd + 1;
    }
    close_range(first, RawFd::MAX, 0)
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    close_range(first, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    let (first, last) = (first.unsigned_abs(), last.unsigned_abs());
    // SAFETY: only called by forked children that are about to run nothing of ours but code that
    // does not use the descriptors closed here.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `act` with the file access of another user; only root can.
///
/// The calling process must have one thread.
pub(crate) fn as_file_user<T>(uid: u32, gid: u32, act: impl FnOnce() -> T) -> T {
    // SAFETY: setfsuid(2) and setfsgid(2) change this thread's credentials and touch no memory;
    // they cannot fail for root, and for others change nothing.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
    }
    let result = act();
    // SAFETY: as above; the effective ids are what they were before.
    unsafe {
        libc::setfsuid(libc::geteuid());
        libc::setfsgid(libc::getegid());
    }
    result
}

/// Empties the capability bounding set, so that no exec ever gains one.
pub(crate) fn empty_bounding_set() -> io::Result<()> {
    for capability in 0..=63_u64 {
        // SAFETY: PR_CAPBSET_DROP takes one number and touches no memory.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if result != 0 {
            let error = io::Error::last_os_error();
            // Past the last capability this kernel knows.
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// The highest signal number.
const SIGNAL_MAX: i32 = 64;

/// Puts every signal's handling back to the default, so that nothing of ours is inherited.
pub(crate) fn default_signals() {
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: SIG_DFL is a valid disposition; numbers that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A descriptor that becomes readable when a child changes state.
pub(crate) fn child_events() -> io::Result<OwnedFd> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset(3) initialises the set behind the pointer; sigaddset(3) and
    // sigprocmask(2) then read and write that initialised set only.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: signalfd(2) returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends `signal` to every process of the group that `leader` leads.
pub(crate) fn signal_group(leader: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) touches no memory; a bad number is refused.
    let result = unsafe { libc::kill(-leader.as_raw_nonzero().get(), signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends `signal` to every other process of the pid namespace whose first process the caller is.
///
/// The kernel does it for all at once: who is being started is hit as well, or is started only after
/// its parent was (`kill_something_info`, and `copy_process` with a signal pending).
pub(crate) fn signal_namespace(signal: i32) -> io::Result<()> {
    if rustix::process::getpid() != Pid::INIT {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    // SAFETY: kill(2) touches no memory. From the first process of a namespace, -1 is everybody else
    // in it and nobody outside.
    let result = unsafe { libc::kill(-1, signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves `fd` to the number `at`, where it survives an exec.
pub(crate) fn move_to(fd: &OwnedFd, at: RawFd) -> io::Result<()> {
    // SAFETY: dup2(2) closes what `at` was; the callers name 0, 1 or 2, whose owners in this
    // process (`std::io`) do not close them.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), at) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The proof that the calling process, and what it starts, can signal nobody outside of its own
/// Landlock domain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoundedSignals(());

impl BoundedSignals {
    /// Proves it on a process outside, which the caller could signal before.
    pub(crate) fn proven_on(outside: Pid) -> io::Result<BoundedSignals> {
        // SAFETY: kill(2) touches no memory, and signal 0 only asks.
        let result = unsafe { libc::kill(outside.as_raw_nonzero().get(), 0) };
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EPERM) if result != 0 => Ok(BoundedSignals(())),
            _ => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        }
    }

    /// Sends `SIGKILL` to every process of the domain but the caller: all that it can signal.
    #[expect(clippy::unused_self, reason = "it is the proof that this may be done")]
    pub(crate) fn kill_all(self) -> io::Result<()> {
        // SAFETY: kill(2) touches no memory. Without the proof these would be all processes of the
        // caller's user, and for root all of the host.
        let result = unsafe { libc::kill(-1, libc::SIGKILL) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
