//! Makes an overlay show again what it showed when its upper layer was copied.
//!
//! What is to be at a place, the copy says, and where it has nothing, the lower layer. Only places are
//! looked at that the copy or the upper layer has: everywhere else the overlay shows the lower layer,
//! then as now.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::Account;
use super::tree::{
    DEPTH_MAX, MODE_BITS, as_the_world_sees, dress, dress_at, is_opaque, is_whiteout, kind,
    new_file,
};
use crate::beneath::{Dir, attributes};
use crate::copying::{copy_attributes, copy_data};
use crate::world::root::Laid;

/// How much of two files is compared at once, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// An overlay, open: what it is made of and what it shows.
pub(super) struct Tree {
    pub(super) upper: Dir,
    pub(super) lower: Dir,
    pub(super) merged: Dir,
}

impl Tree {
    pub(super) fn open(laid: &Laid) -> io::Result<Tree> {
        let merged = Dir::from(laid.merged.try_clone()?).beneath(Path::new(""))?;
        Ok(Tree { upper: Dir::at(&laid.upper)?, lower: Dir::at(&laid.shown)?, merged })
    }
}

/// One overlay that is put back.
pub(super) struct Back<'a> {
    done: &'a mut Account,
    tree: &'a Tree,
    /// Places that no process of the world could change.
    guarded: Vec<PathBuf>,
    /// Where in the overlay the first name is of each file of the copy that has several.
    names: HashMap<(u64, u64), PathBuf>,
    /// What the names of ours begin with, and how many were used so far.
    aside: (u64, u64),
}

/// One directory: as it is in the layers, in the copy, and as it shows.
struct Level<'a> {
    upper: Option<Dir>,
    kept: Option<Dir>,
    lower: Option<Dir>,
    merged: Dir,
    below: &'a Path,
    depth: usize,
    /// Whether what it shows may differ from the lower layer also where neither has anything.
    all: bool,
}

/// What is to be at a place.
enum Wanted<'a> {
    Nothing,
    /// What this directory has there.
    Of(&'a Dir, Stat, Source),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Copy,
    Lower,
}

