//! Job control: the session stops when its command does, and both go on together.

use ringfence_sandbox::signals::Signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid, getsid, kill_process};

pub(super) const SIGCONT: i32 = 18;
pub(super) const SIGSTOP: i32 = 19;
pub(super) const SIGTSTP: i32 = 20;

/// Most processes between this one and the shell that started it.
const WRAPPERS_MAX: usize = 64;

/// Whether there is a shell that could continue this process: in an orphaned process group
/// (setpgid(2)), what is stopped stays so for good.
pub(super) fn is_job() -> bool {
    let (group, Ok(session)) = (getpgrp(), getsid(None)) else { return false };
    let mut above = rustix::process::getppid();
    for _ in 0..WRAPPERS_MAX {
        let Some(pid) = above.filter(|pid| getsid(Some(*pid)) == Ok(session)) else {
            return false;
        };
        if getpgid(Some(pid)) != Ok(group) {
            return true;
        }
        above = parent_of(pid);
    }
    false
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, also parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    Pid::from_raw(fields.split_ascii_whitespace().nth(1)?.parse().ok()?)
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
