//! The log of a session before it is one.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use ringfence_core::SessionId;

use crate::LogError;
use crate::commit::{Committer, Segments, Sizes};
use crate::files::{self, LogDir, NewDir};
use crate::key::HostKey;
use crate::session::{SessionLog, Shared};

/// The files of a session's log before it is one: nobody sees it yet, and dropping it removes them.
#[must_use]
pub struct NewLog {
    new: NewDir,
    dir: LogDir,
    session: SessionId,
    key: HostKey,
    sizes: Sizes,
}

impl NewLog {
    pub(crate) fn prepare(
        dir: &Path,
        session: &SessionId,
        key: &HostKey,
        sizes: Sizes,
    ) -> Result<NewLog, LogError> {
        let dir = LogDir::of(dir);
        let new = dir.prepare(&key.public().origin(session.as_str()), key)?;
        Ok(NewLog { new, dir, session: session.clone(), key: key.clone(), sizes })
    }

    /// Makes it a log and starts its committer thread.
    pub fn start(self) -> Result<SessionLog, LogError> {
        let NewLog { new, dir, session, key, sizes } = self;
        let lock = new.put()?;
        let segments = Segments::open(dir.clone(), sizes.segment_bytes_max)?;
        let leaves = files::open_append(&dir.leaves())?;
        let shared = Arc::new(Shared::new(session, sizes.log_bytes_max, segments, leaves));
        let failed = LogError::io("start the committer of", &dir.path);
        let committer = Committer::new(Arc::clone(&shared), (dir, lock), key);
        let thread = thread::Builder::new()
            .name("log-commit".to_owned())
            .spawn(move || committer.run())
            .map_err(failed)?;
        Ok(SessionLog::of(shared, thread))
    }
}
