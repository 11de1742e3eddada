//! The isolation in which an agent's processes live: started once, changed by grants, ended whole.
//!
//! How that is done is the world's *tier*: each is one implementation of [`tier::Isolation`]. What
//! follows is the tier of namespaces.
//!
//! Three processes hold a world up. The *mount helper* stays in the outer user namespace, where it
//! builds the root and, later, mounts and unmounts grants. *Init* is the world's first process: it
//! closes the world around itself, reaps, and ends it when the broker is gone. The *payload* starts
//! as init's child, enters an inner user namespace that may change nothing, gives up everything
//! else, and becomes the agent. `docs/adr/0002-grants-in-a-running-world.md` says why.

mod advisory;
mod ceiling;
mod channel;
mod container;
mod error;
mod failure;
mod handed;
mod helper;
mod identity;
mod init;
mod keeping;
mod landlocked;
mod layers;
mod namespaces;
mod network;
mod on_the_host;
mod payload;
mod place;
mod root;
mod spec;
mod start;
mod tier;
pub(crate) mod trial;
mod watches;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_core::{Exit, LayerStatus};

pub use advisory::library_places;
use channel::Topic;
pub use container::{Container, Engine};
pub use error::WorldError;
use failure::Failure;
pub use keeping::{Account, Keeping};
pub use network::{Capture, IpFamily, Network, OWN_ADDRESS_V4, OWN_ADDRESS_V6, Way};
pub use spec::{
    Access, Bind, Hooks, IdMap, Identity, NotifyClasses, Overlay, PrivateFile, Programs, Require,
    ResourceLimits, Stdio, Switch, TerminalSize, WorldSpec,
};
pub use start::{Prepared, Starting, prepare, prepare_tier, prepare_watched, start};
use tier::Isolation;
pub use tier::Tier;
pub use watches::Watches;

use crate::notify::{Confinement, Line, Stillness};

/// A running world; dropping it ends every process in it.
#[derive(Debug)]
pub struct World {
    /// Where its acts are heard of, as by the seccomp listener: system calls of the classes that were asked for wait here. The first
    /// is the start of the payload itself, so it must be served before anything runs.
    /// `None` when every class is off, or when it has been taken.
    pub notify: Option<Line>,
    /// Who the payload is and what it may never do, for those who act in its place; to be taken
    /// with `notify`.
    pub confinement: Confinement,
    /// The sockets inside the world on which the net gate listens.
    pub network: Network,
    /// The master side of the payload's terminal, with [`Stdio::Pty`].
    pub pty: Option<OwnedFd>,
    /// The world's root directory, to look at its trees beneath it (`O_PATH`).
    pub root: OwnedFd,
    /// How it is isolated.
    pub tier: Tier,
    /// What each layer really enforces.
    pub layers: Vec<LayerStatus>,
    /// The process that holds the world together and outlives all others in it, as the broker
    /// counts processes.
    pub init_pid: i32,
    /// The payload, as the broker counts processes.
    pub payload_pid: i32,
    /// Holds back what would change the world's files while it stands still; where it has overlays.
    pub stillness: Option<Arc<Stillness>>,
    isolation: Box<dyn Isolation>,
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
        self.isolation.mount(source, target, access)
    }

    /// A revoke of an earlier [`World::mount`]; descriptors, working directories and maps that are
    /// open beneath it survive.
    pub fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        self.isolation.unmount(target)
    }

    /// A tree of the host that is mounted nowhere: its files are the payload's own as they would be in
    /// the world, and none of them is a program. For those who open its files one by one.
    pub fn view(&self, source: &Path, access: Access) -> Result<OwnedFd, WorldError> {
        self.isolation.view(source, access)
    }

    /// A TCP socket of the world's network, connected to nothing: for connections into the world.
    ///
    /// Only in a world whose `inward` is on.
    pub fn socket(&self, family: IpFamily) -> io::Result<OwnedFd> {
        self.isolation.socket(family)
    }

    /// Sends a signal to the payload's process group.
    pub fn signal(&self, signal: i32) -> Result<(), WorldError> {
        let signal = u8::try_from(signal)
            .map_err(|_| WorldError::Spec(format!("`{signal}` is not the number of a signal")))?;
        let sent = self.isolation.control().ok_or(WorldError::Gone)?.send(Topic::Signal, &[signal]);
        sent.map_err(|_| WorldError::Gone)
    }

    /// Waits for the payload's end, which is the world's end. To be called once, by one thread.
    ///
    /// `told` hears what happens meanwhile.
    pub fn wait(&self, told: &mut dyn FnMut(Happening)) -> Result<Ended, WorldError> {
        let control = self.isolation.control().ok_or(WorldError::Gone)?;
        let mut not_started = None;
        loop {
            let received = control.receive().map_err(|_| WorldError::Gone)?;
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
                | Topic::Still
                | Topic::Going
                | Topic::Layers
                | Topic::View
                | Topic::Done => {}
            }
        }
    }

    /// Stops every process of the world, at once and those that are being started as well; does not
    /// wait until they have stopped. What waits for an answer of the broker goes on waiting.
    pub fn stop(&self) -> Result<(), WorldError> {
        let control = self.isolation.control().ok_or(WorldError::Gone)?;
        control.send(Topic::Still, &[]).map_err(|_| WorldError::Gone)
    }

    /// Says that the world's processes have been continued, which is the caller's to do.
    pub fn going(&self) -> Result<(), WorldError> {
        let control = self.isolation.control().ok_or(WorldError::Gone)?;
        control.send(Topic::Going, &[]).map_err(|_| WorldError::Gone)
    }

    /// Copies what the world's overlays hold into the empty directory `dir`, or has them show again
    /// what they showed when it was copied there. No process of the world may run meanwhile.
    /// `guarded` names, overlay by overlay, places that no process of it could change.
    pub fn keep(
        &self,
        what: Keeping,
        dir: BorrowedFd<'_>,
        guarded: &[Vec<PathBuf>],
    ) -> Result<Account, WorldError> {
        self.isolation.keep(what, dir, guarded)
    }

    /// Ends every process in the world now.
    pub fn kill(&self) {
        self.isolation.kill();
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
