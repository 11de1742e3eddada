//! A rule for `/`: the host's directories one by one, for a world's root is never the host's.

use std::fs;
use std::path::Path;

use ringfence_core::Access;

use super::layout::{Layout, Real, Use, real};
use crate::notice::Notice;

/// What a world makes itself, and what of the host is not shown in its place.
const WORLDS_OWN: &[&str] = &["/dev", "/proc", "/run", "/sys", "/tmp"];

/// The system's programs and libraries, like its `/etc`: read-only in every world.
const READ_ONLY: &[&str] = &["/bin", "/boot", "/gnu", "/nix", "/sbin", "/usr"];

/// Parts of `/etc` that a world has its own of; the host's name its users and its network.
const OWN_ETC: &[&str] =
    &["group", "hostname", "hosts", "mtab", "nsswitch.conf", "passwd", "resolv.conf"];

/// Puts all that the host has into the map.
///
/// A project is shown also where it lies in a place that the world has for itself, as in `/tmp`.
pub(super) fn take(layout: &mut Layout, access: Access, project: &Path) {
    let usage = match access {
        Access::Hidden => return,
        Access::Read => Use::Read,
        Access::Write => Use::Write,
    };
    for entry in fs::read_dir("/").into_iter().flatten().flatten() {
        let path = entry.path();
        if path == Path::new("/etc") {
            take_etc(layout);
        } else if !WORLDS_OWN.iter().any(|own| path == Path::new(own)) {
            let usage = if is_system(&path) { Use::Read } else { usage };
            take_one(layout, &path, usage);
        }
    }
    let inside_own = WORLDS_OWN.iter().any(|own| project.starts_with(own));
    if inside_own && real(project) == Real::Is {
        layout.bind_planned(project, project, usage);
    }
    if usage == Use::Write {
        let text = "the policy lets the agent write everywhere: the system's programs, libraries \
                    and `/etc` stay read-only, and `/dev`, `/proc`, `/run`, `/sys` and `/tmp` are \
                    the world's own";
        layout.notices.push(Notice::new(text));
    }
}

/// One by one, so that the directory itself is the world's and its own files have a place in it.
fn take_etc(layout: &mut Layout) {
    for entry in fs::read_dir("/etc").into_iter().flatten().flatten() {
        let own = entry.file_name().to_str().is_some_and(|name| OWN_ETC.contains(&name));
        if !own {
            take_one(layout, &entry.path(), Use::Read);
        }
    }
}

fn take_one(layout: &mut Layout, path: &Path, usage: Use) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            if let Ok(says) = fs::read_link(path) {
                layout.link(path, says);
            }
        }
        Ok(found) if found.is_dir() || found.is_file() => layout.bind_planned(path, path, usage),
        // Sockets and devices are reached by rules of their own.
        Ok(_) | Err(_) => {}
    }
}

fn is_system(path: &Path) -> bool {
    let lib = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lib"));
    lib || READ_ONLY.iter().any(|system| path == Path::new(system))
}
