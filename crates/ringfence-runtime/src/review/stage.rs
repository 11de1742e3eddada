//! The steps of a commit: new files made beside their places, and the renames that put them in.
//!
//! Everything goes by descriptors of directories that are reached from the tree's own without a
//! link. A directory that is moved while a step is made takes the step along, so that each looks
//! afterwards whether its directory is still where it was, and is undone if it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use serde::{Deserialize, Serialize};

use super::kept::Owner;
use super::walk::{MODE_BITS, OF_OVERLAYS, what};
use super::{Change, Kind, What};
use ringfence_sandbox::beneath::{Dir, attributes};
use ringfence_sandbox::copying::copy_data;

/// What one step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// Puts what is staged where nothing is.
    Put,
    /// Puts it in the place of a file, which is moved aside.
    Swap,
    /// Moves something aside.
    Take,
    /// Gives other permissions.
    Mode,
}

/// One step; it can be made, and undone, as often as one likes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) tree: usize,
    /// The directory in the tree.
    #[serde(with = "raw")]
    pub(super) dir: PathBuf,
    #[serde(with = "raw")]
    pub(super) name: PathBuf,
    /// The name of ours beside it.
    pub(super) beside: String,
    pub(super) act: Act,
    /// What was there, where something was.
    was: Option<Stamp>,
    /// The inode of what was staged.
    new: Option<u64>,
    /// The permissions that it is to have.
    mode: u32,
}

/// Tells whether something is still what it was; a rename leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    mode: u32,
}

impl Stamp {
    fn of(stat: &Stat) -> Stamp {
        let size = if what(stat) == What::Dir { 0 } else { stat.st_size };
        Stamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            mode: stat.st_mode,
        }
    }
}

/// Where a commit works.
pub(super) struct Stage<'a> {
    pub(super) roots: &'a [Dir],
    pub(super) uppers: Vec<Dir>,
    pub(super) owner: Option<Owner>,
    pub(super) started: (i64, i64),
    pub(super) prefix: String,
}

/// Why a step failed.
type Why = String;

fn why(error: impl Into<io::Error>) -> Why {
    error.into().to_string()
}

