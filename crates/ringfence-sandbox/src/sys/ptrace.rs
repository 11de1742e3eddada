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

/// The same, and stops it also when it is about to exit, also by an exec of another of its threads.
pub(crate) fn seize_to_the_end(tid: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACEEXIT;
    request(libc::PTRACE_SEIZE, tid, i64::from(options))
}

/// Watches a thread and all that it starts, and stops each at the calls that its filter names; when the
/// calling thread ends, all of them end.
pub(crate) fn seize_with_all(tid: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SEIZE, tid, i64::from(options))
}

/// Why a thread that was seized with all it starts has stopped, or that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Before a call that its filter names.
    Call,
    /// A new program was loaded.
    Exec {
        /// The number of the thread that made the exec, before it took the first one's.
        former: i32,
    },
    /// It was started, has started another, or was asked to stop.
    Event,
    /// This signal is about to be delivered.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Its process was stopped by a signal, and is.
    Suspended,
    /// It ended.
    Ended {
        /// Its wait status.
        status: i32,
    },
}

/// What happened to a thread that the calling thread watches, or to a child, if something has.
pub(crate) fn next_stopped() -> Option<(i32, Stopped)> {
    let (tid, status) = next_status()?;
    if !libc::WIFSTOPPED(status) {
        return Some((tid, Stopped::Ended { status }));
    }
    let signal = libc::WSTOPSIG(status);
    let stopped = match status >> 16 {
        libc::PTRACE_EVENT_SECCOMP => Stopped::Call,
        libc::PTRACE_EVENT_EXEC => Stopped::Exec { former: message(tid).unwrap_or(tid) },
        libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stopped::Suspended,
        0 => Stopped::Signal { signal },
        _ => Stopped::Event,
    };
    Some((tid, stopped))
}

/// The number and the arguments of the call before which a thread has stopped.
pub(crate) fn call(tid: i32) -> io::Result<(i64, [u64; 6])> {
    let registers = registers(tid)?;
    let libc::user_regs_struct { orig_rax, rdi, rsi, rdx, r10, r8, r9, .. } = registers;
    Ok((orig_rax.cast_signed(), [rdi, rsi, rdx, r10, r8, r9]))
}

/// Has the call before which a thread has stopped return this, without being made.
pub(crate) fn skip(tid: i32, value: i64) -> io::Result<()> {
    let mut registers = registers(tid)?;
    // No call has this number (`seccomp(2)`, SECCOMP_RET_TRACE).
    registers.orig_rax = u64::MAX;
    registers.rax = value.cast_unsigned();
    // SAFETY: PTRACE_SETREGS reads one `user_regs_struct` through its last argument, which names one; the
    // address is not used.
    let status = unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0, &raw const registers) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn registers(tid: i32) -> io::Result<libc::user_regs_struct> {
    // SAFETY: it is plain integers, for which all-zero is a value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: PTRACE_GETREGS writes one `user_regs_struct` through its last argument, which names one;
    // the address is not used.
    let status = unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, 0, &raw mut registers) };
    if status == 0 { Ok(registers) } else { Err(io::Error::last_os_error()) }
}

/// Lets a stopped thread go on, delivering `signal` unless that is 0, and goes on watching it.
pub(crate) fn go_on(tid: i32, signal: i32) {
    // It can only fail if the thread is gone, and waiting tells that.
    let _ = request(libc::PTRACE_CONT, tid, i64::from(signal));
}

/// Leaves a thread stopped whose process somebody has stopped, until somebody continues it.
pub(crate) fn listen(tid: i32) {
    // The same.
    let _ = request(libc::PTRACE_LISTEN, tid, 0);
}

/// Kills the process of a stopped thread before it does anything more.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // The same; it is watched, so its number is its own.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// What happened to a thread that is watched to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A new program was loaded and has not run its first instruction.
    Exec {
        /// The number of the thread that made the exec, before it took the first one's.
        former: i32,
    },
    /// It is about to exit.
    Exit {
        /// The wait status that it will have.
        status: i32,
    },
    /// This signal is about to be delivered.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// It was asked to stop.
    Interrupted,
    /// Its process was stopped by a signal, and is.
    Suspended,
    /// It ended.
    Gone,
}

/// What happened to a thread that the calling thread watches, if something has; never waits.
pub(crate) fn next_event() -> Option<(i32, Event)> {
    let (tid, status) = next_status()?;
    Some((tid, event(tid, status)))
}

/// The next wait status, and whose it is.
fn next_status() -> Option<(i32, i32)> {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
    loop {
        // SAFETY: waitpid(2) writes one integer through the pointer, which names one. Of children, only
        // the calling thread's own and those that it watches are waited for (`__WNOTHREAD`).
        let found = unsafe { libc::waitpid(-1, &raw mut status, flags) };
        if found > 0 {
            return Some((found, status));
        }
        if found == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
}

fn event(tid: i32, status: i32) -> Event {
    if !libc::WIFSTOPPED(status) {
        return Event::Gone;
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        libc::PTRACE_EVENT_EXEC => Event::Exec { former: message(tid).unwrap_or(tid) },
        libc::PTRACE_EVENT_EXIT => Event::Exit { status: message(tid).unwrap_or(0) },
        // Our own interrupt comes with SIGTRAP, a stop of its process with the signal that stopped it.
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Event::Interrupted,
        libc::PTRACE_EVENT_STOP => Event::Suspended,
        _ => Event::Signal { signal },
    }
}

/// What an event says besides.
fn message(tid: i32) -> Option<i32> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: PTRACE_GETEVENTMSG writes one unsigned long through its last argument, which names one;
    // the address is not used.
    let status = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, 0, &raw mut message) };
    if status == 0 { i32::try_from(message).ok() } else { None }
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
    // SAFETY: none of the requests that come here reads or writes memory through its
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
