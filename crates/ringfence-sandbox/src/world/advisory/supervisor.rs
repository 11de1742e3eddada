//! Who starts the payload, reaps what is orphaned, and ends everything it can find.
//!
//! Nothing bounds whom it signals, so it signals by descriptors, and only who descends from it when it has one:
//! again and again, until it has no children. A payload that kills it first leaves others behind, whom nobody
//! answers any more.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal};

use super::super::WorldSpec;
use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::on_the_host::supervisor::{announce, supervise};
use super::super::payload::Parts;
use super::{payload, tracer};
use crate::notify::told::descends;
use crate::sys::process::fork;
use crate::sys::ptrace;

/// How long those who were told to end may take before they are told again.
const AGAIN: Duration = Duration::from_millis(2);
/// Most who have ended that are reaped before those who have not are looked for again: who goes on starting others is
/// told to end first.
const REAPED_MAX: usize = 1_024;

/// Holds the world.
pub(super) fn hold(
    control: &Channel,
    spec: &WorldSpec,
    umask: Mode,
) -> Result<Option<i32>, Failure> {
    let ended = start(control, spec, umask).and_then(|leader| {
        // A library asks by itself; else the tracer does.
        let traced = spec.hooks.as_ref().filter(|hooks| hooks.library.is_none());
        let ended = match traced {
            None => supervise(control, leader, None),
            Some(hooks) => tracer::supervise(control, leader, &hooks.line),
        };
        ended.during(Need::Payload, "watch over the world")
    });
    // Everybody is told to end before anybody is told of the end.
    end_all();
    ended
}

/// Everything up to the payload's process.
fn start(control: &Channel, spec: &WorldSpec, umask: Mode) -> Result<Pid, Failure> {
    // The payload is of the same user, and is not to read or trace who ends it.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .during(Need::Payload, "guard the supervisor's memory")?;
    let slave = announce(control, spec)?;
    let is_traced = spec.hooks.as_ref().is_some_and(|hooks| hooks.library.is_none());
    let (ours, theirs) = Channel::pair().during(Need::Payload, "reach the payload")?;
    let tracer = is_traced.then_some(theirs);
    let run = move || payload::run(spec, control, Parts { slave, umask }, tracer.as_ref());
    let leader = fork(run).during(Need::Payload, "start the payload's process")?;
    if is_traced {
        trace(leader, &ours)?;
    }
    Ok(leader)
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
        if nobody_is_left() {
            return;
        }
    }
}

/// Reaps everybody who has ended. To look for those who have not takes long on a busy host, so that it is not done for
/// each of them.
fn nobody_is_left() -> bool {
    for _ in 0..REAPED_MAX {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => {
                std::thread::sleep(AGAIN);
                return false;
            }
            Err(_) => return true,
        }
    }
    false
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