impl Stage<'_> {
    /// The steps for these changes; what is in a new directory comes with it.
    pub(super) fn steps(&self, chosen: &[Change]) -> Vec<Step> {
        let mut steps = Vec::new();
        let dirs = new_dirs(chosen);
        for change in chosen.iter().filter(|it| !comes_along(it, &dirs)) {
            let dir = change.below.parent().map(Path::to_owned).unwrap_or_default();
            let name = change.below.file_name().map(PathBuf::from).unwrap_or_default();
            let beside = format!("{}-{}", self.prefix, steps.len());
            let (act, mode) = (Act::of(change), change.mode);
            let tree = change.tree;
            steps.push(Step { tree, dir, name, beside, act, was: None, new: None, mode });
        }
        steps
    }

    /// Makes everything new beside its place, and notes what is there now.
    pub(super) fn make(&self, steps: &mut [Step], chosen: &[Change]) -> Result<(), (PathBuf, Why)> {
        let dirs = new_dirs(chosen);
        let alone = chosen.iter().filter(|it| !comes_along(it, &dirs));
        let within = within(chosen);
        for (step, change) in steps.iter_mut().zip(alone) {
            self.make_one(step, change, &within)
                .map_err(|error| (change.path.clone(), why(error)))?;
        }
        for root in self.roots {
            rustix::fs::syncfs(root.fd()).map_err(|error| (PathBuf::new(), why(error)))?;
        }
        Ok(())
    }

    fn make_one(&self, step: &mut Step, change: &Change, all: &Within<'_>) -> io::Result<()> {
        let dir = self.dir(step)?;
        let there = dir.stat(step.name.as_os_str())?;
        step.was = there.as_ref().map(Stamp::of);
        let missing = || io::Error::other("what was there is gone");
        if step.act != Act::Put {
            let there = there.as_ref().ok_or_else(missing)?;
            let is_dir = what(there) == What::Dir;
            if !is_dir && !self.is_older_file(there) {
                return Err(io::Error::other("it was changed outside meanwhile"));
            }
            let special = if is_dir { there.st_mode & 0o7000 } else { 0 };
            step.mode = change.mode | special;
        }
        if matches!(step.act, Act::Put | Act::Swap) {
            let like = there.filter(|_| step.act == Act::Swap);
            let upper = self.upper_dir(change)?;
            self.copy((&upper, change), (&dir, OsStr::new(&step.beside)), like.as_ref(), all)?;
            let made = dir.stat(OsStr::new(&step.beside))?.ok_or_else(missing)?;
            step.new = Some(made.st_ino);
        }
        Ok(())
    }

    fn upper_dir(&self, change: &Change) -> io::Result<Dir> {
        let upper = self.uppers.get(change.tree).ok_or(io::ErrorKind::NotFound)?;
        upper.beneath(change.below.parent().unwrap_or(Path::new("")))
    }

    /// Copies what an upper layer has to a name of ours.
    fn copy(
        &self,
        (upper, change): (&Dir, &Change),
        (to, name): (&Dir, &OsStr),
        like: Option<&Stat>,
        all: &Within<'_>,
    ) -> io::Result<()> {
        let own = change.below.file_name().unwrap_or_default();
        let stat = upper.stat(own)?.ok_or(io::ErrorKind::NotFound)?;
        let owner = self.owner_of(&stat, like);
        match change.what {
            What::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let from = upper.file(own)?;
                let mode = Mode::from_raw_mode(0o600);
                let file = std::fs::File::from(rustix::fs::openat(to.fd(), name, flags, mode)?);
                copy_data(&from, &file)?;
                copy_attributes(&from, &file)?;
                give(&file, owner)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(change.mode & MODE_BITS))?;
                Ok(rustix::fs::futimens(&file, &times(&stat))?)
            }
            What::Link => {
                rustix::fs::symlinkat(upper.link(own)?, to.fd(), name)?;
                let (uid, gid) = owner;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                if rustix::process::geteuid().is_root() {
                    rustix::fs::chownat(to.fd(), name, Some(uid), Some(gid), flags)?;
                }
                Ok(())
            }
            What::Dir => self.copy_dir((upper, change), (to, name), owner, all),
            What::Other => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn copy_dir(
        &self,
        (upper, change): (&Dir, &Change),
        (to, name): (&Dir, &OsStr),
        owner: (Uid, Gid),
        all: &Within<'_>,
    ) -> io::Result<()> {
        rustix::fs::mkdirat(to.fd(), name, Mode::from_raw_mode(0o700))?;
        let made = to.beneath(Path::new(name))?;
        let from = upper.beneath(Path::new(change.below.file_name().unwrap_or_default()))?;
        let inner = all.get(&(change.tree, change.below.as_path()));
        for inner in inner.into_iter().flatten() {
            let name = inner.below.file_name().unwrap_or_default();
            self.copy((&from, inner), (&made, name), None, all)?;
        }
        copy_attributes(from.fd(), made.fd())?;
        give(made.fd(), owner)?;
        Ok(rustix::fs::fchmod(made.fd(), Mode::from_raw_mode(change.mode & MODE_BITS))?)
    }

    /// Who owns on the host what the upper layer has, or takes the place of what is there.
    fn owner_of(&self, stat: &Stat, like: Option<&Stat>) -> (Uid, Gid) {
        let (mut uid, mut gid) = (stat.st_uid, stat.st_gid);
        if let Some(owner) = self.owner {
            uid = if uid == owner.upper.0 { owner.host.0 } else { uid };
            gid = if gid == owner.upper.1 { owner.host.1 } else { gid };
        }
        if let Some(like) = like {
            (uid, gid) = (like.st_uid, like.st_gid);
        }
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }

    fn dir(&self, step: &Step) -> io::Result<Dir> {
        self.roots.get(step.tree).ok_or(io::ErrorKind::NotFound)?.beneath(&step.dir)
    }

    /// Makes a step, unless it is made.
    pub(super) fn apply(&self, step: &Step) -> Result<(), Why> {
        let dir = self.dir(step).map_err(why)?;
        self.apply_in(&dir, step)?;
        let still = self.dir(step).and_then(|now| now.own_stat()).map_err(why);
        let here = dir.own_stat().map_err(why)?;
        match still {
            Ok(now) if (now.st_dev, now.st_ino) == (here.st_dev, here.st_ino) => Ok(()),
            Ok(_) | Err(_) => {
                undo_in(&dir, step)?;
                Err("its directory was moved meanwhile".to_owned())
            }
        }
    }

    fn apply_in(&self, dir: &Dir, step: &Step) -> Result<(), Why> {
        let (name, beside) = (step.name.as_os_str(), OsStr::new(&step.beside));
        let (there, aside) = (dir.stat(name).map_err(why)?, dir.stat(beside).map_err(why)?);
        let is_new = |it: &Stat| Some(it.st_ino) == step.new;
        let is_was = |it: &Stat| Some(Stamp::of(it)) == step.was;
        let changed = || Err("it was changed outside meanwhile".to_owned());
        match step.act {
            Act::Put => match (there, aside) {
                (Some(there), _) if is_new(&there) => Ok(()),
                (Some(_), _) => Err("something has come to be there meanwhile".to_owned()),
                (None, Some(_)) => rename(dir, beside, name, RenameFlags::NOREPLACE),
                (None, None) => Err("what was staged is gone".to_owned()),
            },
            Act::Swap => match (there, aside) {
                (Some(there), _) if is_new(&there) => Ok(()),
                (Some(there), Some(_)) if is_was(&there) => {
                    rename(dir, beside, name, RenameFlags::EXCHANGE)?;
                    let came = dir.stat(beside).map_err(why)?;
                    if came.as_ref().is_some_and(is_was) {
                        return Ok(());
                    }
                    rename(dir, beside, name, RenameFlags::EXCHANGE)?;
                    changed()
                }
                (_, _) => changed(),
            },
            Act::Take => match (there, aside) {
                (Some(there), None) if is_was(&there) => {
                    rename(dir, name, beside, RenameFlags::NOREPLACE)?;
                    if self.is_untouched(dir, beside, step) {
                        return Ok(());
                    }
                    rename(dir, beside, name, RenameFlags::NOREPLACE)?;
                    changed()
                }
                (Some(_), None) => changed(),
                (_, Some(_)) | (None, None) => Ok(()),
            },
            Act::Mode => set_mode(dir, step, step.mode),
        }
    }

    /// Whether what was moved aside is what it was, with all that is in it.
    fn is_untouched(&self, dir: &Dir, beside: &OsStr, step: &Step) -> bool {
        let Ok(Some(stat)) = dir.stat(beside) else { return false };
        if Some(Stamp::of(&stat)) != step.was {
            return false;
        }
        what(&stat) != What::Dir
            || dir.beneath(Path::new(beside)).is_ok_and(|within| self.is_older(&within))
    }

    fn is_older(&self, dir: &Dir) -> bool {
        let Ok(names) = dir.names() else { return false };
        names.iter().all(|name| {
            let Ok(Some(stat)) = dir.stat(name) else { return false };
            self.is_older_file(&stat)
                && (what(&stat) != What::Dir
                    || dir.beneath(Path::new(name)).is_ok_and(|within| self.is_older(&within)))
        })
    }

    /// Whether something has not changed since the session began.
    fn is_older_file(&self, stat: &Stat) -> bool {
        let nanos = i64::try_from(stat.st_ctime_nsec).unwrap_or(i64::MAX);
        (stat.st_ctime, nanos) < self.started
    }

    /// Undoes a step, as far as it was made.
    pub(super) fn undo(&self, step: &Step) -> Result<(), Why> {
        undo_in(&self.dir(step).map_err(why)?, step)
    }

    /// Removes what is beside under names of ours.
    pub(super) fn sweep(&self, steps: &[Step]) {
        for step in steps.iter().filter(|step| step.act != Act::Mode) {
            // A directory that is gone has taken it along.
            let Ok(dir) = self.dir(step) else { continue };
            remove(&dir, OsStr::new(&step.beside));
        }
    }
}

