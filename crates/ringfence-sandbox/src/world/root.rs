//! The world's root: an empty file system into which only the plan is bound.
//!
//! One tmpfs holds everything that is the world's own. It lies on the broker's scratch directory in
//! the mount helper's mount namespace, where nobody else sees it:
//!
//! ```text
//! scratch/          the tmpfs, unbindable, so that no recursive bind of the host picks it up
//!   root/           a mount on itself: the world's root, shared, so that grants propagate
//!   supply/         a mount of the tmpfs: private directories and files, masks
//!   lower/, over/   directories that have an overlay, and the overlays
//!   stage/, stage.file   where a grant is put together before it appears, whole
//!   image/, upper/, work/   in a container: its image, and what lies over it
//! ```
//!
//! In a container the root is not empty: it is an overlay of the tmpfs over the image's files, in which
//! places are made as they are needed. What an image has there is looked at before it is used: no link
//! of it is followed, for it would lead through the host's files.

mod covers;
mod foundation;
mod overlay;
mod own;
mod parts;
mod view;

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::failure::{During as _, Failure, Need};
use super::place::{
    Ground, Kind, Made, Skeleton, is_link, kind_of, open_source, relative, shown_as,
};
use super::{Access, Programs, WorldSpec, identity};
use crate::sys::mount::{Attributes, NOSUID, RDONLY, Reach, set_attributes};
pub(super) use covers::Covers;
use foundation::{foundation, host_kind, is_sticky, restrictions};
pub(super) use overlay::Laid;
use parts::Part;

/// Device nodes that are harmless and that everything expects.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Links of `/dev`: name and what it says.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The world's root within the scratch directory.
pub(super) const ROOT: &str = "root";

/// What appears at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A file or directory of the host.
    Host { source: PathBuf, access: Access },
    /// A file of the runtime base.
    System(PathBuf),
    /// A device node of the host.
    Device(PathBuf),
    /// A file or directory of the supply.
    Supply { name: String, access: Access },
    /// A place nobody may look into; made where it is absent.
    Mask,
    /// The same, left alone where it is absent.
    Hidden,
}

/// One line of the plan as mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    target: PathBuf,
    content: Content,
}

impl Entry {
    /// The place in its normal form, so that places can be compared by their bytes.
    fn new(target: &Path, content: Content) -> Entry {
        Entry { target: target.components().collect(), content }
    }

    /// Whether a place, itself one of an entry, lies beneath this one.
    fn is_above(&self, target: &Path) -> bool {
        let (above, target) = (self.target.as_os_str().as_bytes(), target.as_os_str().as_bytes());
        let below = target.strip_prefix(above).filter(|below| !below.is_empty());
        below.is_some_and(|below| below.starts_with(b"/") || above == b"/")
    }
}

/// A grant in force.
#[derive(Debug)]
struct Granted {
    entry: Entry,
    /// The mount itself: it is found again wherever the payload has moved the directory it is in.
    mount: OwnedFd,
}

/// The root of one world, as the mount helper holds it.
#[derive(Debug)]
pub(super) struct Root {
    scratch: PathBuf,
    ground: Ground,
    /// None where the root has files of an image, which nobody knows.
    skeleton: Option<Skeleton>,
    plan: Vec<Entry>,
    parts: Vec<Part>,
    grants: Vec<Granted>,
    made: Vec<Made>,
    idmap: Option<OwnedFd>,
    programs: Programs,
    overlays: Vec<Laid>,
}

impl Root {
    /// Builds the root of `spec`'s world, over the files of an image if there is one; the calling
    /// process may mount and unmasks no mode bits.
    pub(super) fn build(
        spec: &WorldSpec,
        idmap: Option<OwnedFd>,
        image: Option<OwnedFd>,
    ) -> Result<Root, Failure> {
        let skeleton = image.is_none().then(Skeleton::default);
        let own_devices = foundation(spec, image)?;
        let payload = idmap.as_ref().map(|_| spec.identity);
        let ground = Ground::new(&spec.scratch.join(ROOT), own_devices, payload)
            .during(Need::Mounts, "open the world's root")?;
        let scratch = spec.scratch.clone();
        let (plan, parts) = (Vec::new(), Vec::new());
        let (grants, made) = (Vec::new(), Vec::new());
        let (programs, overlays) = (spec.programs, Vec::new());
        let mut root = Root {
            scratch,
            ground,
            skeleton,
            plan,
            parts,
            grants,
            made,
            idmap,
            programs,
            overlays,
        };
        root.lay_overlays(&spec.overlays)?;
        root.entries(spec);
        root.supplies(spec)?;
        // Parents before what lies beneath them; at one place, in the order of the plan.
        root.plan.sort_by(|one, other| one.target.cmp(&other.target));
        root.lay_out(spec)?;
        for entry in root.take_apart(spec)? {
            match root.attach_first(&entry) {
                // An entry of a directory that is shown part by part may have left meanwhile, or may
                // not be had by itself: its place stays closed.
                Err(_) if !root.plan.contains(&entry) && supplied(&entry.content).is_none() => {}
                done => done?,
            }
        }
        root.grantable_places(spec)?;
        Ok(root)
    }

