//! Who starts the payload, reaps what is orphaned, and ends everything.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::helper::first_to_go;
use super::super::init::{self, Terminal, reap};
use super::super::{Stdio, WorldSpec, wire};
use super::{payload, rules};
use crate::sys::landlock::restrict_thread;
use crate::sys::process::{
    BoundedSignals, child_events, close_all_but, fork, retitle, signal_group,
};

/// Where a host gives out terminals.
pub(in crate::world) const TERMINALS: &CStr = c"/dev/ptmx";
/// What the supervisor and its guardian are called.
pub(in crate::world) const TITLE: &CStr = c"ringfence-world";
/// What being told is called in errors.
pub(in crate::world) const TOLD: &str = "hear which world to make";

/// What has been started.
struct Started {
    leader: Pid,
    guardian: Channel,
    bounded: BoundedSignals,
}

/// The code of the supervisor's process; its result is the exit code, which nobody reads.
pub(super) fn run(control: &Channel) -> i32 {
    if retitle(TITLE).is_err() || close_all_but(&[control.as_fd().as_raw_fd()]).is_err() {
        return 1;
    }
    // Out of the terminal's reach: its signals are for the payload.
    let _ = rustix::process::setsid();
    let umask = rustix::process::umask(Mode::from_raw_mode(0o022));
    let ended = start(control, umask).and_then(|started| match started {
        Some(started) => {
            let ended = supervise(control, started.leader, Some(&started.guardian));
            // Everybody is told to end before anybody is told of the end.
            end_all(started.bounded);
            ended.during(Need::Payload, "watch over the world")
        }
        None => Ok(None),
    });
    let sent = match ended {
        Ok(None) => Ok(()),
        Ok(Some(status)) => control.send(Topic::Ended, &status.as_raw().to_le_bytes()),
        // What was started by then the guardian ends, once this process is gone.
        Err(failure) => control.send(Topic::Failed, &failure.encode()),
    };
    i32::from(sent.is_err())
}

/// Everything up to the payload's process; `None` when the broker has thought better of it.
fn start(control: &Channel, umask: Mode) -> Result<Option<Started>, Failure> {
    first_to_go();
    let Some(message) = control.receive().during(Need::Payload, TOLD)? else { return Ok(None) };
    let missing = || Failure { need: Need::Payload, errno: libc::EINVAL, step: TOLD.to_owned() };
    let memory = message.fds.into_iter().next().ok_or_else(missing)?;
    let spec = &wire::receive(&memory).during(Need::Payload, TOLD)?;
    drop(memory);
    // All who are orphaned in the world become its children, whatever they did to be forgotten.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .during(Need::Payload, "become the parent of the orphaned")?;
    let bounded = bound_signals()?;
    let guardian = guardian(bounded)?;
    let terminal = match spec.stdio {
        Stdio::Inherit => None,
        Stdio::Pty(size) => Some(init::terminal(TERMINALS, size)?),
    };
    let slave = hand_out(control, spec, terminal)?;
    let rules = rules::build(spec, slave.as_ref())?;
    let parts = payload::Parts { slave, umask, rules };
    let leader = fork(move || payload::run(spec, control, parts))
        .during(Need::Payload, "start the payload's process")?;
    Ok(Some(Started { leader, guardian, bounded }))
}

/// Says that the world stands, with its terminal; returns the payload's side of it.
pub(in crate::world) fn hand_out(
    control: &Channel,
    spec: &WorldSpec,
    terminal: Option<Terminal>,
) -> Result<Option<OwnedFd>, Failure> {
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

/// From here on, this process and all it starts signal nobody but each other.
pub(in crate::world) fn bound_signals() -> Result<BoundedSignals, Failure> {
    let step = "bound whom the world can signal";
    let outside = rustix::process::getppid();
    rustix::thread::set_no_new_privs(true).during(Need::Landlock, step)?;
    restrict_thread(rules::signals()?.as_fd()).during(Need::Landlock, step)?;
    // A broker that is gone by now needs no world.
    let outside = outside.ok_or(rustix::io::Errno::SRCH).during(Need::Payload, step)?;
    BoundedSignals::proven_on(outside).during(Need::Landlock, step)
}

/// A process that ends the world when the supervisor is gone, however that happens. The payload,
/// in a domain of its own beneath theirs, can signal neither.
fn guardian(bounded: BoundedSignals) -> Result<Channel, Failure> {
    let (ours, theirs) = Channel::pair().during(Need::Payload, "reach the guardian")?;
    let guard = move || {
        if close_all_but(&[theirs.as_fd().as_raw_fd()]).is_ok() {
            // Nothing is ever said: it ends with whoever holds the other end.
            let _ = theirs.receive();
        }
        i32::from(bounded.kill_all().is_err())
    };
    fork(guard).during(Need::Payload, "start the guardian")?;
    Ok(ours)
}

/// Reaps and forwards signals until the payload ends (its status), or the broker does or wants the
/// end, or the guardian is gone (`None`).
pub(in crate::world) fn supervise(
    control: &Channel,
    leader: Pid,
    guardian: Option<&Channel>,
) -> io::Result<Option<WaitStatus>> {
    let children = child_events()?;
    loop {
        // Before waiting: a child may have ended before its events were listened to.
        while let Some((pid, status)) = reap()? {
            if pid == leader && status.stopped() {
                control.send(Topic::Stopped, &[])?;
            } else if pid == leader {
                return Ok(Some(status));
            }
        }
        let mut fds =
            vec![PollFd::new(control, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        fds.extend(guardian.map(|guardian| PollFd::new(guardian, PollFlags::IN)));
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let spoke: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let [from_broker, from_children, from_guardian @ ..] = spoke.as_slice() else {
            return Ok(None);
        };
        if *from_children {
            let mut events = [0; 1024];
            let _ = rustix::io::read(&children, &mut events);
        }
        if from_guardian.contains(&true) {
            return Ok(None);
        }
        if *from_broker {
            let Some(message) = control.receive()? else { return Ok(None) };
            if let (Topic::Signal, Some(signal)) = (message.topic, message.bytes.first()) {
                // A group that is gone has nobody to be told.
                let _ = signal_group(leader, i32::from(*signal));
            }
        }
    }
}

/// Ends everybody in the world but this process, and waits until they are gone.
///
/// The kernel goes through all processes without a fork in between, so nobody outruns it.
fn end_all(bounded: BoundedSignals) {
    loop {
        // Nobody left to be signalled is as good.
        let _ = bounded.kill_all();
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
