//! Who starts the payload, reaps what is orphaned, and ends everything.

use std::os::fd::{AsFd as _, AsRawFd as _};

use rustix::fs::Mode;
use rustix::process::WaitOptions;

use super::super::WorldSpec;
use super::super::channel::Channel;
use super::super::failure::{During as _, Failure, Need};
use super::super::on_the_host::supervisor::{announce, supervise};
use super::super::payload::Parts;
use super::{payload, rules};
use crate::sys::landlock::restrict_thread;
use crate::sys::process::{BoundedSignals, close_all_but, fork};

/// Holds the world. What was started before a failure the guardian ends, once this process is gone.
pub(super) fn hold(
    control: &Channel,
    spec: &WorldSpec,
    umask: Mode,
) -> Result<Option<i32>, Failure> {
    let bounded = bound_signals()?;
    let guardian = guardian(bounded)?;
    let slave = announce(control, spec)?;
    let rules = rules::build(spec, slave.as_ref())?;
    let leader = fork(move || payload::run(spec, control, Parts { slave, umask }, &rules))
        .during(Need::Payload, "start the payload's process")?;
    let ended = supervise(control, leader, Some(&guardian));
    // Everybody is told to end before anybody is told of the end.
    end_all(bounded);
    ended.during(Need::Payload, "watch over the world")
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