    /// Where the helper sees the world's root.
    fn path(&self) -> PathBuf {
        self.scratch.join(ROOT)
    }

    /// Makes `source` appear at `target`, with everything the plan has beneath it still on top.
    ///
    /// It is put together aside and moved in whole: at no moment is a masked place open.
    pub(super) fn grant(
        &mut self,
        source: &Path,
        target: &Path,
        access: Access,
    ) -> Result<(), Failure> {
        let content = Content::Host { source: source.to_path_buf(), access };
        let entry = Entry::new(target, content);
        let tree = self.tree_of(&entry.content).during(Need::Bind, step(target, "open it"))?;
        let kind = kind_of(&tree).during(Need::Bind, step(target, "look at it"))?;
        let place = self
            .ground
            .make(target, kind, &mut self.made)
            .during(Need::Bind, step(target, "make a place for it"))?;
        let mount = self.move_in(&entry, tree, &place)?;
        self.grants.push(Granted { entry, mount });
        Ok(())
    }

    /// Moves a tree to its place, with everything on it that is to cover it; returns its mount.
    fn move_in(
        &mut self,
        entry: &Entry,
        tree: OwnedFd,
        place: &OwnedFd,
    ) -> Result<OwnedFd, Failure> {
        let target = entry.target.as_path();
        let kind = kind_of(&tree).during(Need::Bind, step(target, "look at it"))?;
        let stage = self.stage(kind);
        rustix::mount::move_mount(&tree, "", CWD, &stage, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .during(Need::Bind, step(target, "stage it"))?;
        let moved = self.cover(entry, &stage).and_then(|()| {
            let flags = MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            rustix::mount::move_mount(CWD, &stage, place, "", flags)
                .during(Need::Bind, step(target, "move it in"))
        });
        if moved.is_err() {
            // Nothing of it was visible in the world.
            let _ = rustix::mount::unmount(&stage, UnmountFlags::DETACH);
        }
        moved.map(|()| tree)
    }

    /// Takes a grant away; `None` when there is none at `target`.
    pub(super) fn revoke(&mut self, target: &Path) -> Option<Result<(), Failure>> {
        let at = self.grants.iter().rposition(|grant| grant.entry.target == target)?;
        let mount = &self.grants.get(at)?.mount;
        let done = take_down(mount).during(Need::Bind, step(target, "take it away"));
        if done.is_ok() {
            self.grants.remove(at);
        }
        Some(done)
    }

    /// Whether something was made in directories of the host.
    pub(super) fn left_traces(&self) -> bool {
        !self.made.is_empty()
    }

    /// Takes away what was made in directories of the host, at the world's end.
    pub(super) fn leave(&mut self) {
        let _ = rustix::mount::unmount(self.path(), UnmountFlags::DETACH);
        for made in self.made.iter().rev() {
            made.remove();
        }
    }

    /// Puts what lies beneath `entry` in the plan, and in other grants, onto its staged tree.
    fn cover(&mut self, entry: &Entry, stage: &Path) -> Result<(), Failure> {
        let beneath: Vec<Entry> = self
            .plan
            .iter()
            .chain(self.grants.iter().map(|grant| &grant.entry))
            .filter(|other| entry.is_above(&other.target))
            .cloned()
            .collect();
        if beneath.is_empty() {
            return Ok(());
        }
        let ground = self.ground.elsewhere(stage).during(Need::Mounts, "open the stage")?;
        for other in beneath {
            let inner = other.target.strip_prefix(&entry.target).unwrap_or(&other.target);
            let staged = Entry::new(&Path::new("/").join(inner), other.content);
            self.attach(&staged, Some(&ground))?;
        }
        Ok(())
    }

    /// Mounts one entry of the plan at the start, when only our own process has touched the root:
    /// places in the skeleton are made and named without looking.
    fn attach_first(&mut self, entry: &Entry) -> Result<(), Failure> {
        let target = entry.target.as_path();
        let plain = !matches!(entry.content, Content::Mask | Content::Hidden);
        let known = plain && self.skeleton.as_ref().is_some_and(|it| it.holds(target));
        self.skeleton.iter_mut().for_each(|it| it.cover(target));
        if !known {
            return self.attach(entry, None);
        }
        let tree = self.tree_of(&entry.content).during(Need::Bind, step(target, "open it"))?;
        let kind = kind_of(&tree).during(Need::Bind, step(target, "look at it"))?;
        self.own_place(target, kind)
            .and_then(|()| {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                let place = relative(target);
                Ok(rustix::mount::move_mount(&tree, "", self.ground.root(), place, flags)?)
            })
            .during(Need::Bind, step(target, "mount it"))
    }

    /// Mounts one entry.
    fn attach(&mut self, entry: &Entry, ground: Option<&Ground>) -> Result<(), Failure> {
        let at_root = ground.is_none();
        let ground = ground.unwrap_or(&self.ground);
        let target = entry.target.as_path();
        let found = ground.find(target).during(Need::Bind, step(target, "look for its place"))?;
        let content = match (&entry.content, &found) {
            (Content::Hidden, None) => return Ok(()),
            (Content::Mask | Content::Hidden, Some(place)) => {
                let kind = shown_as(place).during(Need::Bind, step(target, "look at its place"))?;
                mask(kind)
            }
            (Content::Mask, None) => mask(host_kind(target)),
            (other, _) => other.clone(),
        };
        let tree = self.tree_of(&content).during(Need::Bind, step(target, "open it"))?;
        let kind = shown_as(&tree).during(Need::Bind, step(target, "look at it"))?;
        let hides = matches!(entry.content, Content::Mask | Content::Hidden);
        // The root's own links are an image's: what belongs there lies on them.
        let over = hides || is_link(&tree) || (self.skeleton.is_none() && at_root);
        let place = match found.filter(|place| is_link(place) && over) {
            // A cover over a link, or a link of ours, so that nobody takes that away.
            Some(link) => Ok(link),
            None => ground.make(target, kind, &mut self.made),
        };
        let place = match (place, &entry.content) {
            (Ok(place), _) => place,
            // Absent beneath something read-only: it cannot come to be, so nothing is to be hidden.
            (Err(error), Content::Mask) if error.raw_os_error() == Some(libc::EROFS) => {
                return Ok(());
            }
            (Err(error), _) => {
                return Err(error).during(Need::Bind, step(target, "make a place for it"));
            }
        };
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&tree, "", &place, "", flags)
            .during(Need::Bind, step(target, "mount it"))
    }

