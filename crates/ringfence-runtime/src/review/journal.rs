//! What a commit is about to do, written down before it does it.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ReviewError;
use super::commit::{alone, finish, roots, uppers};
use super::kept::Kept;
use super::stage::{Stage, Step};
use crate::state::StateDirs;
use crate::whole_file;

/// Its file, beside what is kept.
const FILE: &str = "commit.json";

/// How far a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// New files are being made beside their places: nothing of the host has changed.
    Staging,
    /// All are there, and are being put in.
    Applying,
}

/// The whole of a commit.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) phase: Phase,
    pub(super) steps: Vec<Step>,
    /// What is done once all steps are.
    pub(super) done: Vec<String>,
}

impl Journal {
    fn path(dirs: &StateDirs, kept: &Kept) -> PathBuf {
        dirs.review_of(&kept.session).join(FILE)
    }

    pub(super) fn save(&self, dirs: &StateDirs, kept: &Kept) -> Result<(), ReviewError> {
        let path = Journal::path(dirs, kept);
        let failed = |error: io::Error| ReviewError::io("write", &path)(error);
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        whole_file::replace(&path, &text, 0o600).map_err(|error| failed(io::Error::other(error)))
    }

    pub(super) fn remove(dirs: &StateDirs, kept: &Kept) -> Result<(), ReviewError> {
        let path = Journal::path(dirs, kept);
        fs::remove_file(&path).map_err(ReviewError::io("remove", &path))
    }

    fn load(dirs: &StateDirs, kept: &Kept) -> Result<Option<Journal>, ReviewError> {
        let path = Journal::path(dirs, kept);
        let failed = |error: io::Error| ReviewError::io("read", &path)(error);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|it| failed(it.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Finishes a commit that was cut off, or takes away what it had only staged; returns how many
/// changes came to the host by it.
pub fn recover(dirs: &StateDirs, kept: &mut Kept) -> Result<usize, ReviewError> {
    let _alone = alone(dirs, kept)?;
    let Some(journal) = Journal::load(dirs, kept)? else { return Ok(0) };
    let roots = roots(kept)?;
    let stage = Stage {
        roots: &roots,
        uppers: uppers(dirs, kept)?,
        owner: kept.owner,
        started: kept.started,
        prefix: String::new(),
    };
    match journal.phase {
        Phase::Staging => {
            stage.sweep(&journal.steps);
            Journal::remove(dirs, kept)?;
            Ok(0)
        }
        Phase::Applying => {
            finish(dirs, kept, &stage, &journal)?;
            Ok(journal.done.len())
        }
    }
}
