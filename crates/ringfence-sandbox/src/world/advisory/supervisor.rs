//! Who starts the payload, reaps what is orphaned, and ends everything it can find.
//!
//! Nothing bounds whom it signals, so it signals by descriptors, and only who descends from it when it has one:
//! again and again, until it has no children. A payload that kills it first leaves others behind, whom nobody
//! answers any more.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, pidfd_send_signal,
};

use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::helper::first_to_go;
use super::super::init;
use super::super::landlocked::{TERMINALS, TITLE, TOLD, hand_out, supervise};
use super::super::{Stdio, wire};
use super::{payload, tracer};
use crate::notify::told::descends;
use crate::sys::process::{close_all_but, fork, retitle};
use crate::sys::ptrace;

/// How long those who were told to end may take before they are told again.
const AGAIN: Duration = Duration::from_millis(2);

/// What the supervisor has made ready for the payload.
pub(super) struct Parts {
    pub(super) slave: Option<OwnedFd>,
    pub(super) umask: Mode,
    /// The line to who traces it, where somebody does.
    pub(super) tracer: Option<Channel>,
}

/// What has been started.
struct Started {
    leader: Pid,
    /// Where the tracer asks, where there is one.
    line: Option<PathBuf>,
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
        Some(Started { leader, line }) => {
            let ended = line.map_or_else(
                || Ok(supervise(control, leader, None)?.map(WaitStatus::as_raw)),
                |line| tracer::supervise(control, leader, &line),
            );
            // Everybody is told to end before anybody is told of the end.
            end_all();
            ended.during(Need::Payload, "watch over the world")
        }
        None => Ok(None),
    });
    let sent = match ended {
        Ok(None) => Ok(()),
        Ok(Some(status)) => control.send(Topic::Ended, &status.to_le_bytes()),
        Err(failure) => {
            end_all();
            control.send(Topic::Failed, &failure.encode())
        }
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
    // All who are orphaned in the world become its children.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .during(Need::Payload, "become the parent of the orphaned")?;
    // The payload is of the same user, and is not to read or trace who ends it.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .during(Need::Payload, "guard the supervisor's memory")?;
    let terminal = match spec.stdio {
        Stdio::Inherit => None,
        Stdio::Pty(size) => Some(init::terminal(TERMINALS, size)?),
    };
    let slave = hand_out(control, spec, terminal)?;
    let traced = spec.hooks.as_ref().filter(|hooks| hooks.library.is_none());
    let line = traced.map(|hooks| hooks.line.clone());
    let (ours, theirs) = Channel::pair().during(Need::Payload, "reach the payload")?;
    let tracer = line.is_some().then_some(theirs);
    let parts = Parts { slave, umask, tracer };
    let leader = fork(move || payload::run(spec, control, parts))
        .during(Need::Payload, "start the payload's process")?;
    if line.is_some() {
        trace(leader, &ours)?;
    }
    Ok(Some(Started { leader, line }))
}

/// Traces the payload as soon as it is who it will be; one that has failed before has said why.
fn trace(leader: Pid, payload: &Channel) -> Result<(), Failure> {
    let step = "trace the payload";
    if payload.receive().during(Need::Payload, step)?.is_none() {
        return Ok(());
    }
    let seized = ptrace::seize_with_all(leader.as_raw_nonzero().get());
    let topic = if seized.is_ok() { Topic::Done } else { Topic::Failed };
    payload.send(topic, &[]).during(Need::Payload, step)
}

/// Ends every process that descends from this one, and waits until they are gone.
fn end_all() {
    loop {
        // Not only children: one may be waiting, where no signal reaches it, for a child of its own.
        for process in beneath().unwrap_or_default() {
            // Gone already is as good.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => std::thread::sleep(AGAIN),
            Err(_) => return,
        }
    }
}

/// The processes that descend from this one.
fn beneath() -> io::Result<Vec<OwnedFd>> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let numbers = fs::read_dir("/proc")?.flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Held first and looked at then: a number that was another's before is not.
    let held = numbers.filter(|pid| *pid != own).filter_map(|pid: i32| {
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        descends(pid, own).then_some(process)
    });
    Ok(held.collect())
}
