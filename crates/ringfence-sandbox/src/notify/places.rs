//! What may be done where, for a world without mounts: the same map that mounts would be, looked at
//! by those who act in the payload's place.
//!
//! The deepest place on the way to a path decides; what no place is above is not there. Nothing
//! that has a place in it, and no place itself, can be renamed or removed, as no mount point can be: so a
//! path goes on meaning what it meant when the map was made.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::making::{Metadata, What};

/// What may be done at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing, although what lies around it is granted.
    Hidden,
    /// Read and run.
    Read,
    /// Read, run, create, change and remove.
    Write,
}

/// Every place of a world, and what may be done there.
#[derive(Debug, Default)]
pub struct Places {
    at: HashMap<PathBuf, Held>,
    /// The directories above them.
    above: HashSet<PathBuf>,
    reads: Reads,
}

/// Who opens files that are only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reads {
    /// The payload, as far as its own rules let it.
    #[default]
    ByThePayload,
    /// Those who act in its place: something is hidden in what its rules let it read.
    ByUs,
}

impl Places {
    /// A map of these places; the later one counts where two are the same.
    pub fn new(places: impl IntoIterator<Item = (PathBuf, Held)>, reads: Reads) -> Places {
        let mut map = Places { reads, ..Places::default() };
        for (place, held) in places {
            let place: PathBuf = place.components().collect();
            map.above.extend(place.ancestors().skip(1).map(Path::to_owned));
            map.at.insert(place, held);
        }
        map
    }

    /// Whether this may be done; the error is the one that a mount would give.
    pub(super) fn allow(&self, what: &What) -> Result<(), Errno> {
        match what {
            What::Open { path, flags, .. } if !writes(*flags) => self.read(path),
            What::Open { path, .. }
            | What::Create { path, .. }
            | What::Directory { path, .. }
            | What::Node { path, .. }
            | What::Socket { path, .. }
            | What::Symlink { path, .. }
            | What::Truncate { path, .. }
            | What::Change { which: Metadata::At { path, .. }, .. } => self.write(path),
            // What has no path is not in any place: a pipe, a file in memory, a removed one.
            What::Reopen { .. } | What::Change { which: Metadata::Of(_), .. } => Ok(()),
            // Names that are no files are the host's: nobody there may take one of the world's for
            // one of theirs. What may be done with a file is asked for only where there are mounts.
            What::Address { .. } | What::Access { .. } => Err(Errno::ACCESS),
            What::Link { from, path } => {
                self.movable(from)?;
                self.write(path)
            }
            // It may have been opened where nothing may be written.
            What::LinkFile { .. } => Err(Errno::XDEV),
            What::Remove { path, .. } => self.movable(path),
            What::Rename { from, to, .. } => {
                self.movable(from)?;
                self.movable(to)
            }
        }
    }

    /// Whether every open is carried out by us.
    pub(super) fn opens_all(&self) -> bool {
        self.reads == Reads::ByUs
    }

    /// Whether a program may be run; the payload's own rules bound what is in no place.
    pub(super) fn hides(&self, path: &[u8]) -> bool {
        self.held(path) == Some(Held::Hidden)
    }

    fn held(&self, path: &[u8]) -> Option<Held> {
        let path = Path::new(OsStr::from_bytes(path));
        path.ancestors().find_map(|above| self.at.get(above)).copied()
    }

    /// Whether what lies there may be read.
    pub(super) fn read(&self, path: &[u8]) -> Result<(), Errno> {
        match self.held(path) {
            Some(Held::Read | Held::Write) => Ok(()),
            Some(Held::Hidden) | None => Err(Errno::ACCESS),
        }
    }

    fn write(&self, path: &[u8]) -> Result<(), Errno> {
        match self.held(path) {
            Some(Held::Write) => Ok(()),
            Some(Held::Read) => Err(Errno::ROFS),
            Some(Held::Hidden) | None => Err(Errno::ACCESS),
        }
    }

    /// Whether a name can be taken away, or something else put in its place.
    fn movable(&self, path: &[u8]) -> Result<(), Errno> {
        let name = Path::new(OsStr::from_bytes(path));
        if self.at.contains_key(name) || self.above.contains(name) {
            return Err(Errno::BUSY);
        }
        self.write(path)
    }
}

/// Whether an open can change or make something.
pub(super) fn writes(flags: OFlags) -> bool {
    let mode = flags & OFlags::RWMODE;
    mode != OFlags::RDONLY || flags.intersects(OFlags::CREATE | OFlags::TRUNC)
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