/// What comes new in each new directory.
type Within<'a> = BTreeMap<(usize, &'a Path), Vec<&'a Change>>;

fn within(chosen: &[Change]) -> Within<'_> {
    let mut within = Within::new();
    for change in chosen.iter().filter(|it| it.kind == Kind::Added) {
        if let Some(dir) = change.below.parent() {
            within.entry((change.tree, dir)).or_default().push(change);
        }
    }
    within
}

fn new_dirs(chosen: &[Change]) -> BTreeSet<(usize, &Path)> {
    let dirs = chosen.iter().filter(|it| it.kind == Kind::Added && it.what == What::Dir);
    dirs.map(|it| (it.tree, it.below.as_path())).collect()
}

/// Whether a change is in a directory that comes new with this commit.
fn comes_along(change: &Change, dirs: &BTreeSet<(usize, &Path)>) -> bool {
    let dir = change.below.parent().map(|dir| (change.tree, dir));
    change.kind == Kind::Added && dir.is_some_and(|dir| dirs.contains(&dir))
}

fn rename(dir: &Dir, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Why> {
    rustix::fs::renameat_with(dir.fd(), from, dir.fd(), to, flags).map_err(why)
}

fn undo_in(dir: &Dir, step: &Step) -> Result<(), Why> {
    let (name, beside) = (step.name.as_os_str(), OsStr::new(&step.beside));
    let (there, aside) = (dir.stat(name).map_err(why)?, dir.stat(beside).map_err(why)?);
    let is_new = |it: &Option<Stat>| it.as_ref().is_some_and(|it| Some(it.st_ino) == step.new);
    let is_was = |it: &Option<Stat>| it.as_ref().is_some_and(|it| Some(Stamp::of(it)) == step.was);
    match step.act {
        Act::Put if is_new(&there) && aside.is_none() => {
            rename(dir, name, beside, RenameFlags::NOREPLACE)
        }
        Act::Swap if is_new(&there) && is_was(&aside) => {
            rename(dir, beside, name, RenameFlags::EXCHANGE)
        }
        Act::Take if is_was(&aside) => rename(dir, beside, name, RenameFlags::NOREPLACE),
        Act::Mode => match step.was {
            Some(was) => set_mode(dir, step, was.mode & 0o7777),
            None => Ok(()),
        },
        Act::Put | Act::Swap | Act::Take => Ok(()),
    }
}

/// Gives a file or directory that is still the same one other permissions.
fn set_mode(dir: &Dir, step: &Step, mode: u32) -> Result<(), Why> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir.fd(), &step.name, flags, Mode::empty()).map_err(why)?;
    let stat = rustix::fs::fstat(&file).map_err(why)?;
    let same = step.was.is_some_and(|was| (was.device, was.inode) == (stat.st_dev, stat.st_ino));
    if !same || !matches!(what(&stat), What::File | What::Dir) {
        return Err("it was changed outside meanwhile".to_owned());
    }
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::chmod(own, Mode::from_raw_mode(mode)).map_err(why)
}

