//! The names in a directory whose files are asked about, without anything in them.

use std::fs;
use std::path::{Path, PathBuf};

use std::os::unix::fs::symlink;

use super::super::ComposeError;
use super::super::private::Private;

/// Most names of one place that are shown: each is made anew for each session.
pub(super) const NAMES_MAX: usize = 4_096;

/// How deep they are looked for.
const DEPTH_MAX: usize = 16;

/// Which names are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    WithAllBeneath,
    /// Something is mounted there.
    Alone,
    Not,
}

/// A directory of ours with the names of this one, and how many more could have been.
pub(super) fn of(
    place: &Path,
    private: &Private,
    named: &dyn Fn(&Path) -> Named,
) -> Result<(PathBuf, usize), ComposeError> {
    let into = private.opened()?;
    let mut left = NAMES_MAX;
    fill(place, &into, (private, named), (&mut left, DEPTH_MAX))?;
    Ok((into, left))
}

/// Makes the names; files are closed to everybody, and links say what they say.
fn fill(
    place: &Path,
    into: &Path,
    (private, named): (&Private, &dyn Fn(&Path) -> Named),
    (left, depth): (&mut usize, usize),
) -> Result<(), ComposeError> {
    // What we cannot list either stays empty.
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let Some(rest) = left.checked_sub(1) else { return Ok(()) };
        *left = rest;
        let (from, to) = (entry.path(), into.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else { continue };
        let shown = named(&from);
        if shown == Named::Not {
            continue;
        }
        if kind.is_symlink() {
            let failed = |source| ComposeError::Copy { path: to.clone(), source };
            if let Ok(says) = fs::read_link(&from) {
                symlink(says, &to).map_err(failed)?;
            }
        } else if kind.is_dir() {
            private.make_dir(&to)?;
            let deeper = depth.checked_sub(1).filter(|_| shown == Named::WithAllBeneath);
            if let Some(deeper) = deeper {
                fill(&from, &to, (private, named), (left, deeper))?;
            }
        } else {
            private.close_file(&to, &from)?;
        }
    }
    Ok(())
}
