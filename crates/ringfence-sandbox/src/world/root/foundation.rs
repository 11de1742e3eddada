//! What a world's root stands on, before anything of the plan is in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags};

use super::{ROOT, mask_name};
use crate::sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY};
use crate::world::failure::{During as _, Failure, Need};
use crate::world::place::Kind;
use crate::world::{Access, Programs, WorldSpec};

/// Private directories that everyone may write to, as on any system.
const STICKY_DIRS: &[&str] = &["/tmp", "/var/tmp", "/dev/shm"];

/// Mounts the tmpfs and its parts; returns its device.
pub(super) fn foundation(spec: &WorldSpec) -> Result<u64, Failure> {
    let scratch = spec.scratch.as_path();
    let mount_flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("ringfence", scratch, "tmpfs", mount_flags, Some(c"mode=755"))
        .during(Need::Mounts, "mount the world's own file system")?;
    let device = fs::metadata(scratch).during(Need::Mounts, "look at the world's file system")?;
    for dir in [ROOT, "supply", "stage"] {
        fs::create_dir(scratch.join(dir))
            .during(Need::Mounts, "lay out the world's file system")?;
    }
    let mask_dir = scratch.join("supply").join(mask_name(Kind::Dir));
    let mask_file = scratch.join("supply").join(mask_name(Kind::File));
    fs::create_dir(&mask_dir)
        .and_then(|()| fs::write(&mask_file, b""))
        .and_then(|()| fs::write(scratch.join("stage.file"), b""))
        .and_then(|()| fs::set_permissions(&mask_dir, fs::Permissions::from_mode(0o000)))
        .and_then(|()| fs::set_permissions(&mask_file, fs::Permissions::from_mode(0o000)))
        .during(Need::Mounts, "lay out the world's file system")?;
    for dir in [ROOT, "supply"] {
        let dir = scratch.join(dir);
        rustix::mount::mount_bind(&dir, &dir).during(Need::Mounts, "mount the world's root")?;
    }
    rustix::mount::mount_change(scratch.join(ROOT), MountPropagationFlags::SHARED)
        .and_then(|()| rustix::mount::mount_change(scratch, MountPropagationFlags::UNBINDABLE))
        .during(Need::Mounts, "let grants propagate")?;
    Ok(device.dev())
}

/// Whether everyone may write to a private directory.
pub(super) fn is_sticky(dir: &Path) -> bool {
    STICKY_DIRS.iter().any(|sticky| dir.as_os_str() == OsStr::new(sticky))
}

/// What a mount must not be used for.
pub(super) fn restrictions(programs: Programs, access: Access) -> u64 {
    let without_programs = match programs {
        Programs::Anywhere => 0,
        Programs::NotWhereWritten => NOEXEC,
    };
    match access {
        Access::Read => NOSUID | NODEV | RDONLY,
        Access::Write | Access::Overlay => NOSUID | NODEV | without_programs,
    }
}

/// What a masked path is on the host, for a mask where the world has nothing.
pub(super) fn host_kind(path: &Path) -> Kind {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Kind::File,
        Ok(_) | Err(_) => Kind::Dir,
    }
}
