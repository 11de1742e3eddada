//! Directories that are only read and in which something is covered: shown part by part.
//!
//! A cover lies on the file that is there. If the whole directory were bound, what a program outside
//! puts in that file's place would be open for the moment until it is covered again. So the world
//! has a directory of its own instead, in which each entry that nobody covers is bound by itself.
//! What comes later is bound when it has come; what is to be covered never comes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::{Content, Entry, Root, host_kind, step, take_down};
use crate::world::failure::{During as _, Failure, Need};
use crate::world::place::Kind;
use crate::world::{Access, IdMap, Identity, WorldSpec};

/// Most entries of a directory that is shown part by part; a larger one is bound whole.
const ENTRIES_MAX: usize = 512;

/// A directory that is shown part by part.
#[derive(Debug)]
pub(super) struct Part {
    /// On the host.
    pub(super) source: PathBuf,
    /// In the world.
    target: PathBuf,
    /// What the world has in its place, where the helper can change it.
    supply: PathBuf,
    /// Entries that the plan itself says what to do with.
    reserved: BTreeSet<OsString>,
}

/// Names in such a directory.
#[derive(Debug)]
pub(super) enum Names {
    /// These.
    These(BTreeSet<OsString>),
    /// All that are on the host and not in the world.
    Missing,
    /// All.
    Every,
}

impl Root {
    /// Takes directories apart in which something is covered; returns the plan as it is to be laid.
    pub(super) fn take_apart(&mut self, spec: &WorldSpec) -> Result<Vec<Entry>, Failure> {
        let mut laid = self.plan.clone();
        for (target, source) in self.apart() {
            let number = self.parts.len();
            let name = format!("part{number}");
            let supply = self.scratch.join("supply").join(&name);
            let (entries, part) = self
                .fill(&target, &source, &supply)
                .during(Need::Bind, step(&target, "show it part by part"))?;
            own(&source, &supply, (spec.identity, spec.idmap))
                .during(Need::Bind, step(&target, "own its place"))?;
            // Instead of what it was bound by itself, or in what is above it.
            laid.retain(|entry| entry.target != target);
            let content = Content::Supply { name, access: Access::Read };
            laid.push(Entry::new(&target, content));
            laid.extend(entries);
            self.parts.push(part);
        }
        laid.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(laid)
    }

    /// Directories on the way from a tree that is only read to something covered in it: where they
    /// appear, and where they are.
    fn apart(&self) -> BTreeMap<PathBuf, PathBuf> {
        let mut apart = BTreeMap::new();
        let hides = |entry: &&Entry| matches!(entry.content, Content::Mask | Content::Hidden);
        for cover in self.plan.iter().filter(hides) {
            let Some(above) = self.above(&cover.target) else { continue };
            let Content::Host { source, access: Access::Read } = &above.content else { continue };
            let Ok(below) = cover.target.strip_prefix(&above.target) else { continue };
            let (mut target, mut dir) = (above.target.clone(), source.clone());
            for name in below.components() {
                if apart.contains_key(&target) || is_small(&dir) {
                    apart.insert(target.clone(), dir.clone());
                } else {
                    break;
                }
                (target, dir) = (target.join(name), dir.join(name));
            }
        }
        apart
    }

    /// Makes the places of a directory's entries; returns what is to be bound there.
    fn fill(&self, target: &Path, source: &Path, supply: &Path) -> io::Result<(Vec<Entry>, Part)> {
        fs::create_dir(supply)?;
        let mode = fs::metadata(source)?.permissions().mode() & 0o777;
        fs::set_permissions(supply, fs::Permissions::from_mode(mode))?;
        let mut part = Part {
            source: source.to_owned(),
            target: target.to_owned(),
            supply: supply.to_owned(),
            reserved: BTreeSet::new(),
        };
        for entry in &self.plan {
            let Ok(below) = entry.target.strip_prefix(target) else { continue };
            let Some(first) = below.components().next() else { continue };
            let name = first.as_os_str();
            part.reserved.insert(name.to_owned());
            let absent = fs::symlink_metadata(source.join(name)).is_err();
            // What is hidden is not there; what is deeper lies in an entry of the host's, if any.
            let unneeded = absent && entry.content == Content::Hidden;
            if target.join(name) == entry.target && !unneeded && !supply.join(name).exists() {
                part.make(name, self.kind_shown(entry).unwrap_or(Kind::Dir))?;
            }
        }
        let mut entries = Vec::new();
        for found in fs::read_dir(source)? {
            let name = found?.file_name();
            // Beneath it lies something covered: it has its own parts, or is bound whole, as it was.
            let on_the_way = part.reserved.contains(&name) && !self.decides(&target.join(&name));
            if !part.reserved.contains(&name) || on_the_way {
                // What cannot be shown is not there.
                entries.extend(part.show(&name).ok().flatten());
            }
        }
        Ok((entries, part))
    }

    /// What the mount at a place looks like, as a place for it must.
    fn kind_shown(&self, entry: &Entry) -> Option<Kind> {
        let source = match &entry.content {
            Content::Host { source, .. } | Content::System(source) | Content::Device(source) => {
                source.clone()
            }
            Content::Supply { name, .. } => self.scratch.join("supply").join(name),
            Content::Mask | Content::Hidden => return Some(host_kind(&entry.target)),
        };
        let found = fs::symlink_metadata(source).ok()?;
        Some(if found.is_dir() { Kind::Dir } else { Kind::File })
    }

    /// Whether the plan has something at this very place.
    fn decides(&self, target: &Path) -> bool {
        self.plan.iter().any(|entry| entry.target == target)
    }

