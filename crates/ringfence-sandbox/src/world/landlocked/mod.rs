//! The tier without namespaces: a world on the host's own files, processes and network.
//!
//! Landlock lets the payload read and run what is granted, write nothing but a few devices, and
//! signal nobody outside. Whatever else it may do to files is decided and then carried out by
//! the broker's threads, which look at the same map of places ([`crate::notify::Places`]) that mounts
//! would be. A *supervisor* beneath a Landlock rule that only bounds signals reaps what is
//! orphaned; at the end it sends one signal to everybody it can signal, which is everybody in the
//! world, and nobody else. A *guardian* does the same if the supervisor is killed.
//! `docs/adr/0014-a-tier-without-namespaces.md` says why.

mod payload;
mod rules;
mod supervisor;

pub(super) use supervisor::bound_signals;

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::channel::Channel;
use super::on_the_host::{self, Supervisor, places};
use super::start::writable;
use super::tier::{Isolation, Started, Tier};
use super::{IpFamily, Require, WorldError, WorldSpec, layers};
use crate::notify::{Confinement, Line, Reads};

/// The supervisor of a world, and the line to it.
#[derive(Debug)]
pub(super) struct Landlocked {
    supervisor: Supervisor,
}

impl Landlocked {
    /// Starts the supervisor, which waits to be told which world it is to be.
    pub(super) fn prepare() -> Result<Landlocked, WorldError> {
        Ok(Landlocked { supervisor: Supervisor::start(supervisor::hold)? })
    }
}

impl Isolation for Landlocked {
    fn begin(&mut self, spec: &WorldSpec) -> Result<(), WorldError> {
        check(spec)?;
        self.supervisor.tell(spec)
    }

    fn finish(&mut self, spec: &WorldSpec) -> Result<Started, WorldError> {
        let standing = self.supervisor.stand(spec, Tier::Landlock)?;
        let mut fds = standing.payload.fds.into_iter();
        let notify = fds.next();
        let confinement = Confinement {
            user: Some((spec.identity.uid, spec.identity.gid)),
            ceiling: fds.next(),
            writable: writable(spec),
            seccomp: spec.seccomp,
            places: Some(places::of(spec, reads(spec))),
        };
        Ok(Started {
            notify: notify.map(Line::from),
            confinement,
            network: standing.network,
            pty: standing.pty,
            root: standing.root,
            layers: layers::landlocked(spec),
            init_pid: self.supervisor.number(),
            payload_pid: standing.payload.pid,
        })
    }

    fn control(&self) -> Option<&Channel> {
        Some(self.supervisor.control())
    }

    /// What listens in the world listens on the host.
    fn socket(&self, family: IpFamily) -> io::Result<OwnedFd> {
        let family = match family {
            IpFamily::V4 => AddressFamily::INET,
            IpFamily::V6 => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC;
        Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
    }

    fn kill(&self) {
        self.supervisor.end();
    }
}

impl Drop for Landlocked {
    fn drop(&mut self) {
        self.kill();
        self.supervisor.wait();
    }
}

/// Refuses what this tier cannot hold.
fn check(spec: &WorldSpec) -> Result<(), WorldError> {
    on_the_host::check(spec, Tier::Landlock)?;
    if spec.landlock != Require::Full {
        let text = "the tier `landlock` needs all of Landlock: no gap in it can be accepted";
        return Err(WorldError::Spec(text.to_owned()));
    }
    Ok(())
}

/// Who opens what is only read.
fn reads(spec: &WorldSpec) -> Reads {
    if rules::has_holes(spec) { Reads::ByUs } else { Reads::ByThePayload }
}
