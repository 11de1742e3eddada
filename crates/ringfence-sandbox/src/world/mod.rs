//! The isolation in which an agent's processes live: started once, changed by grants, ended whole.
//!
//! Three processes hold a world up. The *mount helper* stays in the outer user namespace, where it
//! builds the root and, later, mounts and unmounts grants. *Init* is the world's first process: it
//! closes the world around itself, reaps, and ends it when the broker is gone. The *payload* starts
//! as init's child, enters an inner user namespace that may change nothing, gives up everything
//! else, and becomes the agent. `docs/adr/0002-grants-in-a-running-world.md` says why.

mod ceiling;
mod channel;
mod error;
mod failure;
mod helper;
mod identity;
mod init;
mod layers;
mod network;
mod payload;
mod place;
mod root;
mod spec;
mod start;
pub(crate) mod trial;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ringfence_core::{Exit, LayerStatus};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitOptions};

use channel::{Channel, Topic};
pub use error::WorldError;
use failure::Failure;
pub use network::{Capture, IpFamily, Network, OWN_ADDRESS_V4, OWN_ADDRESS_V6, Way};
pub use spec::{
    Access, Bind, IdMap, Identity, NotifyClasses, PrivateFile, Require, ResourceLimits, Stdio,
    Switch, TerminalSize, WorldSpec,
};
pub use start::{Prepared, Starting, prepare, start};

use crate::notify::Confinement;

/// A running world; dropping it ends every process in it.
#[derive(Debug)]
pub struct World {
    /// The seccomp listener: system calls of the classes that were asked for wait here. The first
    /// is the start of the payload itself, so it must be served before anything runs.
    /// `None` when every class is off, or when it has been taken.
    pub notify: Option<OwnedFd>,
    /// Who the payload is and what it may never do, for those who act in its place; to be taken
    /// with `notify`.
    pub confinement: Confinement,
    /// The sockets inside the world on which the net gate listens.
    pub network: Network,
    /// The master side of the payload's terminal, with [`Stdio::Pty`].
    pub pty: Option<OwnedFd>,
    /// The world's root directory, to look at its trees beneath it (`O_PATH`).
    pub root: OwnedFd,
    /// What each layer really enforces.
    pub layers: Vec<LayerStatus>,
    /// The world's first process, as the broker counts processes.
    pub init_pid: i32,
    /// The payload, as the broker counts processes.
    pub payload_pid: i32,
    init: OwnedFd,
    control: Channel,
    grants: Mutex<Channel>,
    /// Whether something was ever granted.
    granted: AtomicBool,
    inward: Option<Mutex<Channel>>,
    helper: Pid,
    ceiling: Vec<(PathBuf, Access)>,
}

/// What happens in a world without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The payload was stopped: it goes on with `SIGCONT`.
    Stopped,
    /// What lies at this place was replaced or removed from outside, and with it what covered it;
    /// what belongs there covers it again.
    Covered(PathBuf),
}

/// How a payload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit: 126 or 127 when it could not be started, as `env(1)` has it.
    pub exit: Exit,
    /// The `errno` of the failed start; `None` when the payload ran.
    pub not_started: Option<i32>,
}

impl World {
    /// A grant: `source` of the host appears at `target`, at once and in running processes.
    /// Masks and protected places of the plan beneath it stay covered.
    pub fn mount(&self, source: &Path, target: &Path, access: Access) -> Result<(), WorldError> {
        if !self.within_ceiling(target, access) {
            return Err(WorldError::BeyondCeiling { target: target.to_path_buf() });
        }
        self.granted.store(true, Ordering::Release);
        let mut bytes = vec![access.to_byte()];
        bytes.extend(source.as_os_str().as_bytes());
        bytes.push(0);
        bytes.extend(target.as_os_str().as_bytes());
        self.ask_helper(Topic::Mount, &bytes)
    }