    /// Shows all of these directories anew.
    pub(in crate::world) fn show_everything(&mut self) {
        for number in 0..self.parts.len() {
            self.show_again(number, Names::Every);
        }
    }

    /// Shows what was changed in a directory outside.
    pub(super) fn show_again(&mut self, number: usize, names: Names) {
        let Some(part) = self.parts.get(number) else { return };
        for name in part.named(names) {
            // What cannot be shown is not there.
            let _ = self.show_one(number, &name);
        }
    }

    fn show_one(&mut self, number: usize, name: &OsStr) -> io::Result<()> {
        let Some(part) = self.parts.get(number) else { return Ok(()) };
        if part.reserved.contains(name) {
            return Ok(());
        }
        let target = part.target.join(name);
        let granted = |at: &Path| target.starts_with(at) || at.starts_with(&target);
        if self.grants.iter().any(|grant| granted(&grant.entry.target)) {
            return Ok(());
        }
        if let Some(place) = self.ground.find(&target)?
            && super::covers::is_mounted(&place)?
        {
            take_down(&place)?;
        }
        part.clear(name);
        let Some(entry) = part.show(name)? else { return Ok(()) };
        self.attach(&entry, None).map_err(|failure| io::Error::from_raw_os_error(failure.errno))
    }
}

impl Part {
    /// Makes the place of an entry of the host's; a link is shown as the link it is.
    fn show(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        let source = self.source.join(name);
        let found = match fs::symlink_metadata(&source) {
            Ok(found) => found,
            // It has left meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.is_linked(&found) {
            return Ok(None);
        }
        if found.is_symlink() {
            symlink(fs::read_link(&source)?, self.supply.join(name))?;
            return Ok(None);
        }
        if fs::symlink_metadata(self.supply.join(name)).is_err() {
            self.make(name, if found.is_dir() { Kind::Dir } else { Kind::File })?;
        }
        let content = Content::Host { source, access: Access::Read };
        Ok(Some(Entry::new(&self.target.join(name), content)))
    }

    /// Makes an empty place, closed while nothing is mounted there.
    fn make(&self, name: &OsStr, kind: Kind) -> io::Result<()> {
        let place = self.supply.join(name);
        match kind {
            Kind::Dir => fs::create_dir(&place)?,
            Kind::File => fs::write(&place, b"")?,
        }
        fs::set_permissions(&place, fs::Permissions::from_mode(0o000))
    }

    /// Whether there is something under this name in the world.
    pub(super) fn shows(&self, name: &OsStr) -> bool {
        fs::symlink_metadata(self.supply.join(name)).is_ok()
    }

    /// Whether the plan itself says what to do with this name.
    pub(super) fn is_reserved(&self, name: &OsStr) -> bool {
        self.reserved.contains(name)
    }

    /// Shows nothing under this name from now on: what is covered was moved there.
    pub(super) fn reserve(&mut self, name: &OsStr) {
        self.reserved.insert(name.to_owned());
    }

    /// Whether this is another name of something that the plan itself says what to do with.
    fn is_linked(&self, found: &fs::Metadata) -> bool {
        let id = |it: &fs::Metadata| (it.dev(), it.ino());
        let same = |name: &OsString| {
            fs::symlink_metadata(self.source.join(name)).is_ok_and(|it| id(&it) == id(found))
        };
        found.is_file() && found.nlink() > 1 && self.reserved.iter().any(same)
    }

    /// Takes an entry's place away.
    fn clear(&self, name: &OsStr) {
        let place = self.supply.join(name);
        // It is a link, a file or an empty directory, or it is not there.
        let _ = fs::remove_file(&place).or_else(|_| fs::remove_dir(&place));
    }

    /// The names that are meant.
    pub(super) fn named(&self, names: Names) -> BTreeSet<OsString> {
        let of = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
        let of = |dir: &Path| of(dir).map(|entry| entry.file_name());
        match names {
            Names::These(names) => names,
            Names::Missing => {
                let shown: BTreeSet<OsString> = of(&self.supply).collect();
                of(&self.source).filter(|name| !shown.contains(name)).collect()
            }
            Names::Every => of(&self.source).chain(of(&self.supply)).collect(),
        }
    }
}

impl Names {
    /// One more.
    pub(super) fn add(&mut self, name: OsString) {
        match self {
            Names::These(names) => drop(names.insert(name)),
            Names::Missing => *self = Names::Every,
            Names::Every => {}
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::These(BTreeSet::new())
    }
}

/// Closes or opens a directory of ours to the payload as the host's would be: what has its owner there
/// has the same here, or the payload where owners are mapped.
fn own(source: &Path, supply: &Path, (payload, idmap): (Identity, IdMap)) -> io::Result<()> {
    let found = fs::symlink_metadata(source)?;
    let mapped = |owner: u32, of: fn(&(u32, u32)) -> u32, to: u32| match idmap {
        IdMap::Owner { uid, gid } if owner == of(&(uid, gid)) => to,
        IdMap::Owner { .. } | IdMap::None => owner,
    };
    let uid = mapped(found.uid(), |ids| ids.0, payload.uid);
    let gid = mapped(found.gid(), |ids| ids.1, payload.gid);
    match chown(supply, Some(uid), Some(gid)) {
        // An ordinary user's own are all that have an owner here; others' are open by their mode alone.
        Err(_) if !rustix::process::geteuid().is_root() => Ok(()),
        done => done,
    }
}

/// Whether this is a directory, by its own name, that can be shown part by part.
fn is_small(dir: &Path) -> bool {
    let is_dir = fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir());
    is_dir
        && fs::read_dir(dir)
            .is_ok_and(|entries| entries.take(ENTRIES_MAX + 1).count() <= ENTRIES_MAX)
}
