//! The payload's process: gives up everything but its program, then becomes it.

use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::on_the_host::payload::{become_user, limit};
use super::super::payload::{Parts, enter, started};
use super::super::{WorldSpec, ceiling};
use super::rules::{Rules, has_holes};
use crate::seccomp::{self, Walls};
use crate::sys::seccomp::{Listening, install};

/// The code of the payload's process: comes back only if its program could not be started.
pub(super) fn run(spec: &WorldSpec, control: &Channel, parts: Parts, rules: &Rules) -> i32 {
    started(spec, control, give_up(spec, control, parts, rules))
}

/// One after the other, what an agent must not have; returns the program to become, if there is one.
fn give_up(
    spec: &WorldSpec,
    control: &Channel,
    parts: Parts,
    rules: &Rules,
) -> Result<io::Result<PathBuf>, Failure> {
    become_user(spec)?;
    let program = enter(spec, parts)?;
    ceiling::enforce(&rules.payload)?;
    limit(spec)?;
    let walls = if has_holes(spec) { Walls::RulesWithHoles } else { Walls::Rules };
    let listener = install(&seccomp::filter(spec.seccomp, spec.notify, walls), Listening::Yes)
        .during(Need::Seccomp, "install the filter")?;
    let fds: Vec<_> = listener.iter().chain([&rules.opener]).map(|fd| fd.as_fd()).collect();
    control
        .send_with(Topic::PayloadReady, &[], &fds)
        .during(Need::Payload, "hand out the filter's listener")?;
    Ok(program)
}
