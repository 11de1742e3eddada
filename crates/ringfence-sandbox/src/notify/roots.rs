//! Processes that have taken a root of their own, in worlds where they may.
//!
//! Paths are decided about as the world's one root has them. So from the first `chroot` on each act is
//! looked at for whose root it has, and denied where that is another; a world whose profile refuses
//! `chroot` never comes here, and pays nothing for it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use super::listen::Judged;
use super::tracee::{Call, Trouble};
use crate::seccomp::Profile;
use crate::sys::notify::Reply;

/// What is known of roots.
#[derive(Debug)]
pub(super) struct Roots {
    profile: Profile,
    /// A process may have a root of its own by now.
    several: AtomicBool,
}

impl Roots {
    pub(super) fn new(profile: Profile) -> Roots {
        Roots { profile, several: AtomicBool::new(false) }
    }

    /// Processes may have roots of their own without anybody having heard of it.
    pub(super) fn may_be_several(&self) {
        self.several.store(true, Ordering::SeqCst);
    }

    /// Whether user namespaces are made inside.
    pub(super) fn are_namespaces_made(&self) -> bool {
        match self.profile {
            Profile::Browser => true,
            Profile::Default | Profile::Strict | Profile::Build => false,
        }
    }
}

/// The waiting thread is about to take a root of its own.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    if !call.shared.roots.are_namespaces_made() {
        return Err(Trouble::Errno(libc::EPERM));
    }
    // The world's own has to be known first: nobody has taken another yet.
    call.root()?;
    call.shared.roots.several.store(true, Ordering::SeqCst);
    Ok(Judged::Answer(Reply::Continue))
}

/// Denies what a process with another root than the world's attempts; it may go on to narrow its root.
pub(super) fn check(call: &Call<'_>) -> Result<(), Trouble> {
    let pathless = [libc::SYS_umask, libc::SYS_clone, libc::SYS_unshare, libc::SYS_chroot];
    if !call.shared.roots.several.load(Ordering::SeqCst)
        || pathless.contains(&call.notification.number)
    {
        return Ok(());
    }
    let hidden = |why: &str| Trouble::unresolvable(why, libc::EACCES);
    let world = rustix::fs::fstat(call.root()?)?;
    let own = fs::metadata(format!("/proc/{}/root", call.tid()))
        .map_err(|_| hidden("the process does not show its root"))?;
    call.check_waiting()?;
    if (own.dev(), own.ino()) == (world.st_dev, world.st_ino) {
        Ok(())
    } else {
        Err(hidden("the process has a root of its own, in which no rule can name a path"))
    }
}

/// Whether a path says who is who in a user namespace: a file there of one process of the world.
pub(super) fn is_id_map(call: &Call<'_>, path: &[u8]) -> bool {
    let of_process = |path: &[u8]| {
        let mut parts = path.strip_prefix(b"/proc/")?.split(|byte| *byte == b'/');
        let number = parts.next()?;
        let rest: Vec<&[u8]> = parts.collect();
        let maps: [&[u8]; 3] = [b"uid_map", b"gid_map", b"setgroups"];
        let file = match *rest.as_slice() {
            [file] => file,
            [b"task", thread, file] if thread.iter().all(u8::is_ascii_digit) => file,
            _ => return None,
        };
        Some(number.iter().all(u8::is_ascii_digit) && maps.contains(&file))
    };
    call.shared.roots.are_namespaces_made() && of_process(path).unwrap_or(false)
}
