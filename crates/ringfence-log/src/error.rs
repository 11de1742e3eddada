//! What can go wrong with a log, and what it means when a log does not verify.

use std::io;
use std::path::{Path, PathBuf};

use ringfence_core::{RecordError, SessionId};

/// Why a log could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel gave no randomness.
    #[error("cannot get random bytes: {0}")]
    Random(getrandom::Error),
    /// There is a log already.
    #[error("`{}` already holds a log", .0.display())]
    Exists(PathBuf),
    /// Another process is writing the log.
    #[error("the log in `{}` is being written by another process", .0.display())]
    Busy(PathBuf),
    /// An earlier entry could not be written, so no later one is taken.
    #[error("the log has stopped: {reason}")]
    Stopped {
        /// Why the earlier entry failed.
        reason: String,
    },
    /// The log has been closed.
    #[error("the log of session `{0}` is closed")]
    Closed(SessionId),
    /// The size cap is reached.
    #[error("the log of session `{session}` has reached its limit of {max_bytes} bytes")]
    Full {
        /// The session.
        session: SessionId,
        /// The cap.
        max_bytes: u64,
    },
    /// One entry is larger than any entry may be.
    #[error("an entry has {bytes} bytes, more than {}", crate::record::ENTRY_BYTES_MAX)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The entry cannot be written as JSON.
    #[error("an entry cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    /// Others than the owner can read or change the host key.
    #[error(
        "host key `{}` is open to others (mode {mode:03o})\nhint: `chmod 600 {}`",
        path.display(), path.display()
    )]
    DangerousKey {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a host key.
    #[error("`{}` is not a host key", .0.display())]
    BadKey(PathBuf),
    /// There is no host key yet.
    #[error("there is no host key `{}`", .0.display())]
    NoKey(PathBuf),
    /// What is there already does not verify.
    #[error("{0}")]
    Tampered(Tampered),
}

/// A log was changed without the host key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Tampered {
    /// The first entry that does not verify; `None` when another file than the entries is damaged.
    pub index: Option<u64>,
    /// What is wrong, for a person.
    pub what: String,
}

impl std::fmt::Display for Tampered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(f, "entry {index} does not verify: {}", self.what),
            None => write!(f, "the log does not verify: {}", self.what),
        }
    }
}

/// Why a log was not found intact.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It was changed.
    #[error("{0}")]
    Tampered(Tampered),
    /// It could not be read, so there is no answer.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl VerifyError {
    pub(crate) fn tampered(index: Option<u64>, what: impl Into<String>) -> VerifyError {
        VerifyError::Tampered(Tampered { index, what: what.into() })
    }

    /// For `map_err`: a failed read of `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> VerifyError + use<> {
        let path = path.to_owned();
        move |source| VerifyError::Io { path, source }
    }
}

impl LogError {
    /// For `map_err`: what was tried on which path.
    pub(crate) fn io(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> LogError + use<> {
        let path = path.to_owned();
        move |source| LogError::Io { doing, path, source }
    }
}

impl From<VerifyError> for LogError {
    fn from(error: VerifyError) -> LogError {
        match error {
            VerifyError::Tampered(tampered) => LogError::Tampered(tampered),
            VerifyError::Io { path, source } => LogError::Io { doing: "read", path, source },
        }
    }
}

impl From<LogError> for RecordError {
    fn from(error: LogError) -> RecordError {
        RecordError { reason: error.to_string() }
    }
}
