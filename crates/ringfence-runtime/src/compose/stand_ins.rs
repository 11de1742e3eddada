//! What a world finds in the place of secrets: in its environment, and in files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ringfence_secrets::binding::Delivery;
use ringfence_secrets::sentinel::Sentinel;

use super::layout::{Layout, Real, Use, real};
use super::mountpoints::Kind;
use super::private::Private;
use super::secrets::SECRET_PLACES;
use super::{ComposeError, RunRequest};

/// Shows the files in the world; returns the variables, which stand in for the caller's own.
pub(super) fn show(
    request: &RunRequest,
    home: &Path,
    (layout, private): (&mut Layout, &Private),
) -> Result<Vec<(String, OsString)>, ComposeError> {
    let mut variables = Vec::new();
    for (delivery, sentinel) in &request.stand_ins {
        match delivery {
            Delivery::Env(name) => {
                variables.push((name.as_str().to_owned(), sentinel.as_str().into()));
            }
            Delivery::File(path) => {
                put(path.as_path(), sentinel, home, (&mut *layout, private))?;
            }
        }
    }
    Ok(variables)
}

/// The secret place that a file would lie in, where no world shows anything; relative to the home.
pub fn covered_above(home: &Path, path: &Path) -> Option<&'static str> {
    let above = |(name, _): &&(&str, Kind)| {
        let covered = home.join(name);
        path != covered && path.starts_with(covered)
    };
    SECRET_PLACES.iter().find(above).map(|(name, _)| *name)
}

/// Puts a file of ours over a place, whatever the host has there.
fn put(
    path: &Path,
    sentinel: &Sentinel,
    home: &Path,
    (layout, private): (&mut Layout, &Private),
) -> Result<(), ComposeError> {
    let wrong = |reason: String| ComposeError::StandIn { path: path.to_owned(), reason };
    match real(path) {
        Real::Is if path.is_dir() => return Err(wrong("a directory is there".to_owned())),
        // The file that it leads to would still be seen by its own name.
        Real::Through { link, .. } => {
            return Err(wrong(format!("`{}` is a symbolic link", link.display())));
        }
        Real::Is | Real::Absent => {}
    }
    if let Some(name) = covered_above(home, path) {
        return Err(wrong(format!("`~/{name}`, which it lies in, is covered")));
    }
    // No directory above it can be renamed away.
    if let Some(root) = layout.writable_root_of(path) {
        layout.anchor(&root, path);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("secret");
    let file = private.supply(name, format!("{}\n", sentinel.as_str()).as_bytes())?;
    layout.bind_private(path, &file, Use::Read);
    Ok(())
}

/// The covered places that stay covered: a stand-in is no secret.
pub(super) fn not_covered(
    masks: Vec<(PathBuf, Kind)>,
    request: &RunRequest,
) -> Vec<(PathBuf, Kind)> {
    let is_shown = |place: &Path| {
        request
            .stand_ins
            .iter()
            .any(|(it, _)| matches!(it, Delivery::File(path) if path.as_path() == place))
    };
    masks.into_iter().filter(|(place, _)| !is_shown(place)).collect()
}
