//! A world's processes by their numbers: a number that was noted earlier may be another process's by now.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::told;

/// The processes of one world: all who descend from its first one.
#[derive(Debug, Clone, Copy)]
pub struct Members {
    /// The world's first process, as we number it.
    root: i32,
}

/// A process that was one of a world's when this was made.
#[derive(Debug)]
pub struct Member {
    pid: i32,
    root: i32,
    /// The process itself, whoever has its number later.
    pub pidfd: OwnedFd,
}

impl Members {
    /// Of the world whose first process, or supervisor, has this number here.
    pub fn below(root: i32) -> Members {
        Members { root }
    }

    /// The process with this number, unless it is none of the world's (any more), or is what holds the world
    /// together.
    pub fn member(self, pid: i32) -> Option<Member> {
        let number = Pid::from_raw(pid).filter(|_| pid != self.root)?;
        let pidfd = pidfd_open(number, PidfdFlags::empty()).ok()?;
        let member = Member { pid, root: self.root, pidfd };
        member.is_still_one().then_some(member)
    }
}

impl Member {
    /// Whether it lives, in the world.
    pub fn is_still_one(&self) -> bool {
        let descends = told::descends(self.pid, self.root);
        // Asked last: as long as the process lives its number is its own, so that it was this one's
        // ancestors that were looked at.
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        descends && poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
    }
}
