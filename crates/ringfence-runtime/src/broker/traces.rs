//! What a session keeps on the host while it runs, and does not leave behind.

use std::fs;
use std::path::PathBuf;

use ringfence_core::SessionId;

use crate::state::StateDirs;

/// A session's private files and mount point; dropping it removes them.
pub(super) struct Traces {
    private: PathBuf,
    scratch: PathBuf,
    session: PathBuf,
}

impl Traces {
    pub(super) fn of(dirs: &StateDirs, session: &SessionId) -> Traces {
        let dir = dirs.session(session);
        Traces {
            private: dir.join("private"),
            scratch: dirs.worlds().join(session.as_str()),
            session: dir,
        }
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What cannot be removed stays and does no harm. Links are removed, never followed.
        let _ = fs::remove_dir_all(&self.private);
        let _ = fs::remove_dir(&self.scratch);
        // Only a session that left no log has nothing more in it.
        let _ = fs::remove_dir(&self.session);
    }
}
