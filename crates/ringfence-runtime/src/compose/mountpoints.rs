//! Makes the places on which something is mounted inside what is bound from the host.
//!
//! They are made here, on the host's side, because a bind whose owners are mapped has no room for
//! files of root, who builds the world. What appears in a person's tree is taken away at the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};

use serde::{Deserialize, Serialize};

use super::identity::Payload;
use super::layout::{Layout, Mounted};
use super::placeholders::Placeholder;
use crate::real_dir::RealDir;

/// A directory or an empty file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file.
    File,
}

/// What in people's trees will be a placeholder: missing so far, or `known` to be one of another
/// session. Asked before anything is made, so that it is written down by then.
pub(super) fn used(
    layout: &Layout,
    masks: &[(PathBuf, Kind)],
    known: &BTreeSet<PathBuf>,
) -> Vec<Placeholder> {
    let mut used: Vec<Placeholder> = Vec::new();
    for (mounted, below, kind) in targets(layout, masks) {
        if !mounted.is_of_person {
            continue;
        }
        for (path, kind) in missing(&mounted, &below, kind) {
            if !used.iter().any(|it| it.path == path) {
                used.push(Placeholder { path, kind });
            }
        }
        let path = mounted.source.join(below);
        if known.contains(&path) {
            used.push(Placeholder { path, kind });
        }
    }
    used
}

/// Where places are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// In people's trees too.
    Everywhere,
    /// In directories of ours only.
    OfOurs,
}

/// Makes what is missing. A place that cannot be made is left to the world, which says why it
/// cannot start.
pub(super) fn make(layout: &Layout, masks: &[(PathBuf, Kind)], payload: &Payload, at: Where) {
    for (mounted, below, kind) in targets(layout, masks) {
        if mounted.is_of_person && at == Where::OfOurs {
            continue;
        }
        if !mounted.is_of_person {
            remove_links(&mounted, &below);
        }
        for (path, kind) in missing(&mounted, &below, kind) {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { break };
            if make_one(parent, Path::new(name), (kind, payload)).is_err() {
                break;
            }
        }
    }
}

/// In a store of ours that outlives a session, an agent may have put a link where we mount.
fn remove_links(mounted: &Mounted, below: &Path) {
    let mut path = mounted.source.clone();
    for part in below.components() {
        path.push(part);
        let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if is_link && let Ok((dir, name)) = RealDir::of(&path) {
            // One that stays is refused where the place is made.
            let _ = dir.remove(name, AtFlags::empty());
        }
    }
}

/// Where something is mounted inside what is bound from the host, parents first.
fn targets(layout: &Layout, masks: &[(PathBuf, Kind)]) -> Vec<(Mounted, PathBuf, Kind)> {
    let mut targets: Vec<(PathBuf, Kind)> =
        layout.binds().into_iter().map(|bind| (bind.target, kind_of(&bind.source))).collect();
    targets.extend(masks.iter().cloned());
    targets.sort_by(|one, other| one.0.cmp(&other.0));
    let within = targets.into_iter().filter_map(|(target, kind)| {
        let mounted = layout.mounted_above(&target)?;
        let below = target.strip_prefix(&mounted.target).ok()?.to_owned();
        Some((mounted, below, kind))
    });
    within.collect()
}

/// What is missing on the way to a place, and itself, outermost first.
fn missing(mounted: &Mounted, below: &Path, kind: Kind) -> Vec<(PathBuf, Kind)> {
    let place = mounted.source.join(below);
    let above = place.ancestors().take_while(|path| *path != mounted.source);
    let absent = above.filter(|path| fs::symlink_metadata(path).is_err());
    let kind_at = |path: &Path| if *path == *place { kind } else { Kind::Dir };
    let mut missing: Vec<_> = absent.map(|path| (path.to_owned(), kind_at(path))).collect();
    missing.reverse();
    missing
}

fn make_one(parent: &Path, name: &Path, (kind, payload): (Kind, &Payload)) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Another session may be at work in the same tree: no link of its making is followed.
    let resolve = ResolveFlags::NO_SYMLINKS;
    let dir: OwnedFd = rustix::fs::openat2(rustix::fs::CWD, parent, flags, Mode::empty(), resolve)?;
    match kind {
        Kind::Dir => rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755))?,
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o644))?;
            fs::File::from(file).write_all(Placeholder::content(name))?;
        }
    }
    let (uid, gid) = payload.owner_on_host();
    if rustix::process::geteuid().as_raw() != uid {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(&dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// What is to be mounted: a link is mounted like a file.
fn kind_of(path: &Path) -> Kind {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_dir() => Kind::File,
        Ok(_) | Err(_) => Kind::Dir,
    }
}
