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

pub(super) use payload::become_user;
pub(super) use supervisor::{TERMINALS, TITLE, TOLD, bound_signals, hand_out, supervise};

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, netlink};
use rustix::process::{Pid, WaitOptions};

use super::channel::{Channel, Topic};
use super::start::{await_topic, step, writable};
use super::tier::{Isolation, Started};
use super::{
    Access, Capture, IpFamily, Network, NotifyClasses, Require, Switch, Way, WorldError, WorldSpec,
    layers, wire,
};
use crate::notify::{Confinement, Held, Line, Loopback, Places, Reads};
use crate::seccomp::Profile;
use crate::sys::process::fork;

/// Why connections are led to the net gate.
const NO_NETWORK: &str = "the `landlock` tier has no network of its own";

/// The supervisor of a world, and the line to it.
#[derive(Debug)]
pub(super) struct Landlocked {
    /// Shut down when the world is to end.
    control: Channel,
    supervisor: Pid,
}

impl Landlocked {
    /// Starts the supervisor, which waits to be told which world it is to be.
    pub(super) fn prepare() -> Result<Landlocked, WorldError> {
        let (control, theirs) = Channel::pair().map_err(step("reach the world"))?;
        control.pass_credentials().map_err(step("know who speaks"))?;
        let supervisor =
            fork(move || supervisor::run(&theirs)).map_err(step("start the supervisor"))?;
        Ok(Landlocked { control, supervisor })
    }
}

impl Isolation for Landlocked {
    fn begin(&mut self, spec: &WorldSpec) -> Result<(), WorldError> {
        check(spec)?;
        let memory = wire::send(spec).map_err(step("write down the world"))?;
        // A supervisor that has failed and is gone has said why.
        let _ = self.control.send_with(Topic::Spec, &[], &[memory.as_fd()]);
        Ok(())
    }

    fn finish(&mut self, spec: &WorldSpec) -> Result<Started, WorldError> {
        let network =
            host_network(NO_NETWORK).map_err(step("listen for the world's connections"))?;
        // The host's root is none of the world's: what is looked at beneath it is nothing.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&spec.scratch, flags, Mode::empty())
            .map_err(|error| step("open the scratch directory")(error.into()))?;
        let ready = await_topic(&self.control, Topic::WorldReady)?;
        let payload = await_topic(&self.control, Topic::PayloadReady)?;
        let mut fds = payload.fds.into_iter();
        let notify = fds.next();
        let user = Some((spec.identity.uid, spec.identity.gid));
        let confinement = Confinement {
            user,
            ceiling: fds.next(),
            writable: writable(spec),
            seccomp: spec.seccomp,
            places: Some(places(spec, reads(spec))),
        };
        Ok(Started {
            notify: notify.map(Line::from),
            confinement,
            network,
            pty: ready.fds.into_iter().next(),
            root,
            layers: layers::landlocked(spec),
            init_pid: ready.pid,
            payload_pid: payload.pid,
        })
    }

    fn control(&self) -> Option<&Channel> {
        Some(&self.control)
    }

    /// Landlock cannot be loosened.
    fn mount(&self, _source: &Path, target: &Path, _access: Access) -> Result<(), WorldError> {
        Err(WorldError::BeyondCeiling { target: target.to_path_buf() })
    }

    fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        Err(WorldError::NotGranted { target: target.to_path_buf() })
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
        // The supervisor hears that nobody speaks any more; gone already is as good.
        let _ = rustix::net::shutdown(&self.control, Shutdown::Write);
    }
}

impl Drop for Landlocked {
    fn drop(&mut self) {
        self.kill();
        // It leaves when every process of the world has.
        let _ = rustix::process::waitpid(Some(self.supervisor), WaitOptions::empty());
    }
}

/// Refuses what this tier cannot hold.
fn check(spec: &WorldSpec) -> Result<(), WorldError> {
    let wrong = |what: &str| Err(WorldError::Spec(format!("the `landlock` tier {what}")));
    if (NotifyClasses { read: Switch::Off, ..spec.notify }) != NotifyClasses::ALL {
        return wrong("decides every class of acts: none may be left undecided");
    }
    if spec.landlock != Require::Full {
        return wrong("needs all of Landlock: no gap in it can be accepted");
    }
    if spec.seccomp == Profile::Browser {
        return wrong("has no network of its own that namespaces made inside could be kept from");
    }
    if spec.inward == Switch::On {
        return wrong("has no ports of its own to publish");
    }
    if spec.binds.iter().any(|bind| bind.source != bind.target) {
        return wrong("shows files at their own places only");
    }
    if !spec.files.is_empty() || !spec.dirs.is_empty() {
        return wrong("has no files that exist in one world only");
    }
    Ok(())
}

/// Sockets of the host's loopback; only connections that are led there are served.
pub(super) fn host_network(why: &str) -> io::Result<Network> {
    let diagnosis = || {
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let protocol = Some(netlink::SOCK_DIAG);
        rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, protocol)
    };
    let capture = Capture {
        tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        // A host without IPv6 has no programs that use it.
        tcp_v6: TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok(),
        dns: None,
        dns_v6: None,
    };
    Ok(Network {
        proxy: None,
        // The host's unix sockets are not the world's.
        unix_diag: None,
        inet_diag: diagnosis()?,
        capture,
        way: Way::Led { why: why.to_owned() },
        loopback: Loopback::Host,
    })
}

/// Who opens what is only read.
fn reads(spec: &WorldSpec) -> Reads {
    if rules::has_holes(spec) { Reads::ByUs } else { Reads::ByThePayload }
}

/// What may be done where: what mounts would be in a namespace of its own.
pub(super) fn places(spec: &WorldSpec, reads: Reads) -> Places {
    let granted = spec.binds.iter().map(|bind| {
        let held = match bind.access {
            // There is no overlay here: what is to be kept from the host is not written at all.
            Access::Read | Access::Overlay => Held::Read,
            Access::Write => Held::Write,
        };
        (bind.target.clone(), held)
    });
    let base = rules::base(spec).into_iter().map(|path| (path, Held::Read));
    let devices = rules::DEVICES.iter().map(|path| (PathBuf::from(path), Held::Write));
    let covered = spec.masks.iter().chain(&spec.hidden).map(|path| (path.clone(), Held::Hidden));
    // The later one counts where two are the same.
    Places::new(base.chain(devices).chain(granted).chain(covered), reads)
}
