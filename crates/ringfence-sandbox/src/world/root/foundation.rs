//! What a world's root stands on, before anything of the plan is in it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, move_mount};

use super::{ROOT, mask_name, overlay};
use crate::sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY};
use crate::world::failure::{During as _, Failure, Need};
use crate::world::place::Kind;
use crate::world::{Access, Programs, WorldSpec};

/// Private directories that everyone may write to, as on any system.
const STICKY_DIRS: &[&str] = &["/tmp", "/var/tmp", "/dev/shm"];

/// Mounts the tmpfs and its parts, and the root over an image's files if there is one; returns the
/// devices of the tmpfs and of the root.
pub(super) fn foundation(spec: &WorldSpec, image: Option<OwnedFd>) -> Result<[u64; 2], Failure> {
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
    let root = scratch.join(ROOT);
    let on_itself = |dir: &Path| {
        rustix::mount::mount_bind(dir, dir).during(Need::Mounts, "mount the world's root")
    };
    on_itself(&scratch.join("supply"))?;
    match image {
        None => on_itself(&root)?,
        Some(image) => over_image(&image, scratch)
            .during(Need::Mounts, "mount the world's root over the image's files")?,
    }
    let of_root = fs::metadata(&root).during(Need::Mounts, "look at the world's root")?;
    rustix::mount::mount_change(&root, MountPropagationFlags::SHARED)
        .and_then(|()| rustix::mount::mount_change(scratch, MountPropagationFlags::UNBINDABLE))
        .during(Need::Mounts, "let grants propagate")?;
    Ok([device.dev(), of_root.dev()])
}

/// Mounts an overlay as the world's root: what is made in it lies in the tmpfs, and the image stays as
/// it is.
fn over_image(image: &OwnedFd, scratch: &Path) -> io::Result<()> {
    let [lower, upper, work] = ["image", "upper", "work"].map(|name| scratch.join(name));
    for dir in [&lower, &upper, &work] {
        fs::create_dir(dir)?;
    }
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(image, "", CWD, &lower, empty)?;
    let merged = overlay::merge(&lower, &upper, &work)?;
    Ok(move_mount(&merged, "", CWD, scratch.join(ROOT), empty)?)
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
