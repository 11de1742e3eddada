//! Into a container: its namespaces, and a copy of its root.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags};
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType as Of, move_into_link_name_space,
    move_into_thread_name_spaces,
};

use super::super::channel::Topic;
use super::super::failure::{During as _, Failure, Need};
use super::super::helper::{self, Lines, Told};
use super::super::{WorldSpec, identity};
use crate::sys::mount::{Attributes, NODEV, NOSUID, RDONLY, Reach, set_attributes};
use crate::sys::namespaces::{Namespaces, enter_new};
use crate::sys::process::fork;

/// What the mount helper starts with inside a container.
pub(in crate::world) struct Inside {
    /// Who the broker is, as the host counts users.
    pub(in crate::world) caller: (u32, u32),
    /// The image's files, mounted nowhere.
    pub(in crate::world) image: OwnedFd,
    /// By which owners of files are mapped, where they are.
    pub(in crate::world) idmap: Option<OwnedFd>,
    pub(in crate::world) spec: WorldSpec,
    pub(in crate::world) told: Told,
}

/// What the keeper knows of the container.
pub(super) struct Within {
    pub(super) pid: Pid,
    pub(super) spec: WorldSpec,
    pub(super) told: Told,
}

/// The code of the process that enters, and waits for the mount helper that it starts there: a
/// process namespace is for children.
pub(super) fn run(lines: Lines, umask: Mode, within: Within) -> i32 {
    match enter(within) {
        Ok(inside) => {
            let helper = fork(move || helper::run_inside(lines, umask, inside));
            let Ok(helper) = helper else { return 1 };
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitpid(Some(helper), WaitOptions::empty())
            {}
            0
        }
        Err(failure) => {
            let _ = lines.control.send(Topic::Failed, &failure.encode());
            1
        }
    }
}

/// Leaves the host's namespaces for the container's, all but the mounts: those are looked at only, for
/// what the plan shows is the host's.
fn enter(within: Within) -> Result<Inside, Failure> {
    let Within { pid, spec, told } = within;
    identity::dumpable(identity::Dumpable::Yes)?;
    let caller = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let container = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .during(Need::Container, "hold on to the container")?;
    is_apart(pid)?;
    let holder = identity::begin_mount_map()?;
    let idmap = match &holder {
        Some(holder) => holder.finish(spec.idmap, spec.identity)?,
        None => None,
    };
    drop(holder);
    if !rustix::process::geteuid().is_root() {
        move_into_thread_name_spaces(container.as_fd(), Of::USER)
            .during(Need::Container, "enter the container's user namespace")?;
        identity::dumpable(identity::Dumpable::Yes)?;
    }
    let image = image(&container)?;
    // Not that of control groups: the world is in none of the container's, but in the session's.
    let rest = Of::INTER_PROCESS_COMMUNICATION
        | Of::HOST_NAME_AND_NIS_DOMAIN_NAME
        | Of::NETWORK
        | Of::PROCESS_ID;
    move_into_thread_name_spaces(container.as_fd(), rest)
        .during(Need::Container, "enter the container's namespaces")?;
    identity::dumpable(identity::Dumpable::No)?;
    Ok(Inside { caller, image, idmap, spec, told })
}

/// Refuses a container that shares with the host what it is there to keep apart.
fn is_apart(container: Pid) -> Result<(), Failure> {
    for kind in ["mnt", "pid", "net", "ipc", "uts"] {
        let of = |who: &str| fs::metadata(format!("/proc/{who}/ns/{kind}"));
        let step = format!("look at the container's `{kind}` namespace");
        let own = of("self").during(Need::Container, step.clone())?;
        let its = of(&container.as_raw_nonzero().to_string()).during(Need::Container, step)?;
        if own.ino() == its.ino() {
            let step = format!("have a `{kind}` namespace of its own");
            return Err(Failure { need: Need::Container, errno: libc::EEXIST, step });
        }
    }
    Ok(())
}

/// The root of the container alone, without what its runtime has mounted in it.
fn image(container: &OwnedFd) -> Result<OwnedFd, Failure> {
    // A copy of the host's mounts that this process may come back to.
    enter_new(Namespaces::NEWNS).during(Need::Namespaces, "unshare the mount namespace")?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave)
        .during(Need::Mounts, "detach from the host's mounts")?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open("/proc/self/ns/mnt", flags, Mode::empty())
        .during(Need::Container, "hold on to the host's mounts")?;
    move_into_thread_name_spaces(container.as_fd(), Of::MOUNT)
        .during(Need::Container, "enter the container's mount namespace")?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, "/", clone)
        .during(Need::Container, "take the image's files")?;
    let set = RDONLY | NOSUID | NODEV;
    let attributes = Attributes { set, propagation: libc::MS_PRIVATE, idmap: None };
    set_attributes(&tree, Reach::One, attributes)
        .during(Need::Container, "take the image's files read-only")?;
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount))
        .during(Need::Container, "come back to the host's mounts")?;
    Ok(tree)
}
