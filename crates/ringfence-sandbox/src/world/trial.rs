//! Each layer tried on its own, in a process that ends afterwards.

use std::io;
use std::path::Path;

use ringfence_core::{LayerState, LayerStatus};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::{Signal, WaitOptions};

use super::channel::{Channel, Topic};
use super::failure::{During as _, Failure, Need};
use super::spec::Identity;
use super::{NotifyClasses, Switch, Way, identity, landlocked, layers, network};
use crate::netlink::Line;
use crate::seccomp::{self, Profile, Walls};
use crate::sys::mount::{Attributes, NODEV, NOSUID, RDONLY, Reach, set_attributes};
use crate::sys::namespaces::{Namespaces, enter_new};
use crate::sys::process::fork;
use crate::sys::ptrace;
use crate::sys::seccomp::{Listening, install};

/// Directories every Linux has, to try mounts on in a mount namespace that nobody sees.
const SOURCE: &str = "/usr";
const PLACE: &str = "/tmp";

/// What happened, layer by layer. The calling process must have one thread.
pub(crate) fn layers() -> Vec<LayerStatus> {
    vec![
        tried("namespaces", "user, mount, pid, network, ipc, uts and cgroup", namespaces),
        tried("mounts", "an empty root, read-only binds and masks", mounts),
        layers::landlock(crate::sys::landlock::abi().unwrap_or(0)),
        tried("seccomp", "system calls are filtered", || filter(NotifyClasses::NONE)),
        tried("notify", "system calls wait for a decision", || filter(NotifyClasses::ALL)),
        network(),
    ]
}

/// The same for a world without namespaces.
pub(crate) fn landlock_tier() -> Vec<LayerStatus> {
    let whole = "reads, programs, signals and abstract sockets are bounded";
    vec![
        tried("landlock", whole, || landlocked::bound_signals().map(drop)),
        tried("seccomp", "system calls are filtered, and wait for a decision", || {
            rustix::thread::set_no_new_privs(true)
                .during(Need::Seccomp, "give up new privileges")?;
            install(
                &seccomp::filter(Profile::Default, NotifyClasses::ALL, Walls::RulesWithHoles),
                Listening::Yes,
            )
            .map(drop)
            .during(Need::Seccomp, "install the filter")
        }),
        layers::on_the_host_network(),
    ]
}

/// The same for a world that is traced.
pub(crate) fn ptrace_tier() -> Vec<LayerStatus> {
    vec![
        tried("ptrace", "a child is traced", || {
            let child = fork(|| {
                // Killed by who traces it.
                loop {
                    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
                }
            });
            let child = child.during(Need::Payload, "start a child")?;
            let seized = ptrace::seize_with_all(child.as_raw_nonzero().get());
            ptrace::kill(child.as_raw_nonzero().get());
            seized.during(Need::Payload, "trace a child")
        }),
        tried("seccomp", "system calls are filtered, and stop for the tracer", || {
            rustix::thread::set_no_new_privs(true)
                .during(Need::Seccomp, "give up new privileges")?;
            install(
                &seccomp::filter(Profile::Default, NotifyClasses::ALL, Walls::Tracer),
                Listening::No,
            )
            .map(drop)
            .during(Need::Seccomp, "install the filter")
        }),
    ]
}

/// Runs one trial in a process of its own.
fn tried(layer: &str, holds: &str, trial: fn() -> Result<(), Failure>) -> LayerStatus {
    match in_a_child(trial) {
        Ok(None) => layers::enforced(layer, holds),
        Ok(Some(failure)) => off(layer, failure),
        Err(error) => layers::status(layer, LayerState::Off, &format!("cannot be tried: {error}")),
    }
}

/// A layer whose trial failed.
fn off(layer: &str, failure: Failure) -> LayerStatus {
    let error = failure.explain();
    let hint = error.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    layers::status(layer, LayerState::Off, &format!("{error}{hint}"))
}

