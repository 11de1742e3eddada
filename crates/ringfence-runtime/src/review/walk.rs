//! What an upper layer says was changed, compared with the host as it is now.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::compare::{head, other_attributes, same};
use super::kept::{Kept, Tree};
use super::links::leads_out;
use super::looks::{self, HEAD_BYTES, Merged};
use super::{Change, Held, Kind, ReviewError, What};
use crate::state::StateDirs;
use crate::whole_file;
use ringfence_sandbox::beneath::{Dir, attributes};

/// Permission bits that a commit gives.
pub(super) const MODE_BITS: u32 = 0o777;
/// Most directories on the way to something.
const DEPTH_MAX: usize = 512;
/// Attributes of an upper layer that change nothing of what it means.
const HARMLESS: &[&[u8]] = &[
    b"user.overlay.impure",
    b"user.overlay.nlink",
    b"user.overlay.origin",
    b"user.overlay.upper",
    b"user.overlay.uuid",
    b"user.overlay.opaque",
    b"user.overlay.whiteout",
];
/// Attributes that the world itself gave, and whose names it could not choose.
const OF_WORLD: &[u8] = b"user.overlay.overlay.";
/// All attributes of overlays.
pub(super) const OF_OVERLAYS: &[u8] = b"user.overlay.";

/// All changes that wait, tree by tree, each directory before what is in it; what was committed
/// before is left out.
pub fn changes(dirs: &StateDirs, kept: &Kept) -> Result<Vec<Change>, ReviewError> {
    let mut found = Vec::new();
    for (number, tree) in kept.trees.iter().enumerate() {
        let upper = kept.upper(dirs, number);
        let upper = match Dir::at(&upper) {
            Ok(upper) => upper,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                found.push(closed_root(number, tree));
                continue;
            }
            Err(error) => return Err(ReviewError::io("read", &upper)(error)),
        };
        // A tree that is gone has nothing; a commit says so.
        let host = Dir::at(&tree.path).ok();
        let mut walk = Walk { kept, tree, number, host: host.as_ref(), upper: &upper, found };
        walk.dir(&Level { below: PathBuf::new(), hidden: Hides::Nothing, depth: 0 });
        found = walk.found;
    }
    found.retain(|change| !kept.done.contains(&key(change)));
    Ok(found)
}

/// A tree whose session has closed it, and runs on.
fn closed_root(number: usize, tree: &Tree) -> Change {
    let why = "the session has closed it to its owner; it can be read once the session has ended";
    Change {
        tree: number,
        below: PathBuf::new(),
        path: tree.path.clone(),
        kind: Kind::Mode,
        what: What::Dir,
        bytes: 0,
        mode: 0,
        mode_before: None,
        attributes: Vec::new(),
        leads_out: None,
        within: 0,
        host_runs: None,
        secret: None,
        held: Some(Held::Unreadable(why.to_owned())),
    }
}

/// What stands for a change in the list of those that were committed.
pub(super) fn key(change: &Change) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let path = whole_file::hex(change.below.as_os_str().as_bytes());
    format!("{}/{path}/{}", change.tree, u8::from(change.kind == Kind::Deleted))
}

struct Walk<'a> {
    kept: &'a Kept,
    tree: &'a Tree,
    number: usize,
    host: Option<&'a Dir>,
    upper: &'a Dir,
    found: Vec<Change>,
}

/// Whether what the host has at a place is in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hides {
    /// It is, where the upper layer does not say otherwise.
    Nothing,
    /// It is not: a directory at or above it is opaque.
    Host,
}

/// A directory that is being looked at.
struct Level {
    below: PathBuf,
    hidden: Hides,
    depth: usize,
}

