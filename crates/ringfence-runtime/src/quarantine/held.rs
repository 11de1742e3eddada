//! What a world was kept from while it ran: what changed there is the person's own work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringfence_core::{AbsolutePath, Access, FilePlan, SetName};
use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::compose::Changes;
use crate::compose::{Real, Use, real};

/// Who could have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The world.
    World,
    /// Nothing in the world was let to, but nothing in the kernel stood in the way.
    Gate,
    /// A mount was in the way all the time.
    Nothing,
}

/// What kept the world from places in its writable trees; by default, nothing did.
#[derive(Debug, Default)]
pub(crate) struct Held {
    mounted: BTreeMap<PathBuf, Mounted>,
}

/// What is mounted at a place.
#[derive(Debug)]
enum Mounted {
    Writable,
    /// Over what was there, if that can be told from what may be there later.
    Cover(Option<Identity>),
}

/// Tells a file or directory from every other one, also from one that is made later: inode numbers
/// are used again, with another time of birth.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
}

/// What became writable while a world ran, or may have.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenedTrees(Arc<Mutex<Opened>>);

#[derive(Debug, Default)]
struct Opened {
    /// Nothing in them was run by the host before.
    trees: BTreeSet<PathBuf>,
    /// Where something was unmounted.
    uncovered: BTreeSet<PathBuf>,
    /// Single files that only the gate holds, or holds when their cover has been replaced.
    by_gate: BTreeSet<PathBuf>,
    /// Where what is written goes.
    changes: Changes,
}

impl OpenedTrees {
    /// Where what a session writes goes.
    pub(crate) fn changes(&self) -> Changes {
        self.opened().changes
    }

    /// What it writes is kept aside: no tree becomes writable while it runs.
    pub(super) fn keep_aside(&self) {
        self.opened().changes = Changes::Review;
    }

    /// To be said before the tree is mounted.
    pub(crate) fn note(&self, tree: &Path) {
        self.opened().trees.insert(tree.to_owned());
    }

    /// To be said before something is unmounted.
    pub(crate) fn uncover(&self, place: &Path) {
        self.opened().uncovered.insert(place.to_owned());
    }

    /// To be said before a plan comes into force: the gate holds what all of them hold.
    pub(crate) fn follow(&self, plan: &FilePlan) {
        self.opened().by_gate.retain(|path| is_held(plan, path));
    }

    pub(super) fn trees(&self) -> BTreeSet<PathBuf> {
        self.opened().trees.clone()
    }

    /// Notes files that the gate holds under any policy, and those of `files` that this plan holds.
    pub(crate) fn hold_by_gate(&self, always: Vec<PathBuf>, plan: &FilePlan, files: Vec<PathBuf>) {
        let held = files.into_iter().filter(|path| is_held(plan, path));
        self.opened().by_gate.extend(held.chain(always));
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a built-in rule, which depends on nothing, keeps the agent from writing a path.
fn is_held(plan: &FilePlan, path: &Path) -> bool {
    let Some(Ok(path)) = path.to_str().map(AbsolutePath::parse) else { return false };
    let (access, rule) = plan.access(&path);
    let set = rule.and_then(|rule| rule.because.as_ref()).map(|because| because.set);
    access < Access::Write && set == Some(SetName::BuiltIn)
}

impl Held {
    /// Remembers what is at the places of a map, which must exist by now.
    pub(crate) fn of<'a>(places: impl Iterator<Item = (&'a Path, Use)>) -> Held {
        let mounted = places.map(|(path, usage)| {
            let mounted = match usage {
                Use::Write => Mounted::Writable,
                Use::Read => Mounted::Cover(Identity::of(path)),
            };
            (path.to_owned(), mounted)
        });
        Held { mounted: mounted.collect() }
    }

    /// Who could have changed what is at `path` now. Whatever cannot be told, the world could.
    pub(super) fn reach(&self, path: &Path, opened: &OpenedTrees) -> Reach {
        let opened = opened.opened();
        let loosened = opened.trees.iter().chain(&opened.uncovered).any(|it| path.starts_with(it));
        let in_place = path.parent().is_some_and(|dir| real(dir) == Real::Is);
        if loosened || !in_place || !has_one_name(path) {
            return Reach::World;
        }
        if self.is_covered(path) {
            return Reach::Nothing;
        }
        if opened.by_gate.contains(path) { Reach::Gate } else { Reach::World }
    }

    fn is_covered(&self, path: &Path) -> bool {
        let mut above = path.ancestors();
        match above.find_map(|above| Some((above, self.mounted.get(above)?))) {
            // Whoever takes what a cover lies on away takes the cover away.
            Some((at, Mounted::Cover(Some(then)))) => Identity::of(at).as_ref() == Some(then),
            Some((_, Mounted::Cover(None) | Mounted::Writable)) | None => false,
        }
    }
}

/// What has another name too may have been written by that.
fn has_one_name(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_dir() || it.nlink() == 1)
}

impl Identity {
    fn of(path: &Path) -> Option<Identity> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let found = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
        // Where the time of birth is not known, another one cannot be told from it.
        StatxFlags::from_bits_retain(found.stx_mask).contains(wanted).then_some(Identity {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born: (found.stx_btime.tv_sec, found.stx_btime.tv_nsec),
        })
    }
}