impl Back<'_> {
    pub(super) fn new<'a>(
        done: &'a mut Account,
        tree: &'a Tree,
        guarded: Vec<PathBuf>,
    ) -> Back<'a> {
        Back { done, tree, guarded, names: HashMap::new(), aside: (random(), 0) }
    }

    /// Puts back all that can be; what cannot is in the account.
    pub(super) fn whole(&mut self, kept: &Dir) {
        let root = Path::new("");
        let open = |dir: &Dir| dir.beneath(root);
        let level = || -> io::Result<Level<'_>> {
            Ok(Level {
                upper: Some(open(&self.tree.upper)?),
                kept: Some(open(kept)?),
                lower: Some(open(&self.tree.lower)?),
                merged: open(&self.tree.merged)?,
                below: root,
                depth: 0,
                all: false,
            })
        };
        let done = level().and_then(|level| {
            self.dir(&level)?;
            // The root of a tree is what it is on the host, but for what the world made of it.
            metadata(&level.merged, kept)
        });
        if let Err(error) = done {
            self.done.leave(root, error);
        }
    }

    fn dir(&mut self, level: &Level<'_>) -> io::Result<()> {
        let mut names = BTreeSet::new();
        let opaque = |dir: &Option<Dir>| dir.as_ref().map_or(Ok(false), is_opaque);
        let hides = opaque(&level.kept)?;
        let all = level.all || hides != opaque(&level.upper)?;
        let shown = level.lower.as_ref().filter(|_| !hides);
        for dir in [&level.upper, &level.kept].into_iter().flatten() {
            names.extend(dir.names()?);
        }
        if all {
            names.extend(level.merged.names()?);
            names.extend(shown.map(Dir::names).transpose()?.unwrap_or_default());
        }
        for name in names {
            let path = level.below.join(&name);
            if self.guarded.iter().any(|guarded| path.starts_with(guarded)) {
                continue;
            }
            if let Err(error) = self.place(level, shown, (&name, &path)) {
                self.done.leave(&path, error);
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        level: &Level<'_>,
        shown: Option<&Dir>,
        (name, path): (&OsStr, &Path),
    ) -> io::Result<()> {
        if level.depth >= DEPTH_MAX {
            return Err(io::Error::other("it is too deep"));
        }
        match wanted(level, shown, name)? {
            Wanted::Nothing => self.remove(&level.merged, name, path),
            Wanted::Of(dir, stat, source) => match kind(&stat) {
                FileType::Directory => self.directory(level, (dir, source), (name, path)),
                FileType::RegularFile => {
                    self.file(&level.merged, (dir, &stat, source), (name, path))
                }
                FileType::Symlink => self.link(&level.merged, (dir, &stat), (name, path)),
                FileType::Fifo => self.pipe(&level.merged, &stat, (name, path)),
                FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => Err(io::Error::other("it is a socket or a device")),
            },
        }
    }

    fn directory(
        &mut self,
        level: &Level<'_>,
        (from, source): (&Dir, Source),
        (name, path): (&OsStr, &Path),
    ) -> io::Result<()> {
        let merged = &level.merged;
        let there = merged.stat(name)?.is_some_and(|it| kind(&it) == FileType::Directory);
        if !there {
            self.remove(merged, name, path)?;
            rustix::fs::mkdirat(merged.fd(), name, Mode::RWXU)?;
            self.done.count += 1;
        }
        let one = Path::new(name);
        let of = |dir: &Option<Dir>| dir.as_ref().and_then(|dir| dir.beneath(one).ok());
        let inner = Level {
            upper: of(&level.upper),
            kept: if source == Source::Copy { Some(from.beneath(one)?) } else { None },
            lower: level.lower.as_ref().and_then(|dir| dir.beneath(one).ok()),
            merged: merged.beneath(one)?,
            below: path,
            depth: level.depth + 1,
            all: !there || level.all,
        };
        self.dir(&inner)?;
        metadata(&inner.merged, &from.beneath(one)?)
    }

    fn file(
        &mut self,
        merged: &Dir,
        (from, stat, source): (&Dir, &Stat, Source),
        (name, path): (&OsStr, &Path),
    ) -> io::Result<()> {
        let there = merged.stat(name)?;
        let id = (stat.st_dev, stat.st_ino);
        let first = self.names.get(&id).filter(|_| source == Source::Copy).cloned();
        if source == Source::Copy && stat.st_nlink > 1 && first.is_none() {
            self.names.insert(id, path.to_owned());
        }
        if let Some(first) = first {
            return self.second_name(merged, (&first, there.as_ref()), (name, path));
        }
        let file = from.file(name)?;
        if there.as_ref().is_some_and(|it| kind(it) == FileType::RegularFile)
            && is_like((&file, stat), &merged.file(name)?)?
        {
            return Ok(());
        }
        let beside = self.beside();
        let made = new_file(merged, &beside)?;
        let filled = fill((&file, stat), &made);
        let placed = filled.and_then(|()| self.put_in(merged, &beside, (name, path)));
        match placed {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                // Something is mounted on it: a file that the world has by itself.
                drop_name(merged, &beside)?;
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let open = rustix::fs::openat(merged.fd(), name, flags, Mode::empty())?;
                let open = File::from(open);
                open.set_len(0)?;
                fill((&file, stat), &open)?;
            }
            Err(error) => {
                let _ = drop_name(merged, &beside);
                return Err(error);
            }
            Ok(()) => {}
        }
        self.done.count += 1;
        Ok(())
    }

    /// Another name of a file that was put back already.
    fn second_name(
        &mut self,
        merged: &Dir,
        (first, there): (&Path, Option<&Stat>),
        (name, path): (&OsStr, &Path),
    ) -> io::Result<()> {
        let dir = self.tree.merged.beneath(first.parent().unwrap_or(Path::new("")))?;
        let own = first.file_name().unwrap_or_default();
        let is = dir.stat(own)?.ok_or(Errno::NOENT)?;
        if there.is_some_and(|it| it.st_ino == is.st_ino && kind(it) == FileType::RegularFile) {
            return Ok(());
        }
        let beside = self.beside();
        rustix::fs::linkat(dir.fd(), own, merged.fd(), &beside, AtFlags::empty())?;
        let placed = self.put_in(merged, &beside, (name, path));
        if placed.is_err() {
            let _ = drop_name(merged, &beside);
        }
        self.done.count += 1;
        placed
    }

    fn link(
        &mut self,
        merged: &Dir,
        (from, stat): (&Dir, &Stat),
        (name, path): (&OsStr, &Path),
    ) -> io::Result<()> {
        let says = from.link(name)?;
        let there = merged.stat(name)?;
        let is_link = there.is_some_and(|it| kind(&it) == FileType::Symlink);
        if is_link && merged.link(name)? == says {
            return Ok(());
        }
        let beside = self.beside();
        rustix::fs::symlinkat(&says, merged.fd(), &beside)?;
        dress_at(merged, &beside, stat)?;
        self.done.count += 1;
        self.put_in(merged, &beside, (name, path))
    }

    fn pipe(&mut self, merged: &Dir, stat: &Stat, (name, path): (&OsStr, &Path)) -> io::Result<()> {
        if merged.stat(name)?.is_some_and(|it| kind(&it) == FileType::Fifo) {
            return Ok(());
        }
        self.remove(merged, name, path)?;
        let mode = Mode::from_raw_mode(stat.st_mode & MODE_BITS);
        rustix::fs::mknodat(merged.fd(), name, FileType::Fifo, mode, 0)?;
        self.done.count += 1;
        dress_at(merged, name, stat)
    }

    /// Gives what was made beside its place the name of that place.
    fn put_in(
        &mut self,
        merged: &Dir,
        beside: &OsStr,
        (name, path): (&OsStr, &Path),
    ) -> io::Result<()> {
        let there = merged.stat(name)?;
        if there.is_some_and(|it| kind(&it) == FileType::Directory) {
            self.remove(merged, name, path)?;
        }
        Ok(rustix::fs::renameat(merged.fd(), beside, merged.fd(), name)?)
    }

    /// Removes what is at a place, with all that is in it; nothing that is guarded, nor above that.
    fn remove(&mut self, merged: &Dir, name: &OsStr, path: &Path) -> io::Result<()> {
        let Some(stat) = merged.stat(name)? else { return Ok(()) };
        if self.guarded.iter().any(|guarded| guarded.starts_with(path)) {
            return Err(io::Error::other("a protected place is there, or in it"));
        }
        if kind(&stat) == FileType::Directory {
            let within = merged.beneath(Path::new(name))?;
            for inner in within.names()? {
                self.remove(&within, &inner, &path.join(&inner))?;
            }
            rustix::fs::unlinkat(merged.fd(), name, AtFlags::REMOVEDIR)?;
        } else {
            drop_name(merged, name)?;
        }
        self.done.count += 1;
        Ok(())
    }

    /// A name of ours that nothing has.
    fn beside(&mut self) -> OsString {
        self.aside.1 += 1;
        format!(".ringfence-back-{:016x}-{}", self.aside.0, self.aside.1).into()
    }
}

