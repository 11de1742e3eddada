//! Places whose files nobody in the world opens by itself: each open is decided, and carried out by
//! threads that reach nothing else.
//!
//! The world's mounts show nothing of what is read here only after a decision, and let nothing be
//! changed that is changed only after one. So what the kernel finds by itself, whatever path it reads in
//! the end, is what may be had without a question. What was decided is opened in a tree of its own,
//! which is mounted nowhere, on our copy of the path and without following a link; the process gets the
//! file and nothing around it.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _,
};
use ringfence_core::AbsolutePath;
use rustix::io::Errno;

use super::NotifyError;
use super::locate::Found;
use super::making::{Making, Metadata, What};
use super::opener::{Confinement, Opener};
use super::places::writes;
use super::tracee::{Call, Trouble};
use crate::sys;

/// A place, and what of it is opened by whom.
#[derive(Debug)]
pub struct AskedPlace {
    /// The file or directory, in the world and on the host alike.
    pub path: AbsolutePath,
    /// The directory with which the trees begin: the place itself, or the one it lies in.
    pub begins: AbsolutePath,
    /// Who opens what is only read.
    pub reads: AskedReads,
    /// The tree in which files are opened and names are made; none where nothing may be changed.
    pub writes: Option<Arc<OwnedFd>>,
}

/// Who opens what is only read.
#[derive(Debug)]
pub enum AskedReads {
    /// The kernel: the world's mounts show it.
    Shown,
    /// We do, in this tree, one by one.
    Decided(Arc<OwnedFd>),
}

/// All such places of a world.
#[derive(Debug)]
pub(super) struct Asked {
    /// By their path. A place that is none of them ends the one above it.
    at: HashMap<Vec<u8>, Option<AskedPlace>>,
    /// Directories above those that the mounts do not show: the world need not have them.
    above: HashSet<Vec<u8>>,
    /// Places where there was nothing that a mount could close: reading there is decided by the name.
    shut: HashSet<Vec<u8>>,
    pub(super) opener: Opener,
}

/// By whom something is made.
#[derive(Debug)]
pub(super) enum Carried {
    /// As anywhere.
    AsEver(Making),
    /// By those who open what was asked about.
    Aside(Making),
    /// By nobody.
    Refused(Errno),
}

impl Asked {
    /// Those of a payload with this user; places in `except` are none although they lie in one.
    pub(super) fn new(
        places: Vec<AskedPlace>,
        (except, shut): (&[AbsolutePath], &[AbsolutePath]),
        user: Option<(u32, u32)>,
    ) -> Result<Asked, NotifyError> {
        let ceiling = Some(ceiling(&places).map_err(NotifyError::Unusable)?);
        let opener = Opener::start(Confinement { user, ceiling, ..Confinement::default() })?;
        let hidden = places.iter().filter(|place| place.is_hidden());
        let above = hidden.flat_map(|place| place.path.ancestors().collect::<Vec<_>>());
        let above = above.map(|path| path.as_str().as_bytes().to_vec()).collect();
        let name = |path: &AbsolutePath| path.as_str().as_bytes().to_vec();
        let shut = shut.iter().map(name).collect();
        let mut at: HashMap<_, _> = except.iter().map(|path| (name(path), None)).collect();
        at.extend(places.into_iter().map(|place| (name(&place.path), Some(place))));
        Ok(Asked { at, above, shut, opener })
    }

    /// The place that a resolved path lies in: the deepest counts.
    pub(super) fn place(&self, path: &[u8]) -> Option<&AskedPlace> {
        let mut end = path.len();
        loop {
            let part = path.get(..end)?;
            if let Some(found) = self.at.get(part) {
                return found.as_ref();
            }
            end = part.iter().rposition(|byte| *byte == b'/')?;
        }
    }

    /// The place in which reads are decided.
    pub(super) fn hidden(&self, path: &[u8]) -> Option<&AskedPlace> {
        self.place(path).filter(|place| place.is_hidden())
    }

    /// Whether opens that only read have to be looked at.
    pub(super) fn hides_any(&self) -> bool {
        self.at.values().flatten().any(AskedPlace::is_hidden)
    }

    /// Whether a path is in a place that no mount closes.
    fn is_shut(&self, path: &[u8]) -> bool {
        let ends = (1..=path.len()).rev().filter(|end| path.get(*end).is_none_or(|it| *it == b'/'));
        !self.shut.is_empty()
            && ends.filter_map(|end| path.get(..end)).any(|above| self.shut.contains(above))
    }