impl Walk<'_> {
    /// One directory of the upper layer. What cannot be read is a change of its own.
    fn dir(&mut self, level: &Level) {
        let below = level.below.as_path();
        let opened =
            self.upper.beneath(below).and_then(|dir| Ok((dir.names()?, marks(&dir)?, dir)));
        let (names, marks, upper) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(below, &error),
        };
        if let Some(forged) = &marks.forged {
            return self.hold(below, Held::Forged(forged.clone()));
        }
        if level.depth > DEPTH_MAX {
            return self.hold(below, Held::Unreadable("it is too deep".to_owned()));
        }
        let hides = if marks.opaque { Hides::Host } else { level.hidden };
        let host = self.host.and_then(|host| host.beneath(below).ok());
        for name in &names {
            let path = below.join(name);
            if let Err(error) = self.entry(&upper, (host.as_ref(), hides), (&path, &marks, level)) {
                self.unreadable(&path, &error);
            }
        }
        let Some(host) = host.filter(|_| hides == Hides::Host) else { return };
        for name in host.names().unwrap_or_default() {
            if !names.contains(&name) {
                self.deleted(&host, &below.join(name));
            }
        }
    }

    fn entry(
        &mut self,
        upper: &Dir,
        (host, hides): (Option<&Dir>, Hides),
        (path, marks, level): (&Path, &Marks, &Level),
    ) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let Some(stat) = upper.stat(name)? else { return Ok(()) };
        let there = host.map(|host| host.stat(name)).transpose()?.flatten();
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.is_ours(upper, path, kind)? {
            return Ok(());
        }
        let own =
            if kind == FileType::RegularFile { attributes(upper.file(name)?)? } else { vec![] };
        let marked = has(&own, b"user.overlay.whiteout");
        let erased = marked && marks.extended && stat.st_size == 0;
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 || erased {
            if let (Some(host), Some(_)) = (host, there) {
                self.deleted(host, path);
            }
            return Ok(());
        }
        if let Some(forged) = forged(&own).filter(|_| !erased) {
            self.hold(path, Held::Forged(forged));
            return Ok(());
        }
        if marked {
            self.hold(
                path,
                Held::Forged("it says that it is a deletion, where none can be".into()),
            );
            return Ok(());
        }
        match kind {
            FileType::Directory => {
                let stays = there.as_ref().is_some_and(|it| what(it) == What::Dir);
                if let (Some(host), Some(_), false) = (host, &there, stays) {
                    self.deleted(host, path);
                }
                let there = there.as_ref().filter(|_| stays);
                self.directory((upper, &stat), host.zip(there), path);
                let below = path.to_owned();
                self.dir(&Level { below, hidden: hides, depth: level.depth + 1 });
            }
            FileType::RegularFile | FileType::Symlink => {
                if let (Some(host), Some(it)) = (host, &there)
                    && what(it) == What::Dir
                {
                    self.deleted(host, path);
                }
                self.file((upper, &stat), (host, there.as_ref()), path)?;
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let why = "the world cannot make a device".to_owned();
                self.hold(path, Held::Forged(why));
            }
            FileType::Fifo => self.hold(path, Held::Special("it is a pipe".to_owned())),
            FileType::Socket => self.hold(path, Held::Special("it is a socket".to_owned())),
            FileType::Unknown => self.hold(path, Held::Special("it is of no known kind".into())),
        }
        Ok(())
    }

    /// Whether this was made to mount on, and is still as it was made.
    fn is_ours(&self, upper: &Dir, path: &Path, kind: FileType) -> io::Result<bool> {
        if !self.tree.ours.contains(&self.tree.path.join(path)) {
            return Ok(false);
        }
        let name = path.file_name().unwrap_or_default();
        Ok(match kind {
            FileType::Directory => {
                let within = upper.beneath(Path::new(name))?.names()?;
                within
                    .iter()
                    .all(|name| self.tree.ours.contains(&self.tree.path.join(path).join(name)))
            }
            FileType::RegularFile => {
                let mut bytes = Vec::new();
                upper.file(name)?.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
                bytes == crate::compose::Placeholder::content(path)
            }
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => false,
        })
    }

    fn directory(
        &mut self,
        (upper, stat): (&Dir, &Stat),
        there: Option<(&Dir, &Stat)>,
        path: &Path,
    ) {
        let mode = self.mode(path, stat);
        let mode_before = there.map(|(_, it)| it.st_mode & MODE_BITS).filter(|it| *it != mode);
        let name = path.file_name().unwrap_or_default();
        // What cannot be read is said of what is in it.
        let attributes = other_attributes((upper, stat), there.map(|(host, _)| host), name);
        let attributes = attributes.unwrap_or_default();
        let kind = match there {
            None => Kind::Added,
            Some(_) if mode_before.is_some() => Kind::Mode,
            Some(_) if !attributes.is_empty() => Kind::Attributes,
            Some(_) => return,
        };
        let stay = || Held::Special("attributes of a directory that was there stay".to_owned());
        let held = self.closed(path).or_else(|| (kind == Kind::Attributes).then(stay));
        let change = self.change(path, kind, What::Dir);
        // A directory's change time changes with each name in it: it is no sign of a conflict.
        self.add(Change { mode, mode_before, attributes, held, ..change });
    }

    fn file(
        &mut self,
        (upper, stat): (&Dir, &Stat),
        (host, there): (Option<&Dir>, Option<&Stat>),
        path: &Path,
    ) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let (new, mode) = (what(stat), self.mode(path, stat));
        let there = there.filter(|it| what(it) != What::Dir);
        let alike = match (host, there) {
            (Some(host), Some(there)) => same((upper, stat), (host, there), name)?,
            (_, _) => false,
        };
        let attributes = other_attributes((upper, stat), host.filter(|_| there.is_some()), name)?;
        let before = there.filter(|it| (what(it), new) == (What::File, What::File));
        let mode_before = before.map(|it| it.st_mode & MODE_BITS).filter(|it| *it != mode);
        let kind = match there {
            None => Kind::Added,
            Some(_) if !alike => Kind::Modified,
            Some(_) if !attributes.is_empty() => Kind::Attributes,
            Some(_) if mode_before.is_some() => Kind::Mode,
            Some(_) => return Ok(()),
        };
        let head = head(upper, name, new)?;
        let host_has = |below: &Path| self.has(below);
        let merged = Merged { has: &host_has };
        let host_runs = looks::host_runs((path, new), &head, &merged);
        let secret = looks::secret(path, &head);
        let bytes = u64::try_from(stat.st_size).unwrap_or_default();
        let held = self.closed(path).or(there.and_then(|it| self.conflict(it)));
        let leads_out = self.leads_out((upper, new), path)?;
        let change = self.change(path, kind, new);
        let looks = Change { leads_out, host_runs, secret, held, ..change };
        self.add(Change { bytes, mode, mode_before, attributes, ..looks });
        Ok(())
    }

    /// What a link says, where that is out of the tree.
    fn leads_out(&self, (upper, what): (&Dir, What), path: &Path) -> io::Result<Option<String>> {
        if what != What::Link {
            return Ok(None);
        }
        let says = upper.link(path.file_name().unwrap_or_default())?;
        let out = leads_out(&self.tree.path, (path, &says), &|below| self.link_at(below));
        Ok(out.then(|| says.to_string_lossy().into_owned()))
    }

    /// What the link at a place says, as the session saw it.
    fn link_at(&self, below: &Path) -> Option<PathBuf> {
        let (parent, name) = (below.parent()?, below.file_name()?);
        let found = [Some(self.upper), self.host].into_iter().flatten().find_map(|dir| {
            let dir = dir.beneath(parent).ok()?;
            let stat = dir.stat(name).ok()??;
            Some((dir, what(&stat)))
        });
        let (dir, _) = found.filter(|(_, it)| *it == What::Link)?;
        dir.link(name).ok()
    }

    /// Whether something would be at a path once all was committed; a deletion counts as nothing gone.
    fn has(&self, below: &Path) -> bool {
        let (Some(parent), Some(name)) = (below.parent(), below.file_name()) else { return false };
        let in_one = |dir: &Dir| {
            dir.beneath(parent).and_then(|dir| dir.stat(name)).is_ok_and(|found| found.is_some())
        };
        in_one(self.upper) || self.host.is_some_and(in_one)
    }

    /// Something of the host's that is gone in the world.
    fn deleted(&mut self, host: &Dir, path: &Path) {
        let name = path.file_name().unwrap_or_default();
        let stat = match host.stat(name) {
            Ok(Some(stat)) => stat,
            Ok(None) => return,
            Err(error) => return self.unreadable(path, &error),
        };
        let mut change = self.change(path, Kind::Deleted, what(&stat));
        change.bytes = u64::try_from(stat.st_size).unwrap_or_default();
        change.mode = stat.st_mode & MODE_BITS;
        let mut held = self.conflict(&stat);
        if change.what == What::Dir {
            change.bytes = 0;
            match self.beneath(host, name, 0) {
                Ok(beneath) => {
                    change.within = beneath.count;
                    change.bytes = beneath.bytes;
                    held = held.or(beneath.held);
                }
                Err(error) => held = Some(Held::Unreadable(error.to_string())),
            }
        }
        change.held = self.closed(path).or_else(|| self.closed_within(path)).or(held);
        self.add(change);
    }

    /// Counts what goes with a directory, and looks whether any of it is newer than the session.
    fn beneath(&self, dir: &Dir, name: &OsStr, depth: usize) -> io::Result<Beneath> {
        let dir = dir.beneath(Path::new(name))?;
        let mut all = Beneath::default();
        if depth > DEPTH_MAX {
            return Err(io::Error::other("it is too deep"));
        }
        for name in dir.names()? {
            let Some(stat) = dir.stat(&name)? else { continue };
            all.count += 1;
            all.held = all.held.or_else(|| self.conflict(&stat));
            if what(&stat) == What::Dir {
                let more = self.beneath(&dir, &name, depth + 1)?;
                all.count += more.count;
                all.bytes += more.bytes;
                all.held = all.held.or(more.held);
            } else {
                all.bytes += u64::try_from(stat.st_size).unwrap_or_default();
            }
        }
        Ok(all)
    }

    /// Whether the host's is newer than the session: a change time cannot be set back.
    fn conflict(&self, there: &Stat) -> Option<Held> {
        let changed = (there.st_ctime, i64::try_from(there.st_ctime_nsec).unwrap_or(i64::MAX));
        (changed >= self.kept.started)
            .then(|| Held::Conflict("it was changed outside since the session began".to_owned()))
    }

    /// The permissions that the session gave.
    fn mode(&self, path: &Path, stat: &Stat) -> u32 {
        let key = super::closed::key(self.number, path);
        self.kept.modes.get(&key).copied().unwrap_or(stat.st_mode) & MODE_BITS
    }

    /// Nothing of the session's can be at a place that it could not write to.
    fn closed(&self, path: &Path) -> Option<Held> {
        let at = self.tree.path.join(path);
        if self.tree.taken_back.contains(&at) {
            return None;
        }
        let deepest = |places: &'_ [PathBuf]| -> Option<PathBuf> {
            let above = places.iter().filter(|place| at.starts_with(place));
            above.max_by_key(|place| place.components().count()).cloned()
        };
        let closed = deepest(&self.tree.closed)?;
        // A rule may open again what lies in a place that another one closes.
        let open = deepest(&self.tree.open);
        if open.is_some_and(|open| open.starts_with(&closed) && open != closed) {
            return None;
        }
        Some(Held::Forged(format!("the session could not write to `{}`", closed.display())))
    }

    fn closed_within(&self, path: &Path) -> Option<Held> {
        let at = self.tree.path.join(path);
        let ours = |closed: &Path| self.tree.ours.iter().any(|it| it == closed);
        let closed = self.tree.closed.iter().find(|it| it.starts_with(&at) && !ours(it))?;
        Some(Held::Forged(format!("the session could not delete `{}`", closed.display())))
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.hold(path, Held::Unreadable(error.to_string()));
    }

    fn hold(&mut self, path: &Path, held: Held) {
        let change = self.change(path, Kind::Added, What::Other);
        self.add(Change { held: Some(held), ..change });
    }

    fn change(&self, below: &Path, kind: Kind, what: What) -> Change {
        Change {
            tree: self.number,
            below: below.to_owned(),
            path: self.tree.path.join(below),
            kind,
            what,
            bytes: 0,
            mode: 0,
            mode_before: None,
            attributes: Vec::new(),
            leads_out: None,
            within: 0,
            host_runs: None,
            secret: None,
            held: None,
        }
    }

    fn add(&mut self, change: Change) {
        self.found.push(change);
    }
}

