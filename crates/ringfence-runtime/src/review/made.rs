//! What is made for a session under review: its upper layers, and what lies in them from the start.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use ringfence_sandbox::world::Overlay;
use rustix::fs::XattrFlags;
use rustix::time::{ClockId, clock_gettime};

use super::closed::open_up;
use super::kept::{Kept, Owner, Tree, drop_changes};
use super::walk::changes;
use crate::state::StateDirs;
use crate::whole_file::create_private_dir;

/// What a world under review is to have.
pub(crate) struct Asked<'a> {
    pub(crate) dirs: &'a StateDirs,
    pub(crate) session: &'a SessionId,
    /// Everything of the host that it may write to: files and directories.
    pub(crate) writable: Vec<PathBuf>,
    /// Places beneath these that it may not write to.
    pub(crate) closed: Vec<PathBuf>,
    /// What is to be made to mount on, and what is in it if it is a file.
    pub(crate) places: Vec<(PathBuf, Option<&'static [u8]>)>,
    pub(crate) owner: Option<Owner>,
}

/// Why no overlay can be laid over a tree.
pub(crate) type Why = (PathBuf, String);

/// Makes the layers; the first overlay is laid after this.
pub(crate) fn lay(asked: &Asked<'_>) -> Result<(Kept, Vec<Overlay>), Why> {
    let dir = asked.dirs.review_of(asked.session);
    let roots = roots(&asked.writable);
    let failed = |path: &Path, error: io::Error| (path.to_owned(), error.to_string());
    create_private_dir(&dir).map_err(|error| (dir.clone(), error.to_string()))?;
    let (mut trees, mut overlays) = (Vec::new(), Vec::new());
    for (number, root) in roots.iter().enumerate() {
        refuse(root, &dir)?;
        let (upper, work) =
            (dir.join(number.to_string()).join("upper"), dir.join(number.to_string()).join("work"));
        let found = fs::symlink_metadata(root).map_err(|error| failed(root, error))?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&work);
        made.and_then(|()| make_like(&upper, &found, asked.owner))
            .and_then(|()| carries_attributes(&upper))
            .map_err(|error| failed(root, error))?;
        let in_it = |path: &&PathBuf| of(&roots, path).is_some_and(|it| it == root);
        let closed = asked.closed.iter().filter(in_it).cloned().collect();
        let open = asked.writable.iter().filter(in_it).cloned().collect();
        let mut ours = Vec::new();
        for (place, content) in asked.places.iter().filter(|(path, _)| in_it(&path)) {
            make_place((root, &upper), place, *content, asked.owner)
                .map_err(|error| failed(place, error))?;
            ours.push(place.clone());
        }
        let identity = (found.dev(), found.ino());
        let (path, taken_back) = (root.clone(), Vec::new());
        trees.push(Tree { path, identity, closed, open, ours, taken_back });
        overlays.push(Overlay { lower: root.clone(), upper, work });
    }
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let kept = Kept::new(asked.session, (now.tv_sec, now.tv_nsec), asked.owner, trees);
    kept.save(asked.dirs).map_err(|error| (dir, error.to_string()))?;
    Ok((kept, overlays))
}

/// The directories that need an overlay: a file needs one over its directory.
fn roots(writable: &[PathBuf]) -> Vec<PathBuf> {
    let is_dir = |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let (dirs, files): (Vec<_>, Vec<_>) = writable.iter().partition(is_dir);
    let dirs: BTreeSet<PathBuf> = dirs.into_iter().cloned().collect();
    let within = |path: &Path| path.ancestors().skip(1).any(|above| dirs.contains(above));
    let mut roots: BTreeSet<PathBuf> = dirs.iter().filter(|dir| !within(dir)).cloned().collect();
    // Nothing else of that directory is in the world.
    let alone = files.into_iter().filter(|file| !within(file));
    roots.extend(alone.filter_map(|file| file.parent().map(Path::to_owned)));
    roots.into_iter().collect()
}

/// The root that a path is in: the deepest, as in the world.
fn of<'a>(roots: &'a [PathBuf], path: &Path) -> Option<&'a PathBuf> {
    let above = roots.iter().filter(|root| path.starts_with(root));
    above.max_by_key(|root| root.components().count())
}

/// What no overlay can be laid over.
fn refuse(root: &Path, own: &Path) -> Result<(), Why> {
    if own.starts_with(root) {
        let why = "what is changed would be kept in it, for Ringfence's own state is there";
        return Err((root.to_owned(), why.to_owned()));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| (root.to_owned(), error.to_string()))?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    match points.into_iter().find(|point| point != root && point.starts_with(root)) {
        Some(point) => {
            let why = format!("another file system is mounted in it, at `{}`", point.display());
            Err((root.to_owned(), why))
        }
        None => Ok(()),
    }
}