/// What is to be at a place: what the copy says, or else what the lower layer has.
fn wanted<'a>(
    level: &'a Level<'_>,
    shown: Option<&'a Dir>,
    name: &OsStr,
) -> io::Result<Wanted<'a>> {
    if let Some(kept) = &level.kept
        && let Some(stat) = kept.stat(name)?
    {
        if is_whiteout(kept, name, &stat)? {
            return Ok(Wanted::Nothing);
        }
        return Ok(Wanted::Of(kept, stat, Source::Copy));
    }
    let Some(lower) = shown else { return Ok(Wanted::Nothing) };
    Ok(lower.stat(name)?.map_or(Wanted::Nothing, |stat| Wanted::Of(lower, stat, Source::Lower)))
}

/// What the world cannot have thought of; where none can be had, a name that is taken is an error.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

fn drop_name(dir: &Dir, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty())?)
}

/// Gives a directory what it had besides what is in it.
fn metadata(merged: &Dir, like: &Dir) -> io::Result<()> {
    let (now, then) = (merged.own_stat()?, like.own_stat()?);
    let own = seen(like.attributes()?);
    let alike = |stat: &Stat| (stat.st_mode & MODE_BITS, stat.st_uid, stat.st_gid);
    let time = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec);
    if alike(&now) == alike(&then) && time(&now) == time(&then) && own == seen(merged.attributes()?)
    {
        return Ok(());
    }
    copy_attributes(like.fd(), merged.fd(), as_the_world_sees)?;
    dress(merged.fd(), &then)
}

/// Attributes as the world sees them, in order.
fn seen(own: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = own.into_iter();
    let seen = own.filter_map(|(name, value)| Some((as_the_world_sees(&name)?, value)));
    let mut seen: Vec<_> = seen.collect();
    seen.sort();
    seen
}

fn fill((from, stat): (&File, &Stat), to: &File) -> io::Result<()> {
    copy_data(from, to)?;
    copy_attributes(from, to, as_the_world_sees)?;
    dress(to, stat)
}

/// Whether a file already is what it is to be; what differs besides its content is put right.
fn is_like((from, then): (&File, &Stat), there: &File) -> io::Result<bool> {
    let now = rustix::fs::fstat(there)?;
    if now.st_size != then.st_size || !same_bytes(from, there)? {
        return Ok(false);
    }
    let of = |stat: &Stat| {
        (stat.st_mode & MODE_BITS, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec)
    };
    if of(&now) != of(then) || seen(attributes(from)?) != seen(attributes(there)?) {
        copy_attributes(from, there, as_the_world_sees)?;
        dress(there, then)?;
    }
    Ok(true)
}

fn same_bytes(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let (mut left, mut right) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut at = 0;
    loop {
        let read = one.read_at(&mut left, at)?;
        let Some(wanted) = right.get_mut(..read) else { return Ok(false) };
        if read == 0 {
            return Ok(true);
        }
        match other.read_exact_at(wanted, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            done => done?,
        }
        if left.get(..read) != right.get(..read) {
            return Ok(false);
        }
        at += read as u64;
    }
}
