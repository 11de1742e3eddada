//! Closes the log of a session whose broker died: cuts the torn tail, syncs, signs.

use std::fs::File;
use std::path::Path;

use ringfence_core::SessionId;

use crate::files::{self, LogDir};
use crate::key::HostKey;
use crate::note::Checkpoint;
use crate::session::Closed;
use crate::verify::{self, State};
use crate::{LogError, VerifyError};

/// Closes a log that nobody writes any more; refuses one that does not verify.
///
/// Bytes behind the last whole entry are cut off: `record` never returned for them. A log that is
/// closed already stays as it is. The caller then records the closing in the host log.
pub fn seal(dir: &Path, session: &SessionId, key: &HostKey) -> Result<Closed, LogError> {
    let log = LogDir::of(dir);
    let lock = File::open(&log.path).map_err(LogError::io("open", &log.path))?;
    lock.try_lock().map_err(|_| LogError::Busy(log.path.clone()))?;
    let origin = key.public().origin(session.as_str());
    let walked = verify::walk(&log, &origin, &key.public())?;
    let closed = Closed { size: walked.verified.size, root: walked.verified.root };
    match walked.verified.state {
        State::Closed => return Ok(closed),
        State::TornTail { .. } | State::Unclosed | State::Open => {}
    }
    if walked.stray {
        let what = "there are segments that do not follow on the last entry";
        return Err(VerifyError::tampered(Some(closed.size), what).into());
    }
    let path = log.segment(walked.segment);
    let file = files::open_append(&path)?;
    file.set_len(walked.offset)
        .and_then(|()| log.sync_created())
        .and_then(|()| file.sync_data())
        .and_then(|()| verify::sync_segments(&log))
        .map_err(LogError::io("sync", &path))?;
    let checkpoint = Checkpoint { origin, size: closed.size, root: closed.root, closed: true };
    log.write_checkpoint(&checkpoint.signed(key))?;
    Ok(closed)
}
