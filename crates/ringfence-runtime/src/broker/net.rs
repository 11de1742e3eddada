//! The net gate of one session, joined with it.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ringfence_core::{Denial, Durability, EntryRef, Event, Gate, Misuse, Process, Request};
use ringfence_detect::Detectors;
use ringfence_proxy::net::authority::Authority;
use ringfence_proxy::net::dns::Families;
use ringfence_proxy::net::{Entrances, Holders, NetConfig, NetGate};
use ringfence_sandbox::notify::WorldStderr;
use ringfence_sandbox::world::{Capture, Network, Way, World};
use ringfence_secrets::Held;
use ringfence_secrets::backend::Backends;
use rustix::process::{Resource, Rlimit};

use super::publish::{self, Bound};
use super::{RunError, RunRequest, signing};
use crate::denials::Timing;
use crate::settings::Settings;
use crate::{approvals, registries, wording};

/// What the net gate of one session opens besides the entrances of its world.
pub(super) struct Outside {
    pub(super) bound: Vec<Bound>,
    pub(super) authority: Arc<Authority>,
    pub(super) held: Arc<Held>,
    pub(super) backends: Arc<Backends>,
}

/// The sockets on which the net gate listens in the world.
pub(super) fn entrances(network: &Network, proxy_port: u16) -> io::Result<Entrances> {
    let proxy = network.proxy.as_ref().map(TcpListener::try_clone).transpose()?;
    let mut entrances = Entrances::through(proxy);
    if network.proxy.is_none() {
        entrances.proxy_named = Some((Ipv4Addr::LOCALHOST, proxy_port).into());
    }
    let Capture { tcp, tcp_v6, dns, dns_v6 } = &network.capture;
    if tcp_v6.is_some() {
        entrances.families = Families::Both;
    }
    let listeners = std::iter::once(tcp).chain(tcp_v6);
    entrances.captured = listeners.map(TcpListener::try_clone).collect::<io::Result<_>>()?;
    let sockets = dns.iter().chain(dns_v6);
    entrances.dns = sockets.map(UdpSocket::try_clone).collect::<io::Result<_>>()?;
    entrances.claims = match network.way {
        Way::Redirected => None,
        Way::Led { .. } => Some(Arc::default()),
    };
    Ok(entrances)
}

/// Opens the net gate at the entrances of a world; and the secrets that it holds.
pub(super) fn open_net_gate(
    (request, network, settings): (&RunRequest, Outside, &Settings),
    entrances: Entrances,
    session: signing::Session<'_>,
    world: &Arc<World>,
) -> Result<(NetGate, Arc<Held>), RunError> {
    let Outside { bound, authority, held, backends } = network;
    record_leases(&backends, session.0);
    let (named, home) = (&settings.registries, request.dirs.home());
    let registries = registries::of_host(named, home, &request.environment);
    allow_descriptors();
    // Without a copy it is found out the slow way.
    let diagnosis = world.network.inet_diag.try_clone().ok();
    let config = net_config(session, authority, (world.init_pid, diagnosis));
    let (proxies, trust) = (request.environment.proxies(), request.environment.trust());
    let (held_by, inspect) = (Arc::clone(&held), Some(Detectors::shared() as _));
    let config = NetConfig { proxies, trust, held: held_by, registries, inspect, ..config };
    let entrances = Entrances { published: publish::into_world(bound, world), ..entrances };
    let gate = NetGate::serve(entrances, session.0.clone(), config);
    Ok((gate.map_err(RunError::step("open the net gate"))?, held))
}

/// Each connection takes two descriptors; payloads have a limit of their own.
pub(super) fn allow_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Without it there are fewer connections at a time; one too many is refused.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

/// How the net gate asks, refuses, and tells which process of the world connects.
fn net_config(
    (_, agent, approvals, denials): signing::Session<'_>,
    authority: Arc<Authority>,
    (init_pid, diagnosis): (i32, Option<OwnedFd>),
) -> NetConfig {
    let [denials, same, of_lists, of_secrets, of_calls] =
        std::array::from_fn(|_| Arc::clone(denials));
    let stderr = WorldStderr::below(init_pid);
    let denied = Box::new(move |denial: &Denial| {
        let said = denials.say(denial);
        // Few programs show the answer to a refused CONNECT.
        if let (Timing::Fresh, Some(process)) = (said.now, denial.request.process) {
            stderr.write(process.pid, &said.text);
        }
        said.text
    });
    let unreachable = Box::new(move |request: &Request, reason: &str| {
        let Some(process) = request.process else { return };
        let text = wording::unreachable(request, reason);
        if same.timing(text.clone()) == Timing::Fresh {
            stderr.write(process.pid, &text);
        }
    });
    let config = NetConfig::new(agent.clone(), approvals::as_port(approvals), denied, authority);
    let nameless = agent.clone();
    let refused = Box::new(move |process: Process, why: &str, entry: Option<&EntryRef>| {
        let said = of_calls.refused(&nameless, why, entry);
        if said.now == Timing::Fresh && process.pid > 0 {
            stderr.write(process.pid, &said.text);
        }
    });
    let kept_back = Box::new(move |newest: &Denial, count: usize| {
        let Some(process) = newest.request.process else { return };
        let text = wording::kept_back(newest, count);
        if of_lists.timing(text.clone()) == Timing::Fresh {
            stderr.write(process.pid, &text);
        }
    });
    let alleged = agent.clone();
    let misused = Box::new(move |misuse: &Misuse, entry: Option<&EntryRef>| {
        let said = of_secrets.misused(&alleged, misuse, entry);
        if let (Timing::Fresh, Some(process)) = (said.now, misuse.process) {
            stderr.write(process.pid, &said.text);
        }
    });
    let process = Arc::new(Holders::below(init_pid, diagnosis));
    NetConfig { process, unreachable, refused, misused, kept_back, ..config }
}

/// What vaults lend is in the log before it is used.
pub(super) fn record_leases(backends: &Backends, gate: &Gate) {
    let gate = gate.clone();
    // A log that fails ends the session, which gives everything back.
    backends.record_with(Box::new(move |change| {
        let _ = gate.note(Event::Lease(change), Durability::Soon);
    }));
}