fn in_a_child(trial: fn() -> Result<(), Failure>) -> io::Result<Option<Failure>> {
    let (ours, theirs) = Channel::pair()?;
    let child = fork(move || {
        let sent = match trial() {
            Ok(()) => theirs.send(Topic::Done, &[]),
            Err(failure) => theirs.send(Topic::Failed, &failure.encode()),
        };
        i32::from(sent.is_err())
    })?;
    let message = ours.receive();
    let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
    let message = message?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if message.topic == Topic::Done {
        return Ok(None);
    }
    Ok(Some(Failure::decode(&message.bytes).ok_or(io::ErrorKind::InvalidData)?))
}

fn outer() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return enter_new(Namespaces::NEWNS).during(Need::Namespaces, "unshare mounts");
    }
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    identity::dumpable(identity::Dumpable::Yes)?;
    enter_new(Namespaces::NEWUSER | Namespaces::NEWNS)
        .during(Need::UserNamespace, "unshare the user namespace")?;
    identity::map_one("self", Identity { uid, gid })
}

fn namespaces() -> Result<(), Failure> {
    outer()?;
    let fresh = Namespaces::NEWPID
        | Namespaces::NEWNET
        | Namespaces::NEWIPC
        | Namespaces::NEWUTS
        | Namespaces::NEWCGROUP;
    enter_new(fresh).during(Need::Namespaces, "unshare the others")?;
    enter_new(Namespaces::NEWUSER | Namespaces::NEWNS)
        .during(Need::UserNamespace, "unshare an inner user namespace")
}

fn mounts() -> Result<(), Failure> {
    outer()?;
    let private = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).during(Need::Mounts, "detach from the host")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("ringfence", PLACE, "tmpfs", flags, None)
        .during(Need::Mounts, "mount a file system")?;
    let place = Path::new(PLACE).join("place");
    std::fs::create_dir(&place).during(Need::Mounts, "make a place")?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, SOURCE, clone).during(Need::Mounts, "copy a tree")?;
    let set = RDONLY | NOSUID | NODEV;
    let attributes = Attributes { set, propagation: libc::MS_PRIVATE, idmap: None };
    set_attributes(&tree, Reach::Tree, attributes).during(Need::Mounts, "make it read-only")?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", CWD, &place, flags).during(Need::Mounts, "mount the tree")
}

/// How the net gate would be reached. A kernel without nftables has an answer too, told as a failure
/// of this trial only: there is nothing else that a child sends.
fn network() -> LayerStatus {
    let whole = layers::network(&Way::Redirected, Switch::On);
    let trial = || {
        let line = own_network()?;
        match network::try_out(&line)? {
            Way::Redirected => Ok(()),
            Way::Led { why } => Err(Failure { need: Need::Net, errno: 0, step: why }),
        }
    };
    match in_a_child(trial) {
        Ok(None) => whole,
        Ok(Some(Failure { errno: 0, step: why, .. })) => {
            layers::network(&Way::Led { why }, Switch::On)
        }
        Ok(Some(failure)) => off("net", failure),
        Err(error) => layers::status("net", LayerState::Off, &format!("cannot be tried: {error}")),
    }
}

fn own_network() -> Result<Line, Failure> {
    outer()?;
    enter_new(Namespaces::NEWNET).during(Need::Namespaces, "unshare the network")?;
    let line = Line::route().during(Need::Net, "reach the routes")?;
    line.loopback_up().during(Need::Net, "bring up the loopback interface")?;
    Ok(line)
}

fn filter(classes: NotifyClasses) -> Result<(), Failure> {
    rustix::thread::set_no_new_privs(true).during(Need::Seccomp, "give up new privileges")?;
    let listening = if classes == NotifyClasses::NONE { Listening::No } else { Listening::Yes };
    install(&seccomp::filter(Profile::Default, classes, Walls::Mounts), listening)
        .map(drop)
        .during(Need::Seccomp, "install the filter")
}
