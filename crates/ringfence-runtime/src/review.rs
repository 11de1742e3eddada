//! Review: what a session changed, kept aside until a person commits it.
//!
//! `ringfence run --review` lays an overlay over each writable tree. Its upper layer is in
//! `STATE/reviews/SESSION/N/upper`, which no world sees; `review.json` beside it says over what.
//! What is in an upper layer was made by an agent and is read as such: by descriptors, without
//! following a link, and believed only where the agent could have made it by honest means.

mod checkpoints;
mod closed;
mod commit;
mod compare;
mod diff;
mod journal;
mod kept;
mod links;
pub(crate) mod looks;
mod made;
mod stage;
mod through_git;
mod walk;

use std::io;
use std::path::PathBuf;

use ringfence_core::SessionId;
use serde::Serialize;

pub use checkpoints::{
    CHECKPOINT_BYTES_MAX, CHECKPOINTS_MAX, Checkpoint, CheckpointError, checkpoints, is_name,
};
pub(crate) use checkpoints::{make as make_checkpoint, named as checkpoint_named, put_back};
pub use closed::open_up;
pub use commit::{Choice, Committed, Ready, commit, prepare};
pub use diff::{DIFF_BYTES_MAX, Diff, diff};
pub use journal::recover;
pub(crate) use kept::Owner;
pub use kept::{Kept, Tree, drop_changes, find, is_running, waiting};
pub(crate) use made::{Asked, keep_text, lay, settle};
pub use through_git::{ThroughGit, through_git};
pub use walk::changes;

/// What happened to a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It has another content.
    Modified,
    /// It has other permissions.
    Mode,
    /// It has other attributes (`user.*`).
    Attributes,
    /// It is gone.
    Deleted,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// Something else, which is never committed.
    Other,
}

/// Why a change cannot be committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "because", content = "detail", rename_all = "kebab-case")]
pub enum Held {
    /// The host's has changed since the session began: it is never overwritten.
    Conflict(String),
    /// An agent cannot have made it by honest means.
    Forged(String),
    /// It cannot be read.
    Unreadable(String),
    /// It is a pipe, a socket or a device.
    Special(String),
}

/// One change that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The tree it is in, by its place in [`Kept::trees`].
    pub tree: usize,
    /// Where it is in the tree.
    pub below: PathBuf,
    /// Where it is, or will be, on the host.
    pub path: PathBuf,
    /// What happened.
    pub kind: Kind,
    /// What it is; for what is deleted, what it was.
    pub what: What,
    /// Its size in bytes; for what is deleted, what it was.
    pub bytes: u64,
    /// Its permission bits, without set-id.
    pub mode: u32,
    /// Those of the host, where they are others.
    pub mode_before: Option<u32>,
    /// The attributes (`user.*`) that are others than the host's.
    pub attributes: Vec<String>,
    /// What a symbolic link says that leads out of the tree.
    pub leads_out: Option<String>,
    /// How many files and directories go with a deleted directory.
    pub within: u64,
    /// Why the host would run it by itself.
    pub host_runs: Option<String>,
    /// Why it looks like a secret.
    pub secret: Option<String>,
    /// Why it stays where it is.
    pub held: Option<Held>,
}

/// Why a review could not be read or carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Nothing of that session waits.
    #[error("no changes of session `{0}` wait for review")]
    None(SessionId),
    /// Nothing waits at all.
    #[error("no changes wait for review")]
    Nothing,
    /// Several sessions' changes wait.
    #[error("changes of {} sessions wait for review: name one", .0.len())]
    Several(Vec<SessionId>),
    /// The session is still at work.
    #[error("session `{0}` is still running")]
    Running(SessionId),
    /// The host's tree is not the one that the overlay was laid over.
    #[error("the tree `{}` has moved on: {why}; nothing was committed", path.display())]
    MovedOn {
        /// The tree.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// Not all of what was chosen could be applied, and what was is undone.
    #[error("nothing was committed: `{}`: {why}", path.display())]
    Undone {
        /// Where it failed.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A commit was cut off, and neither finishes nor can be undone.
    #[error("a commit that was cut off cannot be finished: `{}`: {why}", path.display())]
    Stuck {
        /// Where it failed.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What is kept cannot be read or written.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read`, `write`, `remove`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ReviewError {
    fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ReviewError {
        let path = path.into();
        move |source| ReviewError::Io { what, path, source }
    }

    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ReviewError::None(_) | ReviewError::Nothing => {
                Some("start one whose changes wait with `ringfence run --review -- CMD`".to_owned())
            }
            ReviewError::Several(_) => Some("to see which, run `ringfence review list`".to_owned()),
            ReviewError::Running(session) => Some(format!(
                "to see what it changed so far, run `ringfence review show {session}`"
            )),
            ReviewError::MovedOn { .. } => {
                Some("to see what waits all the same, run `ringfence review show`".to_owned())
            }
            ReviewError::Undone { .. } | ReviewError::Stuck { .. } => {
                Some("to try again, run `ringfence review commit`".to_owned())
            }
            ReviewError::Io { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
