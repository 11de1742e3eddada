//! What was made in people's trees to be mounted on, shared between the sessions that use it.
//!
//! Removing a directory takes away whatever another session mounted on it, and with that its
//! protection. So each session lists what it uses, in `STATE/placeholders/SESSION.json`, and holds
//! a lock on the list while it lives; only what no living session lists is removed. A list that is
//! not locked belongs to a session that was killed: the next one cleans up after it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use rustix::fs::{AtFlags, FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::ComposeError;
use super::mountpoints::Kind;
use crate::protected::{COMMON_DIR, COMMON_DIR_ITSELF};
use crate::real_dir::RealDir;
use crate::state::StateDirs;
use crate::whole_file::{FILE_BYTES_MAX, FileError, create_private_dir};

/// What a settings file says that says nothing; programs refuse an empty one.
const EMPTY_JSON: &[u8] = b"{}\n";

/// Something that was made in a person's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placeholder {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

impl Placeholder {
    /// What a file contains while it is only a placeholder.
    pub(crate) fn content(path: &Path) -> &'static [u8] {
        if path.file_name().is_some_and(|name| name == COMMON_DIR) {
            // Git refuses an empty one.
            return COMMON_DIR_ITSELF.as_bytes();
        }
        if path.extension().is_some_and(|extension| extension == "json") { EMPTY_JSON } else { b"" }
    }

    /// Takes it away again, unless something has been put there since.
    fn remove(&self) {
        // A directory on the way that has become a link leads to what is not ours.
        let Ok((dir, name)) = RealDir::of(&self.path) else { return };
        let flags = match self.kind {
            Kind::Dir => AtFlags::REMOVEDIR,
            Kind::File => {
                let untouched = dir
                    .read_text(name)
                    .is_ok_and(|text| text.as_bytes() == Placeholder::content(&self.path));
                if !untouched {
                    return;
                }
                AtFlags::empty()
            }
        };
        // Nobody waits for the answer: what is no longer empty, or gone, stays as it is.
        let _ = dir.remove(name, flags);
    }
}

/// The right to make and remove placeholders: one session at a time.
pub(super) struct Turn {
    dir: PathBuf,
    _lock: File,
}

/// A session's list, locked while the session lives. Dropping it cleans up: also when a world
/// could not be started, nothing stays.
#[derive(Debug)]
pub(crate) struct List {
    dir: PathBuf,
    path: PathBuf,
    own: Vec<Placeholder>,
    /// Closing the file ends the lock; a killed process closes it too.
    _lock: File,
}

/// Waits for the right to make placeholders.
pub(super) fn turn(dirs: &StateDirs) -> Result<Turn, ComposeError> {
    let dir = dirs.state().join("placeholders");
    create_private_dir(&dir)?;
    Ok(take_turn(&dir)?)
}

fn take_turn(dir: &Path) -> Result<Turn, FileError> {
    let path = dir.join("lock");
    let failed = |error| FileError::io("lock", &path, error);
    let lock = open(&path).map_err(failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    Ok(Turn { dir: dir.to_owned(), _lock: lock })
}

impl Turn {
    /// What some session lists: it is a placeholder although this one did not make it.
    pub(super) fn known(&self) -> BTreeSet<PathBuf> {
        lists(&self.dir).iter().flat_map(|path| read(path)).map(|it| it.path).collect()
    }

    /// Writes down what a session uses, before it is made: a session that is killed in between
    /// leaves nothing that nobody knows.
    pub(super) fn record(
        &self,
        session: &SessionId,
        own: Vec<Placeholder>,
    ) -> Result<List, ComposeError> {
        let path = self.dir.join(format!("{session}.json"));
        let failed = |error| FileError::io("write", &path, error);
        let mut file = open(&path).map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed(error.into()))?;
        let json = serde_json::to_vec(&own).map_err(|error| failed(error.into()))?;
        file.write_all(&json).map_err(failed)?;
        Ok(List { dir: self.dir.clone(), path, own, _lock: file })
    }
}

impl Drop for List {
    /// Removes what no living session uses, also what killed ones left.
    fn drop(&mut self) {
        // Without the lock nothing is removed: a directory too many harms nobody.
        let Ok(_turn) = take_turn(&self.dir) else { return };
        let mut candidates = self.own.clone();
        let mut in_use = BTreeSet::new();
        for list in lists(&self.dir).into_iter().filter(|path| *path != self.path) {
            let placeholders = read(&list);
            if is_alive(&list) {
                in_use.extend(placeholders.into_iter().map(|it| it.path));
            } else {
                candidates.extend(placeholders);
                let _ = fs::remove_file(&list);
            }
        }
        // Innermost first.
        candidates.sort_by(|one, other| other.path.cmp(&one.path));
        for placeholder in candidates.iter().filter(|it| !in_use.contains(&it.path)) {
            placeholder.remove();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn lists(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect()
}

/// A list that a killed session had not finished writing names nothing yet.
fn read(path: &Path) -> Vec<Placeholder> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.ok().and_then(|_| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn is_alive(path: &Path) -> bool {
    // What cannot be asked is taken for alive: then nothing of it is removed.
    let Ok(file) = open(path) else { return true };
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}
