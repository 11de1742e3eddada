//! The library of the tier `preload`: where it may lie, and whether others could have changed it.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::WorldError;

/// Where the library may lie for a program in this directory: beside it, or where packages put what is
/// loaded into others.
pub fn library_places(directory: &Path) -> Vec<PathBuf> {
    const NAME: &str = "libringfence_preload.so";
    let beside = directory.join(NAME);
    let installed = directory.parent().map(|above| above.join("lib/ringfence").join(NAME));
    std::iter::once(beside).chain(installed).collect()
}

/// The library where it really lies; whoever may change it, or a directory on the way to it, decides what every
/// program of the world is told.
pub(super) fn check(library: &Path) -> Result<PathBuf, WorldError> {
    let wrong = |what: &str| {
        let text = format!("the library of the tier `preload`, `{}`, {what}", library.display());
        Err(WorldError::Spec(text))
    };
    let Ok(real) = fs::canonicalize(library) else { return wrong("is not there") };
    // The loader takes these for the end of a name, or for something to be filled in (ld.so(8)).
    if real.as_os_str().as_bytes().iter().any(|byte| b": $".contains(byte)) {
        return wrong("has a colon, a space or a dollar sign in its path");
    }
    if !real.is_file() {
        return wrong("is no file");
    }
    match real.ancestors().find(|place| is_others(place)) {
        Some(place) => wrong(&format!(
            "can be changed by others: `{}` must be yours or root's alone",
            place.display()
        )),
        None => Ok(real),
    }
}

/// Whether others may change a file, or take away what lies in a directory; one that cannot be looked at is
/// anybody's. In one with the sticky bit each may take away their own only.
fn is_others(place: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let Ok(found) = fs::symlink_metadata(place) else { return true };
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    ![0, own].contains(&found.uid()) || found.mode() & 0o022 != 0 && !sticky
}