    /// Whether a hidden place lies beneath a directory.
    pub(super) fn is_above(&self, path: &[u8]) -> bool {
        self.above.contains(path)
    }

    /// Whether a path, from left to right, comes through a hidden place: the world's own mounts say
    /// nothing of what lies there.
    pub(super) fn comes_through(&self, full: &[u8]) -> bool {
        let mut path: Vec<u8> = Vec::with_capacity(full.len());
        for name in full.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => {
                    let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    path.truncate(parent);
                }
                name => {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
            }
            if self.hidden(&path).is_some() {
                return true;
            }
        }
        false
    }

    /// What is refused whatever is answered.
    pub(super) fn refuses(&self, what: &What) -> Option<Errno> {
        let place = |path: &[u8]| self.place(path);
        match what {
            What::Rename { from, to, .. } => match (place(from), place(to)) {
                (None, None) => None,
                (Some(one), Some(other)) if std::ptr::eq(one, other) => one.refuses(what),
                // As between two file systems: who renames copies then, and each copy is decided.
                _ => Some(Errno::XDEV),
            },
            What::Link { from, path } => {
                (place(from).is_some() || place(path).is_some()).then_some(Errno::XDEV)
            }
            What::LinkFile { path, .. } => place(path).map(|_| Errno::XDEV),
            What::Socket { path, .. } => place(path).map(|_| Errno::PERM),
            What::Open { flags, .. } if !writes(*flags) => None,
            What::Open { path, .. }
            | What::Create { path, .. }
            | What::Directory { path, .. }
            | What::Node { path, .. }
            | What::Symlink { path, .. }
            | What::Truncate { path, .. }
            | What::Remove { path, .. } => place(path)?.refuses(what),
            What::Change { which: Metadata::At { path }, .. } => {
                place(path)?.writes.is_none().then_some(Errno::ROFS)
            }
            What::Access { .. }
            | What::Reopen { .. }
            | What::Address { .. }
            | What::Change { which: Metadata::Of(_), .. } => None,
        }
    }

    /// By whom something is made, and where.
    pub(super) fn carry(&self, making: Making) -> Carried {
        let refused = Carried::Refused;
        if let Some(errno) = self.refuses(&making.what) {
            return refused(errno);
        }
        let place = |path: &[u8]| self.place(path);
        match &making.what {
            What::Open { path, flags, .. } if !writes(*flags) => match place(path) {
                Some(AskedPlace { reads: AskedReads::Decided(tree), begins, .. }) => {
                    Carried::Aside(in_tree(making, tree, begins))
                }
                Some(AskedPlace { reads: AskedReads::Shown, .. }) | None => Carried::AsEver(making),
            },
            What::Open { path, .. }
            | What::Create { path, .. }
            | What::Directory { path, .. }
            | What::Node { path, .. }
            | What::Symlink { path, .. }
            | What::Truncate { path, .. }
            | What::Remove { path, .. }
            | What::Rename { from: path, .. }
            | What::Change { which: Metadata::At { path }, .. } => match place(path) {
                Some(place) => place.aside(making),
                None => Carried::AsEver(making),
            },
            What::Access { path, .. } => match place(path) {
                Some(place) => place.told(making),
                None => refused(Errno::ACCESS),
            },
            What::Link { .. }
            | What::LinkFile { .. }
            | What::Socket { .. }
            | What::Reopen { .. }
            | What::Address { .. }
            | What::Change { which: Metadata::Of(_), .. } => Carried::AsEver(making),
        }
    }
}

impl AskedPlace {
    /// Whether what is read here is decided.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self.reads, AskedReads::Decided(_))
    }

    /// The tree that shows what is there, and a resolved path in it.
    pub(super) fn seen<'a>(&self, path: &'a [u8]) -> Option<(BorrowedFd<'_>, &'a [u8])> {
        let AskedReads::Decided(tree) = &self.reads else { return None };
        Some((tree.as_fd(), below(path, &self.begins)))
    }

    /// Why something is not made, changed or removed here: it is the place itself, or nothing may be.
    fn refuses(&self, what: &What) -> Option<Errno> {
        let itself = |path: &[u8]| path == self.begins.as_str().as_bytes();
        if what.paths().into_iter().any(itself) {
            return Some(Errno::BUSY);
        }
        self.writes.is_none().then_some(Errno::ROFS)
    }

    /// Something that keeps every name, and so may be about the place itself.
    fn aside(&self, making: Making) -> Carried {
        match &self.writes {
            Some(tree) => Carried::Aside(in_tree(making, tree, &self.begins)),
            None => Carried::Refused(Errno::ROFS),
        }
    }

    /// What may be done with a file here.
    fn told(&self, making: Making) -> Carried {
        let tree = match (&self.writes, &self.reads) {
            (Some(tree), _) | (None, AskedReads::Decided(tree)) => tree,
            (None, AskedReads::Shown) => return Carried::Refused(Errno::ROFS),
        };
        Carried::Aside(in_tree(making, tree, &self.begins))
    }
}