    /// A detached copy of what an entry shows, with everything taken away that it must not have.
    fn tree_of(&self, content: &Content) -> io::Result<OwnedFd> {
        if let Content::Host { source, access: Access::Overlay } = content {
            return self.overlaid(source);
        }
        let (source, attributes) = match content {
            Content::Host { source, access } => {
                (source.clone(), restrictions(self.programs, *access))
            }
            Content::System(source) => (source.clone(), restrictions(self.programs, Access::Read)),
            Content::Device(source) => (source.clone(), NOSUID),
            Content::Supply { name, access } => {
                (self.scratch.join("supply").join(name), restrictions(self.programs, *access))
            }
            Content::Mask | Content::Hidden => (self.supply_path(Kind::Dir), RDONLY),
        };
        let mapped = matches!(content, Content::Host { .. });
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = if mapped {
            let flags = flags | OpenTreeFlags::AT_EMPTY_PATH;
            rustix::mount::open_tree(open_source(&source)?, "", flags)?
        } else {
            // The system's own or ours: nobody else can have put a link on the way.
            rustix::mount::open_tree(CWD, &source, flags | OpenTreeFlags::AT_SYMLINK_NOFOLLOW)?
        };
        let idmap = self.idmap.as_ref().filter(|_| mapped).map(AsFd::as_fd);
        // Private: what the host mounts beneath the source later does not come in by itself.
        let attributes = Attributes { set: attributes, propagation: libc::MS_PRIVATE, idmap };
        set_attributes(&tree, Reach::Tree, attributes)?;
        Ok(tree)
    }

