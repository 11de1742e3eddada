//! The supervisor's process: who hears which world to make, starts the payload, reaps what is orphaned, and
//! leaves when the world has ended. How everybody is ended, each tier says ([`Hold`]).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::process::Pid;

use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::helper::first_to_go;
use super::super::init::{self, reap};
use super::super::{Stdio, WorldSpec, wire};
use crate::sys::process::{child_events, close_all_but, retitle, signal_group};

/// Where a host gives out terminals.
const TERMINALS: &CStr = c"/dev/ptmx";
/// What the supervisor, and who guards it, are called.
const TITLE: &CStr = c"ringfence-world";
/// What being told is called in errors.
const TOLD: &str = "hear which world to make";

/// Starts the payload, with this umask, watches over it, and ends all of its world; returns its wait status,
/// or `None` where the broker is gone or wants the end.
pub(in crate::world) type Hold = fn(&Channel, &WorldSpec, Mode) -> Result<Option<i32>, Failure>;

/// The code of the supervisor's process; its result is the exit code, which nobody reads.
pub(super) fn run(control: &Channel, hold: Hold) -> i32 {
    if retitle(TITLE).is_err() || close_all_but(&[control.as_fd().as_raw_fd()]).is_err() {
        return 1;
    }
    // Out of the terminal's reach: its signals are for the payload.
    let _ = rustix::process::setsid();
    let umask = rustix::process::umask(Mode::from_raw_mode(0o022));
    let ended = told(control).and_then(|spec| match spec {
        Some(spec) => hold(control, &spec, umask),
        None => Ok(None),
    });
    let sent = match ended {
        Ok(None) => Ok(()),
        Ok(Some(status)) => control.send(Topic::Ended, &status.to_le_bytes()),
        Err(failure) => control.send(Topic::Failed, &failure.encode()),
    };
    i32::from(sent.is_err())
}

/// The world that it is to hold; `None` when the broker has thought better of it.
fn told(control: &Channel) -> Result<Option<WorldSpec>, Failure> {
    first_to_go();
    let Some(message) = control.receive().during(Need::Payload, TOLD)? else { return Ok(None) };
    let missing = || Failure { need: Need::Payload, errno: libc::EINVAL, step: TOLD.to_owned() };
    let memory = message.fds.into_iter().next().ok_or_else(missing)?;
    let spec = wire::receive(&memory).during(Need::Payload, TOLD)?;
    // All who are orphaned in the world become its children, whatever they did to be forgotten.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .during(Need::Payload, "become the parent of the orphaned")?;
    Ok(Some(spec))
}

/// Says that the world stands, with its terminal where it has one; returns the payload's side of that.
pub(in crate::world) fn announce(
    control: &Channel,
    spec: &WorldSpec,
) -> Result<Option<OwnedFd>, Failure> {
    let terminal = match spec.stdio {
        Stdio::Inherit => None,
        Stdio::Pty(size) => Some(init::terminal(TERMINALS, size)?),
    };
    if let Some(terminal) = &terminal
        && !spec.identity.is_caller()
    {
        let (uid, gid) = (spec.identity.uid, spec.identity.gid);
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::fchown(&terminal.slave, Some(uid), Some(gid))
            .during(Need::Terminal, "give the payload its terminal")?;
    }
    let fds: Vec<_> = terminal.iter().map(|terminal| terminal.master.as_fd()).collect();
    control
        .send_with(Topic::WorldReady, &[], &fds)
        .during(Need::Payload, "hand out the world's terminal")?;
    Ok(terminal.map(|terminal| terminal.slave))
}

/// Reaps and forwards signals until the payload ends (its wait status), or the broker does or wants the
/// end, or the guardian is gone (`None`).
pub(in crate::world) fn supervise(
    control: &Channel,
    leader: Pid,
    guardian: Option<&Channel>,
) -> io::Result<Option<i32>> {
    let watch = Watch::new(control, leader)?;
    let guardian: Vec<_> = guardian.iter().map(|guardian| guardian.as_fd()).collect();
    loop {
        // Before waiting: a child may have ended before its events were listened to.
        while let Some((pid, status)) = reap()? {
            if pid == leader && status.stopped() {
                control.send(Topic::Stopped, &[])?;
            } else if pid == leader {
                return Ok(Some(status.as_raw()));
            }
        }
        match watch.wait(&guardian)? {
            Some(spoke) if !spoke.contains(&true) => {}
            Some(_) | None => return Ok(None),
        }
    }
}

/// Waits for whatever happens in a world.
pub(in crate::world) struct Watch<'a> {
    control: &'a Channel,
    leader: Pid,
    children: OwnedFd,
}

impl Watch<'_> {
    /// From here on no change of a child is missed.
    pub(in crate::world) fn new(control: &Channel, leader: Pid) -> io::Result<Watch<'_>> {
        Ok(Watch { control, leader, children: child_events()? })
    }

    /// Waits until something has become of a child, or one of `others` has spoken, and says which of them
    /// have; `None` when the broker is gone or wants the end. A signal from it goes to the payload's group.
    pub(in crate::world) fn wait(
        &self,
        others: &[BorrowedFd<'_>],
    ) -> io::Result<Option<Vec<bool>>> {
        let own = [self.control.as_fd(), self.children.as_fd()];
        let all = own.iter().chain(others);
        let mut fds: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let spoke: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let [from_broker, from_children, from_others @ ..] = spoke.as_slice() else {
            return Ok(None);
        };
        if *from_children {
            let _ = rustix::io::read(&self.children, &mut [0; 1024]);
        }
        if *from_broker {
            let Some(message) = self.control.receive()? else { return Ok(None) };
            if let (Topic::Signal, Some(signal)) = (message.topic, message.bytes.first()) {
                // A group that is gone has nobody to be told.
                let _ = signal_group(self.leader, i32::from(*signal));
            }
        }
        Ok(Some(from_others.to_vec()))
    }
}
