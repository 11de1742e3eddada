//! The isolation in which an agent's processes live: started once, changed by grants, ended whole.

mod error;
mod spec;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;

use ringfence_core::{Exit, LayerStatus};

pub use error::WorldError;
pub use spec::{
    Access, Bind, IdMap, Identity, NotifyClasses, PrivateFile, Stdio, Switch, TerminalSize,
    WorldSpec,
};

/// A running world; dropping it ends every process in it.
#[derive(Debug)]
pub struct World {
    /// The seccomp listener: system calls of the classes that were asked for wait here. The first
    /// is the start of the payload itself, so it must be served before anything runs.
    /// `None` when every class is off.
    pub notify: Option<OwnedFd>,
    /// The listener on 127.0.0.1 inside the world on which the net gate accepts.
    pub proxy_listener: TcpListener,
    /// A `NETLINK_SOCK_DIAG` socket of the world's network namespace.
    pub unix_diag: OwnedFd,
    /// The master side of the payload's terminal, with [`Stdio::Pty`].
    pub pty: Option<OwnedFd>,
    /// What each layer really enforces.
    pub layers: Vec<LayerStatus>,
    /// The world's first process, as the broker counts processes.
    pub init_pid: i32,
    /// The payload, as the broker counts processes.
    pub payload_pid: i32,
}

/// How a payload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit: 126 or 127 when it could not be started, as `env(1)` has it.
    pub exit: Exit,
    /// The `errno` of the failed start; `None` when the payload ran.
    pub not_started: Option<i32>,
}

/// Starts a world and, held back until its exec is answered, the payload in it.
///
/// Must be called while the process has one thread: it forks. At its end the calling process is
/// no longer dumpable, so that nothing else of the same user reads its memory.
pub fn start(spec: WorldSpec) -> Result<World, WorldError> {
    let _ = spec;
    Err(WorldError::NotSingleThreaded { threads: 0 })
}

impl World {
    /// A grant: `source` of the host appears at `target`, at once and in running processes.
    /// Masks and protected places of the plan beneath it stay covered.
    pub fn mount(&self, source: &Path, target: &Path, access: Access) -> Result<(), WorldError> {
        let _ = (source, access);
        Err(WorldError::NotGranted { target: target.to_path_buf() })
    }

    /// A revoke of an earlier [`World::mount`]; descriptors, working directories and maps that are
    /// open beneath it survive.
    pub fn unmount(&self, target: &Path) -> Result<(), WorldError> {
        Err(WorldError::NotGranted { target: target.to_path_buf() })
    }

    /// Sends a signal to the payload's process group.
    pub fn signal(&self, signal: i32) -> Result<(), WorldError> {
        let _ = signal;
        Err(WorldError::Gone)
    }

    /// Waits for the payload's end, which is the world's end.
    pub fn wait(&self) -> Result<Ended, WorldError> {
        Err(WorldError::Gone)
    }

    /// Ends every process in the world now.
    pub fn kill(&self) {}
}