    fn supply_path(&self, kind: Kind) -> PathBuf {
        self.scratch.join("supply").join(mask_name(kind))
    }

    fn stage(&self, kind: Kind) -> PathBuf {
        match kind {
            Kind::Dir => self.scratch.join("stage"),
            Kind::File => self.scratch.join("stage.file"),
        }
    }
}

/// The order of mounts, and what lies in the supply.
impl Root {
    /// The plan as mounts, without what the supply adds.
    fn entries(&mut self, spec: &WorldSpec) {
        for device in DEVICES {
            let path = Path::new("/dev").join(device);
            self.add(&path, Content::Device(path.clone()));
        }
        for path in &spec.base.binds {
            self.add(path, Content::System(path.clone()));
        }
        for bind in &spec.binds {
            let content = Content::Host { source: bind.source.clone(), access: bind.access };
            self.add(&bind.target, content);
        }
        for path in &spec.masks {
            self.add(path, Content::Mask);
        }
        for path in &spec.hidden {
            self.add(path, Content::Hidden);
        }
    }

    /// Private directories and files: in the supply, and bound where they belong.
    fn supplies(&mut self, spec: &WorldSpec) -> Result<(), Failure> {
        let supply = self.scratch.join("supply");
        let owner = |path: &Path| chown(path, Some(spec.identity.uid), Some(spec.identity.gid));
        let shm = [PathBuf::from("/dev/shm")];
        for (at, dir) in spec.base.dirs.iter().chain(&spec.dirs).chain(&shm).enumerate() {
            let name = format!("dir{at}");
            let path = supply.join(&name);
            let mode = if is_sticky(dir) { 0o1777 } else { 0o755 };
            fs::create_dir(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
                .and_then(|()| owner(&path))
                .during(Need::Bind, step(dir, "make a private directory"))?;
            self.add(dir, Content::Supply { name, access: Access::Write });
        }
        let files = spec.base.files.iter().chain(&spec.files);
        for (at, file) in files.enumerate() {
            let covered = self.skeleton.is_none()
                || self.plan.iter().any(|entry| file.target.starts_with(&entry.target));
            let name = format!("file{at}");
            let path = if covered {
                supply.join(&name)
            } else {
                let parent = file.target.parent().unwrap_or(Path::new("/"));
                self.own_place(parent, Kind::Dir)
                    .during(Need::Bind, step(&file.target, "make its directory"))?;
                self.path().join(relative(&file.target))
            };
            fs::write(&path, &file.bytes)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)))
                .and_then(|()| owner(&path))
                .during(Need::Bind, step(&file.target, "write a private file"))?;
            if covered {
                self.add(&file.target, Content::Supply { name, access: Access::Read });
            }
        }
        Ok(())
    }

    fn add(&mut self, target: &Path, content: Content) {
        self.plan.push(Entry::new(target, content));
    }
}

/// Unmounts what this descriptor stands for, wherever it is by now.
fn take_down(mount: &OwnedFd) -> io::Result<()> {
    let own = |dumpable| {
        identity::dumpable(dumpable).map_err(|it| io::Error::from_raw_os_error(it.errno))
    };
    // For this one call its own `/proc` files must be its own.
    own(identity::Dumpable::Yes)?;
    let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let done = rustix::mount::unmount(path, UnmountFlags::DETACH);
    own(identity::Dumpable::No)?;
    Ok(done?)
}

/// How much of what is of our own the world may use; `None` for what is not.
fn supplied(content: &Content) -> Option<Access> {
    match content {
        Content::Supply { access, .. } => Some(*access),
        Content::Host { .. }
        | Content::System(_)
        | Content::Device(_)
        | Content::Mask
        | Content::Hidden => None,
    }
}

fn mask(kind: Kind) -> Content {
    Content::Supply { name: mask_name(kind).to_owned(), access: Access::Read }
}

fn mask_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Dir => "mask",
        Kind::File => "mask.file",
    }
}

/// The step of a failure about `path`.
fn step(path: &Path, what: &str) -> String {
    format!("{}\n{what}", path.display())
}
