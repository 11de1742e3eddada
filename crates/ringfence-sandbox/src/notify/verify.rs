//! Proof that the program that runs is the one that was decided about.
//!
//! The arguments of an exec lie in memory that other threads can change until the kernel has copied
//! them. So the waiting thread is watched through its exec, and compared with what was decided when
//! the new program is loaded and has not run its first instruction.
//!
//! Not covered: a script is opened again, by its path, by the interpreter that runs; who may change
//! the script, or a directory on its way, changes what is run.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use ringfence_core::FileIdentity;

use super::answer::Pending;
use super::{Attempt, Attempted, Delivery};
use crate::sys::notify::Reply;
use crate::sys::ptrace::{self, Patience, Stop};

/// First and longest pause between two looks at a thread whose number is about to change.
const PAUSES: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));

/// What a process looks like at the end of the exec that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    running: FileIdentity,
    command_line: Vec<u8>,
}

impl Expected {
    pub(super) fn new(running: FileIdentity, argv: &[Vec<u8>]) -> Expected {
        let mut command_line = Vec::with_capacity(argv.iter().map(|word| word.len() + 1).sum());
        for word in argv {
            command_line.extend_from_slice(word);
            command_line.push(0);
        }
        Expected { running, command_line }
    }
}

/// How a watched exec ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// What was decided runs.
    Same,
    /// Something else was about to run; it was killed before its first instruction.
    Mismatch(Ran),
    /// The exec failed, or its process ended: nothing new runs.
    NotStarted,
    /// The thread cannot be watched, so the exec was denied.
    Unwatchable {
        /// Why not.
        why: String,
    },
}

/// What was about to run instead of what was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The program as the kernel names it.
    pub program: String,
    /// Its arguments.
    pub argv: Vec<Vec<u8>>,
}

impl Attempt {
    /// Lets an exec happen and proves that it is the one that was decided; anything else is killed.
    ///
    /// The calling thread waits for the end of the exec, so it should not be the only one in
    /// [`Listener::next`](super::Listener::next). Attempts of another kind are denied.
    pub fn allow_verified(self) -> Verification {
        let Attempted::Exec(exec) = self.kind else {
            self.pending.answer(Reply::Fail(libc::EACCES));
            return Verification::Unwatchable { why: "it is no exec".to_owned() };
        };
        if self.pending.shared.line.is_told() {
            return self.pending.unproven();
        }
        if let Err(error) = ptrace::seize(self.tid) {
            self.pending.answer(Reply::Fail(libc::EACCES));
            return Verification::Unwatchable { why: error.to_string() };
        }
        // Even if the call is gone by now, the thread has to be stopped to be let go.
        let delivery = self.pending.answer(Reply::Continue);
        // After the answer: the stop that is asked for here must not interrupt the waiting. A
        // successful exec stops earlier, by itself; this one is for an exec that fails. An error
        // means that the thread is gone or has taken the leader's number, and waiting tells which.
        let _ = ptrace::interrupt(self.tid);
        let Watched { pid, stop } = watch(self.pid, self.tid);
        match stop {
            Stop::Exec if delivery == Delivery::Delivered => check(pid, &exec.expected),
            Stop::Exec => kill(pid, ran(pid)),
            Stop::Other { signal } => {
                // If it was killed in the meantime, there is nobody to let go.
                let _ = ptrace::detach(pid, signal);
                Verification::NotStarted
            }
            Stop::Gone => Verification::NotStarted,
        }
    }
}

impl Pending {
    /// Lets an exec go on that nobody can watch: it happens after the answer, at a time of its own.
    pub(super) fn unproven(self) -> Verification {
        match self.answer(Reply::Continue) {
            Delivery::Delivered => Verification::Same,
            Delivery::Gone | Delivery::Refused => Verification::NotStarted,
        }
    }
}

/// A stop, and under which number.
struct Watched {
    pid: i32,
    stop: Stop,
}

/// Waits for the watched thread. A thread that is not the leader takes the leader's number in the
/// middle of its exec (`ptrace(2)`, "execve(2) under ptrace"), and nobody is woken for that.
fn watch(pid: i32, tid: i32) -> Watched {
    if pid == tid {
        let stop = ptrace::wait(pid, Patience::Endless).unwrap_or(Stop::Gone);
        return Watched { pid, stop };
    }
    let (mut pause, longest) = PAUSES;
    loop {
        match ptrace::wait(tid, Patience::None) {
            Some(Stop::Gone) => {
                let stop = ptrace::wait(pid, Patience::Endless).unwrap_or(Stop::Gone);
                return Watched { pid, stop };
            }
            Some(stop) => return Watched { pid: tid, stop },
            None => {
                std::thread::sleep(pause);
                pause = longest.min(pause * 2);
            }
        }
    }
}

fn check(pid: i32, expected: &Expected) -> Verification {
    if !is(pid, expected) {
        return kill(pid, ran(pid));
    }
    match ptrace::detach(pid, 0) {
        Ok(()) => Verification::Same,
        // Killed by somebody else while it was stopped.
        Err(_) => Verification::NotStarted,
    }
}

/// Whether a process looks like what was decided.
pub(super) fn is(pid: i32, expected: &Expected) -> bool {
    running(pid) == Some(expected.running) && has_command_line(pid, expected)
}

fn kill(pid: i32, ran: Ran) -> Verification {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It can only fail if the process is gone; we still trace it, so its number is its own.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    while ptrace::wait(pid, Patience::Endless).is_some_and(|stop| stop != Stop::Gone) {}
    Verification::Mismatch(ran)
}

/// Which file a process runs.
fn running(pid: i32) -> Option<FileIdentity> {
    let found = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some(FileIdentity { device: found.dev(), inode: found.ino() })
}

fn has_command_line(pid: i32, expected: &Expected) -> bool {
    let Ok(mut file) = fs::File::open(format!("/proc/{pid}/cmdline")) else { return false };
    // One byte more than expected, so that a longer one is not the same.
    let mut found = vec![0; expected.command_line.len() + 1];
    let mut length = 0;
    while let Some(rest) = found.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(got) => length += got,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    found.get(..length) == Some(expected.command_line.as_slice())
}

pub(super) fn ran(pid: i32) -> Ran {
    let program = fs::read_link(format!("/proc/{pid}/exe"))
        .map_or_else(|_| "?".to_owned(), |path| path.to_string_lossy().into_owned());
    let mut text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if text.last() == Some(&0) {
        text.pop();
    }
    Ran { program, argv: text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect() }
}
