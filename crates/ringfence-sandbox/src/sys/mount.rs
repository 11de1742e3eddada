//! Attributes of whole mount trees, which `mount(2)` can only change one mount at a time.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// `struct mount_attr` of `linux/mount.h`, in its first published size.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Which mounts a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The one mount.
    One,
    /// It and all beneath it.
    Tree,
}

/// What is to hold for mounts from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'fd> {
    /// `MOUNT_ATTR_*` to be set.
    pub(crate) set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0 to leave it.
    pub(crate) propagation: u64,
    /// The user namespace that maps owners.
    pub(crate) idmap: Option<BorrowedFd<'fd>>,
}

/// Read-only.
pub(crate) const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Set-id bits and file capabilities do nothing.
pub(crate) const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device nodes cannot be opened.
pub(crate) const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// Nothing can be executed.
pub(crate) const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// `mount_setattr(2)` on the mount that `mount` stands for.
pub(crate) fn set_attributes(
    mount: impl AsFd,
    reach: Reach,
    attributes: Attributes<'_>,
) -> io::Result<()> {
    let idmapped = if attributes.idmap.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 };
    let user_namespace =
        attributes.idmap.and_then(|fd| u64::try_from(fd.as_raw_fd()).ok()).unwrap_or(0);
    let attr = MountAttr {
        set: attributes.set | idmapped,
        clear: 0,
        propagation: attributes.propagation,
        user_namespace,
    };
    let recursive = match reach {
        Reach::One => 0,
        Reach::Tree => libc::AT_RECURSIVE,
    };
    // SAFETY: the path is an empty C string, which AT_EMPTY_PATH allows; `attr` is a live
    // `struct mount_attr` and its size is passed; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