impl Call<'_> {
    /// Whether what lies at a resolved path is changed by us alone, once that was decided.
    pub(super) fn is_asked(&self, path: &[u8]) -> bool {
        self.shared.asked.get().is_some_and(|asked| asked.place(path).is_some())
    }

    /// Refuses what could not be carried out whatever a person answers, before anybody is asked.
    pub(super) fn can_be(&self, what: &What) -> Result<(), Trouble> {
        let refuses = |asked: &Asked| asked.refuses(what);
        let refused =
            |why: &str, errno: Errno| Err(Trouble::unresolvable(why, errno.raw_os_error()));
        match (self.shared.asked.get().and_then(refuses), what) {
            // `mv` copies then, and each copy is asked about.
            (Some(Errno::XDEV), What::Rename { .. }) => Err(Errno::XDEV.into()),
            (Some(Errno::XDEV), _) => {
                refused("what is asked about gets no second name, which would not be", Errno::XDEV)
            }
            (Some(Errno::BUSY), _) => refused(
                "a directory that is asked about is not itself removed, moved or replaced from within",
                Errno::BUSY,
            ),
            // For the policy to say first.
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Whether it is in any case: there, or in a world without mounts.
    pub(super) fn is_carried_out(&self, path: &[u8]) -> bool {
        self.shared.places.is_some() || self.is_asked(path)
    }

    /// The same for what the world shows as it is. What is hidden is another file there, with the
    /// permissions of the start.
    pub(super) fn shows_asked(&self, path: &[u8]) -> bool {
        let place = self.shared.asked.get().and_then(|asked| asked.place(path));
        place.is_some_and(|place| !place.is_hidden())
    }

    /// The file that an open reads, where that is decided.
    pub(super) fn reads_asked(&self, flags: i32, (path, found): (&[u8], Found)) -> Option<Vec<u8>> {
        let reads = flags & libc::O_ACCMODE != libc::O_WRONLY && found == Found::File;
        let asked = self.shared.asked.get().filter(|_| reads)?;
        (asked.hidden(path).is_some() || asked.is_shut(path)).then(|| path.to_vec())
    }
}

/// The same with its paths in the tree that begins with this directory.
fn in_tree(mut making: Making, tree: &Arc<OwnedFd>, begins: &AbsolutePath) -> Making {
    for path in making.what.paths_mut() {
        *path = below(path, begins).to_vec();
    }
    Making { tree: Some(Arc::clone(tree)), ..making }
}

/// A path as it is called in the tree that begins with a directory above it.
fn below<'a>(path: &'a [u8], begins: &AbsolutePath) -> &'a [u8] {
    let begins = begins.as_str().as_bytes();
    let rest = if begins == b"/" { Some(path) } else { path.strip_prefix(begins) };
    rest.filter(|rest| !rest.is_empty()).unwrap_or(b"/")
}

/// Who opens what was asked about reaches these trees, and nothing else at all.
fn ceiling(places: &[AskedPlace]) -> std::io::Result<OwnedFd> {
    let abi = ABI::from(sys::landlock::abi()?);
    let every = AccessFs::from_all(abi);
    let nodes = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::Execute;
    let failed = std::io::Error::other;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(every)
        .and_then(Ruleset::create)
        .map_err(failed)?;
    for place in places {
        let read = match &place.reads {
            AskedReads::Shown => None,
            AskedReads::Decided(tree) => Some((tree, AccessFs::from_read(abi))),
        };
        let write = place.writes.as_ref().map(|tree| (tree, every));
        for (tree, access) in read.into_iter().chain(write) {
            rules = rules.add_rule(PathBeneath::new(tree, access & !nodes)).map_err(failed)?;
        }
    }
    Option::<OwnedFd>::from(rules).ok_or_else(|| Errno::OPNOTSUPP.into())
}

/// The directory with which the tree of a place begins: a file may be replaced by another, which is
/// found by its name in the directory alone.
pub fn begins(place: &AbsolutePath) -> AbsolutePath {
    let is_dir = std::fs::symlink_metadata(Path::new(place.as_str())).is_ok_and(|it| it.is_dir());
    if is_dir { place.clone() } else { place.parent().unwrap_or_else(|| place.clone()) }
}
