//! What may be done where: what mounts would be in a namespace of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Access, WorldSpec};
use crate::notify::{Held, Places, Reads};

/// Devices that hold nothing of anybody's.
pub(in crate::world) const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What a program needs of `/etc` to know users, hosts and name servers: the host's own.
const ACCOUNTS: &[&str] = &[
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
];

/// Files of `/proc` about the machine. No process's own directory: rules are for all processes or
/// for one that is there already, and those of the host's would tell what they were started with.
const MACHINE: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup/cgroup.controllers",
];

/// The places of a world.
pub(in crate::world) fn of(spec: &WorldSpec, reads: Reads) -> Places {
    let granted = spec.binds.iter().map(|bind| {
        let held = match bind.access {
            // There is no overlay here: what is to be kept from the host is not written at all.
            Access::Read | Access::Overlay => Held::Read,
            Access::Write => Held::Write,
        };
        (bind.target.clone(), held)
    });
    let base = base(spec).into_iter().map(|path| (path, Held::Read));
    let devices = DEVICES.iter().map(|path| (PathBuf::from(path), Held::Write));
    let covered = spec.masks.iter().chain(&spec.hidden).map(|path| (path.clone(), Held::Hidden));
    // The later one counts where two are the same.
    Places::new(base.chain(devices).chain(granted).chain(covered), reads)
}

/// The runtime base and what else every program may read, where it really lies.
pub(in crate::world) fn base(spec: &WorldSpec) -> BTreeSet<PathBuf> {
    let links = spec.base.links.iter().map(|(link, _)| link);
    let system = spec.base.binds.iter().chain(links).map(PathBuf::as_path);
    let other = ACCOUNTS.iter().chain(MACHINE).map(Path::new);
    let all = system.chain(other).filter_map(|path| fs::canonicalize(path).ok());
    let private = |path: &PathBuf| spec.base.dirs.iter().any(|dir| path.starts_with(dir));
    all.filter(|path| path.parent().is_some() && !private(path)).collect()
}