/// Removes a file, or a directory with all that is in it, beneath a directory.
fn remove(dir: &Dir, name: &OsStr) {
    let Ok(Some(stat)) = dir.stat(name) else { return };
    if what(&stat) != What::Dir {
        let _ = rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty());
        return;
    }
    if let Ok(within) = dir.beneath(Path::new(name)) {
        // Its owner, if that is us, may have closed it.
        let _ = rustix::fs::fchmod(within.fd(), Mode::from_raw_mode(0o700));
        let names: Vec<OsString> = within.names().unwrap_or_default();
        for name in &names {
            remove(&within, name);
        }
    }
    let _ = rustix::fs::unlinkat(dir.fd(), name, AtFlags::REMOVEDIR);
}

/// The attributes that the world gave; none that means something to an overlay.
fn copy_attributes(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    for (name, value) in attributes(from)? {
        if !name.starts_with(OF_OVERLAYS) {
            rustix::fs::fsetxattr(&to, name.as_slice(), &value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// Gives a file away; only root can, and for everybody else it is their own already.
fn give(file: impl AsFd, (uid, gid): (Uid, Gid)) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?);
    }
    // A group that is not ours stays as the directory gives it.
    let _ = rustix::fs::fchown(file, None, Some(gid));
    Ok(())
}

fn times(stat: &Stat) -> Timestamps {
    let nanos = |it: u64| i64::try_from(it).unwrap_or_default();
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: nanos(stat.st_atime_nsec) },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: nanos(stat.st_mtime_nsec) },
    }
}

/// A path as JSON, whatever its bytes are.
mod raw {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_bytes().serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PathBuf, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        Ok(PathBuf::from(OsString::from_vec(bytes)))
    }
}
