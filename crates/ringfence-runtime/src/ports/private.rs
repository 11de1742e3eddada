//! Places that exist in the world only: what happens there leaves nothing on the host.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use crate::compose::Composition;

/// Private directories, and what of the host is mounted at or beneath them.
#[derive(Debug, Default)]
pub struct PrivatePlaces {
    dirs: Vec<PathBuf>,
    mounts: RwLock<Vec<PathBuf>>,
}

impl PrivatePlaces {
    /// The longest path decides; a path in both lists is private.
    pub fn new(dirs: Vec<PathBuf>, mounts: Vec<PathBuf>) -> PrivatePlaces {
        let plain = |places: Vec<PathBuf>| -> Vec<PathBuf> {
            places.iter().map(|it| it.components().collect()).collect()
        };
        PrivatePlaces { dirs: plain(dirs), mounts: RwLock::new(plain(mounts)) }
    }

    /// What is private in a world, and what of the host lies in it.
    pub(crate) fn of(composed: &Composition) -> PrivatePlaces {
        let asked = composed.planned.asked.places.iter().map(|it| it.path.as_path().to_owned());
        let binds = composed.spec.binds.iter().map(|bind| bind.target.clone());
        let mounts = binds.chain(asked).collect();
        PrivatePlaces::new(composed.private.dirs.clone(), mounts)
    }

    /// Something of the host is about to be mounted here.
    pub fn mounted(&self, path: &Path) {
        let path = path.components().collect();
        self.mounts.write().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    /// Whether `path` exists in the world only.
    pub fn holds(&self, path: &Path) -> bool {
        let Some(dir) = longest(&self.dirs, path) else { return false };
        let mounts = self.mounts.read().unwrap_or_else(PoisonError::into_inner);
        longest(&mounts, path).is_none_or(|mount| mount <= dir)
    }
}

/// How many bytes the longest of `places` at or above `path` has.
fn longest(places: &[PathBuf], path: &Path) -> Option<usize> {
    places.iter().filter(|place| lies_in(path, place)).map(|it| it.as_os_str().len()).max()
}

/// Whether a path is this place or lies beneath it; both without `.`, `..` and doubled slashes,
/// which spares taking them apart: every change to a file is asked about several dozen places.
pub(super) fn lies_in(path: &Path, place: &Path) -> bool {
    let (path, place) = (path.as_os_str().as_bytes(), place.as_os_str().as_bytes());
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || place.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::PrivatePlaces;
    use std::path::Path;

    fn places() -> PrivatePlaces {
        PrivatePlaces::new(
            vec!["/tmp".into(), "/home/u".into(), "/home/u/p/.git/config".into()],
            vec!["/home/u/p".into(), "/usr".into(), "/home/u/p/.git/config".into()],
        )
    }

    #[test]
    fn a_project_beneath_the_private_home_is_not_private() {
        assert!(!places().holds(Path::new("/home/u/p")));
        assert!(!places().holds(Path::new("/home/u/p/src/main.rs")));
        assert!(!places().holds(Path::new("/usr/bin/x")));
        assert!(!places().holds(Path::new("/srv")));
        assert!(!places().holds(Path::new("/tmpfile")));
    }

    #[test]
    fn private_directories_and_copies_are_private() {
        assert!(places().holds(Path::new("/tmp/x")));
        assert!(places().holds(Path::new("/home/u/.cache/x")));
        assert!(places().holds(Path::new("/home/u/p/.git/config")));
    }

    #[test]
    fn a_grant_mounted_into_a_private_directory_is_not_private() {
        let places = places();
        places.mounted(Path::new("/tmp/shared"));
        assert!(!places.holds(Path::new("/tmp/shared/x")));
        assert!(places.holds(Path::new("/tmp/other")));
    }
}
