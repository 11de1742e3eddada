//! What each layer of a started world really enforces.

use ringfence_core::{LayerState, LayerStatus};

use crate::seccomp::Profile;

use super::{Container, NotifyClasses, ResourceLimits, Stdio, Switch, Tier, Way, WorldSpec};

/// The layers of a world that has started: a layer that failed would have stopped the start.
pub(super) fn of(spec: &WorldSpec, way: &Way) -> Vec<LayerStatus> {
    let version = crate::sys::landlock::abi().unwrap_or(0);
    let mounts = match &spec.container {
        None => format!(
            "empty root, {} from the plan and {} of the runtime base, all nosuid and nodev",
            spec.binds.len(),
            spec.base.binds.len()
        ),
        Some(_) => format!(
            "{} from the plan over the image's files, which are read-only, all nosuid and nodev",
            spec.binds.len()
        ),
    };
    let terminal = match spec.stdio {
        Stdio::Inherit => (LayerState::Off, "the caller's standard streams are inherited"),
        Stdio::Pty(_) => (LayerState::Enforced, "a terminal of its own"),
    };
    let every = "user, mount, pid, network, ipc, uts and cgroup; an inner user namespace \
                 locks the mounts";
    let review = (!spec.overlays.is_empty()).then(|| {
        let trees = spec.overlays.len();
        enforced("review", &format!("changes are kept aside, in overlays over {trees} trees"))
    });
    let mut layers: Vec<LayerStatus> = spec.container.iter().map(container).collect();
    layers.extend([
        enforced("namespaces", every),
        enforced("mounts", &mounts),
        landlock(version),
        enforced("seccomp", &filter(spec.seccomp)),
        notify(spec.notify),
        network(way, spec.notify.connect),
        status("pty", terminal.0, terminal.1),
        enforced("rlimits", &rlimits(spec.limits)),
    ]);
    layers.extend(review);
    layers
}

/// What the engine adds: without it, the namespaces are the host's own.
fn container(container: &Container) -> LayerStatus {
    let Container { engine, image, id, .. } = container;
    let text = format!(
        "tier `oci`: within a container of {engine}, of the image `{image}` ({id}); its process, \
         network, ipc and uts namespaces are around the world's"
    );
    enforced("container", &text)
}

/// The layers of a world of the `landlock` tier that has started. What this tier does not have it
/// does not claim, and the person who named the tier has been told.
pub(super) fn landlocked(spec: &WorldSpec) -> Vec<LayerStatus> {
    let version = crate::sys::landlock::abi().unwrap_or(0);
    let files = format!(
        "ABI {version}: reads and programs of {} places of the plan and of the runtime base, no \
         writes but by the broker, no signals, no tracing and no abstract sockets outside",
        spec.binds.len()
    );
    let terminal = match spec.stdio {
        Stdio::Inherit => (LayerState::Off, "the caller's standard streams are inherited"),
        Stdio::Pty(_) => (LayerState::Enforced, "a terminal of its own"),
    };
    let filter = format!(
        "{}; all sockets but TCP and unix, shared memory, other processes' limits, owners and \
         attributes of files refused",
        filter(spec.seccomp)
    );
    let limits = ResourceLimits { processes: None, ..spec.limits };
    let mut all = without_namespaces();
    all.extend([
        enforced("landlock", &files),
        enforced("seccomp", &filter),
        notify(spec.notify),
        on_the_host_network(),
        status("pty", terminal.0, terminal.1),
        enforced("rlimits", &rlimits(limits)),
    ]);
    all
}

/// What the `landlock` tier cannot have by its nature.
pub(crate) fn without_namespaces() -> Vec<LayerStatus> {
    let tier = "`landlock`: this world stands on the host's own files, processes and network, and holds \
                less (`ringfence doctor` says what)";
    let namespaces = "names, sizes and times of all files, and that processes and sockets exist, can \
                      be seen; what ends the world is a signal, not the kernel's own doing";
    let mounts = "no empty root: Landlock bounds reading, the broker carries out every change";
    vec![
        status("tier", LayerState::Degraded, tier),
        status("namespaces", LayerState::Off, namespaces),
        status("mounts", LayerState::Off, mounts),
    ]
}

/// The layers of a world that is only advised. Nothing that a program can pass by is called enforced.
pub(super) fn advisory(spec: &WorldSpec, tier: Tier) -> Vec<LayerStatus> {
    let terminal = match spec.stdio {
        Stdio::Inherit => (LayerState::Off, "the caller's standard streams are inherited"),
        Stdio::Pty(_) => (LayerState::Enforced, "a terminal of its own"),
    };
    let limits = ResourceLimits { processes: None, ..spec.limits };
    let mut all = advised(tier);
    all.extend([status("pty", terminal.0, terminal.1), enforced("rlimits", &rlimits(limits))]);
    all
}

/// What a tier that advises is, wherever it is started.
pub(crate) fn advised(tier: Tier) -> Vec<LayerStatus> {
    let traced = tier == Tier::Ptrace;
    let asks = if traced { TRACED } else { ASKS };
    let text = format!("{}: tier `{tier}`: {asks}{}", LayerStatus::ADVISORY, better());
    let namespaces = "the world is the host's own processes, and they can signal each other";
    let notify = if traced {
        "every class of acts is decided, when its call has stopped; the kernel reads paths and \
         arguments again afterwards, and another thread may have changed them"
    } else {
        "every class of acts is decided, of the programs that ask: what a static program \
         or a system call without libc does is neither decided nor recorded"
    };
    let seccomp = if traced {
        enforced("seccomp", "foreign calls kill; what the tier `landlock` refuses is refused")
    } else {
        status("seccomp", LayerState::Off, "not used in this tier")
    };
    let net = if traced { TRACED_NET } else { ASKED_NET };
    vec![
        status("tier", LayerState::Degraded, &text),
        status("namespaces", LayerState::Off, namespaces),
        status("mounts", LayerState::Off, "no root of its own: the broker opens and changes files"),
        status("landlock", LayerState::Off, "not used in this tier"),
        seccomp,
        status("notify", LayerState::Degraded, notify),
        status("net", LayerState::Degraded, net),
    ]
}