/// A path as proc_pid_mountinfo(5) writes it.
fn unescaped(text: &str) -> PathBuf {
    let text = text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    PathBuf::from(text.replace("\\134", "\\"))
}

/// An overlay keeps in attributes what a file system has no word for.
fn carries_attributes(upper: &Path) -> io::Result<()> {
    rustix::fs::setxattr(upper, "user.ringfence", b"", XattrFlags::empty())
        .and_then(|()| rustix::fs::removexattr(upper, "user.ringfence"))
        .map_err(|error| {
            let text = "Ringfence's state is on a file system without extended attributes";
            io::Error::other(format!("{text}: {error}"))
        })
}

/// Who owns in a world what a user of the host owns.
fn as_seen(found: &fs::Metadata, owner: Option<Owner>) -> (u32, u32) {
    let (uid, gid) = (found.uid(), found.gid());
    let Some(owner) = owner else { return (uid, gid) };
    let uid = if uid == owner.host.0 { owner.upper.0 } else { uid };
    (uid, if gid == owner.host.1 { owner.upper.1 } else { gid })
}

/// Makes a directory that looks in the world as one of the host's does.
fn make_like(path: &Path, found: &fs::Metadata, owner: Option<Owner>) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    own(path, as_seen(found, owner))?;
    fs::set_permissions(path, fs::Permissions::from_mode(found.mode() & 0o7777))
}

fn own(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return lchown(path, Some(uid), Some(gid));
    }
    // A directory of somebody else's looks like ours; what can be done in it, its mode says.
    let _ = lchown(path, None, Some(gid));
    Ok(())
}

/// Makes something to mount on in an upper layer, and the directories above it as they are.
fn make_place(
    (root, upper): (&Path, &Path),
    place: &Path,
    content: Option<&[u8]>,
    owner: Option<Owner>,
) -> io::Result<()> {
    let below = place.strip_prefix(root).map_err(|_| io::ErrorKind::InvalidInput)?;
    if let Some(parent) = below.parent() {
        make_way((root, upper), parent, owner)?;
    }
    let made = upper.join(below);
    let payload = owner.map(|owner| owner.upper);
    let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match content {
        None => match fs::create_dir(&made) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        },
        Some(bytes) => fs::write(&made, bytes)?,
    }
    own(&made, payload.unwrap_or(ids))
}

/// Makes the directories of the host on the way to something in an upper layer too.
fn make_way((root, upper): (&Path, &Path), below: &Path, owner: Option<Owner>) -> io::Result<()> {
    let mut here = PathBuf::new();
    for part in below.components() {
        here.push(part);
        match fs::symlink_metadata(root.join(&here)) {
            Ok(found) => make_like(&upper.join(&here), &found, owner)?,
            // It is a place of ours, and is made or will be.
            Err(_) => match fs::create_dir(upper.join(&here)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            },
        }
    }
    Ok(())
}

/// Keeps a text as what the session made of a file of the host's, where its tree is under review.
pub(crate) fn keep_text(
    dirs: &StateDirs,
    kept: &mut Kept,
    path: &Path,
    text: &str,
) -> Result<(), String> {
    let above = kept.trees.iter().enumerate().filter(|(_, tree)| path.starts_with(&tree.path));
    let tree = above.max_by_key(|(_, tree)| tree.path.components().count());
    let (number, tree) = tree.ok_or("it is in no tree under review")?;
    let upper = kept.upper(dirs, number);
    let below = path.strip_prefix(&tree.path).unwrap_or(path);
    let written = || -> io::Result<()> {
        let found = fs::symlink_metadata(path)?;
        make_way((&tree.path, &upper), below.parent().unwrap_or(Path::new("")), kept.owner)?;
        let at = upper.join(below);
        // No process of the world is left, and what it left at a covered place is not ours to follow.
        let _ = fs::remove_file(&at);
        let mut file = fs::File::create_new(&at)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(found.mode() & 0o777))?;
        own(&at, as_seen(&found, kept.owner))
    };
    written().map_err(|error| error.to_string())?;
    if let Some(tree) = kept.trees.get_mut(number) {
        tree.taken_back.push(path.to_owned());
    }
    kept.save(dirs).map_err(|error| error.to_string())
}

/// How many changes wait when a session has ended; without one nothing is kept.
pub(crate) fn settle(dirs: &StateDirs, kept: &mut Kept) -> Result<usize, String> {
    open_up(dirs, kept).map_err(|error| error.to_string())?;
    let waiting = changes(dirs, kept).map_err(|error| error.to_string())?.len();
    if waiting == 0 {
        drop_changes(dirs, &kept.session).map_err(|error| error.to_string())?;
    }
    Ok(waiting)
}
