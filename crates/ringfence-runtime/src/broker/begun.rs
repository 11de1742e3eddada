//! What of a run can be done before anybody says what is to be run.
//!
//! That is a name for the session, the process that will seal its log, and the processes that will
//! build its world: they have made its namespaces and its network, and know nothing of it yet. What a
//! policy text means is worked out beforehand as well. Nothing of this depends on an environment, a
//! command, a directory's contents or anybody's descriptors, and nothing of it can be seen outside.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ringfence_core::{Clock as _, SessionId};
use ringfence_sandbox::aside::Aside;
use ringfence_sandbox::world::{Prepared, Tier, Watches};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Closing, RunError, RunRequest, go_on, opening, prepare};
use crate::assemble::{Assembled, Inputs, assemble};
use crate::clock::HostClock;
use crate::notice::Notice;
use crate::pty::{self, Pipes};
use crate::sealing::Sealing;
use crate::state::StateDirs;

/// A run that has begun.
pub(super) struct Begun {
    pub(super) session: SessionId,
    pub(super) sealer: Aside,
    pub(super) prepared: Prepared,
    pub(super) pipes: Pipes,
    /// What was assembled beforehand; all of it is read again.
    pub(super) known: Option<Box<Assembled>>,
    /// The line to who asked for the session, where that is another process.
    pub(super) caller: Option<OwnedFd>,
}

impl Begun {
    /// Begins. To be called while the process has one thread.
    pub(super) fn now(dirs: &StateDirs, tier: Tier) -> Result<Begun, RunError> {
        dirs.create()?;
        let session = opening::new_session_id()?;
        // Held to its end by the process that seals the log, for which nobody waits.
        let watches = Watches::new()?;
        let sealer = Aside::start(Sealing::of(dirs, &session), &watches)
            .map_err(RunError::step("start the process that seals the log"))?;
        let (prepared, pipes) = prepare(pty::terminal_size(), tier, &watches)?;
        Ok(Begun { session, sealer, prepared, pipes, known: None, caller: None })
    }
}

/// A run that waits to be told what it is: a world kept ready. It serves one session, if any;
/// dropping it ends the processes that wait with it.
pub struct Parked {
    begun: Begun,
    project: PathBuf,
    /// Tells when something was mounted or unmounted on the host since the world was begun, which its
    /// processes may not have followed.
    mounts: File,
}

impl Parked {
    /// Begins a run in the project around `cwd`. To be called while the process has one thread and
    /// standard streams that lead nowhere: those of the caller come later.
    pub fn park(dirs: &StateDirs, cwd: &Path, overrides: &[PathBuf]) -> Result<Parked, RunError> {
        let mounts = File::open("/proc/self/mountinfo")
            .map_err(RunError::step("watch the mounts of the host"))?;
        let mut begun = Begun::now(dirs, Tier::Namespaces)?;
        begun.prepared.hand_over_later()?;
        let now_ms = HostClock::utc().now_ms();
        let inputs = Inputs { dirs, cwd, session: &begun.session, overrides, now_ms };
        let known = assemble(inputs)?;
        let project = known.project.dir.clone();
        begun.known = Some(Box::new(known));
        Ok(Parked { begun, project, mounts })
    }

    /// The project whose policy it knows.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// Becomes readable out of turn (`POLLPRI`) when the host's mounts have changed.
    pub fn mounts(&self) -> &File {
        &self.mounts
    }

    /// Whether its processes still see what new ones would.
    pub fn is_fresh(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.mounts, PollFlags::PRI)];
        poll(&mut fds, Some(&now)) == Ok(0)
    }

    /// Runs an agent for the caller at the other end of `line`, as [`super::run`] does. The process
    /// has the caller's standard streams, directory and umask by now, and one thread.
    pub fn run(
        mut self,
        request: &RunRequest,
        line: OwnedFd,
        tell: &mut dyn FnMut(&Notice),
    ) -> Result<Closing, RunError> {
        self.begun.caller = Some(line);
        go_on(self.begun, request, tell)
    }
}
