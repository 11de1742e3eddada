//! What a world without mounts has for itself, by the names that it would have with them.
//!
//! Its home and its temporary directory lie in a directory of ours, which no policy opens. What starts
//! from there is decided as in every other tier: by a name below the person's home, or in `/tmp`. Such a
//! name is given only where a mount of our own would be what is seen at it: never where it lies in a tree of
//! the plan, in the runtime base or in a covered place, for there it is somebody else's.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence_core::AbsolutePath;

/// What exists in one world only.
#[derive(Debug, Clone)]
pub struct Own {
    /// The directories.
    pub dirs: Vec<PathBuf>,
    /// What programs in them are called, where nothing is mounted at their names.
    pub names: OwnNames,
}

/// Directories of one session's own, and the names of what is in them.
#[derive(Debug, Clone, Default)]
pub struct OwnNames {
    /// Where each is, and where it would be mounted.
    dirs: Vec<(PathBuf, PathBuf)>,
    /// Where something else would be mounted, or nothing be seen.
    others: Vec<PathBuf>,
}

impl OwnNames {
    /// `dirs` are directories and the names of them, `others` what these names do not reach into.
    pub(super) fn new(dirs: Vec<(PathBuf, PathBuf)>, others: Vec<PathBuf>) -> OwnNames {
        // Where a program lies is told with all links resolved.
        let real = |(dir, name)| Some((fs::canonicalize(dir).ok()?, name));
        OwnNames { dirs: dirs.into_iter().filter_map(real).collect(), others }
    }

    /// The name that rules know `path` by: its own, unless it is the session's.
    pub fn name(&self, path: AbsolutePath) -> AbsolutePath {
        self.name_of(path.as_path()).unwrap_or(path)
    }

    fn name_of(&self, path: &Path) -> Option<AbsolutePath> {
        let above = self.dirs.iter().filter(|(dir, _)| path.starts_with(dir));
        let (dir, at) = above.max_by_key(|(dir, _)| depth(dir))?;
        let name = at.join(path.strip_prefix(dir).ok()?);
        let anothers =
            self.others.iter().any(|place| name.starts_with(place) && depth(place) >= depth(at));
        let deeper =
            self.dirs.iter().any(|(_, place)| name.starts_with(place) && depth(place) > depth(at));
        if anothers || deeper {
            return None;
        }
        AbsolutePath::parse(name.to_str()?).ok()
    }
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

#[cfg(test)]
#[path = "own_names_tests.rs"]
mod tests;
