//! Overlays: directories of the host that the world changes without the host's being changed.
//!
//! The lower layer is a private copy of the directory's mount, with its owners mapped where the
//! world's are; the upper one is the caller's. Extended attributes are `user.overlay.*` for root as
//! well, so that an upper layer always reads the same, and everything that would let one name an
//! object elsewhere (redirects, metadata without data, an index) is off.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::Root;
use super::foundation::restrictions;
use crate::sys::mount::{Attributes, NODEV, NOSUID, RDONLY, Reach, set_attributes};
use crate::world::failure::{During as _, Failure, Need};
use crate::world::place::{open_source, relative};
use crate::world::{Access, Overlay};

/// An overlay that is mounted where only the helper sees it.
#[derive(Debug)]
pub(in crate::world) struct Laid {
    /// The directory of the host.
    lower: PathBuf,
    /// Where that is shown as the world's users see it, for the helper.
    pub(in crate::world) shown: PathBuf,
    /// Where changes are kept.
    pub(in crate::world) upper: PathBuf,
    /// Its overlay, whole.
    pub(in crate::world) merged: OwnedFd,
}

impl Root {
    /// Lays all overlays, none of which is in the world yet.
    pub(super) fn lay_overlays(&mut self, overlays: &[Overlay]) -> Result<(), Failure> {
        for (number, overlay) in overlays.iter().enumerate() {
            let merged = self.lay(number, overlay)?;
            let (lower, upper) = (overlay.lower.clone(), overlay.upper.clone());
            let shown = self.lower_place(number);
            self.overlays.push(Laid { lower, shown, upper, merged });
        }
        Ok(())
    }

    /// All of them, in their order.
    pub(in crate::world) fn overlays(&self) -> impl Iterator<Item = &Laid> {
        self.overlays.iter()
    }

    fn lower_place(&self, number: usize) -> PathBuf {
        self.scratch.join("lower").join(number.to_string())
    }

    fn lay(&self, number: usize, overlay: &Overlay) -> Result<OwnedFd, Failure> {
        let step = |what: &str| format!("{}\n{what}", overlay.lower.display());
        let lower = self.lower_place(number);
        let over = self.scratch.join("over").join(number.to_string());
        fs::create_dir_all(&lower)
            .and_then(|()| fs::create_dir_all(&over))
            .during(Need::Overlay, step("make a place for it"))?;
        self.show_lower(&overlay.lower, &lower)
            .during(Need::Overlay, step("take the directory, and nothing mounted in it"))?;
        let merged =
            merge(&lower, &overlay.upper, &overlay.work).during(Need::Overlay, step("mount it"))?;
        let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&merged, "", CWD, &over, empty)
            .during(Need::Overlay, step("put it in its place"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::open(&over, flags, Mode::empty()).during(Need::Overlay, step("open it"))
    }

    /// Mounts a directory of the host, as the world's users see it, at `place`.
    fn show_lower(&self, source: &Path, place: &Path) -> io::Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(open_source(source)?, "", flags)?;
        let idmap = self.idmap.as_ref().map(OwnedFd::as_fd);
        let set = NOSUID | NODEV | RDONLY;
        let attributes = Attributes { set, propagation: libc::MS_PRIVATE, idmap };
        set_attributes(&tree, Reach::One, attributes)?;
        let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(move_mount(&tree, "", CWD, place, empty)?)
    }

    /// A detached copy of what the overlay above `source` shows of it.
    pub(super) fn overlaid(&self, source: &Path) -> io::Result<OwnedFd> {
        let above = self.overlays.iter().filter(|it| source.starts_with(&it.lower));
        let laid = above.max_by_key(|it| it.lower.components().count());
        // What was to be kept from the host is never shown without an overlay.
        let laid = laid.ok_or(io::ErrorKind::NotFound)?;
        let below = source.strip_prefix(&laid.lower).unwrap_or(Path::new(""));
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let within =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let found =
            rustix::fs::openat2(&laid.merged, relative(below), flags, Mode::empty(), within)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(found, "", flags)?;
        let set = restrictions(self.programs, Access::Overlay);
        let attributes = Attributes { set, propagation: libc::MS_PRIVATE, idmap: None };
        set_attributes(&tree, Reach::Tree, attributes)?;
        Ok(tree)
    }
}

/// The overlay itself, mounted nowhere.
pub(super) fn merge(lower: &Path, upper: &Path, work: &Path) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", "ringfence")?;
    fsconfig_set_string(context, "lowerdir", escaped(lower))?;
    fsconfig_set_string(context, "upperdir", escaped(upper))?;
    fsconfig_set_string(context, "workdir", escaped(work))?;
    fsconfig_set_flag(context, "userxattr")?;
    fsconfig_set_string(context, "index", "off")?;
    fsconfig_create(context)?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// A path as the options of an overlay spell it.
fn escaped(path: &Path) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.as_os_str().len());
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b':' | b',') {
            bytes.push(b'\\');
        }
        bytes.push(*byte);
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}
