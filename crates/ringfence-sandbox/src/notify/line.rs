//! Where acts are heard of and answered: of the kernel, or of those who tell of themselves.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::NotifyError;
use super::told::Told;
use crate::sys::notify::{self as sys, Notification, OnExec, Reply};

/// Where the acts of a world are heard of, and answered.
#[derive(Debug)]
pub struct Line(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    /// A seccomp notification descriptor: whoever makes a call waits in it.
    Seccomp(OwnedFd, Receiving),
    /// Programs that ask before they act, as far as they do.
    Told(Told),
}

/// Whether receiving ends by itself when the world does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiving {
    /// Since Linux 6.11.
    EndsWithWorld,
    /// The descriptor has to be polled first.
    AfterPoll,
}

impl From<OwnedFd> for Line {
    fn from(fd: OwnedFd) -> Line {
        Line(Kind::Seccomp(fd, receiving()))
    }
}

impl Line {
    pub(crate) fn told(told: Told) -> Line {
        Line(Kind::Told(told))
    }

    /// Whether acts are told of by those who make them: nobody waits in the kernel then.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.0, Kind::Told(_))
    }

    /// Whether whoever makes a call cannot be handed a file.
    pub(super) fn is_traced(&self) -> bool {
        match &self.0 {
            Kind::Seccomp(..) => false,
            Kind::Told(told) => told.is_traced(),
        }
    }

    /// Checks that it can be used, and asks for what makes it faster.
    pub(super) fn check(&self) -> io::Result<()> {
        if let Kind::Seccomp(fd, _) = &self.0 {
            sys::check_sizes()?;
            // Only a hint for the scheduler: kernels before 6.6 do without.
            let _ = sys::wake_in_step(fd.as_fd());
        }
        Ok(())
    }

    /// Waits for a call; `None` when the world is gone.
    pub(super) fn receive(&self) -> Result<Option<Notification>, NotifyError> {
        let (fd, receiving) = match &self.0 {
            Kind::Seccomp(fd, receiving) => (fd, *receiving),
            Kind::Told(told) => return told.receive().map_err(NotifyError::Receive),
        };
        loop {
            if receiving == Receiving::AfterPoll && is_over(fd, Wait::Endless)? {
                return Ok(None);
            }
            match sys::receive(fd.as_fd()) {
                Ok(notification) => return Ok(Some(notification)),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // A call was interrupted before it could be handed out, or nobody is left.
                    Some(libc::ENOENT) => {
                        if is_over(fd, Wait::None)? {
                            return Ok(None);
                        }
                    }
                    _ => return Err(NotifyError::Receive(error)),
                },
            }
        }
    }

    /// Answers a call; an error when it no longer waits.
    pub(super) fn send(&self, id: u64, reply: Reply) -> io::Result<()> {
        match &self.0 {
            Kind::Seccomp(fd, _) => sys::send(fd.as_fd(), id, reply),
            Kind::Told(told) => told.send(id, reply),
        }
    }

    /// Answers a call with an open file, which becomes the process's own.
    pub(super) fn hand_in(&self, id: u64, file: BorrowedFd<'_>, on_exec: OnExec) -> io::Result<()> {
        match &self.0 {
            Kind::Seccomp(fd, _) => sys::hand_in(fd.as_fd(), id, file, on_exec),
            // Who opens it knows whether an exec closes it.
            Kind::Told(told) => told.hand_in(id, file),
        }
    }

    /// Whether the call still waits.
    pub(super) fn still_waits(&self, id: u64) -> bool {
        match &self.0 {
            Kind::Seccomp(fd, _) => sys::still_waits(fd.as_fd(), id),
            Kind::Told(told) => told.still_waits(id),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Endless,
    None,
}

/// Whether nobody is left who could make a call.
fn is_over(fd: &OwnedFd, wait: Wait) -> Result<bool, NotifyError> {
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    let timeout = match wait {
        Wait::Endless => None,
        Wait::None => Some(&none),
    };
    loop {
        let mut polled = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut polled, timeout) {
            Ok(_) => {
                let seen = polled.iter().fold(PollFlags::empty(), |a, fd| a | fd.revents());
                return Ok(!seen.contains(PollFlags::IN) && seen.contains(PollFlags::HUP));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(NotifyError::Receive(errno.into())),
        }
    }
}

/// Linux 6.11 ends `SECCOMP_IOCTL_NOTIF_RECV` when the last task of the filter has exited
/// ("seccomp: interrupt SECCOMP_IOCTL_NOTIF_RECV when all users have exited").
fn receiving() -> Receiving {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 11) => Receiving::EndsWithWorld,
        _ => Receiving::AfterPoll,
    }
}
