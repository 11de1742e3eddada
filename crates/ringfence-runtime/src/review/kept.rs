//! What is kept of a session's review beside its upper layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::ReviewError;
use super::closed::open_up_ended;
use crate::state::StateDirs;
use crate::whole_file;

/// The file that says over what overlays were laid.
const FILE: &str = "review.json";
/// Version of that file.
const SCHEMA: u32 = 1;

/// A session's changes, as they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub(super) schema: u32,
    /// Whose they are.
    pub session: SessionId,
    /// The kernel's coarse time before the first overlay was laid, in seconds and nanoseconds: what
    /// changed on the host later has a change time that is not before it.
    pub(super) started: (i64, i64),
    /// Whom the payload's files belong to on the host, if not the payload.
    pub(super) owner: Option<Owner>,
    /// The trees, each with an overlay.
    pub trees: Vec<Tree>,
    /// What the session had closed to its owner, as paths like those, and the permissions that it had
    /// before we opened it.
    #[serde(default)]
    pub(super) modes: BTreeMap<String, u32>,
    /// What was committed before, as hexadecimal paths below `N/`.
    #[serde(default)]
    pub(super) done: BTreeSet<String>,
}

/// Who owns in the upper layer, and on the host, what the payload owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) upper: (u32, u32),
    pub(crate) host: (u32, u32),
}

/// A tree of the host with an overlay over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Where it is on the host.
    pub path: PathBuf,
    /// Device and inode of its directory when the session began.
    pub(super) identity: (u64, u64),
    /// Places in it that the session could not write to.
    pub(super) closed: Vec<PathBuf>,
    /// Places in those that it could write to all the same.
    #[serde(default)]
    pub(super) open: Vec<PathBuf>,
    /// What was made in the upper layer to mount on.
    pub(super) ours: Vec<PathBuf>,
    /// What we wrote there ourselves at the end, from copies that the session worked on.
    #[serde(default)]
    pub(super) taken_back: Vec<PathBuf>,
}

impl Kept {
    pub(super) fn new(
        session: &SessionId,
        started: (i64, i64),
        owner: Option<Owner>,
        trees: Vec<Tree>,
    ) -> Kept {
        let (session, done) = (session.clone(), BTreeSet::new());
        Kept { schema: SCHEMA, session, started, owner, trees, modes: BTreeMap::new(), done }
    }

    /// Writes it down.
    pub(super) fn save(&self, dirs: &StateDirs) -> Result<(), ReviewError> {
        let path = dirs.review_of(&self.session).join(FILE);
        let failed = |error: io::Error| ReviewError::io("write", &path)(error);
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        whole_file::replace(&path, &text, 0o600).map_err(|error| failed(io::Error::other(error)))
    }

    /// Reads what is kept of a session.
    pub fn load(dirs: &StateDirs, session: &SessionId) -> Result<Kept, ReviewError> {
        let path = dirs.review_of(session).join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReviewError::None(session.clone()));
            }
            Err(error) => return Err(ReviewError::io("read", path)(error)),
        };
        let kept: Kept = serde_json::from_slice(&bytes)
            .map_err(|error| ReviewError::io("read", &path)(error.into()))?;
        if kept.schema == SCHEMA {
            return Ok(kept);
        }
        let why = format!("it is of version {}, this is for {SCHEMA}", kept.schema);
        Err(ReviewError::io("read", path)(io::Error::other(why)))
    }

    /// The upper layer of a tree.
    pub(super) fn upper(&self, dirs: &StateDirs, tree: usize) -> PathBuf {
        dirs.review_of(&self.session).join(tree.to_string()).join("upper")
    }
}

/// The sessions whose changes wait, newest first.
pub fn waiting(dirs: &StateDirs) -> Vec<SessionId> {
    let entries = fs::read_dir(dirs.reviews()).into_iter().flatten().flatten();
    let mut found: Vec<(std::time::SystemTime, SessionId)> = entries
        .filter_map(|entry| {
            let session = entry.file_name().to_str()?.parse().ok()?;
            let written = fs::metadata(entry.path().join(FILE)).ok()?.modified().ok()?;
            Some((written, session))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, session)| session).collect()
}

/// The review of the named session, or the only one that waits.
pub fn find(dirs: &StateDirs, named: Option<&SessionId>) -> Result<Kept, ReviewError> {
    let session = match (named, waiting(dirs)) {
        (Some(session), _) => session.clone(),
        (None, waiting) => match waiting.as_slice() {
            [] => return Err(ReviewError::Nothing),
            [only] => only.clone(),
            _ => return Err(ReviewError::Several(waiting)),
        },
    };
    let mut kept = Kept::load(dirs, &session)?;
    open_up_ended(dirs, &mut kept)?;
    Ok(kept)
}

/// Whether the session is still at work: its broker holds the lock on its directory.
pub fn is_running(dirs: &StateDirs, session: &SessionId) -> bool {
    let Ok(dir) = File::open(dirs.session(session)) else { return false };
    flock(&dir, FlockOperation::NonBlockingLockExclusive).is_err()
}

/// Removes all that waits of a session.
pub fn drop_changes(dirs: &StateDirs, session: &SessionId) -> Result<(), ReviewError> {
    let dir = dirs.review_of(session);
    // First what names it: cut off after that, the rest is only space.
    match fs::remove_file(dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ReviewError::io("remove", dir.join(FILE))(error));
        }
        Ok(()) | Err(_) => {}
    }
    remove_tree(&dir).map_err(ReviewError::io("remove", &dir))
}

/// Removes a tree of ours; its directories may be closed even to their owner, as the kernel's own
/// work directory is.
pub(super) fn remove_tree(tree: &Path) -> io::Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_dirs(tree);
            fs::remove_dir_all(tree)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn open_dirs(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        open_dirs(&entry.path());
    }
}
