//! Job control: the session stops when its command does, and both go on together.

use ringfence_sandbox::signals::Signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};
use rustix::termios::{isatty, tcgetpgrp};
use std::os::fd::BorrowedFd;

pub(super) const SIGCONT: i32 = 18;
pub(super) const SIGSTOP: i32 = 19;
pub(super) const SIGTSTP: i32 = 20;

/// Most processes between this one and the shell that started it.
const WRAPPERS_MAX: usize = 64;

/// Where a process stands, as proc_pid_stat(5) tells it. What lies outside this process's pid
/// namespace has the number 0 there, which [`Pid`] cannot hold: hence no getpgid(2), getsid(2).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    parent: i32,
    group: i32,
    session: i32,
}

impl Standing {
    /// Of this process; none where /proc does not say.
    fn own() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Of the parent; none where that is outside.
    fn above(self) -> Option<Self> {
        let pid = Pid::from_raw(self.parent)?;
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name before may hold anything, also parentheses.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut numbers = fields.split_ascii_whitespace().skip(1).map_while(|n| n.parse().ok());
        Some(Self { parent: numbers.next()?, group: numbers.next()?, session: numbers.next()? })
    }
}

/// Whether there is a shell that could continue this process: in an orphaned process group
/// (setpgid(2)), what is stopped stays so for good.
pub(super) fn is_job() -> bool {
    let Some(own) = Standing::own() else { return false };
    let mut above = own.above();
    for _ in 0..WRAPPERS_MAX {
        let Some(standing) = above.filter(|above| above.session == own.session) else {
            return false;
        };
        if standing.group != own.group {
            return true;
        }
        above = standing.above();
    }
    false
}

/// Whether what is typed on `terminal` is ours: to read it, or to change how it is set, from the
/// background would stop this process (`SIGTTIN`, `SIGTTOU`).
pub(super) fn is_in_foreground(terminal: BorrowedFd<'_>) -> bool {
    match tcgetpgrp(terminal) {
        Ok(group) => Standing::own().is_some_and(|own| own.group == group.as_raw_pid()),
        // A terminal that controls other processes than this one stops none of ours.
        Err(Errno::NOTTY) => isatty(terminal),
        // A group outside this pid namespace, say.
        Err(_) => false,
    }
}

/// Stops this process and those that wait for it in its group, and comes back when they go on;
/// returns what else was signalled meanwhile.
///
/// `signals` must hold `SIGCONT` and `SIGTSTP`: the second is then for the others only.
pub(super) fn stop(signals: &Signals) -> Vec<i32> {
    let mut others = Vec::new();
    let _ = rustix::process::kill_current_process_group(Signal::TSTP);
    if kill_process(getpid(), Signal::STOP).is_err() {
        return others;
    }
    loop {
        let mut fds = [PollFd::new(signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return others,
        }
        while let Ok(Some(number)) = signals.next_pending() {
            match number {
                SIGCONT => return others,
                SIGTSTP => {}
                other => others.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_the_pid_namespace_is_no_number_to_fail_at() {
        let outside = Standing::parse("7 (a) b) S 0 0 0 34816 7 0").unwrap();
        assert!(outside == Standing { parent: 0, group: 0, session: 0 });
        assert!(outside.above().is_none());
        assert!(Standing::own().is_some());
    }
}
