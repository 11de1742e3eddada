//! Makes the places on which something is mounted inside what is bound from the host.
//!
//! They are made here, on the host's side, because a bind whose owners are mapped has no room for
//! files of root, who builds the world. What appears in a person's tree is taken away at the end.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};

use super::identity::Payload;
use super::layout::{Layout, Mounted};

/// A directory or an empty file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file.
    File,
}

/// Something that was made in a person's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

impl Placeholder {
    /// Takes it away again, unless something has been put there since.
    pub(crate) fn remove(&self) {
        // Nobody waits for the answer: what is no longer empty, or gone, stays as it is.
        let _ = match self.kind {
            Kind::Dir => fs::remove_dir(&self.path),
            Kind::File => match fs::symlink_metadata(&self.path) {
                Ok(found) if found.is_file() && found.len() == 0 => fs::remove_file(&self.path),
                Ok(_) | Err(_) => return,
            },
        };
    }
}

/// Makes what is missing, and returns what is to be taken away again, innermost first. A place
/// that cannot be made is left to the world, which says why it cannot start.
pub(super) fn make(
    layout: &Layout,
    masks: &[(PathBuf, Kind)],
    payload: &Payload,
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
    }
    made.reverse();
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
            rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o644))?;
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
