//! What the tiers without mounts have in common: worlds on the host's own files, processes and network.
//!
//! [`super::landlocked`] holds such a world by Landlock; to [`super::advisory`] its programs, or a tracer, tell
//! what they are about to do. Both have a supervisor ([`supervisor`]), a payload that gives up what can be
//! given up without namespaces ([`payload`]), and the same map of places ([`places`]).

pub(super) mod payload;
pub(super) mod places;
pub(super) mod supervisor;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, netlink};
use rustix::process::{Pid, WaitOptions};

use super::channel::{Channel, Message, Topic};
use super::start::{await_topic, step};
use super::{Capture, Network, NotifyClasses, Switch, Tier, Way, WorldError, WorldSpec, wire};
use crate::notify::Loopback;
use crate::seccomp::Profile;
use crate::sys::process::fork;
use supervisor::Hold;

/// The supervisor of a world, as the broker has it.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// Shut down when the world is to end.
    control: Channel,
    pid: Pid,
}

/// A world that stands, and the payload in it that waits for the answer to its exec.
pub(super) struct Standing {
    pub(super) network: Network,
    pub(super) root: OwnedFd,
    pub(super) pty: Option<OwnedFd>,
    /// What the payload said, and with it what it gave.
    pub(super) payload: Message,
}

impl Supervisor {
    /// Starts it; it waits to be told which world it is to hold.
    pub(super) fn start(hold: Hold) -> Result<Supervisor, WorldError> {
        let (control, theirs) = Channel::pair().map_err(step("reach the world"))?;
        control.pass_credentials().map_err(step("know who speaks"))?;
        let run = move || supervisor::run(&theirs, hold);
        let pid = fork(run).map_err(step("start the supervisor"))?;
        Ok(Supervisor { control, pid })
    }

    /// Says which world it is to hold, and does not wait for it.
    pub(super) fn tell(&self, spec: &WorldSpec) -> Result<(), WorldError> {
        let memory = wire::send(spec).map_err(step("write down the world"))?;
        // A supervisor that has failed and is gone has said why.
        let _ = self.control.send_with(Topic::Spec, &[], &[memory.as_fd()]);
        Ok(())
    }

    /// Waits until the world stands.
    pub(super) fn stand(&self, spec: &WorldSpec, tier: Tier) -> Result<Standing, WorldError> {
        let network = network(tier).map_err(step("listen for the world's connections"))?;
        // The host's root is none of the world's: what is looked at beneath it is nothing.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&spec.scratch, flags, Mode::empty())
            .map_err(|error| step("open the scratch directory")(error.into()))?;
        let ready = await_topic(&self.control, Topic::WorldReady)?;
        let payload = await_topic(&self.control, Topic::PayloadReady)?;
        Ok(Standing { network, root, pty: ready.fds.into_iter().next(), payload })
    }

    pub(super) fn control(&self) -> &Channel {
        &self.control
    }

    pub(super) fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Has it end the world; does not wait for it.
    pub(super) fn end(&self) {
        // It hears that nobody speaks any more; gone already is as good.
        let _ = rustix::net::shutdown(&self.control, Shutdown::Write);
    }

    /// Waits for its end: it leaves when every process of the world has. To be called once.
    pub(super) fn wait(&self) {
        let _ = rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// Refuses what no tier without mounts can do.
pub(super) fn check(spec: &WorldSpec, tier: Tier) -> Result<(), WorldError> {
    let wrong = |what: &str| Err(WorldError::Spec(format!("the tier `{tier}` {what}")));
    if (NotifyClasses { read: Switch::Off, ..spec.notify }) != NotifyClasses::ALL {
        return wrong("decides every class of acts: none may be left undecided");
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
fn network(tier: Tier) -> io::Result<Network> {
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
        way: Way::Led { why: format!("the tier `{tier}` has no network of its own") },
        loopback: Loopback::Host,
    })
}
