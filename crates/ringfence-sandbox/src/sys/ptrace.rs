//! Watching one thread through the exec it is about to make: `ptrace(2)` without stopping it first.

use std::io;

/// What became of a watched thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A new program was loaded and has not run its first instruction.
    Exec,
    /// It stopped for another reason, so the exec is over; this signal is about to be delivered.
    Other {
        /// The signal to hand on when letting go; 0 for none.
        signal: i32,
    },
    /// It ended, or it is not ours any more.
    Gone,
}

/// Starts watching a thread without stopping it; only an exec will stop it.
///
/// Only the calling thread may use the other functions on it (`ptrace(2)`: per thread).
pub(crate) fn seize(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, i64::from(libc::PTRACE_O_TRACEEXEC))
}

/// Asks a watched thread to stop as soon as it is out of the kernel.
pub(crate) fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0)
}

/// Lets a stopped thread go, delivering `signal` unless that is 0.
pub(crate) fn detach(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, i64::from(signal))
}

fn request(what: libc::c_uint, tid: i32, data: i64) -> io::Result<()> {
    // SAFETY: none of the three requests that come here reads or writes memory through its
    // arguments: address is 0 and data a number.
    let status = unsafe { libc::ptrace(what, tid, 0, data) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How long [`wait`] may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until something happens.
    Endless,
    /// Not at all: `None` if nothing has happened.
    None,
}

/// Waits until a watched thread stops or ends.
pub(crate) fn wait(tid: i32, patience: Patience) -> Option<Stop> {
    let flags = match patience {
        Patience::Endless => libc::__WALL,
        Patience::None => libc::__WALL | libc::WNOHANG,
    };
    loop {
        let mut status = 0;
        // SAFETY: waitpid(2) writes one integer through the pointer, which names one.
        let found = unsafe { libc::waitpid(tid, &raw mut status, flags) };
        if found == 0 {
            return None;
        }
        if found > 0 {
            return Some(stop(status));
        }
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return Some(Stop::Gone);
        }
    }
}

fn stop(status: i32) -> Stop {
    if !libc::WIFSTOPPED(status) {
        return Stop::Gone;
    }
    match status >> 16 {
        libc::PTRACE_EVENT_EXEC => Stop::Exec,
        // A signal-delivery stop: the signal is lost unless it is handed on.
        0 => Stop::Other { signal: libc::WSTOPSIG(status) },
        // PTRACE_EVENT_STOP: our own interrupt, or a group stop, which outlives the detaching.
        _ => Stop::Other { signal: 0 },
    }
}