#[derive(Default)]
struct Beneath {
    count: u64,
    bytes: u64,
    held: Option<Held>,
}

/// What a directory of an upper layer says of itself.
struct Marks {
    opaque: bool,
    extended: bool,
    forged: Option<String>,
}

fn marks(dir: &Dir) -> io::Result<Marks> {
    let own = dir.attributes()?;
    let says = |value: &[u8]| {
        own.iter().any(|(name, it)| name == b"user.overlay.opaque" && it.as_slice() == value)
    };
    Ok(Marks { opaque: says(b"y"), extended: says(b"x"), forged: forged(&own) })
}

fn has(own: &[(Vec<u8>, Vec<u8>)], wanted: &[u8]) -> bool {
    own.iter().any(|(name, _)| name == wanted)
}

/// An attribute by which a layer would name what lies elsewhere, or that is not known.
fn forged(own: &[(Vec<u8>, Vec<u8>)]) -> Option<String> {
    let unknown = own.iter().map(|(name, _)| name.as_slice()).find(|name| {
        name.starts_with(OF_OVERLAYS) && !name.starts_with(OF_WORLD) && !HARMLESS.contains(name)
    })?;
    Some(format!("it has the attribute `{}`", String::from_utf8_lossy(unknown)))
}

/// What a file is.
pub(super) fn what(stat: &Stat) -> What {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => What::File,
        FileType::Directory => What::Dir,
        FileType::Symlink => What::Link,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => What::Other,
    }
}
