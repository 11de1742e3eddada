//! The payload's process: gives up everything but its program, then becomes it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::payload::{limits, session, started};
use super::super::{ResourceLimits, WorldSpec, ceiling, identity, payload};
use super::rules::{Rules, has_holes};
use crate::seccomp::{self, Walls};
use crate::sys::process::{close_on_exec_from, default_signals, empty_bounding_set};
use crate::sys::seccomp::{Listening, install};

/// What the supervisor has made ready for the payload.
pub(super) struct Parts {
    pub(super) slave: Option<OwnedFd>,
    pub(super) umask: Mode,
    pub(super) rules: Rules,
}

/// The code of the payload's process: comes back only if its program could not be started.
pub(super) fn run(spec: &WorldSpec, control: &Channel, parts: Parts) -> i32 {
    started(spec, control, give_up(spec, control, parts))
}

/// One after the other, what an agent must not have; returns the program to become, if there is one.
fn give_up(
    spec: &WorldSpec,
    control: &Channel,
    parts: Parts,
) -> Result<io::Result<PathBuf>, Failure> {
    become_user(spec)?;
    rustix::process::umask(parts.umask);
    rustix::process::chdir(&spec.cwd)
        .during(Need::Payload, format!("enter the working directory `{}`", spec.cwd.display()))?;
    session(parts.slave)?;
    default_signals();
    close_on_exec_from(3).during(Need::Payload, "close descriptors")?;
    let program = payload::find_program(spec);
    ceiling::enforce(&parts.rules.payload)?;
    // The kernel counts a user's processes on the whole host: that limit is no world's.
    limits(ResourceLimits { processes: None, ..spec.limits })?;
    // Who answers reads the arguments of the exec out of this process.
    identity::dumpable(identity::Dumpable::Yes)?;
    let walls = if has_holes(spec) { Walls::RulesWithHoles } else { Walls::Rules };
    let listener = install(&seccomp::filter(spec.seccomp, spec.notify, walls), Listening::Yes)
        .during(Need::Seccomp, "install the filter")?;
    let fds: Vec<_> = listener.iter().chain([&parts.rules.opener]).map(|fd| fd.as_fd()).collect();
    control
        .send_with(Topic::PayloadReady, &[], &fds)
        .during(Need::Payload, "hand out the filter's listener")?;
    Ok(program)
}

/// The payload's user and group, without capabilities, now or by any exec.
pub(in crate::world) fn become_user(spec: &WorldSpec) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        empty_bounding_set().during(Need::Payload, "empty the capability bounding set")?;
        let (uid, gid) = (Uid::from_raw(spec.identity.uid), Gid::from_raw(spec.identity.gid));
        rustix::thread::set_thread_groups(&[]).during(Need::Payload, "drop groups")?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)
            .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
            .during(Need::Payload, "become the payload's user")?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::clear_ambient_capability_set()
        .and_then(|()| rustix::thread::set_capabilities(None, sets))
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .during(Need::Payload, "drop capabilities")
}
