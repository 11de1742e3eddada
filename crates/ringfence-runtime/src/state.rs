//! Where Ringfence keeps what it knows: configuration, state, sockets, system ceiling.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::SessionId;
use rustix::fs::{Access, StatVfsMountFlags};

use crate::environment::Environment;
use crate::servers::SERVERS_DIR;
use crate::whole_file::{FileError, create_private_dir, sha256_hex};

/// Directory of the system's own policy and settings; no variable moves it.
pub const SYSTEM_DIR: &str = "/etc/ringfence";

/// Where Linux has files in memory that every user may make.
const SHARED_MEMORY: &str = "/dev/shm";

/// What `statfs(2)` says of such a file system.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// The directories of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirs {
    home: PathBuf,
    config: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    private: PathBuf,
    system: PathBuf,
    storage_settings: Option<PathBuf>,
    libraries: Vec<PathBuf>,
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
        let private = in_memory(&state).unwrap_or_else(|| state.join("private"));
        let system = PathBuf::from(SYSTEM_DIR);
        let storage_settings = environment.path("CONTAINERS_STORAGE_CONF");
        let libraries = Vec::new();
        Ok(StateDirs { home, config, state, runtime, private, system, storage_settings, libraries })
    }

    /// The same with another system directory; for tests, which may not write to `/etc`.
    #[must_use]
    pub fn with_system_dir(self, system: PathBuf) -> StateDirs {
        StateDirs { system, ..self }
    }

    /// The same for a program that looks for the library of the tier `preload` at these places.
    #[must_use]
    pub fn with_libraries(self, libraries: Vec<PathBuf>) -> StateDirs {
        StateDirs { libraries, ..self }
    }

    /// Where that library is, or would be: what is written there runs in later sessions.
    pub fn libraries(&self) -> &[PathBuf] {
        &self.libraries
    }

    /// Makes the state, runtime and private directories, open to their owner only.
    pub fn create(&self) -> Result<(), StateError> {
        let own = [self.state.clone(), self.runtime.clone(), self.private.clone()];
        let below = ["host", "sessions", "trust", "grants", "caches", "made"];
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

    /// Where podman and docker take the names of programs from that they start outside: the user's own
    /// settings of theirs, whether or not they exist.
    pub fn of_engines(&self) -> Vec<PathBuf> {
        let config = self.config.parent().map(|dir| dir.join("containers"));
        let usual = [self.home.join(".config/containers"), self.home.join(".docker")];
        let mut all: Vec<PathBuf> = usual.into_iter().chain(config).collect();
        all.extend(self.storage_settings.clone());
        all.sort();
        all.dedup();
        all
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

    /// What running sessions keep for their worlds alone.
    pub fn private(&self) -> &Path {
        &self.private
    }

    /// What one running session keeps for its world alone: its home, copies of settings.
    pub fn private_of(&self, id: &SessionId) -> PathBuf {
        self.private.join(id.as_str())
    }

    /// The system's policy and settings.
    pub fn system(&self) -> &Path {
        &self.system
    }

    /// The files of the user's servers of tools.
    pub fn user_servers(&self) -> PathBuf {
        self.config.join(SERVERS_DIR)
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

    /// What running sessions tell each other of files that they made.
    pub fn made(&self) -> PathBuf {
        self.state.join("made")
    }

    /// Changes of sessions that nothing of the host has yet.
    pub fn reviews(&self) -> PathBuf {
        self.state.join("reviews")
    }

    /// One session's changes.
    pub fn review_of(&self, id: &SessionId) -> PathBuf {
        self.reviews().join(id.as_str())
    }

    /// What was trusted.
    pub fn trust(&self) -> PathBuf {
        self.state.join("trust")
    }

    /// Grants that outlive a command.
    pub fn grants(&self) -> PathBuf {
        self.state.join("grants")
    }

    /// Secrets and what they are bound to.
    pub fn secrets(&self) -> PathBuf {
        self.state.join("secrets")
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

/// A directory of this user's in memory, where there is one in which programs may run.
///
/// A start makes some sixty directories and files for a world, and the end removes them: in memory
/// that is nothing, while a file system on disk takes longer for it than for all the rest.
fn in_memory(state: &Path) -> Option<PathBuf> {
    let shared = Path::new(SHARED_MEMORY);
    let serves = rustix::fs::statfs(shared).ok()?.f_type == TMPFS_MAGIC
        && !rustix::fs::statvfs(shared).ok()?.f_flag.contains(StatVfsMountFlags::NOEXEC)
        && rustix::fs::access(shared, Access::WRITE_OK).is_ok();
    let us = rustix::process::geteuid().as_raw();
    // Sessions of another state directory are not ours to clean up after.
    let which = sha256_hex(state.as_os_str().as_bytes());
    let dir = shared.join(format!("ringfence-{us}-{}", which.get(..16)?));
    // Anybody may make a directory of this name there: then it is left alone.
    let free = match fs::symlink_metadata(&dir) {
        Ok(metadata) => metadata.is_dir() && metadata.uid() == us,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    (serves && free).then_some(dir)
}

fn home_of_this_user() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    crate::users::by_id(uid).map(|user| user.home).filter(|home| home.is_absolute())
}
