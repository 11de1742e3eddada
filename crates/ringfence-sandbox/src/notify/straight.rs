//! Directories known, for a moment, to have no symbolic link on their way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a directory is believed to be where it was: long enough for a burst of files, and short
/// against what a person or another program outside could do.
///
/// Inside, whatever could put a symbolic link in a directory's place is notified, and all is
/// forgotten before it happens. Somebody who wins this race has won nothing new: the path is walked
/// again after the decision, without links where something is made, and the world's mounts bound
/// what is found.
const TRUST: Duration = Duration::from_millis(2);

/// Most directories that are remembered.
const DIRECTORIES_MAX: usize = 64;

/// The directories, by their path as a process wrote it.
#[derive(Debug, Default)]
pub(super) struct Straight {
    seen: Mutex<HashMap<Vec<u8>, Instant>>,
}

impl Straight {
    pub(super) fn knows(&self, directory: &[u8]) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(directory).is_some_and(|at| at.elapsed() < TRUST)
    }

    pub(super) fn learn(&self, directory: &[u8]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= DIRECTORIES_MAX {
            seen.clear();
        }
        seen.insert(directory.to_vec(), Instant::now());
    }

    /// Something is about to be renamed or removed.
    pub(super) fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
