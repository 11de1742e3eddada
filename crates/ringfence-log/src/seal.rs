//! Closes the log of a session whose broker has ended: syncs it and signs what the broker wrote.

use std::fs::File;
use std::io;
use std::path::Path;

use ringfence_core::SessionId;

use crate::closed::Closed;
use crate::files::LogDir;
use crate::key::HostKey;
use crate::note::Checkpoint;
use crate::verify;
use crate::{LogError, VerifyError};

/// Closes the log of which [`SessionLog::hand_over`](crate::SessionLog::hand_over) said that
/// `written` is all of it, once nobody holds it any more.
///
/// What is signed is what the broker wrote, not what is found now: an entry that was changed, cut
/// off or added since then does not get a signature, and whoever verifies the log is told of it.
pub fn seal(
    dir: &Path,
    session: &SessionId,
    key: &HostKey,
    written: Closed,
) -> Result<(), LogError> {
    let log = LogDir::of(dir);
    let lock = File::open(&log.path).map_err(LogError::io("open", &log.path))?;
    lock.try_lock().map_err(|_| LogError::Busy(log.path.clone()))?;
    let origin = key.public().origin(session.as_str());
    let Closed { size, root } = written;
    let last = Checkpoint { origin, size, root, closed: true };
    if let Some(note) = log.read_checkpoint()?
        && let Ok(signed) = Checkpoint::verify(&note, &last.origin, &key.public())
        && (signed.closed || signed.size > size)
    {
        if signed == last {
            return Ok(());
        }
        let what = "its broker has ended it otherwise than its checkpoint says";
        return Err(VerifyError::tampered(None, what).into());
    }
    match log.sync_created().and_then(|()| verify::sync_segments(&log)) {
        // What is gone cannot be synced; the checkpoint says that it was there.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LogError::io("sync", &log.path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    log.write_checkpoint(&last.signed(key))
}
