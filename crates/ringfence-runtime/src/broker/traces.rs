//! What a session keeps on the host while it runs, and does not leave behind.
//!
//! A killed broker cannot take it away. So a session locks its directory while it lives, and each
//! start removes what sessions left whose directory nobody locks.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use rustix::fs::{FlockOperation, flock};

use crate::registration::socket_path;
use crate::state::StateDirs;
use crate::whole_file::create_private_dir;

/// Most dead sessions that one start cleans up after: a start stays quick, the next goes on.
const SWEPT_MAX: usize = 16;

/// A session's private files; dropping it removes them.
pub(super) struct Traces {
    private: PathBuf,
    session: PathBuf,
    review: PathBuf,
    /// Closing it ends the lock; a killed process closes it too.
    alive: Option<File>,
}

impl Traces {
    /// Takes the session's directory, and removes what killed sessions left.
    pub(super) fn of(dirs: &StateDirs, session: &SessionId) -> Traces {
        let mut traces = Traces::at(dirs, session);
        // The lock first: whoever sees the private files finds the session alive. Where this fails,
        // making the private files fails too, and says why.
        traces.alive = create_private_dir(&traces.session).ok().and_then(|()| traces.lock());
        sweep(dirs, session);
        traces
    }

    fn at(dirs: &StateDirs, session: &SessionId) -> Traces {
        let dir = dirs.session(session);
        let (private, review) = (dirs.private_of(session), dirs.review_of(session));
        Traces { private, session: dir, review, alive: None }
    }

    /// The lock on the session's directory, unless somebody has it.
    fn lock(&self) -> Option<File> {
        let dir = File::open(&self.session).ok()?;
        flock(&dir, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(dir)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        remove_tree(&self.private);
        // Where it was the last one; another session's files keep it.
        let _ = self.private.parent().map(fs::remove_dir);
        ringfence_log::remove_unfinished(&self.session);
        // Only a session that left no log has nothing more in it, and no changes either.
        if fs::remove_dir(&self.session).is_ok() {
            remove_tree(&self.review);
        }
    }
}

/// Removes a tree of ours that nobody uses any more. Links are removed, never followed.
fn remove_tree(tree: &Path) {
    // The agent may have closed a directory of its own even to its owner.
    if let Err(error) = fs::remove_dir_all(tree)
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        open_dirs(tree);
        // What still cannot be removed stays and does no harm.
        let _ = fs::remove_dir_all(tree);
    }
}

/// Lets the owner into every directory of a tree again.
fn open_dirs(dir: &Path) {
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        open_dirs(&entry.path());
    }
}

/// Removes what dead sessions left.
fn sweep(dirs: &StateDirs, own: &SessionId) {
    let names = fs::read_dir(dirs.private()).into_iter().flatten().flatten();
    let sessions = names.filter_map(|entry| entry.file_name().to_str()?.parse::<SessionId>().ok());
    for session in sessions.filter(|session| session != own).take(SWEPT_MAX) {
        let mut left = Traces::at(dirs, &session);
        let listens = UnixStream::connect(socket_path(dirs.runtime(), &session)).is_ok();
        let gone = fs::symlink_metadata(&left.session).is_err();
        left.alive = left.lock();
        if listens || !(gone || left.alive.is_some()) {
            // It lives: nothing of it is touched.
            std::mem::forget(left);
        }
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
