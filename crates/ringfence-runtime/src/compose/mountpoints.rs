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

/// A directory or an empty file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file.
    File,
}

/// Makes what is missing, and returns what in people's trees is a placeholder: made here, or
/// `known` to be one of another session. A place that cannot be made is left to the world, which
/// says why it cannot start.
pub(super) fn make(
    layout: &Layout,
    masks: &[(PathBuf, Kind)],
    payload: &Payload,
    known: &BTreeSet<PathBuf>,
) -> Vec<Placeholder> {
    let mut targets: Vec<(PathBuf, Kind)> =
        layout.binds().into_iter().map(|bind| (bind.target, kind_of(&bind.source))).collect();
    targets.extend(masks.iter().cloned());
    // Parents first.
    targets.sort_by(|one, other| one.0.cmp(&other.0));
    let mut made = Vec::new();
    for (target, kind) in targets {
        let Some(mounted) = layout.mounted_above(&target) else { continue };
        let Ok(below) = target.strip_prefix(&mounted.target) else { continue };
        make_below(&mounted, below, (kind, payload), &mut made);
        let path = mounted.source.join(below);
        if mounted.is_of_person && known.contains(&path) {
            made.push(Placeholder { path, kind });
        }
    }
    made
}

fn make_below(
    mounted: &Mounted,
    below: &Path,
    (kind, payload): (Kind, &Payload),
    made: &mut Vec<Placeholder>,
) {
    let mut path = mounted.source.clone();
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let parent = path.clone();
        path.push(part);
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        let kind = if parts.peek().is_some() { Kind::Dir } else { kind };
        if make_one(&parent, part.as_os_str().as_ref(), (kind, payload)).is_err() {
            return;
        }
        if mounted.is_of_person {
            made.push(Placeholder { path: path.clone(), kind });
        }
    }
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
