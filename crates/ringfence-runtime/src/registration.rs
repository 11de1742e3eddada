//! Which sessions run now: a description and a control socket per broker in the runtime directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, SessionId};
use ringfence_sandbox::world::Tier;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde::{Deserialize, Serialize};

use crate::whole_file;

/// Largest description that is read, in bytes.
const DESCRIPTION_BYTES_MAX: u64 = 256 * 1024;

/// What a broker says of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The session.
    pub session: SessionId,
    /// The agent's name.
    pub agent: String,
    /// What was started.
    pub command: Vec<String>,
    /// Where.
    pub cwd: AbsolutePath,
    /// The broker's process id.
    pub broker_pid: u32,
    /// Milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// How its world is isolated, by name.
    #[serde(default)]
    pub tier: String,
    /// Whether it is one server of tools, which was started for another session.
    #[serde(default)]
    pub server: bool,
}

impl Description {
    /// How its world is isolated; `None` where a broker of another version says nothing that is known.
    pub fn tier(&self) -> Option<Tier> {
        self.tier.parse().ok()
    }
}

/// Why a session could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The control socket could not be made.
    #[error("cannot open the control socket `{}`: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The description could not be written.
    #[error("cannot register the session: {0}")]
    Describe(#[from] whole_file::FileError),
}

/// A registered session; its files go when it is dropped.
#[derive(Debug)]
pub struct Registered {
    socket: PathBuf,
    description: PathBuf,
}

/// Registers a session and listens on its control socket, which only this user may open.
pub fn register(
    runtime: &Path,
    description: &Description,
) -> Result<(Registered, UnixListener), RegistrationError> {
    let registered = Registered {
        socket: socket_path(runtime, &description.session),
        description: runtime.join(format!("{}.json", description.session)),
    };
    let failed = |source| RegistrationError::Socket { path: registered.socket.clone(), source };
    let listener = UnixListener::bind(&registered.socket).map_err(failed)?;
    fs::set_permissions(&registered.socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let text = serde_json::to_vec_pretty(description).unwrap_or_default();
    whole_file::replace_for_now(&registered.description, &text, 0o600)?;
    Ok((registered, listener))
}

/// The control socket of a session.
pub fn socket_path(runtime: &Path, session: &SessionId) -> PathBuf {
    runtime.join(format!("{session}.sock"))
}

/// What is known of the process that holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// It is there.
    Lives,
    /// It is there, and stopped.
    Stopped,
    /// It is not there any more.
    Gone,
}

/// What became of the broker of a session whose log is in `log`, among those that are `running`.
pub fn broker(session: &SessionId, log: &Path, running: &[Description]) -> Broker {
    match running.iter().find(|it| it.session == *session) {
        Some(known) if is_stopped(known.broker_pid) => Broker::Stopped,
        Some(_) => Broker::Lives,
        // From before it is registered until after: whoever writes a log holds it.
        None if ringfence_log::is_held(log) => Broker::Lives,
        None => Broker::Gone,
    }
}

/// Whether a process is stopped, or held by a debugger; proc_pid_stat(5) says so after the name.
fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, fields)| fields.trim_start().chars().next());
    matches!(state, Some('T' | 't'))
}

/// The sessions that run now, oldest first; what brokers that died left behind is removed.
pub fn running(runtime: &Path) -> io::Result<Vec<Description>> {
    let entries = match fs::read_dir(runtime) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.extend(described(runtime, &path));
        }
    }
    found.sort_by(|a, b| (a.started_ms, &a.session).cmp(&(b.started_ms, &b.session)));
    Ok(found)
}

/// The session that a description names, if its broker still listens.
fn described(runtime: &Path, path: &Path) -> Option<Description> {
    if fs::metadata(path).ok()?.len() > DESCRIPTION_BYTES_MAX {
        return None;
    }
    let description: Description = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let socket = socket_path(runtime, &description.session);
    match listens(&socket) {
        // A broker that is stopped accepts nobody, and is there all the same.
        Ok(()) | Err(Errno::AGAIN) => Some(description),
        Err(Errno::CONNREFUSED) => {
            let _ = fs::remove_file(&socket);
            let _ = fs::remove_file(path);
            None
        }
        Err(_) => None,
    }
}

/// Whether somebody listens on a socket, without waiting for a place in the queue.
fn listens(socket: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let caller = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&caller, &SocketAddrUnix::new(socket)?)
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(&self.description);
    }
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