/// How the programs of the tier `preload` ask.
const ASKS: &str = "a library asks before a program acts, and nothing holds a program that does not \
                    ask: a static one, one that makes system calls without libc (`ringfence doctor` \
                    says what else)";
/// How those of the tier `ptrace` are asked about.
const TRACED: &str = "a tracer stops each call and asks, and what goes on is read again by the kernel: a \
                      program with threads can change it in between (`ringfence doctor` says what else)";
/// What keeps them from the network.
const ASKED_NET: &str = "the host's network: every `connect` of the programs that ask is led to the net \
                         gate; nothing else keeps a program from it, and names that libc looks up are \
                         asked of the host's name servers";
const TRACED_NET: &str = "the host's network: every `connect` of TCP is answered in its place and led to \
                          the net gate, names are asked over TCP, and listening, UDP and all else are \
                          refused";

/// What this kernel has that holds.
fn better() -> &'static str {
    match crate::sys::landlock::abi() {
        Ok(6..) => "; this kernel has Landlock: `run --tier landlock` holds",
        Ok(_) | Err(_) => "",
    }
}

/// How a world without a network of its own reaches the net gate.
pub(crate) fn on_the_host_network() -> LayerStatus {
    let how = "the host's network: every `connect` of TCP is answered in its place and led to the \
               net gate, names are asked over TCP, and listening, UDP and all else are refused";
    status("net", LayerState::Degraded, how)
}

/// A world without nftables is as closed; what differs is how, and what, comes out of it.
pub(crate) fn network(way: &Way, connect: Switch) -> LayerStatus {
    let own = "a network of its own with nothing but loopback";
    let (state, how) = match (way, connect) {
        (Way::Redirected, _) => {
            (LayerState::Enforced, "every connection and every name is the net gate's".to_owned())
        }
        (Way::Led { why }, Switch::On) => (
            LayerState::Degraded,
            format!(
                "without nftables ({why}) `connect` is answered in its place and led to the net \
                 gate; name servers other than 127.0.0.1 and fast open do not exist"
            ),
        ),
        (Way::Led { why }, Switch::Off) => (
            LayerState::Degraded,
            format!(
                "without nftables ({why}), and with `connect` undecided, only programs that use \
                 the proxy variables reach the net gate, and others reach nothing"
            ),
        ),
    };
    status("net", state, &format!("{own}; {how}"))
}

/// What a profile takes away, and what it leaves that the default does not.
fn filter(profile: Profile) -> String {
    let what = match profile {
        Profile::Default => "namespaces, mounts, tracing, keyrings and raw sockets refused",
        Profile::Strict => {
            "namespaces, mounts, tracing, keyrings, raw sockets, netlink, filters inside, files \
             without a name and old parts of the kernel refused"
        }
        Profile::Build => {
            "namespaces, mounts, keyrings and raw sockets refused; processes inside may trace each \
             other, and what traces a program decides what it does"
        }
        Profile::Browser => {
            "mounts, tracing, keyrings, raw sockets and netlink refused; user, process and network \
             namespaces may be made inside"
        }
    };
    format!("profile `{profile}`: foreign calls kill; {what}")
}

fn rlimits(limits: ResourceLimits) -> String {
    let named = [
        ("open files", limits.open_files),
        ("processes", limits.processes),
        ("bytes of a file", limits.file_bytes),
    ];
    let set: String = named
        .iter()
        .filter_map(|(name, most)| most.map(|most| format!("at most {most} {name}, ")))
        .collect();
    format!("core dumps off, {set}other limits are the caller's")
}

/// What Landlock of this version holds.
pub(crate) fn landlock(version: i32) -> LayerStatus {
    let (state, detail) = match version {
        6.. => (LayerState::Enforced, format!("ABI {version}: files, abstract sockets, signals")),
        3..=5 => {
            let gap = "without scopes for abstract sockets and signals (the namespaces hold those)";
            (LayerState::Degraded, format!("ABI {version}: files, {gap}"))
        }
        1 | 2 => (LayerState::Degraded, format!("ABI {version}: too old to govern truncation")),
        _ => (LayerState::Off, "this kernel has no Landlock".to_owned()),
    };
    status("landlock", state, &detail)
}

fn notify(classes: NotifyClasses) -> LayerStatus {
    let NotifyClasses { exec, write, connect, read, ask: _ } = classes;
    let named = [(exec, "exec"), (write, "write"), (connect, "connect")];
    let on: Vec<&str> =
        named.iter().filter(|(switch, _)| *switch == Switch::On).map(|(_, name)| *name).collect();
    let state = match on.len() {
        0 => LayerState::Off,
        3 => LayerState::Enforced,
        _ => LayerState::Degraded,
    };
    let decided = if on.is_empty() { "no act is decided".to_owned() } else { on.join(", ") };
    let detail = match read {
        Switch::On => decided + "; opens to read are recorded",
        Switch::Off => decided,
    };
    status("notify", state, &detail)
}

/// A layer that holds.
pub(crate) fn enforced(layer: &str, detail: &str) -> LayerStatus {
    status(layer, LayerState::Enforced, detail)
}

/// A layer in any state.
pub(crate) fn status(layer: &str, state: LayerState, detail: &str) -> LayerStatus {
    LayerStatus { layer: layer.to_owned(), state, detail: detail.to_owned() }
}
