//! Which sessions run now: a description and a control socket per broker in the runtime directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, SessionId};
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
    match UnixStream::connect(&socket) {
        Ok(_) => Some(description),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let _ = fs::remove_file(&socket);
            let _ = fs::remove_file(path);
            None
        }
        Err(_) => None,
    }
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
