//! The sealing of a session's log, which nobody who runs an agent waits for.
//!
//! Every entry is written when a session ends, and the broker says what it has written. A process
//! beside it then syncs the log, signs just that as its last checkpoint and has the host log say
//! so. Until that is done it holds a lock, for which those wait who want to verify what has just
//! ended. If the broker is killed before it has said anything, nothing is signed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringfence_core::{Clock as _, SessionId};
use ringfence_log::{Closed, HostKey, HostLog, LogError, seal};
use ringfence_sandbox::aside::Chore;

use crate::clock::HostClock;
use crate::state::StateDirs;

/// How long the end of the broker's own hold on the log is waited for.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long those who verify wait for what is being sealed.
const SEAL_WAIT_MAX: Duration = Duration::from_secs(5);

/// Time between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(2);

/// What is left of a session when its broker has ended.
pub(crate) struct Sealing {
    state: PathBuf,
    dir: PathBuf,
    session: SessionId,
    /// What the broker has written, and the lock for those who verify.
    accepted: Option<(Closed, File)>,
}

impl Sealing {
    pub(crate) fn of(dirs: &StateDirs, session: &SessionId) -> Sealing {
        Sealing {
            state: dirs.state().to_owned(),
            dir: dirs.session(session),
            session: session.clone(),
            accepted: None,
        }
    }

    fn seal(&self, written: Closed) -> Result<(), LogError> {
        let key = HostKey::load(&self.state)?;
        let begun = Instant::now();
        loop {
            match seal(&self.dir, &self.session, &key, written) {
                // The broker's hold ends a moment after its line to us.
                Err(LogError::Busy(_)) if begun.elapsed() < RELEASE_WAIT_MAX => {
                    std::thread::sleep(LOOK_PERIOD);
                }
                sealed => break sealed?,
            }
        }
        let host = HostLog::open(&self.state, &key)?;
        host.closed(&self.session, written, HostClock::utc().now_ms())?;
        host.wait()
    }
}

impl Chore for Sealing {
    fn accept(&mut self, word: &[u8]) -> io::Result<()> {
        let written = Closed::from_bytes(word).ok_or(io::ErrorKind::InvalidData)?;
        let lock = open_lock(&self.state)?;
        lock.lock_shared()?;
        self.accepted = Some((written, lock));
        Ok(())
    }

    fn finish(self) {
        if let Some((written, _lock)) = &self.accepted {
            // A log that cannot be sealed is whole and verifies as one that was not closed.
            let _ = self.seal(*written);
        }
    }
}

/// Waits until no log is being sealed, though not for ever.
pub fn wait(dirs: &StateDirs) {
    let begun = Instant::now();
    while begun.elapsed() < SEAL_WAIT_MAX {
        match open_lock(dirs.state()).map(|lock| lock.try_lock()) {
            Ok(Err(std::fs::TryLockError::WouldBlock)) => std::thread::sleep(LOOK_PERIOD),
            // Free, or nothing that could be waited for.
            Ok(Ok(()) | Err(std::fs::TryLockError::Error(_))) | Err(_) => return,
        }
    }
}

fn open_lock(state: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = state.join("host/sealing");
    File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}