    /// A revoke of an earlier [`World::mount`]; descriptors, working directories and maps that are
    /// open beneath it survive.
    pub fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        match self.ask_helper(Topic::Unmount, target.as_os_str().as_bytes()) {
            Err(WorldError::Bind { source, .. }) if source.raw_os_error() == Some(libc::ENOENT) => {
                Err(WorldError::NotGranted { target: target.to_path_buf() })
            }
            result => result,
        }
    }

    /// A TCP socket of the world's network, connected to nothing: for connections into the world.
    ///
    /// Only in a world whose `inward` is on.
    pub fn socket(&self, family: IpFamily) -> io::Result<OwnedFd> {
        let inward = self.inward.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        // A poisoned line still works: every exchange on it is whole.
        let inward = inward.lock().unwrap_or_else(PoisonError::into_inner);
        network::ask_for_socket(&inward, family)
    }

    /// Sends a signal to the payload's process group.
    pub fn signal(&self, signal: i32) -> Result<(), WorldError> {
        let signal = u8::try_from(signal)
            .map_err(|_| WorldError::Spec(format!("`{signal}` is not the number of a signal")))?;
        self.control.send(Topic::Signal, &[signal]).map_err(|_| WorldError::Gone)
    }

    /// Waits for the payload's end, which is the world's end. To be called once, by one thread.
    ///
    /// `told` hears what happens meanwhile.
    pub fn wait(&self, told: &mut dyn FnMut(Happening)) -> Result<Ended, WorldError> {
        let mut not_started = None;
        loop {
            let received = self.control.receive().map_err(|_| WorldError::Gone)?;
            let Some(message) = received else {
                return Ok(Ended { exit: Exit::Unknown, not_started });
            };
            let number = message.bytes.first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
            match message.topic {
                Topic::NotStarted => not_started = number,
                Topic::Stopped => told(Happening::Stopped),
                Topic::Covered => {
                    let path = OsString::from_vec(message.bytes);
                    told(Happening::Covered(path.into()));
                }
                Topic::Ended => {
                    let exit = number.map_or(Exit::Unknown, exit_of);
                    return Ok(Ended { exit, not_started });
                }
                Topic::Failed => {
                    let failure = Failure::decode(&message.bytes);
                    return Err(failure.map_or(WorldError::Gone, Failure::explain));
                }
                Topic::WorldReady
                | Topic::PayloadReady
                | Topic::Signal
                | Topic::Mount
                | Topic::Unmount
                | Topic::Spec
                | Topic::Socket
                | Topic::Done => {}
            }
        }
    }

    /// Ends every process in the world now.
    pub fn kill(&self) {
        // Gone already is as good.
        let _ = rustix::process::pidfd_send_signal(&self.init, Signal::KILL);
    }

    /// Whether Landlock lets the payload use a grant at `target`: its rule must hang on a directory
    /// above, for a rule on the place itself is hidden by what is mounted there.
    fn within_ceiling(&self, target: &Path, access: Access) -> bool {
        self.ceiling.iter().any(|(above, most)| {
            let enough = *most == Access::Write || access == Access::Read;
            enough && target.starts_with(above) && target != above
        })
    }

    fn ask_helper(&self, topic: Topic, bytes: &[u8]) -> Result<(), WorldError> {
        // A poisoned line still works: every exchange on it is whole.
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.send(topic, bytes).map_err(|_| WorldError::Gone)?;
        let answer = grants.receive().map_err(|_| WorldError::Gone)?.ok_or(WorldError::Gone)?;
        if answer.topic == Topic::Done {
            return Ok(());
        }
        Err(Failure::decode(&answer.bytes).map_or(WorldError::Gone, Failure::explain))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        // Init has left when every process of the world has.
        loop {
            let mut fds = [PollFd::new(&self.init, PollFlags::IN)];
            if rustix::event::poll(&mut fds, None) != Err(rustix::io::Errno::INTR) {
                break;
            }
        }
        // Then the mount helper leaves. What it made on the host for grants it takes away first;
        // else nobody needs to wait until the kernel has taken down its mounts.
        let made = self.granted.load(Ordering::Acquire);
        let wait = if made { WaitOptions::empty() } else { WaitOptions::NOHANG };
        let _ = rustix::process::waitpid(Some(self.helper), wait);
    }
}

/// The exit in a wait status.
fn exit_of(status: i32) -> Exit {
    if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Unknown
    }
}
