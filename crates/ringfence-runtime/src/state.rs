//! Where Ringfence keeps what it knows: configuration, state, sockets, system ceiling.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;

use crate::environment::Environment;
use crate::whole_file::{FileError, create_private_dir};

/// Directory of the system's own policy and settings; no variable moves it.
pub const SYSTEM_DIR: &str = "/etc/ringfence";

/// The directories of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirs {
    home: PathBuf,
    config: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    system: PathBuf,
}

/// Why the directories could not be found or made.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither `HOME` nor the password file names a home directory.
    #[error("no home directory: HOME is not set to an absolute path")]
    NoHome,
    /// A directory could not be made.
    #[error("cannot create the state directory `{}`: {source}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory belongs to somebody else, who could change what is kept in it.
    #[error("state directory `{}` belongs to user {owner}, not to user {us}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user who runs this.
        us: u32,
    },
}

impl StateError {
    /// What the person can do.
    pub fn hint(&self) -> String {
        match self {
            StateError::NoHome => "set HOME to your home directory".to_owned(),
            StateError::Create { .. } => {
                "set XDG_STATE_HOME to a directory that you can write to".to_owned()
            }
            StateError::NotOurs { path, .. } => {
                format!("run as its owner, or remove `{}`", path.display())
            }
        }
    }
}

impl StateDirs {
    /// Finds the directories by the XDG Base Directory Specification; creates nothing.
    pub fn locate(environment: &Environment) -> Result<StateDirs, StateError> {
        let home = environment.path("HOME").or_else(home_of_this_user).ok_or(StateError::NoHome)?;
        let base = |variable: &str, below_home: &str| {
            environment.path(variable).unwrap_or_else(|| home.join(below_home)).join("ringfence")
        };
        let config = base("XDG_CONFIG_HOME", ".config");
        let state = base("XDG_STATE_HOME", ".local/state");
        let runtime = environment
            .path("XDG_RUNTIME_DIR")
            .map_or_else(|| state.join("run"), |dir| dir.join("ringfence"));
        Ok(StateDirs { home, config, state, runtime, system: PathBuf::from(SYSTEM_DIR) })
    }

    /// The same with another system directory; for tests, which may not write to `/etc`.
    #[must_use]
    pub fn with_system_dir(self, system: PathBuf) -> StateDirs {
        StateDirs { system, ..self }
    }

    /// Makes the state and runtime directories, open to their owner only.
    pub fn create(&self) -> Result<(), StateError> {
        let own = [self.state.clone(), self.runtime.clone()];
        let below = ["host", "sessions", "trust", "grants", "worlds", "caches"];
        let dirs = own.into_iter().chain(below.iter().map(|name| self.state.join(name)));
        for dir in dirs {
            make_our_own(&dir)?;
        }
        Ok(())
    }

    /// The user's home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The user's configuration: `policy.cedar` and `settings.toml`.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Control sockets, one per running session.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The system's policy and settings.
    pub fn system(&self) -> &Path {
        &self.system
    }

    /// The user's policy.
    pub fn user_policy(&self) -> PathBuf {
        self.config.join("policy.cedar")
    }

    /// The user's settings.
    pub fn user_settings(&self) -> PathBuf {
        self.config.join("settings.toml")
    }

    /// The system's policy: a ceiling.
    pub fn system_policy(&self) -> PathBuf {
        self.system.join("policy.cedar")
    }

    /// The system's settings.
    pub fn system_settings(&self) -> PathBuf {
        self.system.join("settings.toml")
    }

    /// Host log and host key.
    pub fn host(&self) -> PathBuf {
        self.state.join("host")
    }

    /// All sessions' directories.
    pub fn sessions(&self) -> PathBuf {
        self.state.join("sessions")
    }

    /// One session's directory.
    pub fn session(&self, id: &SessionId) -> PathBuf {
        self.sessions().join(id.as_str())
    }

    /// What was trusted.
    pub fn trust(&self) -> PathBuf {
        self.state.join("trust")
    }

    /// Grants that outlive a command.
    pub fn grants(&self) -> PathBuf {
        self.state.join("grants")
    }

    /// Scratch directories on which worlds are built.
    pub fn worlds(&self) -> PathBuf {
        self.state.join("worlds")
    }

    /// Private writable copies of host caches, one directory per project.
    pub fn caches(&self) -> PathBuf {
        self.state.join("caches")
    }
}

fn make_our_own(dir: &Path) -> Result<(), StateError> {
    create_private_dir(dir).map_err(|error| {
        let source = match error {
            FileError::Io { source, .. } => source,
            other @ (FileError::TooLarge { .. }
            | FileError::NotUtf8 { .. }
            | FileError::NotRegular { .. }) => io::Error::other(other),
        };
        StateError::Create { path: dir.to_owned(), source }
    })?;
    let owner = fs::metadata(dir)
        .map_err(|source| StateError::Create { path: dir.to_owned(), source })?
        .uid();
    let us = rustix::process::geteuid().as_raw();
    if owner == us { Ok(()) } else { Err(StateError::NotOurs { path: dir.to_owned(), owner, us }) }
}

fn home_of_this_user() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    crate::users::by_id(uid).map(|user| user.home).filter(|home| home.is_absolute())
}
